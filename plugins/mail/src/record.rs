//! One mail becomes one record.

use std::cell::Cell;

use mihwar_sdk::{Attachment, BlobError, ChannelKind, Feedback, Host, PluginError};

use crate::{
    Settings,
    author::{add_reply_to, author, recipients},
    automatic,
    body::{self, Body},
    charset::Fallback,
    fields::Fields,
    identity::identify,
    mime::{Leaf, Tree},
    moment, text,
};

const MAX_SUBJECT_BYTES: usize = 2_000;
const MAX_FILE_NAME_BYTES: usize = 200;
const MAX_HTML_BYTES: usize = 256 << 10;
/// What the attachments of one page may have together. Safely below `output` in the manifest: the hub ends a call that
/// hands over more at once.
const MAX_STORED_BYTES: u64 = 36 << 20;

/// Why no record came out.
pub(crate) enum Problem {
    /// The bytes have no mail header.
    NotMail,
    /// A header and nothing else: neither subject nor text nor attachment.
    Empty,
    /// The blobs of this call are used up: the mail belongs on the next page.
    BlobQuota,
    Failed(PluginError),
}

/// What a reader of mails needs.
pub(crate) struct Reader<'h> {
    pub(crate) host: &'h Host,
    pub(crate) settings: &'h Settings,
    pub(crate) fallback: Fallback,
    /// Leave out attachments that do not fit into this call's quota instead of giving up.
    pub(crate) may_leave_out: bool,
    /// Bytes of the attachments that this call has stored.
    pub(crate) stored_bytes: Cell<u64>,
}

impl Reader<'_> {
    /// Reads one mail, header and all.
    pub(crate) fn read(&self, mail: &[u8]) -> Result<Feedback, Problem> {
        let (fields, rest) = Fields::of_mail(mail);
        if !is_mail(&fields) {
            return Err(Problem::NotMail);
        }
        let tree = Tree::read(&fields, rest, self.fallback);
        let body = body::read(&tree, self.fallback);
        let identity = identify(&fields, rest);
        let in_header = header_fallback(&tree, self.fallback);
        let mut certain = body.certain;
        let mut feedback = Feedback::new(identity.external_id, ChannelKind::Email).thread(identity.thread_id);
        feedback.in_reply_to = identity.in_reply_to;
        feedback.occurred_at = moment::written_at(&fields);
        if let Some(subject) = fields.text("subject", in_header) {
            certain &= subject.certain;
            feedback.subject = Some(text::clean_line(&subject.text, MAX_SUBJECT_BYTES)).filter(|s| !s.is_empty());
        }
        let mut sender = author(&fields, in_header);
        certain &= sender.certain;
        let origin = automatic::judge(
            &fields,
            feedback.subject.as_deref().unwrap_or_default(),
            &sender.address,
        );
        if self.settings.reply_to_identifies && !origin.is_list {
            add_reply_to(&mut sender, &fields, self.fallback);
        }
        feedback.author = sender.person;
        let to = recipients(&fields, self.fallback);
        if !to.is_empty() {
            feedback = feedback.attribute("recipients", to.join(", "));
        }
        let tags = [
            (origin.is_bounce, "bounce"),
            (origin.is_auto_reply, "auto-reply"),
            (origin.is_list, "list"),
            (!certain, "charset-unknown"),
            (tree.damaged, "encoding-damaged"),
            (tree.cut, "mime-cut"),
        ];
        feedback.tags.extend(
            tags.iter()
                .filter(|(applies, _)| *applies)
                .map(|(_, tag)| (*tag).to_owned()),
        );
        let feedback = self.with_body(feedback, body)?;
        let feedback = self.with_attachments(feedback, &tree)?;
        let is_empty = feedback.body.is_empty()
            && feedback.subject.is_none()
            && feedback.body_html.is_none()
            && feedback.attachments.is_empty();
        if is_empty { Err(Problem::Empty) } else { Ok(feedback) }
    }

    fn with_body(&self, mut feedback: Feedback, body: Body) -> Result<Feedback, Problem> {
        let max = usize::try_from(self.settings.max_body_bytes).unwrap_or(usize::MAX);
        let mut text = body.text;
        if text.len() > max {
            feedback = self
                .attach(feedback, "body.txt", "text/plain; charset=utf-8", text.as_bytes())?
                .tag("body-cut");
            text.truncate(text.floor_char_boundary(max));
        }
        let quoted = text.lines().filter(|line| line.starts_with('>')).count();
        if quoted > 0 {
            feedback = feedback.attribute("quoted-lines", i64::try_from(quoted).unwrap_or(i64::MAX));
        }
        feedback.body = text;
        feedback.body_html = body
            .html
            .filter(|html| !html.trim().is_empty() && self.settings.keep_html && html.len() <= MAX_HTML_BYTES);
        Ok(feedback)
    }

    fn with_attachments(&self, mut feedback: Feedback, tree: &Tree<'_>) -> Result<Feedback, Problem> {
        let files = tree
            .leaves
            .iter()
            .filter(|leaf| leaf.is_attachment && !leaf.bytes.is_empty());
        for (at, leaf) in files.enumerate() {
            if at >= usize::try_from(self.settings.max_attachments).unwrap_or(usize::MAX) {
                return Ok(left_out(feedback));
            }
            feedback = self.attach(feedback, &file_name(leaf, at + 1), &leaf.media_type, &leaf.bytes)?;
        }
        Ok(feedback)
    }

    /// Attachments always become blobs: records stay small, and the bytes are stored once however often it is edited.
    fn attach(&self, feedback: Feedback, name: &str, media_type: &str, bytes: &[u8]) -> Result<Feedback, Problem> {
        let size = bytes.len() as u64;
        let stored = self.stored_bytes.get() + size;
        if size > MAX_STORED_BYTES || (stored > MAX_STORED_BYTES && self.may_leave_out) {
            return Ok(left_out(feedback));
        }
        if stored > MAX_STORED_BYTES {
            return Err(Problem::BlobQuota);
        }
        match self.host.blob_put(media_type, bytes) {
            Ok(blob) => {
                self.stored_bytes.set(stored);
                Ok(feedback.attachment(Attachment::blob(name, media_type, size, blob)))
            }
            Err(BlobError::TooLarge(_)) => Ok(left_out(feedback)),
            Err(BlobError::QuotaExceeded(_)) if self.may_leave_out => Ok(left_out(feedback)),
            Err(BlobError::QuotaExceeded(_)) => Err(Problem::BlobQuota),
            Err(error) => Err(Problem::Failed(error.into())),
        }
    }
}

/// Bytes beyond ASCII in a header are most likely in the character set of the text below it.
fn header_fallback(tree: &Tree<'_>, fallback: Fallback) -> Fallback {
    let declared = tree.leaves.iter().find_map(|leaf| leaf.charset.as_deref());
    match declared.and_then(Fallback::from_setting) {
        Some(Fallback::Fixed(decoder)) => Fallback::Fixed(decoder),
        _ => fallback,
    }
}

fn left_out(feedback: Feedback) -> Feedback {
    const TAG: &str = "attachment-left-out";
    if feedback.tags.iter().any(|tag| tag == TAG) {
        feedback
    } else {
        feedback.tag(TAG)
    }
}

/// A file that happens to hold a colon in its first line is no mail: at least one field must be one of mail.
pub(crate) fn is_mail(fields: &Fields<'_>) -> bool {
    const FIELDS: [&str; 22] = [
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "sender",
        "reply-to",
        "message-id",
        "in-reply-to",
        "references",
        "received",
        "return-path",
        "delivered-to",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
        "resent-from",
        "resent-to",
        "x-mailer",
        "list-id",
        "apparently-to",
    ];
    fields
        .names()
        .any(|name| FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The name without folders, or one made of the number and the type.
fn file_name(leaf: &Leaf<'_>, number: usize) -> String {
    let given = leaf.name.as_deref().unwrap_or_default();
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = text::clean_line(last, MAX_FILE_NAME_BYTES);
    let name = name.trim_matches(['.', ' ']);
    if !name.is_empty() {
        return name.to_owned();
    }
    let extension = match leaf.media_type.as_str() {
        "message/rfc822" => "eml",
        "text/plain" => "txt",
        "text/html" => "html",
        "image/jpeg" => "jpg",
        other => other.rsplit('/').next().filter(|sub| sub.len() <= 8).unwrap_or("bin"),
    };
    format!("part-{number}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_stay_below_what_the_manifest_asks_for() {
        let manifest = include_str!("../plugin.toml");
        let output = manifest.lines().find_map(|line| line.strip_prefix("output = "));
        let mebibytes = output.and_then(|text| text.trim_matches('"').strip_suffix("MiB"));
        let output: u64 = mebibytes.unwrap().parse().unwrap();
        assert!(MAX_STORED_BYTES < output << 20);
    }
}

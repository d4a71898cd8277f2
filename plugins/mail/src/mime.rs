//! The MIME tree of a mail as a flat list of leaves.
//!
//! Walked by hand, because a hostile mail may nest thousands of levels: depth and number of parts are limited, and
//! what lies beyond becomes one opaque leaf, so that nothing of it is lost.

use std::borrow::Cow;

use crate::{
    charset::Fallback,
    fields::{ContentField, Fields, first_line},
    transfer,
};

/// Deepest nesting that is unfolded. Real mail stays below ten.
const MAX_DEPTH: usize = 40;
/// Most leaves that are unfolded.
const MAX_LEAVES: usize = 2_000;

/// One part that holds content.
pub(crate) struct Leaf<'a> {
    /// Lower case, such as `text/plain`; always `main/sub`.
    pub(crate) media_type: String,
    pub(crate) charset: Option<String>,
    pub(crate) name: Option<String>,
    /// To be kept as a file rather than shown as text.
    pub(crate) is_attachment: bool,
    /// Parts with the same number say the same in different forms.
    pub(crate) alternative: Option<usize>,
    /// Without the transfer encoding.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// All leaves in reading order.
#[derive(Default)]
pub(crate) struct Tree<'a> {
    pub(crate) leaves: Vec<Leaf<'a>>,
    /// Nesting or number of parts went over the limit; the rest is one opaque leaf.
    pub(crate) cut: bool,
    /// A transfer encoding was damaged.
    pub(crate) damaged: bool,
    alternatives: usize,
}

/// What a part inherits from the parts around it.
#[derive(Clone, Copy, Default)]
struct Context {
    depth: usize,
    alternative: Option<usize>,
    /// A later part of `multipart/related`: a picture or style sheet of the first.
    is_companion: bool,
    in_digest: bool,
}

impl<'a> Tree<'a> {
    /// Reads the tree of a mail whose header is already split off.
    pub(crate) fn read(fields: &Fields<'a>, body: &'a [u8], fallback: Fallback) -> Self {
        let mut tree = Self::default();
        tree.walk(fields, body, Context::default(), fallback);
        tree
    }

    fn walk(&mut self, fields: &Fields<'a>, body: &'a [u8], context: Context, fallback: Fallback) {
        let content = fields.content("content-type", fallback);
        if let Some(content) = &content
            && content.main == "multipart"
            && let Some(boundary) = content.parameter("boundary").filter(|b| !b.is_empty())
        {
            if context.depth >= MAX_DEPTH {
                self.push_opaque(body);
            } else {
                self.walk_parts(&content.sub, boundary, body, context, fallback);
            }
            return;
        }
        self.push_leaf(fields, content.as_ref(), body, context, fallback);
    }

    fn walk_parts(&mut self, kind: &str, boundary: &str, body: &'a [u8], context: Context, fallback: Fallback) {
        let mut inner = Context {
            depth: context.depth + 1,
            in_digest: kind == "digest",
            ..context
        };
        if kind == "alternative" && inner.alternative.is_none() {
            self.alternatives += 1;
            inner.alternative = Some(self.alternatives);
        }
        let parts = Parts::new(body, boundary);
        let mut count = 0;
        for part in parts {
            if self.leaves.len() >= MAX_LEAVES {
                self.push_opaque(part);
                return;
            }
            let (fields, part_body) = Fields::split(part);
            inner.is_companion = kind == "related" && count > 0;
            self.walk(&fields, part_body, inner, fallback);
            count += 1;
        }
        if count == 0 {
            // The boundary that the header names does not occur: the text stands there plainly.
            self.push_leaf(&Fields::split(b"\n").0, None, body, context, fallback);
        }
    }

    fn push_leaf(
        &mut self,
        fields: &Fields<'a>,
        content: Option<&ContentField>,
        body: &'a [u8],
        context: Context,
        fallback: Fallback,
    ) {
        let (bytes, clean) = transfer::decode(body, &fields.keyword("content-transfer-encoding"));
        self.damaged |= !clean;
        let disposition = fields.content("content-disposition", fallback);
        let name = disposition
            .as_ref()
            .and_then(|field| field.parameter("filename"))
            .or_else(|| content.and_then(|field| field.parameter("name")))
            .map(str::to_owned);
        let media_type = media_type(content, context);
        let is_text = matches!(media_type.as_str(), "text/plain" | "text/html");
        let is_only_part = context.depth == 0 && media_type.starts_with("text/");
        let wants_file = disposition.as_ref().is_some_and(|field| field.main == "attachment");
        self.leaves.push(Leaf {
            is_attachment: wants_file
                || context.is_companion
                || !(is_text && (name.is_none() || context.depth == 0) || is_only_part),
            media_type,
            charset: content.and_then(|field| field.parameter("charset")).map(str::to_owned),
            name,
            alternative: context.alternative,
            bytes,
        });
    }

    fn push_opaque(&mut self, bytes: &'a [u8]) {
        self.cut = true;
        self.leaves.push(Leaf {
            media_type: "application/octet-stream".to_owned(),
            charset: None,
            name: Some("nested.mime".to_owned()),
            is_attachment: true,
            alternative: None,
            bytes: bytes.into(),
        });
    }
}

fn media_type(content: Option<&ContentField>, context: Context) -> String {
    let is_token = |text: &str| {
        !text.is_empty()
            && text.len() <= 100
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    match content {
        Some(field) if field.main == "multipart" => "text/plain".to_owned(),
        // `Content-Type: text` was common before MIME was settled.
        Some(field) if field.main == "text" && field.sub.is_empty() => "text/plain".to_owned(),
        Some(field) if is_token(&field.main) && is_token(&field.sub) => {
            format!("{}/{}", field.main, field.sub)
        }
        Some(_) if context.depth > 0 => "application/octet-stream".to_owned(),
        None if context.in_digest => "message/rfc822".to_owned(),
        Some(_) | None => "text/plain".to_owned(),
    }
}

/// The parts between the boundary lines; without a closing line the last part reaches to the end.
struct Parts<'a> {
    body: &'a [u8],
    boundary: Vec<u8>,
    /// Start of the next part; `None` when there is no further one.
    next: Option<usize>,
}

impl<'a> Parts<'a> {
    fn new(body: &'a [u8], boundary: &str) -> Self {
        let boundary = [b"--", boundary.trim_end().as_bytes()].concat();
        let next = find_boundary(body, 0, &boundary)
            .filter(|line| !line.closes)
            .map(|line| line.after);
        Self { body, boundary, next }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.next?;
        let end = find_boundary(self.body, start, &self.boundary);
        self.next = end.as_ref().filter(|line| !line.closes).map(|line| line.after);
        let stop = end.map_or(self.body.len(), |line| line.before.max(start));
        self.body.get(start..stop)
    }
}

struct BoundaryLine {
    /// Where the part before it ends; its last line end belongs to the boundary.
    before: usize,
    after: usize,
    closes: bool,
}

fn find_boundary(body: &[u8], from: usize, boundary: &[u8]) -> Option<BoundaryLine> {
    let mut at = from;
    while at < body.len() {
        let rest = body.get(at..)?;
        let line = first_line(rest);
        if let Some(tail) = line.strip_prefix(boundary) {
            let (closes, tail) = tail.strip_prefix(b"--").map_or((false, tail), |tail| (true, tail));
            if tail.trim_ascii().is_empty() {
                let before = body.get(..at)?;
                let before = before.strip_suffix(b"\n").unwrap_or(before);
                let before = before.strip_suffix(b"\r").unwrap_or(before).len();
                return Some(BoundaryLine {
                    before,
                    after: at + line.len(),
                    closes,
                });
            }
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(mail: &str) -> Vec<String> {
        let (fields, body) = Fields::split(mail.as_bytes());
        let tree = Tree::read(&fields, body, Fallback::Guess);
        tree.leaves
            .iter()
            .map(|leaf| {
                let file = if leaf.is_attachment { "file " } else { "" };
                format!("{file}{} {}", leaf.media_type, String::from_utf8_lossy(&leaf.bytes))
            })
            .collect()
    }

    #[test]
    fn nested_parts_come_in_reading_order() {
        let mail = "Content-Type: multipart/mixed; boundary=\"a\"\n\npreamble\n--a\n\
            Content-Type: multipart/alternative; boundary=a-b\n\n--a-b\n\nنص\n--a-b\nContent-Type: text/html\n\n<p>نص\n\
            --a-b--\n--a\nContent-Type: application/pdf; name=x.pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n\
            --a--\nepilogue";
        assert_eq!(
            outline(mail),
            ["text/plain نص", "text/html <p>نص", "file application/pdf %PDF"]
        );
    }

    #[test]
    fn missing_boundaries_lose_nothing() {
        assert_eq!(
            outline("Content-Type: multipart/mixed; boundary=a\n\nonly text"),
            ["text/plain only text"]
        );
        assert_eq!(
            outline("Content-Type: multipart/mixed; boundary=a\n\n--a\n\nfirst\n--a\n\nnever closed"),
            ["text/plain first", "text/plain never closed"]
        );
        assert_eq!(outline("Content-Type: text\n\nold"), ["text/plain old"]);
    }

    #[test]
    fn pictures_of_a_page_are_files_and_attached_mails_stay_closed() {
        let mail = "Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<img>\n--r\n\
            Content-Type: text/html\n\n<frame>\n--r\nContent-Type: message/rfc822\n\nSubject: inner\n\nhello\n--r--\n";
        assert_eq!(
            outline(mail),
            [
                "text/html <img>",
                "file text/html <frame>",
                "file message/rfc822 Subject: inner\n\nhello"
            ]
        );
    }

    #[test]
    fn ten_thousand_levels_are_cut_and_kept() {
        let mut mail = String::new();
        for level in 0..10_000 {
            mail.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
            ));
        }
        mail.push_str("\nالرسالة\n");
        let (fields, body) = Fields::split(mail.as_bytes());
        let tree = Tree::read(&fields, body, Fallback::Guess);
        assert!(tree.cut);
        assert_eq!(tree.leaves.len(), 1);
        assert!(tree.leaves[0].bytes.ends_with("الرسالة\n".as_bytes()));
    }

    #[test]
    fn very_many_parts_are_cut_and_kept() {
        let parts = "--p\n\nx\n".repeat(MAX_LEAVES + 50);
        let mail = format!("Content-Type: multipart/mixed; boundary=p\n\n{parts}--p--\n");
        let (fields, body) = Fields::split(mail.as_bytes());
        let tree = Tree::read(&fields, body, Fallback::Guess);
        assert_eq!((tree.leaves.len(), tree.cut), (MAX_LEAVES + 1, true));
    }
}

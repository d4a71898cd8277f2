//! Which deliveries make which mail, who gets it, and what stands in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mihwar_sdk::{Delivery, Event, Host, PluginError, Score, StoredFeedback};

use crate::address::Mailbox;
use crate::body::{Page, Quoted, Section, lines, value};
use crate::message::{Message, Parts};
use crate::settings::{Language, Settings, primary};
use crate::words::direction;

/// Letters of one item's text.
const ITEM_CHARS: usize = 50_000;
/// … of one among many.
const DIGEST_CHARS: usize = 1_000;
/// Items that a digest shows; further ones are named.
const DIGEST_ITEMS: usize = 200;
/// Letters of a subject that is made of a text.
const SUBJECT_CHARS: usize = 80;
/// Letters of one value in a row.
const VALUE_CHARS: usize = 300;
/// Longest reference that is taken for an id of ours.
const REFERENCE_BYTES: usize = 200;

/// One mail that is to be written.
pub(crate) struct Letter<'b> {
    /// The deliveries that it makes.
    pub(crate) deliveries: Vec<&'b Delivery>,
    /// What the hub is to call its items by: the first mail about each.
    pub(crate) reference: String,
    to: Vec<Mailbox>,
    id: String,
    answers: Option<String>,
    is_digest: bool,
}

impl Letter<'_> {
    fn is_erasure(&self) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| matches!(delivery.event, Event::Erased(_)))
    }
}

/// What all mails of a batch have in common.
pub(crate) struct Office {
    from: Mailbox,
    to: Vec<Mailbox>,
    to_by_language: BTreeMap<String, Vec<Mailbox>>,
    language: Language,
    zone: TimeZone,
    zone_name: String,
    link: Option<String>,
}

impl Office {
    /// Reads the settings.
    pub(crate) fn open(host: &Host, settings: &Settings) -> Result<Self, PluginError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(PluginError::Misconfigured(problems));
        }
        let wrong = |path: &str, message: String| PluginError::misconfigured(path, message);
        let list = |addresses: &Vec<String>| -> Result<Vec<Mailbox>, PluginError> {
            let read = addresses.iter().map(|address| Mailbox::read(address));
            read.collect::<Result<_, _>>().map_err(|message| wrong("to", message))
        };
        let mut to_by_language = BTreeMap::new();
        for (tag, addresses) in &settings.to_by_language {
            to_by_language.insert(tag.clone(), list(addresses)?);
        }
        let zone_name = settings.time_zone.clone().unwrap_or_else(|| host.instance().time_zone);
        Ok(Self {
            from: Mailbox::read(&settings.from).map_err(|message| wrong("from", message))?,
            to: list(&settings.to)?,
            to_by_language,
            language: settings.language,
            zone: TimeZone::get(&zone_name).unwrap_or(TimeZone::UTC),
            zone_name,
            link: settings.link.clone(),
        })
    }

    /// The mails that a batch makes: one for each delivery, but one for all of a digest that have the same readers.
    pub(crate) fn letters<'b>(&self, batch: &'b [Delivery]) -> Vec<Letter<'b>> {
        let mut letters: Vec<Letter<'b>> = Vec::new();
        for delivery in batch {
            let to = self.readers(delivery);
            let is_digest = matches!(delivery.event, Event::Digest(_));
            if is_digest && let Some(digest) = letters.iter_mut().find(|letter| letter.is_digest && letter.to == to) {
                digest.deliveries.push(delivery);
                continue;
            }
            let id = self.message_id(&delivery.id);
            // A digest is about many items, and begins a thread of its own.
            let first = delivery
                .external_ref
                .as_deref()
                .filter(|first| !is_digest && is_message_id(first));
            letters.push(Letter {
                deliveries: vec![delivery],
                reference: first.map_or_else(|| id.clone(), str::to_owned),
                to,
                answers: first.map(str::to_owned),
                id,
                is_digest,
            });
        }
        letters
    }

    /// Stable for a delivery, so that a mail that comes twice can be known again.
    fn message_id(&self, delivery: &str) -> String {
        let plain: String = delivery
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
            .take(64)
            .collect();
        let domain = self.from.domain();
        let domain = if domain.is_ascii() { domain } else { "mihwar.invalid" };
        format!("<{plain}@{domain}>")
    }

    fn readers(&self, delivery: &Delivery) -> Vec<Mailbox> {
        let (Event::Created(item) | Event::Updated(item) | Event::Digest(item)) = &delivery.event else {
            // Of what is gone nobody knows the language: whoever may have a copy is told.
            let mut all = self.to.clone();
            for mailbox in self.to_by_language.values().flatten() {
                if !all.iter().any(|known| known.address == mailbox.address) {
                    all.push(mailbox.clone());
                }
            }
            return all;
        };
        let language = item.feedback.language.as_deref().map(primary);
        let own = language.and_then(|language| self.to_by_language.get(&language));
        own.unwrap_or(&self.to).clone()
    }

    /// Writes a mail. `now` is its date.
    pub(crate) fn message(&self, letter: &Letter<'_>, now: i64) -> Message {
        let page = self.page(letter);
        let subject = if letter.answers.is_some() && !letter.is_erasure() {
            format!("Re: {}", page.title)
        } else {
            page.title.clone()
        };
        Message::of(&Parts {
            from: &self.from,
            to: &letter.to,
            subject: &subject,
            date: &self.time(now, "%a, %d %b %Y %H:%M:%S %z"),
            id: &letter.id,
            answers: letter.answers.as_deref(),
            language: page.language,
            text: &page.text(),
            html: &page.html(),
        })
    }

    fn page(&self, letter: &Letter<'_>) -> Page<'static> {
        let words = self.language.words();
        let mut page = Page {
            language: words.tag,
            direction: words.direction,
            title: String::new(),
            notice: None,
            sections: Vec::new(),
            rest: Vec::new(),
            footer: words.footer,
        };
        if letter.is_digest {
            page.title = format!("{}: {}", words.digest, letter.deliveries.len());
        }
        for delivery in &letter.deliveries {
            match &delivery.event {
                Event::Created(item) => {
                    page.title = self.title(item);
                    page.sections.push(self.section(item, None, ITEM_CHARS));
                }
                Event::Updated(item) => {
                    page.title = self.title(item);
                    page.notice = Some(words.changed);
                    page.sections.push(self.section(item, None, ITEM_CHARS));
                }
                Event::Digest(item) if page.sections.len() < DIGEST_ITEMS => {
                    page.sections
                        .push(self.section(item, Some(self.title(item)), DIGEST_CHARS));
                }
                Event::Digest(item) => {
                    if page.rest.is_empty() {
                        page.rest.push(words.not_shown.to_owned());
                    }
                    page.rest.push(value(&item.id));
                }
                Event::Erased(id) => {
                    page.title = format!("{}: {}", words.erase, value(id));
                    page.notice = Some(words.erase_text);
                    page.sections.push(Section {
                        heading: None,
                        rows: vec![(words.id, value(id))],
                        words: None,
                        link: None,
                    });
                }
            }
        }
        page
    }

    /// What it is, and what it is about, as far as this department may see it.
    fn title(&self, item: &StoredFeedback) -> String {
        let kind = self.language.kind(item.feedback.kind.as_deref());
        let subject = item.feedback.subject.as_deref().map(value);
        let about = subject
            .filter(|subject| !subject.is_empty())
            .unwrap_or_else(|| value(item.feedback.body.lines().next().unwrap_or_default()));
        if about.is_empty() {
            return format!("{kind} ({})", value(&self.language.channel(&item.feedback.channel)));
        }
        format!("{kind}: {}", cut(&about, SUBJECT_CHARS))
    }

    fn section(&self, item: &StoredFeedback, heading: Option<String>, most: usize) -> Section<'static> {
        let words = self.language.words();
        let language = item.feedback.language.as_deref();
        let text = lines(&item.feedback.body, most, words.cut);
        let quoted = if text.is_empty() {
            Quoted {
                text: words.no_words.to_owned(),
                language: Some(words.tag.to_owned()),
                direction: words.direction,
            }
        } else {
            Quoted {
                text,
                language: language.map(str::to_owned),
                direction: direction(language),
            }
        };
        let link = self.link.as_ref();
        Section {
            heading,
            rows: self.rows(item),
            words: Some(quoted),
            link: link.map(|link| (words.open, link.replace("{id}", &value(&item.id)))),
        }
    }

    /// What is known about an item and granted to this department.
    fn rows(&self, item: &StoredFeedback) -> Vec<(&'static str, String)> {
        let words = self.language.words();
        let feedback = &item.feedback;
        let said = feedback.occurred_at.filter(|at| *at != item.received_at);
        let (name, handles): (_, Vec<String>) = match &feedback.author {
            Some(author) => (
                author.display_name.clone(),
                author
                    .identifiers
                    .iter()
                    .map(|identifier| identifier.id.clone())
                    .collect(),
            ),
            None => (None, Vec::new()),
        };
        let scores: Vec<String> = feedback.scores.iter().map(score).collect();
        let files: Vec<String> = feedback.attachments.iter().map(|file| file.name.clone()).collect();
        let rows = [
            (words.subject, feedback.subject.clone().unwrap_or_default()),
            (words.author, name.unwrap_or_default()),
            (words.reached_at, handles.join(words.comma)),
            (words.channel, self.language.channel(&feedback.channel)),
            (words.received, self.shown(item.received_at)),
            (words.said, said.map_or_else(String::new, |at| self.shown(at))),
            (words.spoken, feedback.language.clone().unwrap_or_default()),
            (words.scores, scores.join(words.comma)),
            (words.tags, feedback.tags.join(words.comma)),
            (words.attachments, files.join(words.comma)),
            (words.id, item.id.clone()),
        ];
        rows.into_iter()
            .map(|(label, text)| (label, cut(&value(&text), VALUE_CHARS)))
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }

    /// Date and time in the department's zone, with its name.
    fn shown(&self, millis: i64) -> String {
        format!("{} ({})", self.time(millis, "%Y-%m-%d %H:%M"), self.zone_name)
    }

    fn time(&self, millis: i64, format: &str) -> String {
        let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

fn score(score: &Score) -> String {
    format!("{} {} ({}–{})", score.metric, score.value, score.min, score.max)
}

fn cut(text: &str, most: usize) -> String {
    let mut letters = text.chars();
    let mut kept: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        kept.push('…');
    }
    kept
}

/// Whether a reference is the id of a mail, as this department gives them, and fit to stand in a field.
fn is_message_id(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    text.len() <= REFERENCE_BYTES
        && inner.is_some_and(|inner| {
            inner.matches('@').count() == 1
                && inner
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_of_a_mail_is_answered() {
        assert!(is_message_id("<019ab3f2-5c1e@shop.example>"));
        for other in [
            "CRM-7",
            "<a>",
            "<a@b> <c@d>",
            "<a@b>\r\nBcc: x@y.example",
            "<a\r\n@b>",
            "<شكوى@b>",
            "",
        ] {
            assert!(!is_message_id(other), "{other:?}");
        }
    }
}

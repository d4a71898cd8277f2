//! The document as a page that stands alone: no scripts, nothing from elsewhere. Whatever came from outside is escaped, and
//! has its own writing direction.

use std::fmt::Display;

use mihwar_server::wire::{
    ContactRecordView, ContentView, DeliveryView, EventView, FeedbackView, RevisionView, StatusView,
};
use serde::Serialize;

use super::document::{Document, KeptFile};
use super::words::Words;
use crate::args::PageLanguage;

const STYLE: &str = "body{font-family:system-ui,'Noto Sans Arabic',Tahoma,sans-serif;line-height:1.6;max-width:60rem;\
    margin:2rem auto;padding-inline:1rem;color:#1b2430}h1,h2,h3{line-height:1.3}\
    article{border:1px solid #dcd8ce;border-radius:10px;padding:.5rem 1.2rem;margin-block:1rem}\
    table{border-collapse:collapse}th,td{text-align:start;padding:.3rem .8rem;border-bottom:1px solid #dcd8ce;\
    vertical-align:top}blockquote{margin:.5rem 0;white-space:pre-wrap;overflow-wrap:anywhere}\
    pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f2f0ea;padding:.6rem;border-radius:6px;direction:ltr;\
    text-align:left}.quiet{color:#55606e}";

/// The whole page.
pub(super) fn render(document: &Document<'_>, language: PageLanguage) -> String {
    let words = language.words();
    let mut page = Page {
        words,
        html: format!(
            "<!doctype html>\n<html lang=\"{}\" dir=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n<p>{}</p>\n",
            words.lang, words.dir, words.title, words.title, words.about
        ),
    };
    page.person(document);
    page.who_saw(document);
    page.add(format_args!("<h2>{}: {}</h2>\n", words.records, document.records.len()));
    for record in document.records {
        page.record(record, document.files);
    }
    page.add("</body>\n</html>\n");
    page.html
}

struct Page {
    words: &'static Words,
    html: String,
}

impl Page {
    /// Adds what is HTML already.
    fn add(&mut self, html: impl Display) {
        self.html.push_str(&html.to_string());
    }

    fn person(&mut self, document: &Document<'_>) {
        let (words, contact) = (self.words, document.contact);
        let mut facts = vec![
            (words.contact, contact.contact.clone()),
            (words.since, contact.since.to_string()),
        ];
        facts.extend(contact.erased_at.map(|at| (words.erased, at.to_string())));
        facts.extend(contact.hold.clone().map(|reason| (words.hold, reason)));
        for (name, value) in facts {
            self.add(format_args!("<p>{name}: <bdi>{}</bdi></p>\n", escaped(&value)));
        }
        self.add(format_args!("<h2>{}</h2>\n<ul>\n", words.known_by));
        for known_by in document.names.iter().chain(&document.identifiers) {
            self.add(format_args!("<li><bdi>{}</bdi></li>\n", escaped(known_by)));
        }
        if document.names.is_empty() && document.identifiers.is_empty() {
            self.add(format_args!("<li>{}</li>\n", words.nothing));
        }
        self.add("</ul>\n");
    }

    fn who_saw(&mut self, document: &Document<'_>) {
        let words = self.words;
        self.add(format_args!(
            "<h2>{}</h2>\n<p>{}</p>\n",
            words.who_saw, words.who_saw_about
        ));
        self.table_head(&[
            words.instance,
            words.brought,
            words.read,
            words.received,
            words.may_read,
        ]);
        let readers = &document.contact.readers;
        let unconfigured = document.seen_by.keys();
        let unconfigured = unconfigured.filter(|name| readers.iter().all(|reader| reader.instance != **name));
        let configured = readers
            .iter()
            .map(|reader| (reader.instance.as_str(), reader.fields.join(", ")));
        let all = configured.chain(unconfigured.map(|name| (name.as_str(), String::new())));
        for (instance, fields) in all {
            let seen = document.seen_by.get(instance);
            let [brought, read, received] = seen.map_or([0; 3], |seen| [seen.brought, seen.read, seen.received]);
            self.add(format_args!(
                "<tr><td><bdi>{}</bdi></td><td>{brought}</td><td>{read}</td><td>{received}</td><td><bdi>{}</bdi></td></tr>\n",
                escaped(instance),
                escaped(&fields)
            ));
        }
        self.add("</table>\n");
        if document.contact.requests_unread > 0 {
            let requests = document.contact.requests_unread;
            self.add(format_args!("<p>{} {requests}</p>\n", words.requests));
        }
    }

    fn table_head(&mut self, columns: &[&str]) {
        self.add("<table>\n<tr>");
        for column in columns {
            self.add(format_args!("<th scope=\"col\">{column}</th>"));
        }
        self.add("</tr>\n");
    }

    fn record(&mut self, record: &ContactRecordView, files: &[KeptFile]) {
        let feedback = &record.detail.feedback;
        let facts = [
            feedback.received_at.to_string(),
            feedback.channel.clone(),
            feedback.kind.clone().unwrap_or_default(),
        ];
        let facts: Vec<String> = facts
            .iter()
            .filter(|fact| !fact.is_empty())
            .map(|fact| escaped(fact))
            .collect();
        self.add(format_args!("<article>\n<h3><bdi>{}</bdi></h3>\n", facts.join(" · ")));
        self.add(format_args!(
            "<p class=\"quiet\"><bdi>{}</bdi></p>\n",
            escaped(&feedback.id)
        ));
        self.facts(feedback);
        for revision in &record.revisions {
            self.revision(revision, record.revisions.len() > 1, files);
        }
        self.deliveries(&record.detail.deliveries);
        self.statuses(&record.detail.statuses);
        self.events(&record.detail.events);
        self.add("</article>\n");
    }

    /// What is known of a record beside what was said: scores, labels, what programs found out about it.
    fn facts(&mut self, feedback: &FeedbackView) {
        let mut facts = serde_json::to_value(feedback).unwrap_or_default();
        if let Some(facts) = facts.as_object_mut() {
            // Its revisions stand below, this one among them.
            facts.remove("content");
        }
        self.json(self.words.facts, &facts);
    }

    /// Something for whoever wants to see everything.
    fn json(&mut self, name: &str, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.add(format_args!(
            "<details><summary>{name}</summary><pre>{}</pre></details>\n",
            escaped(&text)
        ));
    }

    fn revision(&mut self, revision: &RevisionView, is_one_of_many: bool, files: &[KeptFile]) {
        let words = self.words;
        if is_one_of_many {
            self.add(format_args!("<h4>{} {}</h4>\n", words.revision, revision.revision));
        }
        let Some(content) = &revision.content else {
            self.add(format_args!("<p class=\"quiet\">{}</p>\n", words.gone));
            return;
        };
        if let Some(subject) = &content.subject {
            self.add(format_args!(
                "<p dir=\"auto\"><strong>{}</strong></p>\n",
                escaped(subject)
            ));
        }
        self.add(format_args!(
            "<blockquote dir=\"auto\">{}</blockquote>\n",
            escaped(&content.body)
        ));
        self.attachments(content, files);
        self.json(words.everything, content);
    }

    fn attachments(&mut self, content: &ContentView, files: &[KeptFile]) {
        if content.attachments.is_empty() {
            return;
        }
        self.add(format_args!("<p>{}</p>\n<ul>\n", self.words.files));
        for attachment in &content.attachments {
            let name = escaped(&attachment.name);
            match files.iter().find(|file| Some(&file.id) == attachment.id.as_ref()) {
                Some(file) => self.add(format_args!(
                    "<li><a href=\"{}\" download=\"{name}\"><bdi>{name}</bdi></a></li>\n",
                    escaped(&file.path)
                )),
                None => self.add(format_args!("<li><bdi>{name}</bdi></li>\n")),
            }
        }
        self.add("</ul>\n");
    }

    fn deliveries(&mut self, deliveries: &[DeliveryView]) {
        if deliveries.is_empty() {
            return;
        }
        let words = self.words;
        self.add(format_args!("<p>{}</p>\n", words.went));
        self.table_head(&[words.department, words.state, words.attempts, words.calls_it]);
        for delivery in deliveries {
            let reference = delivery.reference.as_deref().unwrap_or_default();
            self.add(format_args!(
                "<tr><td><bdi>{}</bdi></td><td><bdi>{}</bdi></td><td>{}</td><td><bdi>{}</bdi></td></tr>\n",
                escaped(&delivery.destination),
                escaped(&delivery.state),
                delivery.attempts,
                escaped(reference)
            ));
        }
        self.add("</table>\n");
    }

    fn statuses(&mut self, statuses: &[StatusView]) {
        if statuses.is_empty() {
            return;
        }
        let words = self.words;
        self.add(format_args!("<p>{}</p>\n", words.became));
        self.table_head(&[words.department, words.state, words.when, words.said_to_it]);
        for status in statuses {
            let [note, url] = [&status.note, &status.url].map(|text| escaped(text.as_deref().unwrap_or_default()));
            self.add(format_args!(
                "<tr><td><bdi>{}</bdi></td><td><bdi>{}</bdi></td><td>{}</td><td dir=\"auto\">{note} <bdi>{url}</bdi></td></tr>\n",
                escaped(&status.department),
                escaped(&status.state),
                status.changed_at
            ));
        }
        self.add("</table>\n");
    }

    fn events(&mut self, events: &[EventView]) {
        self.add(format_args!(
            "<details><summary>{}</summary>\n<ul>\n",
            self.words.happened
        ));
        for event in events {
            let kind = event.event.get("type").and_then(|kind| kind.as_str());
            self.add(format_args!(
                "<li><bdi>{} · {} · {} · {}</bdi>\n<pre>{}</pre></li>\n",
                event.sequence,
                event.at,
                escaped(kind.unwrap_or_default()),
                escaped(&event.actor),
                escaped(&event.event.to_string())
            ));
        }
        self.add("</ul></details>\n");
    }
}

/// Any text as it may stand in HTML, in an attribute too.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use mihwar_server::wire::{ContactRecordView, ContactView};
    use serde_json::json;

    use super::super::document::{Document, KeptFile, Seen};
    use super::render;
    use crate::args::PageLanguage;

    fn contact() -> ContactView {
        let contact = json!({
            "contact": "0192f0c1-7a5e-7c3d-9b1e-0a1b2c3d4e5f",
            "since": "2026-11-22T09:30:00.000Z",
            "readers": [{ "instance": "language", "plugin": "language", "fields": ["subject", "body"] }],
            "requests_unread": 2,
        });
        serde_json::from_value(contact).unwrap()
    }

    fn record() -> ContactRecordView {
        let content = json!({
            "author": { "name": "هدى <b>العلي</b>", "identifiers": [{ "scheme": "tel", "id": "+966501234567" }] },
            "subject": "فاتورة",
            "body": "<script>alert(1)</script> \"لم يصلني الرد\"",
            "attachments": [{ "name": "صورة\".png", "media_type": "image/png", "id": "f1" }],
        });
        let event = |kind: &str, instance: &str| {
            let masked = [json!({ "instance": "redact", "label": "phone", "count": 2 })];
            let event = json!({ "type": kind, "instance": instance, "masked": masked, "code": "<i>" });
            json!({ "sequence": 1, "at": "2026-11-22T09:30:00.000Z", "actor": "hub", "event": event })
        };
        let delivery = json!({
            "id": "d", "feedback": "f", "destination": "billing", "state": "delivered", "attempts": 2, "rule": "money",
            "created_at": "2026-11-22T09:30:00.000Z", "reference": "تذكرة-٧",
        });
        let record = json!({
            "id": "f", "revision": 1, "contact": "c", "instance": "form", "channel": "form", "tags": ["شحن"],
            "scores": [{ "metric": "nps", "value": 2.0, "min": 0.0, "max": 10.0 }], "sentiment": -0.75,
            "received_at": "2026-11-22T09:30:00.000Z", "attributes": { "vip": "<u>" }, "destinations": ["billing"], "withdrawn": false,
            "body_chars": 9, "content": content,
            "events": [event("received", "form"), event("enriched", "language")],
            "deliveries": [delivery],
            "statuses": [{
                "department": "billing", "state": "resolved", "current": true, "changed_at": "2026-11-23T09:30:00.000Z",
                "reported_at": "2026-11-23T09:31:00.000Z", "note": "أُعيد <i>المبلغ</i>", "url": "https://tickets.example/7",
            }],
            "revisions": [{ "revision": 1, "content": content }],
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_page_holds_everything_in_its_language_and_nothing_that_a_browser_would_run() {
        let (contact, records) = (contact(), [record()]);
        let files = [KeptFile {
            id: "f1".into(),
            name: "صورة\".png".into(),
            path: "files/f1".into(),
        }];
        let document = Document::new(&contact, &records, &files);
        let seen = Seen {
            brought: 0,
            read: 1,
            received: 0,
        };
        assert_eq!(document.seen_by["language"], seen);
        assert_eq!(document.seen_by["billing"].received, 1);
        assert_eq!(document.seen_by["redact"].read, 1, "it saw what it masked");
        for (language, start, word) in [
            (PageLanguage::Ar, "<html lang=\"ar\" dir=\"rtl\">", "ما يُحفظ عنك"),
            (
                PageLanguage::En,
                "<html lang=\"en\" dir=\"ltr\">",
                "What is held about you",
            ),
        ] {
            let page = render(&document, language);
            assert!(page.contains(start) && page.contains(word));
            for held in [
                "tel:+966501234567",
                "فاتورة",
                "&lt;script&gt;",
                "تذكرة-٧",
                "subject, body",
                "href=\"files/f1\" download=\"صورة&quot;.png\"",
                "enriched",
                "-0.75",
                "nps",
                "شحن",
                "&lt;u&gt;",
                "&lt;i&gt;",
                "resolved",
                "أُعيد &lt;i&gt;المبلغ",
                "https://tickets.example/7",
            ] {
                assert!(page.contains(held), "{held} is not in\n{page}");
            }
            assert!(!page.contains("<u>") && !page.contains("<i>"), "{page}");
            assert!(!page.contains("<script") && !page.contains("<b>العلي"), "{page}");
        }
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["identifiers"][0], "tel:+966501234567");
        assert_eq!(json["records"][0]["revisions"][0]["content"]["subject"], "فاتورة");
    }
}

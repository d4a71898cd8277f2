//! The records that both sides take in: the same words for both.

use std::fmt::Write as _;

/// How many people there are.
pub(super) const PEOPLE: u64 = 1000;
/// One in this many comes by the channel that hardly anybody uses.
const RARE: u64 = 500;
/// The channel that hardly anybody uses.
pub(super) const RARE_CHANNEL: &str = "kiosk";
/// The channel of every fourth record.
pub(super) const CHANNEL: &str = "form";
/// The kind of every sixth record.
pub(super) const KIND: &str = "complaint";

const CHANNELS: [&str; 4] = [CHANNEL, "app", "branch-visit", "chat"];
const KINDS: [&str; 6] = [KIND, "suggestion", "enquiry", "praise", "observation", "defect"];
const BODY: &str = "وصلت الشحنة متأخرة أسبوعاً كاملاً ولم يرد علي أحد. The courier left my parcel in the rain and nobody \
    answered the phone for two days. أرجو إعادة المبلغ أو إرسال جهاز جديد، فقد انتظرت طويلاً. Please send a new one or refund me.";

/// One piece of feedback, made from its number alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Name in the source: the submission. They ascend as texts do, for both sides.
    pub(super) external_id: String,
    pub(super) channel: &'static str,
    pub(super) kind: &'static str,
    /// RFC 3339; spread over a month, as in an import.
    pub(super) occurred_at: String,
    /// One of [`PEOPLE`].
    pub(super) person: String,
    pub(super) author: String,
    pub(super) subject: String,
    pub(super) body: &'static str,
    pub(super) language: &'static str,
    /// From 0 to 10.
    pub(super) nps: u64,
    pub(super) order: String,
    pub(super) branch: u64,
}

impl Record {
    /// The record of this number.
    pub(super) fn of(number: u64) -> Self {
        // The same person comes back, but not in the order of the numbers.
        let person = number * 7919 % PEOPLE;
        let channel = if number % RARE == RARE - 1 {
            RARE_CHANNEL
        } else {
            pick(&CHANNELS, number)
        };
        let arabic = number.is_multiple_of(2);
        let (subject, language) = if arabic {
            (format!("تأخر توصيل الطلب {number}"), "ar")
        } else {
            (format!("Order {number} came late"), "en")
        };
        Self {
            external_id: format!("bench-{number:09}"),
            channel,
            kind: pick(&KINDS, number / 4),
            occurred_at: format!(
                "2026-10-{:02}T{:02}:{:02}:00Z",
                1 + number % 28,
                number / 28 % 24,
                number / 672 % 60
            ),
            person: format!("c{person}"),
            author: format!("ليلى حداد {person}"),
            subject,
            body: BODY,
            language,
            nps: number % 11,
            order: format!("A-{number}"),
            branch: number % 40,
        }
    }

    pub(super) fn identifiers(&self) -> String {
        format!(r#"[{{"scheme":"crm","id":"{}"}}]"#, self.person)
    }

    pub(super) fn scores(&self) -> String {
        format!(r#"[{{"metric":"nps","value":{},"min":0,"max":10}}]"#, self.nps)
    }

    pub(super) fn attributes(&self) -> String {
        format!(r#"{{"order":"{}","branch":{}}}"#, self.order, self.branch)
    }

    /// As the API takes it, on one line without its end. No word in it needs escaping.
    pub(super) fn write_json(&self, text: &mut String) {
        write!(
            text,
            r#"{{"external_id":"{}","channel":"{}","kind":"{}","occurred_at":"{}","author":{{"name":"{}","identifiers":{}}},"subject":"{}","body":"{}","language":"{}","scores":{},"attributes":{}}}"#,
            self.external_id,
            self.channel,
            self.kind,
            self.occurred_at,
            self.author,
            self.identifiers(),
            self.subject,
            self.body,
            self.language,
            self.scores(),
            self.attributes(),
        )
        .expect("a String takes everything");
    }

    /// Bytes of what it says: its values, without the names of its fields. Numbers and times count eight each.
    fn content_bytes(&self) -> usize {
        let texts = [
            self.external_id.as_str(),
            self.channel,
            self.kind,
            &self.author,
            "crm",
            &self.person,
            &self.subject,
            self.body,
            self.language,
            "nps",
            "order",
            &self.order,
            "branch",
        ];
        texts.iter().map(|text| text.len()).sum::<usize>() + 5 * 8
    }
}

/// How large records are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    /// Bytes of the values.
    pub(super) content: f64,
    /// Bytes of the JSON.
    pub(super) json: f64,
}

impl Weight {
    /// The average of some records.
    pub(super) fn measured() -> Self {
        let (mut content, mut json) = (0, String::new());
        for number in 100_000..110_000 {
            let record = Record::of(number);
            content += record.content_bytes();
            record.write_json(&mut json);
        }
        Self {
            content: content as f64 / 10_000.0,
            json: json.len() as f64 / 10_000.0,
        }
    }
}

fn pick(of: &[&'static str], number: u64) -> &'static str {
    let index = usize::try_from(number % of.len() as u64).unwrap_or_default();
    of.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{RARE_CHANNEL, Record};

    #[test]
    fn a_record_is_json_and_says_what_its_fields_say() {
        for number in [0, 1, 499, 5_000_000] {
            let record = Record::of(number);
            let mut text = String::new();
            record.write_json(&mut text);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["subject"], record.subject);
            assert_eq!(value["author"]["identifiers"][0]["id"], record.person);
            assert_eq!(value["scores"][0]["value"], record.nps);
            assert_eq!(value["attributes"]["order"], record.order);
        }
        assert!(Record::of(0).subject.contains("توصيل"));
        assert!(Record::of(9).external_id < Record::of(10).external_id);
        assert_eq!(Record::of(499).channel, RARE_CHANNEL);
    }
}

//! Personal content in a bundle, which is there only where it was exported on purpose.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lines;
use crate::commitment;
use crate::document::{self, DocumentError};

/// Names in [`ContentLine::says`], and texts under one of them.
const SAYS_MAX: usize = 64;

/// What one revision said: what its entry commits to, and the salt with which that can be checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentLine {
    /// Place of the entry that commits to it, from 0.
    pub entry: u64,
    /// The piece of feedback: its id.
    pub feedback: String,
    /// 1 for the first.
    pub revision: u32,
    /// What was hashed before the content.
    pub salt: [u8; 32],
    /// The content, as it was hashed.
    pub content: Vec<u8>,
    /// The same for people, as far as it is text: up to 64 names, each with a text or up to 64 texts. Whoever checks compares
    /// it with the content.
    pub says: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    entry: u64,
    feedback: String,
    revision: u32,
    salt: String,
    content: String,
    #[serde(deserialize_with = "texts_by_name")]
    says: Value,
}

/// Reads nothing but texts by their names: as a JSON value of any form, a line of zeros would take up a hundred times its
/// length in memory.
fn texts_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    deserializer.deserialize_map(TextsByName)
}

fn too_many<E: Error>() -> E {
    E::custom(format_args!("there are more than {SAYS_MAX} texts"))
}

struct TextsByName;

impl<'de> Visitor<'de> for TextsByName {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("texts by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut says = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if says.len() == SAYS_MAX {
                return Err(too_many());
            }
            let texts = map.next_value_seed(Texts)?;
            says.insert(name, texts);
        }
        Ok(Value::Object(says))
    }
}

/// A text, or several.
struct Texts;

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut texts: Vec<Value> = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            if texts.len() == SAYS_MAX {
                return Err(too_many());
            }
            texts.push(Value::from(text));
        }
        Ok(Value::Array(texts))
    }
}

impl ContentLine {
    /// The line, with its line feed.
    ///
    /// # Errors
    /// Cannot fail in practice: every part has a JSON form.
    pub fn to_line(&self) -> Result<String, DocumentError> {
        let wire = Wire {
            entry: self.entry,
            feedback: self.feedback.clone(),
            revision: self.revision,
            salt: document::to_base64(&self.salt),
            content: document::to_base64(&self.content),
            says: self.says.clone(),
        };
        Ok(document::write(&wire, true)? + "\n")
    }

    /// Reads the lines of a [`crate::Piece::Content`]. Nothing is verified yet: compare [`ContentLine::commitment`] with what the
    /// entry says.
    pub fn read_all(text: &[u8]) -> impl Iterator<Item = Result<Self, DocumentError>> {
        lines(text).map(Self::read)
    }

    fn read(line: &[u8]) -> Result<Self, DocumentError> {
        let wire: Wire = serde_json::from_slice(line).map_err(|error| DocumentError::of(&error))?;
        let salt = document::bytes("salt", &wire.salt)?;
        let salt = salt
            .try_into()
            .map_err(|_| DocumentError::field("salt", "not 32 bytes"))?;
        Ok(Self {
            entry: wire.entry,
            feedback: wire.feedback,
            revision: wire.revision,
            salt,
            content: document::bytes("content", &wire.content)?,
            says: wire.says,
        })
    }

    /// What the entry must say of it.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        commitment(&self.salt, &self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::ContentLine;
    use serde_json::json;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let line = ContentLine {
            entry: 7,
            feedback: "0199f0c2-6c1e-7c55-8f3e-6e2a4c1d9b10".into(),
            revision: 2,
            salt: [3; 32],
            content: "لم يصلني المبلغ\nبعد".into(),
            says: json!({"body": "لم يصلني المبلغ\nبعد"}),
        };
        let text = line.to_line().unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        let read: Vec<_> = ContentLine::read_all(text.repeat(2).as_bytes()).collect();
        assert_eq!(read, [Ok(line.clone()), Ok(line)]);
        for (right, wrong) in [("\"entry\"", "\"entri\""), ("AwMD", "Aw"), ("}\n", "\n"), ("{", "x{")] {
            let wrong = text.replacen(right, wrong, 1);
            assert!(
                ContentLine::read_all(wrong.as_bytes()).any(|line| line.is_err()),
                "{wrong}"
            );
        }
        assert!(ContentLine::read_all(b"").any(|line| line.is_err()));
    }

    #[test]
    fn what_people_are_shown_is_texts_and_few() {
        let line = |says: &str| {
            let salt = "A".repeat(43) + "=";
            let text =
                format!(r#"{{"entry":0,"feedback":"","revision":1,"salt":"{salt}","content":"","says":{says}}}"#);
            ContentLine::read_all(text.as_bytes())
                .next()
                .map(|line| line.map(|line| line.says))
        };
        let few = vec!["هدى"; 64];
        for good in [json!({}), json!({"body": "شكرًا\n", "identifiers": few})] {
            assert_eq!(line(&good.to_string()), Some(Ok(good)));
        }
        let many = format!("[{}\"\"]", "\"\",".repeat(64));
        for bad in [
            "[0,0]",
            "0",
            "{\"body\":0}",
            "{\"body\":[[]]}",
            "{\"body\":{}}",
            many.as_str(),
        ] {
            let bad = if bad == many {
                format!("{{\"body\":{bad}}}")
            } else {
                bad.to_owned()
            };
            assert!(matches!(line(&bad), Some(Err(_))), "{bad}");
        }
        let names: Vec<String> = (0..65).map(|number| format!("\"{number}\":\"\"")).collect();
        assert!(matches!(line(&format!("{{{}}}", names.join(","))), Some(Err(_))));
    }
}

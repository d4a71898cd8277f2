//! From the bytes of a request to submissions: fields in their order, each once.

use std::fmt;

use mihwar_sdk::PluginError;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// Most submissions in one request.
const MOST_ITEMS: usize = 1000;

/// Something wrong with one submission. The text names the field, never what the person wrote.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<Problem> for PluginError {
    fn from(problem: Problem) -> Self {
        Self::permanent(problem.code, problem.message)
    }
}

/// One submission: the fields in the order of the form.
#[derive(Debug, PartialEq)]
pub(crate) struct Submission {
    pub(crate) fields: Vec<(String, Json)>,
}

impl Submission {
    /// Removes a field, if it is there and not null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.fields.iter().position(|(key, _)| key == name)?;
        Some(self.fields.remove(at).1).filter(|value| !value.is_null())
    }

    /// The submission as JSON text with the fields in their order, for audit.
    pub(crate) fn to_json(&self) -> String {
        struct Ordered<'a>(&'a [(String, Json)]);
        impl serde::Serialize for Ordered<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
            }
        }
        serde_json::to_string(&Ordered(&self.fields)).unwrap_or_default()
    }
}

/// What a request holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Posted {
    One(Submission),
    /// Each item stands for itself: a bad one does not touch the others.
    Batch(Vec<Result<Submission, Problem>>),
}

/// Reads a request body by its content type (JSON when there is none).
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Posted, Problem> {
    let mut parts = content_type
        .unwrap_or("application/json")
        .split(';')
        .map(|part| part.trim().to_ascii_lowercase());
    let media_type = parts.next().unwrap_or_default();
    if let Some(charset) = parts.find_map(|part| part.strip_prefix("charset=").map(|c| c.trim_matches('"').to_owned()))
        && !matches!(charset.as_str(), "utf-8" | "utf8")
    {
        return Err(Problem::new(
            "charset",
            format!("the charset `{charset}` is not read: send UTF-8"),
        ));
    }
    let text =
        std::str::from_utf8(body).map_err(|e| Problem::new("not-utf8", format!("the body is not UTF-8: {e}")))?;
    match media_type.as_str() {
        "application/x-www-form-urlencoded" => urlencoded(text).map(Posted::One),
        "application/json" => json(text),
        other => Err(Problem::new(
            "media-type",
            format!("`{other}` is not read: send application/json or application/x-www-form-urlencoded"),
        )),
    }
}

fn json(text: &str) -> Result<Posted, Problem> {
    let broken = |e: serde_json::Error| Problem::new("json", format!("the body is not JSON: {e}"));
    if !text.trim_start().starts_with('[') {
        return submission(text).map(Posted::One);
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
    if items.is_empty() || items.len() > MOST_ITEMS {
        let message = format!("a batch holds 1 to {MOST_ITEMS} submissions, not {}", items.len());
        return Err(Problem::new("batch-size", message));
    }
    Ok(Posted::Batch(items.iter().map(|item| submission(item.get())).collect()))
}

fn submission(text: &str) -> Result<Submission, Problem> {
    serde_json::from_str(text).map_err(|e| {
        let message = e.to_string();
        let code = if message.starts_with(DUPLICATED) {
            "duplicated-field"
        } else {
            "json"
        };
        Problem::new(code, message)
    })
}

const DUPLICATED: &str = "the field is there twice: ";

/// Each key once: of two answers to one question nobody can know which is meant.
impl<'de> Deserialize<'de> for Submission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Submission;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the form's fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Submission, A::Error> {
                let mut fields: Vec<(String, Json)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if fields.iter().any(|(earlier, _)| *earlier == name) {
                        return Err(A::Error::custom(format!("{DUPLICATED}`{name}`")));
                    }
                    fields.push((name, value));
                }
                Ok(Submission { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Reads `a=1&b=2`. A name that ends in `[]` may repeat, as check boxes do, and becomes a list.
fn urlencoded(text: &str) -> Result<Submission, Problem> {
    let mut fields: Vec<(String, Json)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| Problem::new("not-utf8", "the name of a field is not UTF-8"))?;
        let value = decode(value)
            .ok_or_else(|| Problem::new("not-utf8", format!("`{name}` is not UTF-8 after percent-decoding")))?;
        let list = name.ends_with("[]");
        match fields.iter_mut().find(|(earlier, _)| *earlier == name) {
            Some((_, Json::Array(items))) if list => items.push(value.into()),
            Some(_) => {
                return Err(Problem::new("duplicated-field", format!("{DUPLICATED}`{name}`")));
            }
            None if list => fields.push((name, Json::Array(vec![value.into()]))),
            None => fields.push((name, value.into())),
        }
    }
    Ok(Submission { fields })
}

/// Percent-decodes; `None` when the result is not UTF-8. A `%` without two digits stays as it is.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |at: usize| {
            after
                .get(at)
                .and_then(|&b| char::from(b).to_digit(16))
                .and_then(|d| u8::try_from(d).ok())
        };
        rest = after;
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).ok()
}

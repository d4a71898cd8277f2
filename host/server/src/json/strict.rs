//! JSON text to a value, refusing what a lenient reader would quietly drop.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Where and why text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonFault {
    line: usize,
    column: usize,
    reason: String,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, reason } = self;
        match line {
            // A stream of lines counts its own lines: within one, only the column says something.
            0 | 1 => write!(f, "column {column}: {reason}"),
            _ => write!(f, "line {line}, column {column}: {reason}"),
        }
    }
}

/// Reads one JSON value. A key that stands twice in an object is a fault: readers disagree about which of
/// the two counts.
///
/// # Errors
/// The first place that cannot be read; columns count bytes from 1.
pub(crate) fn parse(text: &[u8]) -> Result<Value, JsonFault> {
    serde_json::from_slice::<Strict>(text)
        .map(|Strict(value)| value)
        .map_err(|error| {
            let text = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            let reason = match text.strip_suffix(place.as_str()).unwrap_or(&text) {
                // The library's word for an escape that is half of a pair says nothing to whoever wrote it.
                "unexpected end of hex escape" => {
                    "half of a surrogate pair stands alone (\\ud800 to \\udfff)".to_owned()
                }
                reason => reason.to_owned(),
            };
            JsonFault {
                line: error.line(),
                column: error.column(),
                reason,
            }
        })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("the number is too large"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key \"{}\" stands twice",
                    key.escape_debug()
                )));
            }
            let value = access.next_value_seed(Self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn fault(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn faults_name_the_place() {
        assert_eq!(
            fault(r#"{"body": "مرحبا", "body": 1}"#),
            "column 29: the key \"body\" stands twice"
        );
        assert!(
            fault(r#"{"body": "\ud83d"}"#).contains("surrogate"),
            "{}",
            fault(r#"{"body": "\ud83d"}"#)
        );
        assert!(fault("{\"a\":1,\n\"ب\":}").starts_with("line 2, column "));
        assert!(fault(&"[".repeat(10_000)).contains("recursion limit"));
        assert!(parse(b"{\"a\":\"\xff\"}").unwrap_err().to_string().contains("unicode"));
        assert!(fault("{} {}").contains("trailing"));
    }

    #[test]
    fn what_is_right_is_read_whole() {
        let value = parse(r#"{"نص":["ا",1,-2,2.5,true,null,{"x":{}}]}"#.as_bytes()).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"نص": ["ا", 1, -2, 2.5, true, null, {"x": {}}]})
        );
    }
}

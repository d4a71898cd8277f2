//! JSON text to a value, refusing what a lenient reader would quietly drop.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Where and why text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonFault {
    place: Option<Place>,
    reason: String,
}

/// Line and column, counted from 1; columns count bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// The place that the library names. Where reading stopped right behind the end of a line, it names column 0 of
    /// the next one; the fault is at the end of the line before.
    fn of(text: &[u8], error: &serde_json::Error) -> Option<Self> {
        match (error.line(), error.column()) {
            (0, _) => None,
            (1, column) => Some(Self {
                line: 1,
                column: column.max(1),
            }),
            (line, 0) => {
                let before = text.split(|byte| *byte == b'\n').nth(line - 2).unwrap_or_default();
                Some(Self {
                    line: line - 1,
                    column: before.len() + 1,
                })
            }
            (line, column) => Some(Self { line, column }),
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            None => {}
            // A stream of lines counts its own lines: within one, only the column says something.
            Some(Place { line: 1, column }) => write!(f, "column {column}: ")?,
            Some(Place { line, column }) => write!(f, "line {line}, column {column}: ")?,
        }
        f.write_str(&self.reason)
    }
}

/// Reads one JSON value. A key that stands twice in an object is a fault: readers disagree about which of
/// the two counts.
///
/// # Errors
/// The first place that cannot be read, or that there is nothing to read.
pub(crate) fn parse(text: &[u8]) -> Result<Value, JsonFault> {
    if text.trim_ascii().is_empty() {
        return Err(JsonFault {
            place: None,
            reason: "the body is empty".to_owned(),
        });
    }
    let value = serde_json::from_slice::<Strict>(text);
    value.map(|Strict(value)| value).map_err(|error| JsonFault {
        place: Place::of(text, &error),
        reason: reason(&error),
    })
}

/// Why the text is no JSON, without the place.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(place.as_str()).unwrap_or(&text) {
        // The library's word for an escape that is half of a pair says nothing to whoever wrote it.
        "unexpected end of hex escape" => "half of a surrogate pair stands alone (\\ud800 to \\udfff)".to_owned(),
        reason => reason.to_owned(),
    }
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
    fn no_place_is_before_the_first_column() {
        assert_eq!(fault(""), "the body is empty");
        assert_eq!(fault(" \r\n\t"), "the body is empty");
        assert!(fault("{").starts_with("column 1: EOF"), "{}", fault("{"));
        // Broken off behind the end of a line: blamed on that line. Seven bytes, and the place behind them.
        assert!(
            fault("{\"a\":1,\n").starts_with("column 8: EOF"),
            "{}",
            fault("{\"a\":1,\n")
        );
        assert!(
            fault("{\n\"a\":1,\n").starts_with("line 2, column 7: EOF"),
            "{}",
            fault("{\n\"a\":1,\n")
        );
        // A bare line end in a text stands where the line ends: two bytes for each Arabic letter.
        assert!(
            fault("{\"a\":\"نص\nآخر\"}").starts_with("column 11: control character"),
            "{}",
            fault("{\"a\":\"نص\nآخر\"}")
        );
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

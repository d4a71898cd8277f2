//! JSON texts of sources, with everything that stands in them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// What a JSON text holds, in its order. Of several fields of one name all are here: a [`Value`] keeps the last, and nobody
/// would look at the others, which the text holds still.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Payload {
    /// A number, yes or no, or null.
    Plain(Value),
    Text(String),
    List(Vec<Self>),
    Fields(Vec<(String, Self)>),
}

impl Payload {
    /// Shows each text in it, names of fields and numbers among them, to one who may change it. A number that is changed
    /// becomes a text.
    pub(super) fn visit(&mut self, each: &mut dyn FnMut(&mut String)) {
        match self {
            Self::Plain(Value::Number(number)) => {
                let before = number.to_string();
                let mut text = before.clone();
                each(&mut text);
                if text != before {
                    *self = Self::Text(text);
                }
            }
            Self::Plain(_) => {}
            Self::Text(text) => each(text),
            Self::List(items) => items.iter_mut().for_each(|item| item.visit(each)),
            Self::Fields(fields) => {
                for (name, field) in fields {
                    each(name);
                    field.visit(each);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Payload, E> {
        Ok(Payload::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Payload, E> {
        Ok(Payload::Plain(value.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Payload, E> {
        Ok(Payload::Plain(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Payload, E> {
        Ok(Payload::Plain(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Payload, E> {
        Ok(Payload::Plain(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Payload, E> {
        Ok(Payload::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Payload, E> {
        Ok(Payload::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Payload, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Payload::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Payload, A::Error> {
        let mut list = Vec::new();
        while let Some(field) = fields.next_entry()? {
            list.push(field);
        }
        Ok(Payload::Fields(list))
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Fields(fields) => serializer.collect_map(fields.iter().map(|(name, field)| (name, field))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Payload;

    fn seen(json: &str) -> Vec<String> {
        let mut seen = Vec::new();
        let mut payload: Payload = serde_json::from_str(json).unwrap();
        payload.visit(&mut |text| seen.push(text.clone()));
        seen
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        for json in [
            r#"{"ب":[1,-2,2.5,true,null,"نص",{}],"ا":{"a":[]}}"#,
            r#""\"""#,
            "18446744073709551615",
            r#"{"a":1,"a":"x","a":null}"#,
        ] {
            let payload: Payload = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&payload).unwrap(), json);
        }
    }

    #[test]
    fn fields_of_one_name_are_all_looked_at() {
        assert_eq!(
            seen(r#"{"a":"4111","a":{"b":7,"b":"x"}}"#),
            ["a", "4111", "a", "b", "7", "b", "x"]
        );
        let mut payload: Payload = serde_json::from_str(r#"{"a":"4111","a":4111,"4111":"x"}"#).unwrap();
        payload.visit(&mut |text| *text = text.replace("4111", "[card]"));
        let written = serde_json::to_string(&payload).unwrap();
        assert_eq!(written, r#"{"a":"[card]","a":"[card]","[card]":"x"}"#);
    }
}

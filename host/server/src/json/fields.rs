//! Walks an object field by field and notes everything that is wrong with it.

use std::fmt::Display;
use std::str::FromStr;

use mihwar_model::{FieldProblem, Scalar, Time};
use serde_json::{Map, Value};

use super::Faults;

/// Letters of an unknown field's name that are said back.
const UNKNOWN_CHARS_MAX: usize = 80;

/// The fields of one object, taken out one after the other. What is left at the end is unknown.
///
/// A field with a fault is noted and read as if it were absent, so that the walk goes on and finds the rest. A list that
/// is longer than it may be is refused before it is walked: the walk costs what a good value costs.
pub(crate) struct Fields<'p> {
    path: String,
    object: Map<String, Value>,
    known: Vec<&'static str>,
    faults: &'p mut Faults,
}

/// Reads a whole value; `read` gives `None` only after it noted a fault.
///
/// # Errors
/// Everything that is wrong.
pub(crate) fn read_object<T>(value: Value, read: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Result<T, Faults> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(value, String::new(), &mut faults);
    let result = read(&mut fields);
    fields.finish();
    match result {
        Some(result) if faults.is_empty() => Ok(result),
        _ => Err(faults),
    }
}

impl<'p> Fields<'p> {
    /// The fields of `value`, which should be an object; `path` is where it stands, empty for the outermost.
    pub(crate) fn of(value: Value, path: String, faults: &'p mut Faults) -> Self {
        let object = match value {
            Value::Object(object) => object,
            other => {
                faults.note(|| FieldProblem::new(path.clone(), expected("an object", &other)));
                Map::new()
            }
        };
        Self {
            path,
            object,
            known: Vec::with_capacity(20),
            faults,
        }
    }

    /// Notes what is left over, and once for each sort of object what would be known. Call it last.
    pub(crate) fn finish(self) {
        let Self {
            path,
            object,
            known,
            faults,
        } = self;
        if object.is_empty() {
            return;
        }
        let known = known.join(", ");
        let mut message = "is not known here".to_owned();
        if faults.names_for_the_first_time(&known) {
            message = format!("{message}; known are {known}");
        }
        for key in object.keys() {
            let message = std::mem::replace(&mut message, "is not known here".to_owned());
            faults.note(|| {
                let key: String = key.chars().take(UNKNOWN_CHARS_MAX).collect();
                FieldProblem::new(join(&path, &key), message)
            });
        }
    }

    /// Notes a fault of the field `key`.
    pub(crate) fn fault(&mut self, key: &str, message: impl Into<String>) {
        let path = &self.path;
        self.faults.note(|| FieldProblem::new(join(path, key), message));
    }

    /// Whether the field is there and is not null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|value| !value.is_null())
    }

    /// Any value; null counts as left out.
    pub(crate) fn any(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.object.remove(key).filter(|value| !value.is_null())
    }

    /// A text that may be left out.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.any(key)? {
            Value::String(text) => Some(text),
            other => {
                self.fault(key, expected("text", &other));
                None
            }
        }
    }

    /// A text that must be there; empty when it is not, after noting so.
    pub(crate) fn required_text(&mut self, key: &'static str) -> String {
        if !self.has(key) {
            self.known.push(key);
            self.object.remove(key);
            self.fault(key, "is needed");
            return String::new();
        }
        self.text(key).unwrap_or_default()
    }

    /// A text that follows the rule of a type.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|error: T::Err| self.fault(key, error.to_string()))
            .ok()
    }

    /// A time in RFC 3339.
    pub(crate) fn time(&mut self, key: &'static str) -> Option<Time> {
        let text = self.text(key)?;
        let message = "is no RFC 3339 time with its offset, such as 2026-11-22T09:30:00+03:00";
        Time::parse_rfc3339(&text).map_err(|_| self.fault(key, message)).ok()
    }

    /// A number.
    pub(crate) fn number(&mut self, key: &'static str) -> Option<f64> {
        let value = self.any(key)?;
        let number = value.as_f64();
        if number.is_none() {
            self.fault(key, expected("a number", &value));
        }
        number
    }

    /// A whole number from 0.
    pub(crate) fn natural(&mut self, key: &'static str) -> Option<u64> {
        let value = self.any(key)?;
        let number = value.as_u64();
        if number.is_none() {
            self.fault(key, expected("a whole number from 0", &value));
        }
        number
    }

    /// Whether the field says true.
    pub(crate) fn chosen(&mut self, key: &'static str) -> bool {
        match self.any(key) {
            None => false,
            Some(Value::Bool(chosen)) => chosen,
            Some(other) => {
                self.fault(key, expected("true or false", &other));
                false
            }
        }
    }

    /// A text, number, or true or false.
    pub(crate) fn scalar(&mut self, key: &'static str) -> Option<Scalar> {
        let value = self.any(key)?;
        scalar(value).map_err(|message| self.fault(key, message)).ok()
    }

    /// An object of at most `max` names and scalars.
    pub(crate) fn scalars(&mut self, key: &'static str, max: usize) -> Vec<(String, Scalar)> {
        match self.any(key) {
            None => Vec::new(),
            Some(Value::Object(object)) if object.len() > max => {
                self.fault(key, too_many(object.len(), max));
                Vec::new()
            }
            Some(Value::Object(object)) => object
                .into_iter()
                .filter_map(|(name, value)| match scalar(value) {
                    Ok(value) => Some((name, value)),
                    Err(message) => {
                        self.fault(&join(key, &name), message);
                        None
                    }
                })
                .collect(),
            Some(other) => {
                self.fault(key, expected("an object of names and values", &other));
                Vec::new()
            }
        }
    }

    /// A nested object.
    pub(crate) fn object<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let value = self.any(key)?;
        Some(self.nested(value, key, read))
    }

    /// A list of at most `max` objects.
    pub(crate) fn each<T>(
        &mut self,
        key: &'static str,
        max: usize,
        mut read: impl FnMut(&mut Fields<'_>) -> T,
    ) -> Vec<T> {
        let items = self.list(key, max);
        items
            .into_iter()
            .enumerate()
            .map(|(i, item)| self.nested(item, &format!("{key}[{i}]"), &mut read))
            .collect()
    }

    /// A list of at most `max` texts that follow the rule of a type; those that do not are noted and left out.
    pub(crate) fn each_parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str, max: usize) -> Vec<T> {
        let items = self.list(key, max);
        let read = |(i, item): (usize, Value)| {
            let parsed = match item {
                Value::String(text) => text.parse().map_err(|error: T::Err| error.to_string()),
                other => Err(expected("text", &other)),
            };
            parsed
                .map_err(|message| self.fault(&format!("{key}[{i}]"), message))
                .ok()
        };
        items.into_iter().enumerate().filter_map(read).collect()
    }

    fn list(&mut self, key: &'static str, max: usize) -> Vec<Value> {
        match self.any(key) {
            None => Vec::new(),
            Some(Value::Array(items)) if items.len() > max => {
                self.fault(key, too_many(items.len(), max));
                Vec::new()
            }
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.fault(key, expected("a list", &other));
                Vec::new()
            }
        }
    }

    fn nested<T>(&mut self, value: Value, key: &str, read: impl FnOnce(&mut Fields<'_>) -> T) -> T {
        let mut fields = Fields::of(value, join(&self.path, key), self.faults);
        let result = read(&mut fields);
        fields.finish();
        result
    }
}

fn scalar(value: Value) -> Result<Scalar, String> {
    match value {
        Value::Bool(value) => Ok(Scalar::Boolean(value)),
        Value::String(value) => Ok(Scalar::Text(value)),
        Value::Number(number) => number
            .as_i64()
            .map(Scalar::Integer)
            .or_else(|| number.as_f64().map(Scalar::Decimal))
            .ok_or_else(|| "is a number that cannot be kept".to_owned()),
        other => Err(expected("text, a number, true or false", &other)),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn too_many(count: usize, max: usize) -> String {
    format!("{count} entries; at most {max} are taken")
}

fn expected(wanted: &str, got: &Value) -> String {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("should be {wanted}, not {got}")
}

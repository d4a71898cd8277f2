//! Settings against the plugin's JSON Schema: defaults filled in, every fault named by its path.

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};
use thiserror::Error;

/// How deep defaults are looked for; a schema that refers to itself ends here.
const DEPTH: usize = 16;
/// Most values that defaults are looked for in or that they bring along. Depth alone is no bound: ten
/// properties that each refer to the whole schema make 10^16 values at depth 16.
const VALUES: usize = 10_000;
/// A text in a default counts as one value for each of these bytes that it begins.
const TEXT_BYTES: usize = 1024;
/// Most faults that are listed.
const FAULTS: usize = 50;

/// The settings grew beyond bounds when defaults were filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the settings come to more than {VALUES} values once the defaults of the plugin's schema are filled in; a schema that refers to itself must not give a default there"
)]
pub(crate) struct TooManyValues;

/// Reads a schema. References to other documents are refused: nothing is fetched.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .offline()
        .build(schema)
        .map_err(|error| error.to_string())
}

/// The faults of `settings`, each with its key path.
pub(crate) fn faults(validator: &Validator, settings: &Value) -> Vec<(String, String)> {
    validator
        .iter_errors(settings)
        .take(FAULTS)
        .map(|error| {
            let place = error.instance_path().as_str();
            let said = match (error.kind(), settings) {
                // Of a schema without properties the validator does not say which key it does not allow.
                (ValidationErrorKind::FalseSchema, Value::Object(keys)) if place.is_empty() => nothing_to_set(keys),
                _ => error.to_string(),
            };
            (key_path(place), said)
        })
        .collect()
}

fn nothing_to_set(settings: &Map<String, Value>) -> String {
    let keys: Vec<&str> = settings.keys().map(String::as_str).take(FAULTS).collect();
    format!("there is nothing to set here; leave out {}", keys.join(", "))
}

/// Puts the schema's `default`s where `settings` leave a key out. When it fails, some are filled in.
pub(crate) fn fill_defaults(schema: &Value, settings: &mut Value) -> Result<(), TooManyValues> {
    let mut filling = Filling {
        root: schema,
        left: VALUES,
    };
    filling.fill(schema, settings, DEPTH)
}

/// Fills defaults in and counts what that takes.
struct Filling<'s> {
    root: &'s Value,
    left: usize,
}

impl Filling<'_> {
    fn spend(&mut self, values: usize) -> Result<(), TooManyValues> {
        self.left = self.left.checked_sub(values).ok_or(TooManyValues)?;
        Ok(())
    }

    fn fill(&mut self, schema: &Value, settings: &mut Value, depth: usize) -> Result<(), TooManyValues> {
        if depth == 0 {
            return Ok(());
        }
        let root = self.root;
        let schema = resolved(root, schema, DEPTH);
        match settings {
            Value::Object(settings) => {
                self.spend(1)?;
                self.fill_object(schema, settings, depth)
            }
            Value::Array(items) => {
                self.spend(1)?;
                if let Some(of_items) = schema.get("items") {
                    for item in items {
                        self.fill(of_items, item, depth - 1)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fill_object(
        &mut self,
        schema: &Value,
        settings: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooManyValues> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Ok(());
        };
        for (key, of_key) in properties {
            if !settings.contains_key(key) {
                let default = of_key
                    .get("default")
                    .or_else(|| resolved(self.root, of_key, DEPTH).get("default"));
                if let Some(default) = default {
                    self.spend(weight(default))?;
                    settings.insert(key.clone(), default.clone());
                }
            }
            if let Some(value) = settings.get_mut(key) {
                self.fill(of_key, value, depth - 1)?;
            }
        }
        Ok(())
    }
}

/// How many values a default brings along, long texts counted as several.
fn weight(value: &Value) -> usize {
    let text = |text: &str| 1 + text.len() / TEXT_BYTES;
    match value {
        Value::String(of) => text(of),
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => 1 + map.iter().map(|(key, of)| text(key) + weight(of)).sum::<usize>(),
        _ => 1,
    }
}

/// Follows `$ref`s within the document.
fn resolved<'s>(root: &'s Value, schema: &'s Value, depth: usize) -> &'s Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer));
    match target {
        Some(target) if depth > 0 => resolved(root, target, depth - 1),
        _ => schema,
    }
}

/// `/filters/labels/0` as people write it: `filters.labels[0]`.
fn key_path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            path.push('[');
            path.push_str(&part);
            path.push(']');
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_name_the_key_and_defaults_are_filled_in() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["عنوان"],
            "properties": {
                "عنوان": { "type": "string" },
                "filters": { "$ref": "#/$defs/filters", "default": {} },
            },
            "$defs": { "filters": { "type": "object", "properties": {
                "labels": { "type": "array", "items": { "type": "string" }, "default": ["all"] } } } },
        });
        let validator = compile(&schema).unwrap();
        let mut settings = json!({ "عنوان": "مرحبا" });
        fill_defaults(&schema, &mut settings).unwrap();
        assert_eq!(settings, json!({ "عنوان": "مرحبا", "filters": { "labels": ["all"] } }));
        assert_eq!(faults(&validator, &settings), []);

        let wrong = json!({ "filters": { "labels": ["a", 7] }, "extra": 1 });
        let paths: Vec<String> = faults(&validator, &wrong).into_iter().map(|(path, _)| path).collect();
        assert!(paths.contains(&"filters.labels[1]".to_owned()), "{paths:?}");
        assert!(
            faults(&validator, &wrong)
                .iter()
                .any(|(_, message)| message.contains("عنوان"))
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({ "properties": { "child": { "$ref": "#", "default": {} } } });
        let validator = compile(&schema).unwrap();
        let mut settings = json!({});
        fill_defaults(&schema, &mut settings).unwrap();
        assert_eq!(faults(&validator, &settings), []);
    }

    /// A schema whose properties each stand for the whole schema, given when left out.
    fn endless(children: usize, default: &Value) -> Value {
        let of_child = json!({ "$ref": "#", "default": default });
        let properties: Map<String, Value> = (0..children)
            .map(|child| (format!("فرع-{child}"), of_child.clone()))
            .collect();
        json!({ "properties": properties })
    }

    #[test]
    fn a_schema_that_refers_to_itself_many_times_is_refused_at_once() {
        let mut settings = json!({});
        assert_eq!(
            fill_defaults(&endless(10, &json!({})), &mut settings),
            Err(TooManyValues)
        );
        assert!(weight(&settings) <= 3 * VALUES, "{}", weight(&settings));

        let wide = json!({ "list": vec![1; VALUES] });
        assert_eq!(
            fill_defaults(&endless(1, &wide), &mut json!({})),
            Err(TooManyValues),
            "many values at once"
        );
        let long = json!({ "note": "ن".repeat(VALUES * TEXT_BYTES / 16) });
        assert_eq!(
            fill_defaults(&endless(1, &long), &mut json!({})),
            Err(TooManyValues),
            "few but long values"
        );
    }

    #[test]
    fn a_schema_elsewhere_is_not_fetched() {
        let away = json!({ "$ref": "https://schemas.example/settings.json" });
        assert!(compile(&away).is_err());
    }
}

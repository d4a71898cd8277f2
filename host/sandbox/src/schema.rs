//! Settings against the plugin's JSON Schema: defaults filled in, every fault named by its path.

use jsonschema::Validator;
use serde_json::{Map, Value};

/// How deep defaults are looked for; a schema that refers to itself ends here.
const DEPTH: usize = 16;
/// Most faults that are listed.
const FAULTS: usize = 50;

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
        .map(|error| (key_path(error.instance_path().as_str()), error.to_string()))
        .collect()
}

/// Puts the schema's `default`s where `settings` leave a key out.
pub(crate) fn fill_defaults(schema: &Value, settings: &mut Value) {
    fill(schema, schema, settings, DEPTH);
}

fn fill(root: &Value, schema: &Value, settings: &mut Value, depth: usize) {
    if depth == 0 {
        return;
    }
    let schema = resolved(root, schema, DEPTH);
    match settings {
        Value::Object(settings) => fill_object(root, schema, settings, depth),
        Value::Array(items) => {
            if let Some(of_items) = schema.get("items") {
                for item in items {
                    fill(root, of_items, item, depth - 1);
                }
            }
        }
        _ => {}
    }
}

fn fill_object(root: &Value, schema: &Value, settings: &mut Map<String, Value>, depth: usize) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (key, of_key) in properties {
        if !settings.contains_key(key) {
            let default = of_key
                .get("default")
                .or_else(|| resolved(root, of_key, DEPTH).get("default"));
            if let Some(default) = default {
                settings.insert(key.clone(), default.clone());
            }
        }
        if let Some(value) = settings.get_mut(key) {
            fill(root, of_key, value, depth - 1);
        }
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
        fill_defaults(&schema, &mut settings);
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
        fill_defaults(&schema, &mut settings);
        assert_eq!(faults(&validator, &settings), []);
    }

    #[test]
    fn a_schema_elsewhere_is_not_fetched() {
        let away = json!({ "$ref": "https://schemas.example/settings.json" });
        assert!(compile(&away).is_err());
    }
}

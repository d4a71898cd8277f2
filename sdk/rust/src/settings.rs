//! Settings: from the author's struct to a JSON Schema, and from the admin's JSON to the struct.

use crate::PluginError;

/// The JSON Schema (2020-12) of a settings type, as text.
#[must_use]
pub fn settings_schema<S: schemars::JsonSchema>() -> String {
    schemars::schema_for!(S).as_value().to_string()
}

/// Parses the settings of one instance.
///
/// # Errors
/// [`PluginError::Misconfigured`] with the key path of the first value that does not fit.
pub fn parse_settings<S: serde::de::DeserializeOwned>(json: &str) -> Result<S, PluginError> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|problem| {
        let path = problem.path().to_string();
        PluginError::misconfigured(path, problem.into_inner().to_string())
    })?;
    reader
        .end()
        .map_err(|problem| PluginError::misconfigured(".", problem.to_string()))?;
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        name: String,
        #[serde(default)]
        limits: Vec<u8>,
    }

    fn problem(json: &str) -> (String, String) {
        match parse_settings::<Fields>(json) {
            Err(PluginError::Misconfigured(mut list)) => {
                let first = list.remove(0);
                (first.path, first.message)
            }
            other => panic!("expected a config problem, got {other:?}"),
        }
    }

    #[test]
    fn names_the_key_path_of_a_wrong_value() {
        let (path, message) = problem(r#"{"name": "اسم", "limits": [1, 300]}"#);
        assert_eq!(path, "limits[1]");
        assert!(message.contains("300"), "{message}");
    }

    #[test]
    fn refuses_unknown_keys_and_trailing_text() {
        let (path, message) = problem(r#"{"name": "a", "nmae": "b"}"#);
        assert_eq!(path, "nmae");
        assert!(message.contains("unknown field `nmae`"), "{message}");
        assert_eq!(problem(r#"{"name": "a"} {}"#).0, ".");
    }

    #[test]
    fn schema_is_draft_2020_12_and_lists_the_fields() {
        let schema: serde_json::Value = serde_json::from_str(&settings_schema::<Fields>()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["properties"]["name"]["type"], "string");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["name"]));
    }
}

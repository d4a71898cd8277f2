//! `{settings.KEY}`, `{secret}` and `{base64:…}` in manifest texts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Fills a template in. The error says which part cannot be filled.
pub(crate) fn filled(template: &str, settings: &Value, secret: Option<&str>) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (text, from_brace) = rest.split_at(open);
        out.push_str(text);
        let (inner, after) =
            braced(from_brace).ok_or_else(|| format!("`{template}` has a brace that is not closed"))?;
        out.push_str(&value(inner, settings, secret)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Splits `{inner}after`, counting nested braces.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((text.get(1..at)?, text.get(at + 1..)?));
                }
            }
            _ => {}
        }
    }
    None
}

fn value(name: &str, settings: &Value, secret: Option<&str>) -> Result<String, String> {
    if let Some(inner) = name.strip_prefix("base64:") {
        return Ok(STANDARD.encode(filled(inner, settings, secret)?));
    }
    if name == "secret" {
        return secret
            .map(str::to_owned)
            .ok_or_else(|| "`{secret}` cannot stand here".to_owned());
    }
    let Some(path) = name.strip_prefix("settings.") else {
        return Err(format!(
            "`{{{name}}}` is not known; there are {{settings.KEY}}, {{secret}} and {{base64:…}}"
        ));
    };
    let found = path.split('.').try_fold(settings, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(flag)) => Ok(flag.to_string()),
        _ => Err(format!("the setting `{path}` is not set")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::filled;

    #[test]
    fn templates_are_filled_from_settings_and_secret() {
        let settings = json!({ "user": "ليلى", "api": { "host": "a.example" } });
        let full = |template| filled(template, &settings, Some("s3cret"));
        assert_eq!(full("https://{settings.api.host}/x").unwrap(), "https://a.example/x");
        assert_eq!(
            full("Basic {base64:{settings.user}:{secret}}").unwrap(),
            "Basic 2YTZitmE2Yk6czNjcmV0"
        );
        assert_eq!(full("Bearer {secret}").unwrap(), "Bearer s3cret");
        assert_eq!(full("plain").unwrap(), "plain");
    }

    #[test]
    fn what_cannot_be_filled_is_named() {
        let empty = json!({});
        assert!(filled("{settings.url}", &empty, None).unwrap_err().contains("`url`"));
        assert!(filled("{env.HOME}", &empty, None).is_err());
        assert!(filled("{secret}", &empty, None).is_err());
        for open in ["{", "a{b", "{base64:{secret}", "{{"] {
            assert!(filled(open, &empty, Some("x")).is_err(), "{open}");
        }
    }
}

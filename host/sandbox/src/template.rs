//! `{settings.KEY}`, `{secret}` and `{base64:…}` in manifest texts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use thiserror::Error;

/// Longest text that a template may come to: a URL or a header value, and longer than any server takes.
const MOST_BYTES: usize = 8 * 1024;

/// Why a template cannot be filled in. Holds no value that was filled in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TemplateError {
    /// A brace without its other half.
    #[error("`{0}` has a brace that is not closed")]
    Unclosed(String),
    /// Base64 of base64, which grows by a third each time.
    #[error("`{{base64:…}}` cannot stand inside another `{{base64:…}}`")]
    Nested,
    /// Longer than [`MOST_BYTES`].
    #[error("with the settings and secrets put in, it is longer than {MOST_BYTES} bytes")]
    TooLong,
    /// A secret where none may stand.
    #[error("`{{secret}}` cannot stand here")]
    SecretHere,
    /// A setting that was left out.
    #[error("the setting `{0}` is not set")]
    NotSet(String),
    /// A word that no template knows.
    #[error("`{{{0}}}` is not known; there are {{settings.KEY}}, {{secret}} and {{base64:…}}")]
    Unknown(String),
}

/// Fills a template in. The result has at most 8 KiB.
pub(crate) fn filled(template: &str, settings: &Value, secret: Option<&str>) -> Result<String, TemplateError> {
    filled_at(Depth::Outside, template, settings, secret)
}

/// Whether a text stands inside a `{base64:…}`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Outside,
    Inside,
}

fn filled_at(depth: Depth, template: &str, settings: &Value, secret: Option<&str>) -> Result<String, TemplateError> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (text, from_brace) = rest.split_at(open);
        push(&mut out, text)?;
        let (inner, after) = braced(from_brace).ok_or_else(|| TemplateError::Unclosed(template.to_owned()))?;
        push(&mut out, &value(depth, inner, settings, secret)?)?;
        rest = after;
    }
    push(&mut out, rest)?;
    Ok(out)
}

fn push(out: &mut String, text: &str) -> Result<(), TemplateError> {
    if out.len().saturating_add(text.len()) > MOST_BYTES {
        return Err(TemplateError::TooLong);
    }
    out.push_str(text);
    Ok(())
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

fn value(depth: Depth, name: &str, settings: &Value, secret: Option<&str>) -> Result<String, TemplateError> {
    if let Some(inner) = name.strip_prefix("base64:") {
        if depth == Depth::Inside {
            return Err(TemplateError::Nested);
        }
        return Ok(STANDARD.encode(filled_at(Depth::Inside, inner, settings, secret)?));
    }
    if name == "secret" {
        return secret.map(str::to_owned).ok_or(TemplateError::SecretHere);
    }
    let Some(path) = name.strip_prefix("settings.") else {
        return Err(TemplateError::Unknown(name.to_owned()));
    };
    let found = path.split('.').try_fold(settings, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(flag)) => Ok(flag.to_string()),
        _ => Err(TemplateError::NotSet(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{MOST_BYTES, TemplateError, filled};

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
        let fault = |template, secret| filled(template, &empty, secret).unwrap_err();
        assert_eq!(
            fault("{settings.عنوان}", None),
            TemplateError::NotSet("عنوان".to_owned())
        );
        assert_eq!(fault("{env.HOME}", None), TemplateError::Unknown("env.HOME".to_owned()));
        assert_eq!(fault("{secret}", None), TemplateError::SecretHere);
        for open in ["{", "a{b", "{base64:{secret}", "{{"] {
            assert_eq!(
                fault(open, Some("x")),
                TemplateError::Unclosed(open.to_owned()),
                "{open}"
            );
        }
        assert!(
            fault("{env.HOME}", None)
                .to_string()
                .starts_with("`{env.HOME}` is not known; there are {settings.KEY},")
        );
    }

    #[test]
    fn a_template_cannot_be_made_to_grow() {
        let settings = json!({ "text": "ن".repeat(MOST_BYTES / 4) });
        let full = |template: &str| filled(template, &settings, Some("s3cret"));
        assert_eq!(full("{base64:{base64:{secret}}}"), Err(TemplateError::Nested));
        let deep = format!("{}{}", "{base64:".repeat(100), "}".repeat(100));
        assert_eq!(full(&deep), Err(TemplateError::Nested));
        assert_eq!(full("{settings.text}{settings.text}").unwrap().len(), MOST_BYTES);
        assert_eq!(full("{settings.text}{settings.text}x"), Err(TemplateError::TooLong));
        assert_eq!(
            full("{base64:{settings.text}{settings.text}}"),
            Err(TemplateError::TooLong)
        );
        assert_eq!(full(&"x".repeat(MOST_BYTES + 1)), Err(TemplateError::TooLong));
    }
}

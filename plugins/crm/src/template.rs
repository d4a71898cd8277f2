//! Templates: how they are filled in, and what is wrong with them before they are.

use std::collections::BTreeSet;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, escape_formatter};
use serde_json::{Map, Value as Json};

use crate::context::OPEN;

/// What a template may call beside its values.
const FUNCTIONS: [&str; 3] = ["dict", "namespace", "range"];

/// Fills templates in. They live as long as the settings.
pub(crate) struct Templates<'s> {
    texts: Environment<'s>,
    /// For paths: what is put in is percent-encoded, and must be something.
    pieces: Environment<'s>,
}

impl<'s> Templates<'s> {
    pub(crate) fn new() -> Self {
        let mut texts = Environment::new();
        texts.set_formatter(|out, state, value| {
            if value.is_none() {
                return Ok(());
            }
            escape_formatter(out, state, value)
        });
        let mut pieces = Environment::new();
        pieces.set_formatter(|out, state, value| {
            let text = if value.is_none() {
                String::new()
            } else {
                value.to_string()
            };
            if text.bytes().all(|byte| byte == b'.') {
                let why = "nothing stands there that can be part of a path";
                return Err(Error::new(ErrorKind::UndefinedError, why));
            }
            escape_formatter(out, state, &Value::from(percent_encoded(&text)))
        });
        Self { texts, pieces }
    }

    /// A text with everything put in; what is not known is nothing.
    pub(crate) fn text(&self, template: &str, context: &Json) -> Result<String, Error> {
        self.texts.render_str(template, context)
    }

    /// A path with everything put in.
    pub(crate) fn path(&self, template: &str, context: &Json) -> Result<String, Error> {
        self.pieces.render_str(template, context)
    }

    /// A body with everything put in: fields whose value is not known are left out.
    pub(crate) fn body(&self, body: &'s Json, context: &Json) -> Result<Json, Error> {
        Ok(match body {
            Json::String(template) => self.value(template, context)?,
            Json::Array(items) => {
                let items = items.iter().map(|item| self.body(item, context));
                Json::Array(items.collect::<Result<_, Error>>()?)
            }
            Json::Object(fields) => {
                let mut filled = Map::new();
                for (name, field) in fields {
                    let value = self.body(field, context)?;
                    if !value.is_null() {
                        filled.insert(name.clone(), value);
                    }
                }
                Json::Object(filled)
            }
            fixed => fixed.clone(),
        })
    }

    /// One text of a body. Nothing but an expression keeps the type of its value, so that no text can end where it should not.
    fn value(&self, template: &'s str, context: &Json) -> Result<Json, Error> {
        let Some(expression) = lone_expression(template) else {
            return self.text(template, context).map(Json::String);
        };
        let value = self.texts.compile_expression(expression)?.eval(context)?;
        serde_json::to_value(&value).map_err(|_| Error::new(ErrorKind::BadSerialization, "the value is no JSON"))
    }

    /// What is wrong with a text template, tried on values that stand for all that it will see.
    pub(crate) fn fault_in_text(&self, template: &'s str, sample: &Json) -> Option<String> {
        fault(&self.texts, template, sample)
    }

    /// What is wrong with the template of a path.
    pub(crate) fn fault_in_path(&self, template: &'s str, sample: &Json) -> Option<String> {
        fault(&self.pieces, template, sample)
    }

    /// What is wrong with a text of a body.
    pub(crate) fn fault_in_value(&self, template: &'s str, sample: &Json) -> Option<String> {
        let Some(expression) = lone_expression(template) else {
            return self.fault_in_text(template, sample);
        };
        match self.texts.compile_expression(expression) {
            Err(error) => Some(no_template(&error)),
            Ok(compiled) => unknown_field(compiled.undeclared_variables(true), sample)
                .or_else(|| compiled.eval(sample).err().as_ref().and_then(of_the_template)),
        }
    }
}

fn fault<'s>(environment: &Environment<'s>, template: &'s str, sample: &Json) -> Option<String> {
    match environment.template_from_str(template) {
        Err(error) => Some(no_template(&error)),
        Ok(compiled) => unknown_field(compiled.undeclared_variables(true), sample)
            .or_else(|| compiled.render(sample).err().as_ref().and_then(of_the_template)),
    }
}

fn no_template(error: &Error) -> String {
    format!("is no template: {error}")
}

/// What a trial shows that holds for every item; the rest may come of the values that it was made with.
fn of_the_template(error: &Error) -> Option<String> {
    let is_lasting = matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
            | ErrorKind::MissingArgument
            | ErrorKind::TooManyArguments
    );
    is_lasting.then(|| no_template(error))
}

/// The first field, in the order of the alphabet, that a template asks for and that is never there.
fn unknown_field(asked: impl IntoIterator<Item = String>, sample: &Json) -> Option<String> {
    let asked: BTreeSet<String> = asked.into_iter().collect();
    asked.iter().find_map(|path| {
        let known = names_beside(path, sample)?;
        Some(format!("`{path}` is no field: there is {known}"))
    })
}

/// What there is in place of a path that leads nowhere; `None` if it leads somewhere.
fn names_beside(path: &str, sample: &Json) -> Option<String> {
    if FUNCTIONS.contains(&path) {
        return None;
    }
    let mut at = sample;
    let mut walked = String::new();
    for name in path.split('.') {
        if OPEN.contains(&walked.as_str()) {
            return None;
        }
        let Some(fields) = at.as_object() else {
            return Some(format!("nothing below `{walked}`"));
        };
        let Some(next) = fields.get(name) else {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            return Some(match (names.is_empty(), walked.is_empty()) {
                (true, _) => format!("nothing in `{walked}`"),
                (false, true) => names.join(", "),
                (false, false) => format!("{} in `{walked}`", names.join(", ")),
            });
        };
        at = next;
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(name);
    }
    None
}

/// The expression of a text that is nothing but `{{ … }}`.
fn lone_expression(template: &str) -> Option<&str> {
    let inner = template.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let is_one = !["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    // `{{-` and `-}}` take blanks away: that is for texts.
    let is_plain = !inner.starts_with(['-', '+']) && !inner.ends_with(['-', '+']);
    (is_one && is_plain && !inner.trim().is_empty()).then_some(inner)
}

/// A text so that it can stand anywhere in an address.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn context() -> Json {
        json!({
            "item": {
                "id": "fb-1", "subject": null, "body": "قال \"نعم\"", "author": { "name": "خالد" }, "tags": ["شحن", "vip"],
                "scores": { "nps": 2 }, "attributes": { "رقم-الطلب": "7" },
            },
            "reference": "a/../b?x=ي",
        })
    }

    #[test]
    fn texts_are_filled_in_and_what_is_not_known_is_nothing() {
        let templates = Templates::new();
        let text = |template: &str| templates.text(template, &context()).unwrap();
        assert_eq!(text("{{ item.author.name }}: {{ item.body }}"), "خالد: قال \"نعم\"");
        assert_eq!(text("[{{ item.subject }}{{ item.scores.csat }}]"), "[]");
        assert_eq!(text("{{ item.subject or 'بلا عنوان' }}"), "بلا عنوان");
        assert_eq!(text("{% for tag in item.tags %}#{{ tag }} {% endfor %}"), "#شحن #vip ");
        assert_eq!(text("{{ item.attributes['رقم-الطلب'] }}"), "7");
    }

    #[test]
    fn nothing_that_is_put_into_a_path_leaves_its_place() {
        let templates = Templates::new();
        let path = |template: &str| templates.path(template, &context());
        assert_eq!(path("/t/{{ reference }}/x").unwrap(), "/t/a%2F..%2Fb%3Fx%3D%D9%8A/x");
        for empty in ["/t/{{ item.subject }}", "/t/{{ item.scores.csat }}", "/t/{{ '..' }}"] {
            assert!(path(empty).is_err(), "{empty}");
        }
    }

    #[test]
    fn bodies_keep_types_and_leave_out_what_is_not_known() {
        let body = json!({
            "id": "{{ item.id }}", "score": "{{ item.scores.nps }}", "none": "{{ item.subject }}", "tags": "{{ item.tags }}",
            "text": "{{ item.body }} / {{ item.author.name }}", "fixed": [1, true, "{{ item.scores.nps + 1 }}"],
            "lit": "{{ {'a': 1} }}",
        });
        let filled = json!({
            "id": "fb-1", "score": 2, "tags": ["شحن", "vip"], "text": "قال \"نعم\" / خالد", "fixed": [1, true, 3],
            "lit": { "a": 1 },
        });
        let templates = Templates::new();
        assert_eq!(templates.body(&body, &context()).unwrap(), filled);
    }

    #[test]
    fn faults_are_named_before_anything_is_sent() {
        let templates = Templates::new();
        let sample = context();
        let value = |template: &'static str| templates.fault_in_value(template, &sample);
        for right in [
            "{{ item.subject }}",
            "{{ item.attributes.order }}",
            "{{ item.scores.csat }}",
            "{{ item.author.name | upper }}: {{ range(3) | length }}",
            "{% for tag in item.tags %}{{ tag }}{% endfor %}",
            "plain",
        ] {
            assert_eq!(value(right), None, "{right}");
        }
        for (wrong, word) in [
            ("{{ item.subjekt }}", "`item.subjekt` is no field"),
            ("{{ عميل.اسم }}", "is no template"),
            ("a {{ item.author.nom }}", "there is name in `item.author`"),
            ("{{ item.id.length }}", "nothing below `item.id`"),
            ("{{ item.body | shout }}", "shout"),
            ("{{ item.body", "is no template"),
            ("{{ 1 + }}", "is no template"),
        ] {
            let fault = value(wrong).unwrap_or_default();
            assert!(fault.contains(word), "{wrong}: {fault}");
        }
        assert!(templates.fault_in_path("/{{ item.nr }}", &sample).is_some());
    }
}

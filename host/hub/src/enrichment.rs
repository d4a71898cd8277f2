//! What enrichers find, as facts: checked, turned into an event, and applied to a record's facts. The
//! same function applies an event in the pipeline, where routing looks at the result, and in the read
//! models, so that both always agree.

use mihwar_model::{ATTRIBUTES_MAX, Enriched, FactValue, FeedbackId, InstanceName, Kind, Language, TAGS_MAX, Tag};
use mihwar_sandbox::contract::processor::Edit;
use mihwar_sandbox::contract::types::Value;

use crate::rows::Head;

/// Departments that one enricher may ask for.
const ROUTES_MAX: usize = 32;

/// Applies an enrichment to the facts it was made for; one for an older revision changes nothing.
pub(crate) fn apply(head: &mut Head, enriched: Enriched) {
    if enriched.revision != head.revision {
        return;
    }
    if enriched.language.is_some() {
        head.language = enriched.language;
    }
    if enriched.kind.is_some() {
        head.kind = enriched.kind;
    }
    if enriched.sentiment.is_some() {
        head.sentiment = enriched.sentiment;
    }
    if enriched.quarantine.is_some() {
        head.quarantine = enriched.quarantine;
    }
    for tag in enriched.tags_added {
        if !head.tags.contains(&tag) && head.tags.len() < TAGS_MAX {
            head.tags.push(tag);
        }
    }
    head.tags.retain(|tag| !enriched.tags_removed.contains(tag));
    for (name, value) in enriched.attributes {
        if let Some(known) = head.attributes.iter_mut().find(|(known, _)| *known == name) {
            known.1 = value;
        } else if head.attributes.len() < ATTRIBUTES_MAX {
            head.attributes.push((name, value));
        }
    }
}

/// An enrichment that finds nothing yet.
pub(crate) fn nothing(feedback: FeedbackId, revision: u32, instance: InstanceName) -> Enriched {
    Enriched {
        feedback,
        revision,
        instance,
        language: None,
        kind: None,
        sentiment: None,
        tags_added: Vec::new(),
        tags_removed: Vec::new(),
        attributes: Vec::new(),
        routes: Vec::new(),
        quarantine: None,
    }
}

/// Turns a plugin's edits into an event.
///
/// # Errors
/// Names the first edit that is no fact (an unknown kind, free text where a code belongs), or what is too many.
pub(crate) fn from_edits(mut enriched: Enriched, edits: Vec<Edit>) -> Result<Enriched, String> {
    for edit in edits {
        match edit {
            Edit::SetAttribute(attribute) => {
                let value = fact(&attribute.name, attribute.value)?;
                enriched
                    .attributes
                    .push((code("attribute name", attribute.name)?, value));
            }
            Edit::AddTag(tag) => enriched.tags_added.push(Tag::new(tag).map_err(|e| e.to_string())?),
            Edit::RemoveTag(tag) => enriched.tags_removed.push(Tag::new(tag).map_err(|e| e.to_string())?),
            Edit::SetLanguage(language) => {
                enriched.language = Some(Language::new(language).map_err(|e| e.to_string())?);
            }
            Edit::SetKind(kind) => enriched.kind = Some(kind.parse::<Kind>().map_err(|e| e.to_string())?),
            Edit::SetSentiment(value) if (-1.0..=1.0).contains(&value) => enriched.sentiment = Some(value),
            Edit::SetSentiment(value) => {
                return Err(format!("sentiment {value} is outside -1 to 1"));
            }
            Edit::Redact(_) => {
                return Err(
                    "redact: this enricher runs after storage; one that masks says so in its manifest ([ask] redact = true)"
                        .into(),
                );
            }
            Edit::Route(name) => enriched
                .routes
                .push(InstanceName::new(name).map_err(|e| e.to_string())?),
            Edit::Quarantine(reason) => enriched.quarantine = Some(Tag::new(reason).map_err(|e| e.to_string())?),
        }
    }
    let most = [
        ("tags added", enriched.tags_added.len(), TAGS_MAX),
        ("tags removed", enriched.tags_removed.len(), TAGS_MAX),
        ("attributes", enriched.attributes.len(), ATTRIBUTES_MAX),
        ("routes", enriched.routes.len(), ROUTES_MAX),
    ];
    match most.iter().find(|(_, count, most)| count > most) {
        Some((what, count, most)) => Err(format!("{count} {what}, of which at most {most} are taken")),
        None => Ok(enriched),
    }
}

/// Whether there is anything to record.
pub(crate) fn says_something(enriched: &Enriched) -> bool {
    *enriched != nothing(enriched.feedback, enriched.revision, enriched.instance.clone())
}

fn fact(name: &str, value: Value) -> Result<FactValue, String> {
    Ok(match value {
        Value::Boolean(value) => FactValue::Boolean(value),
        Value::Integer(value) | Value::Timestamp(value) => FactValue::Integer(value),
        Value::Decimal(value) if value.is_finite() => FactValue::Decimal(value),
        Value::Decimal(_) => return Err(format!("attribute {name}: not a finite number")),
        Value::Text(value) => FactValue::Code(code(name, value)?),
        Value::Json(_) => {
            return Err(format!(
                "attribute {name}: an enricher may set numbers, booleans and codes, not JSON"
            ));
        }
    })
}

fn code(name: &str, text: String) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'));
    if fits {
        return Ok(text);
    }
    Err(format!(
        "{name}: what an enricher sets is a fact, so text must be a code of at most 64 letters, digits and . _ : -"
    ))
}

#[cfg(test)]
mod tests {
    use mihwar_model::{FactValue, FeedbackId, InstanceName};
    use mihwar_sandbox::contract::processor::Edit;
    use mihwar_sandbox::contract::types::{Attribute, Value};

    use super::{from_edits, nothing, says_something};

    fn edits(edits: Vec<Edit>) -> Result<mihwar_model::Enriched, String> {
        from_edits(
            nothing(
                FeedbackId::from_bytes([1; 16]),
                1,
                InstanceName::new("language").unwrap(),
            ),
            edits,
        )
    }

    fn attribute(name: &str, value: Value) -> Edit {
        Edit::SetAttribute(Attribute {
            name: name.into(),
            value,
        })
    }

    #[test]
    fn edits_become_facts_or_are_refused_by_name() {
        let found = edits(vec![
            Edit::SetLanguage("ar".into()),
            Edit::AddTag("لهجة-خليجية".into()),
            attribute("script", Value::Text("Arab".into())),
            attribute("confidence", Value::Decimal(0.9)),
        ]);
        let found = found.unwrap();
        assert_eq!(found.language.as_ref().unwrap().as_str(), "ar");
        assert_eq!(found.attributes[0], ("script".into(), FactValue::Code("Arab".into())));
        assert!(says_something(&found));
        assert!(
            edits(vec![attribute("name", Value::Text("محمد علي".into()))])
                .unwrap_err()
                .contains("name")
        );
        assert!(edits(vec![Edit::SetSentiment(f64::NAN)]).is_err());
        assert!(
            edits(vec![Edit::SetKind("شكوى".into())])
                .unwrap_err()
                .contains("complaint")
        );
        assert!(!says_something(&edits(vec![]).unwrap()));
    }
}

//! From the wire to a draft, with every bad field named.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mihwar_model::{
    ANSWERS_MAX, ATTACHMENTS_MAX, ATTRIBUTES_MAX, Answer, AttachmentBytes, Attribute, Author, CallContent, Channel,
    Details, Direction, Draft, DraftAttachment, FieldProblem, IDENTIFIERS_MAX, Identifier, SCORES_MAX, Scalar, Score,
    SocialContent, Speaker, SurveyContent, TAGS_MAX, Tag, UTTERANCES_MAX, Utterance,
};
use serde_json::Value;

use crate::json::{Faults, Fields};

/// Channel of feedback that does not name one.
const DEFAULT_CHANNEL: &str = "api";

/// Reads one piece of feedback.
///
/// # Errors
/// Everything that is wrong, under the names that the fields have on the wire.
pub(crate) fn read_feedback(value: Value) -> Result<Draft, Faults> {
    let usual = Tag::new(DEFAULT_CHANNEL).map_err(|error| FieldProblem::new("channel", error.to_string()))?;
    let mut faults = Faults::default();
    let mut fields = Fields::of(value, String::new(), &mut faults);
    let draft = draft(&mut fields, usual);
    fields.finish();
    if faults.is_empty() {
        return Ok(draft);
    }
    // The checks of the domain too, so that the caller sees all at once.
    faults.note_untouched(wire_problems(&draft, draft.problems()));
    Err(faults)
}

/// Problems that the domain found, under the names that the fields have on the wire.
pub(crate) fn wire_problems(draft: &Draft, problems: Vec<FieldProblem>) -> Vec<FieldProblem> {
    problems
        .into_iter()
        .map(|problem| FieldProblem::new(wire_path(draft, &problem.field), problem.message))
        .collect()
}

fn wire_path(draft: &Draft, path: &str) -> String {
    if let Some(rest) = path.strip_prefix("details.") {
        let variant = match draft.details {
            Details::Call(_) => "call.",
            Details::Survey(_) => "survey.",
            Details::Social(_) => "social.",
            Details::None | Details::Other(_) => "",
        };
        return format!("details.{variant}{rest}");
    }
    let attribute = path
        .strip_prefix("attributes[")
        .and_then(|rest| rest.split_once(']'))
        .and_then(|(index, _)| draft.attributes.get(index.parse::<usize>().ok()?));
    attribute.map_or_else(|| path.to_owned(), |attribute| format!("attributes.{}", attribute.name))
}

fn draft(fields: &mut Fields<'_>, usual_channel: Tag) -> Draft {
    let channel = fields.parsed("channel").unwrap_or(usual_channel);
    Draft {
        external_id: fields.text("external_id"),
        revision: fields.text("revision"),
        kind: fields.parsed("kind"),
        occurred_at: fields.time("occurred_at"),
        author: fields.object("author", author),
        thread: fields.text("thread"),
        in_reply_to: fields.text("in_reply_to"),
        subject: fields.text("subject"),
        body: fields.text("body").unwrap_or_default(),
        body_html: fields.text("body_html"),
        language: fields.parsed("language"),
        scores: fields.each("scores", SCORES_MAX, score),
        tags: fields.each_parsed("tags", TAGS_MAX),
        attachments: fields.each("attachments", ATTACHMENTS_MAX, attachment),
        details: fields.object("details", details).unwrap_or_default(),
        attributes: attributes(fields),
        raw: fields.any("raw").map(|raw| raw.to_string()),
        ..Draft::new(Channel::new(channel))
    }
}

fn attributes(fields: &mut Fields<'_>) -> Vec<Attribute> {
    fields
        .scalars("attributes", ATTRIBUTES_MAX)
        .into_iter()
        .map(|(name, value)| Attribute { name, value })
        .collect()
}

fn author(fields: &mut Fields<'_>) -> Author {
    Author {
        name: fields.text("name"),
        identifiers: fields.each("identifiers", IDENTIFIERS_MAX, identifier),
        locale: fields.text("locale"),
    }
}

fn identifier(fields: &mut Fields<'_>) -> Identifier {
    Identifier {
        scheme: fields.required_text("scheme"),
        id: fields.required_text("id"),
    }
}

fn score(fields: &mut Fields<'_>) -> Score {
    let metric = fields.required_text("metric");
    let scale = match metric.as_str() {
        "nps" => Some((0.0, 10.0)),
        "csat" | "stars" => Some((1.0, 5.0)),
        "ces" => Some((1.0, 7.0)),
        _ => None,
    };
    let mut bound = |key: &'static str, usual: Option<f64>| {
        let needed = !fields.has(key) && usual.is_none();
        let given = fields.number(key).or(usual);
        if needed {
            fields.fault(
                key,
                "is needed: the hub knows only the scales of nps, csat, ces and stars",
            );
        }
        given.unwrap_or(f64::NAN)
    };
    let (min, max) = (bound("min", scale.map(|s| s.0)), bound("max", scale.map(|s| s.1)));
    let missing = !fields.has("value");
    let value = fields.number("value").unwrap_or(f64::NAN);
    if missing {
        fields.fault("value", "is needed");
    }
    Score {
        metric,
        value,
        min,
        max,
    }
}

fn attachment(fields: &mut Fields<'_>) -> DraftAttachment {
    let name = fields.required_text("name");
    let media_type = fields
        .text("media_type")
        .unwrap_or_else(|| "application/octet-stream".to_owned());
    let size = fields.natural("size");
    let bytes = match (fields.text("url"), fields.text("content_base64")) {
        (Some(url), None) => AttachmentBytes::Url(url),
        (None, Some(text)) => match BASE64.decode(text) {
            Ok(bytes) => AttachmentBytes::Inline(bytes),
            Err(error) => {
                fields.fault("content_base64", format!("is no Base64: {error}"));
                AttachmentBytes::Inline(Vec::new())
            }
        },
        (Some(_), Some(_)) => {
            fields.fault("url", "give either url or content_base64, not both");
            AttachmentBytes::Inline(Vec::new())
        }
        (None, None) => {
            fields.fault("url", "give either url or content_base64");
            AttachmentBytes::Inline(Vec::new())
        }
    };
    DraftAttachment {
        name,
        media_type,
        size,
        bytes,
    }
}

fn details(fields: &mut Fields<'_>) -> Details {
    let call = fields.object("call", call).map(Details::Call);
    let survey = fields.object("survey", survey).map(Details::Survey);
    let social = fields.object("social", social).map(Details::Social);
    let other = fields.any("other").map(|value| Details::Other(value.to_string()));
    let mut given = [call, survey, social, other].into_iter().flatten();
    let first = given.next().unwrap_or_default();
    if given.next().is_some() {
        fields.fault("call", "give only one of call, survey, social and other");
    }
    first
}

fn call(fields: &mut Fields<'_>) -> CallContent {
    let direction = match fields.required_text("direction").as_str() {
        "outbound" => Direction::Outbound,
        "inbound" | "" => Direction::Inbound,
        other => {
            fields.fault("direction", format!("should be inbound or outbound, not {other}"));
            Direction::Inbound
        }
    };
    CallContent {
        direction,
        duration_ms: fields.natural("duration_ms"),
        queue: fields.text("queue"),
        agent: fields.object("agent", identifier),
        transcript: fields.each("transcript", UTTERANCES_MAX, utterance),
    }
}

fn utterance(fields: &mut Fields<'_>) -> Utterance {
    let speaker = match fields.text("speaker").as_deref() {
        Some("customer") => Speaker::Customer,
        Some("agent") => Speaker::Agent,
        Some("bot") => Speaker::Bot,
        Some("unknown") | None => Speaker::Unknown,
        Some(other) => {
            fields.fault(
                "speaker",
                format!("should be customer, agent, bot or unknown, not {other}"),
            );
            Speaker::Unknown
        }
    };
    Utterance {
        speaker,
        start_ms: fields.natural("start_ms").unwrap_or_default(),
        end_ms: fields.natural("end_ms").unwrap_or_default(),
        text: fields.required_text("text"),
    }
}

fn survey(fields: &mut Fields<'_>) -> SurveyContent {
    SurveyContent {
        survey_id: fields.required_text("survey_id"),
        answers: fields.each("answers", ANSWERS_MAX, answer),
    }
}

fn answer(fields: &mut Fields<'_>) -> Answer {
    let missing = !fields.has("value");
    let value = fields.scalar("value").unwrap_or(Scalar::Boolean(false));
    if missing {
        fields.fault("value", "is needed");
    }
    Answer {
        question_id: fields.required_text("question_id"),
        question: fields.text("question"),
        value,
    }
}

fn social(fields: &mut Fields<'_>) -> SocialContent {
    SocialContent {
        network: fields.required_text("network"),
        permalink: fields.text("permalink"),
        audience: fields.natural("audience"),
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;

//! Between the contract's records and the model's.

use mihwar_model::{
    Answer, AttachmentBytes, AttachmentContent, Attribute, Author, CallContent, Content, Details, Direction, Draft,
    DraftAttachment, FactValue, FieldProblem, Identifier, InstanceName, Kind, Language, Scalar, Score, SocialContent,
    Speaker, SurveyContent, Tag, Time, Utterance,
};
use mihwar_sandbox::contract::types as contract;

use crate::channel_kinds;
use crate::rows::Head;

/// A draft of what a channel plugin returned.
///
/// # Errors
/// Every field that the model has no place for.
pub(crate) fn draft(feedback: contract::Feedback) -> Result<Draft, Vec<FieldProblem>> {
    let mut problems = Vec::new();
    let channel = note(&mut problems, "channel", channel_kinds::channel(feedback.channel));
    let kind = feedback
        .kind
        .and_then(|kind| note(&mut problems, "kind", kind.parse::<Kind>()));
    let language = feedback
        .language
        .and_then(|language| note(&mut problems, "language", Language::new(language)));
    let tags = feedback.tags.into_iter().enumerate();
    let tags = tags
        .filter_map(|(i, tag)| note(&mut problems, &format!("tags[{i}]"), Tag::new(tag)))
        .collect();
    let attributes = feedback.attributes.into_iter().enumerate();
    let attributes = attributes
        .map(|(i, attribute)| Attribute {
            value: scalar(attribute.value).unwrap_or_else(|json| {
                problems.push(FieldProblem::new(
                    format!("attributes[{i}]"),
                    "JSON attributes belong into raw",
                ));
                Scalar::Text(json)
            }),
            name: attribute.name,
        })
        .collect();
    let (mut given, mut attachments) = (feedback.details, feedback.attachments);
    if let contract::Details::Call(call) = &mut given {
        // The model knows one place for files.
        attachments.extend(call.recording.take());
    }
    let details = details(given, &mut problems);
    let Some(channel) = channel.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    Ok(Draft {
        external_id: Some(feedback.external_id),
        revision: feedback.revision,
        channel,
        kind,
        occurred_at: feedback.occurred_at.map(Time),
        author: feedback.author.map(author),
        thread: feedback.thread_id,
        in_reply_to: feedback.in_reply_to,
        subject: feedback.subject,
        body: feedback.body,
        body_html: feedback.body_html,
        language,
        scores: feedback.scores.into_iter().map(score).collect(),
        tags,
        attachments: attachments.into_iter().map(attachment).collect(),
        details,
        attributes,
        raw: feedback.raw,
    })
}

fn note<T, E: std::fmt::Display>(problems: &mut Vec<FieldProblem>, field: &str, result: Result<T, E>) -> Option<T> {
    result
        .map_err(|error| problems.push(FieldProblem::new(field, error.to_string())))
        .ok()
}

fn author(person: contract::Person) -> Author {
    let identifiers = person.identifiers.into_iter().map(identifier).collect();
    Author {
        name: person.display_name,
        identifiers,
        locale: person.locale,
    }
}

fn identifier(identifier: contract::Identifier) -> Identifier {
    Identifier {
        scheme: identifier.scheme,
        id: identifier.id,
    }
}

fn score(score: contract::Score) -> Score {
    Score {
        metric: score.metric,
        value: score.value,
        min: score.min,
        max: score.max,
    }
}

fn attachment(attachment: contract::Attachment) -> DraftAttachment {
    DraftAttachment {
        name: attachment.name,
        media_type: attachment.media_type,
        size: attachment.size,
        bytes: match attachment.source {
            contract::AttachmentSource::Inline(bytes) => AttachmentBytes::Inline(bytes),
            contract::AttachmentSource::Blob(handle) => AttachmentBytes::Blob(handle),
            contract::AttachmentSource::Url(url) => AttachmentBytes::Url(url),
        },
    }
}

fn scalar(value: contract::Value) -> Result<Scalar, String> {
    Ok(match value {
        contract::Value::Text(text) => Scalar::Text(text),
        contract::Value::Integer(number) => Scalar::Integer(number),
        // The model has no time among its scalars; as a text it is still a time to whoever reads it.
        contract::Value::Timestamp(millis) => Scalar::Text(Time(millis).to_rfc3339()),
        contract::Value::Decimal(number) => Scalar::Decimal(number),
        contract::Value::Boolean(value) => Scalar::Boolean(value),
        contract::Value::Json(json) => return Err(json),
    })
}

fn details(details: contract::Details, problems: &mut Vec<FieldProblem>) -> Details {
    match details {
        contract::Details::None => Details::None,
        contract::Details::Call(call) => Details::Call(CallContent {
            direction: match call.direction {
                contract::Direction::Inbound => Direction::Inbound,
                contract::Direction::Outbound => Direction::Outbound,
            },
            duration_ms: call.duration_ms,
            queue: call.queue,
            agent: call.agent.map(identifier),
            transcript: call.transcript.into_iter().map(utterance).collect(),
        }),
        contract::Details::Survey(survey) => {
            let answers = survey.answers.into_iter().enumerate().map(|(i, answer)| Answer {
                question_id: answer.question_id,
                question: answer.question,
                value: scalar(answer.value).unwrap_or_else(|json| {
                    problems.push(FieldProblem::new(
                        format!("details.answers[{i}].value"),
                        "an answer is text, a number or yes/no",
                    ));
                    Scalar::Text(json)
                }),
            });
            Details::Survey(SurveyContent {
                survey_id: survey.survey_id,
                answers: answers.collect(),
            })
        }
        contract::Details::Social(social) => Details::Social(SocialContent {
            network: social.network,
            permalink: social.permalink,
            audience: social.audience,
        }),
        contract::Details::Other(json) => Details::Other(json),
    }
}

fn utterance(utterance: contract::Utterance) -> Utterance {
    Utterance {
        speaker: match utterance.speaker {
            contract::Speaker::Customer => Speaker::Customer,
            contract::Speaker::Agent => Speaker::Agent,
            contract::Speaker::Bot => Speaker::Bot,
            contract::Speaker::Unknown => Speaker::Unknown,
        },
        start_ms: utterance.start_ms,
        end_ms: utterance.end_ms,
        text: utterance.text,
    }
}

/// Personal fields that an instance was granted (`grant.fields`). What is not granted does not enter the
/// plugin's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct GrantedFields {
    pub(crate) subject: bool,
    pub(crate) body: bool,
    pub(crate) author_name: bool,
    author_identifiers: bool,
    pub(crate) attachments: bool,
    pub(crate) details: bool,
    pub(crate) attributes: bool,
    pub(crate) raw: bool,
}

/// The field that names a person to the hub itself; it is never masked.
pub(crate) const IDENTIFIERS: &str = "author.identifiers";

/// The names that `grant.fields` knows.
pub(crate) const FIELD_NAMES: [&str; 8] = [
    "subject",
    "body",
    "author.name",
    IDENTIFIERS,
    "attachments",
    "details",
    "attributes",
    "raw",
];

impl GrantedFields {
    /// Reads the names; the error is the first one that is unknown.
    pub(crate) fn read(names: &[String]) -> Result<Self, String> {
        let mut granted = Self::default();
        for name in names {
            let field = match name.as_str() {
                "subject" => &mut granted.subject,
                "body" => &mut granted.body,
                "author.name" => &mut granted.author_name,
                IDENTIFIERS => &mut granted.author_identifiers,
                "attachments" => &mut granted.attachments,
                "details" => &mut granted.details,
                "attributes" => &mut granted.attributes,
                "raw" => &mut granted.raw,
                unknown => return Err(unknown.to_owned()),
            };
            *field = true;
        }
        Ok(granted)
    }

    /// Whether attachments may be read.
    pub(crate) const fn attachments(self) -> bool {
        self.attachments
    }
}

/// A text of a draft by itself, for an instance that masks: the facts that may help it, and room for the text as body.
/// `instance` brings the draft.
pub(crate) fn lone_text(draft: &Draft, instance: &InstanceName, now: Time) -> contract::StoredFeedback {
    let feedback = contract::Feedback {
        external_id: String::new(),
        revision: None,
        channel: channel_kinds::kind(&draft.channel),
        kind: draft.kind.map(|kind| kind.as_str().to_owned()),
        occurred_at: draft.occurred_at.map(|time| time.0),
        author: None,
        thread_id: None,
        in_reply_to: None,
        subject: None,
        body: String::new(),
        body_html: None,
        language: draft.language.as_ref().map(|language| language.as_str().to_owned()),
        scores: Vec::new(),
        tags: Vec::new(),
        attachments: Vec::new(),
        details: contract::Details::None,
        attributes: Vec::new(),
        raw: None,
    };
    contract::StoredFeedback {
        id: String::new(),
        connector: instance.to_string(),
        received_at: now.0,
        // None of it is stored yet.
        version: 0,
        feedback,
    }
}

/// A record as an enricher or department sees it: all facts, and the personal fields it was granted.
/// The external id and the thread can name a person, so the hub's own ids stand in their place.
pub(crate) fn stored(head: &Head, content: &Content, granted: GrantedFields) -> contract::StoredFeedback {
    let mut attributes: Vec<_> = head
        .attributes
        .iter()
        .map(|(name, value)| contract::Attribute {
            name: name.clone(),
            value: fact(value),
        })
        .collect();
    if granted.attributes {
        attributes.extend(content.attributes.iter().map(|attribute| contract::Attribute {
            name: attribute.name.clone(),
            value: value(&attribute.value),
        }));
    }
    let feedback = contract::Feedback {
        external_id: head.feedback.to_string(),
        revision: Some(head.revision.to_string()),
        channel: channel_kinds::kind(&head.channel),
        kind: head.kind.map(|kind| kind.as_str().to_owned()),
        occurred_at: head.occurred_at.map(|time| time.0),
        author: person(content, granted),
        thread_id: head.thread.map(|thread| thread.to_string()),
        in_reply_to: None,
        subject: content.subject.clone().filter(|_| granted.subject),
        body: if granted.body {
            content.body.clone()
        } else {
            String::new()
        },
        body_html: content.body_html.clone().filter(|_| granted.body),
        language: head.language.as_ref().map(|language| language.as_str().to_owned()),
        scores: head
            .scores
            .iter()
            .map(|s| contract::Score {
                metric: s.metric.clone(),
                value: s.value,
                min: s.min,
                max: s.max,
            })
            .collect(),
        tags: head.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        attachments: if granted.attachments {
            content.attachments.iter().map(stored_attachment).collect()
        } else {
            vec![]
        },
        details: if granted.details {
            stored_details(&content.details)
        } else {
            contract::Details::None
        },
        attributes,
        raw: content.raw.clone().filter(|_| granted.raw),
    };
    contract::StoredFeedback {
        id: head.feedback.to_string(),
        connector: head.instance.to_string(),
        received_at: head.received_at.0,
        version: u64::from(head.revision),
        feedback,
    }
}

fn person(content: &Content, granted: GrantedFields) -> Option<contract::Person> {
    let author = content.author.as_ref()?;
    if !granted.author_name && !granted.author_identifiers {
        return None;
    }
    let identifiers = author.identifiers.iter().filter(|_| granted.author_identifiers);
    Some(contract::Person {
        display_name: author.name.clone().filter(|_| granted.author_name),
        identifiers: identifiers
            .map(|i| contract::Identifier {
                scheme: i.scheme.clone(),
                id: i.id.clone(),
            })
            .collect(),
        locale: author.locale.clone(),
    })
}

fn stored_attachment(attachment: &AttachmentContent) -> contract::Attachment {
    contract::Attachment {
        name: attachment.name.clone(),
        media_type: attachment.media_type.clone(),
        size: attachment.size,
        source: match (&attachment.id, &attachment.url) {
            (None, Some(url)) => contract::AttachmentSource::Url(url.clone()),
            (id, _) => contract::AttachmentSource::Blob(id.map(|id| id.to_string()).unwrap_or_default()),
        },
    }
}

fn value(scalar: &Scalar) -> contract::Value {
    match scalar {
        Scalar::Boolean(value) => contract::Value::Boolean(*value),
        Scalar::Integer(value) => contract::Value::Integer(*value),
        Scalar::Decimal(value) => contract::Value::Decimal(*value),
        Scalar::Text(value) => contract::Value::Text(value.clone()),
    }
}

fn fact(fact: &FactValue) -> contract::Value {
    match fact {
        FactValue::Boolean(value) => contract::Value::Boolean(*value),
        FactValue::Integer(value) => contract::Value::Integer(*value),
        FactValue::Decimal(value) => contract::Value::Decimal(*value),
        FactValue::Code(value) => contract::Value::Text(value.clone()),
    }
}

fn stored_details(details: &Details) -> contract::Details {
    match details {
        Details::None => contract::Details::None,
        Details::Call(call) => contract::Details::Call(contract::CallDetails {
            direction: match call.direction {
                Direction::Inbound => contract::Direction::Inbound,
                Direction::Outbound => contract::Direction::Outbound,
            },
            duration_ms: call.duration_ms,
            queue: call.queue.clone(),
            agent: call.agent.as_ref().map(|i| contract::Identifier {
                scheme: i.scheme.clone(),
                id: i.id.clone(),
            }),
            recording: None,
            transcript: call.transcript.iter().map(stored_utterance).collect(),
        }),
        Details::Survey(survey) => contract::Details::Survey(contract::SurveyDetails {
            survey_id: survey.survey_id.clone(),
            answers: survey
                .answers
                .iter()
                .map(|answer| contract::Answer {
                    question_id: answer.question_id.clone(),
                    question: answer.question.clone(),
                    value: value(&answer.value),
                })
                .collect(),
        }),
        Details::Social(social) => contract::Details::Social(contract::SocialDetails {
            network: social.network.clone(),
            permalink: social.permalink.clone(),
            audience: social.audience,
        }),
        Details::Other(json) => contract::Details::Other(json.clone()),
    }
}

fn stored_utterance(utterance: &Utterance) -> contract::Utterance {
    contract::Utterance {
        speaker: match utterance.speaker {
            Speaker::Customer => contract::Speaker::Customer,
            Speaker::Agent => contract::Speaker::Agent,
            Speaker::Bot => contract::Speaker::Bot,
            Speaker::Unknown => contract::Speaker::Unknown,
        },
        start_ms: utterance.start_ms,
        end_ms: utterance.end_ms,
        text: utterance.text.clone(),
    }
}

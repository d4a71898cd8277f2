//! One call, whatever file it came from, becomes one record.

use jiff::tz::TimeZone;
use mihwar_sdk::{CallDetails, ChannelKind, Details, Direction, Feedback, Identifier, Person};
use sha2::{Digest, Sha256};

use crate::{Settings, moment, number::Number, row::Bad, settings::Language};

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Somebody of ours spoke with the caller.
    Answered,
    /// The caller hung up in a queue.
    Abandoned,
    /// It rang in vain.
    Missed,
    /// The line was busy.
    Busy,
    /// The exchange could not connect it.
    Failed,
}

/// One call.
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) caller: Number,
    pub(crate) caller_name: Option<String>,
    /// As dialled.
    pub(crate) callee: String,
    pub(crate) started_at: i64,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) outcome: Outcome,
    pub(crate) is_outbound: bool,
    pub(crate) queue: Option<String>,
    pub(crate) agent: Option<Identifier>,
    pub(crate) note: String,
}

impl Call {
    /// The record. `line` is the line of the file that the call stands in.
    pub(crate) fn into_feedback(self, line: &[String], settings: &Settings, zone: &TimeZone) -> Feedback {
        let wants_call_back = !self.is_outbound && self.outcome != Outcome::Answered;
        let mut feedback = Feedback::new(external_id(&self.id, line), ChannelKind::Voice)
            .thread(&self.id)
            .occurred_at(self.started_at)
            .tag(self.outcome.tag());
        if wants_call_back {
            feedback = feedback
                .kind("enquiry")
                .body(self.request(settings.language, zone))
                .language(settings.language.tag());
            feedback = feedback.tag(if self.caller == Number::Withheld {
                "no-number"
            } else {
                "call-back"
            });
        } else {
            feedback = feedback.kind("observation").body(&self.note);
        }
        if !self.callee.is_empty() {
            feedback = feedback.attribute("dialled", self.callee.as_str());
        }
        let mut person = Person::new();
        person.display_name = self.caller_name.map(|name| name.chars().take(NAME_CHARS_MAX).collect());
        if let Some((scheme, number)) = self.caller.handle() {
            person = person.identifier(scheme, number);
        }
        if person.display_name.is_some() || !person.identifiers.is_empty() {
            feedback = feedback.author(person);
        }
        feedback.details(Details::Call(CallDetails {
            direction: if self.is_outbound {
                Direction::Outbound
            } else {
                Direction::Inbound
            },
            duration_ms: self.duration_ms,
            queue: self.queue,
            agent: self.agent,
            recording: None,
            transcript: Vec::new(),
        }))
    }

    /// The sentence that asks for a call-back, and the agent's note behind it.
    fn request(&self, language: Language, zone: &TimeZone) -> String {
        let at = moment::shown(self.started_at, zone);
        let name = self
            .caller_name
            .as_deref()
            .map(|name| format!(" \u{2068}{name}\u{2069}"))
            .unwrap_or_default();
        let mut text = match (language, self.caller.shown()) {
            (Language::Arabic, Some(number)) => {
                format!(
                    "{} من{name} {number} في {at}. يرجى معاودة الاتصال بالرقم {number}.",
                    self.outcome.arabic()
                )
            }
            (Language::Arabic, None) => {
                format!(
                    "{} من{name} رقم محجوب في {at}. لا يمكن معاودة الاتصال.",
                    self.outcome.arabic()
                )
            }
            (Language::English, Some(number)) => {
                format!(
                    "{} from{name} {number} at {at}. Please call back {number}.",
                    self.outcome.english()
                )
            }
            (Language::English, None) => {
                format!(
                    "{} from{name} a withheld number at {at}. No call-back is possible.",
                    self.outcome.english()
                )
            }
        };
        if !self.note.is_empty() {
            text.push_str("\n\n");
            text.push_str(&self.note);
        }
        text
    }
}

impl Outcome {
    fn tag(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Abandoned => "abandoned",
            Self::Missed => "missed",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }

    fn english(self) -> &'static str {
        match self {
            Self::Answered | Self::Missed => "Missed call",
            Self::Abandoned => "Call abandoned in the queue",
            Self::Busy => "Call that found the line busy",
            Self::Failed => "Call that could not be connected",
        }
    }

    fn arabic(self) -> &'static str {
        match self {
            Self::Answered | Self::Missed => "مكالمة فائتة",
            Self::Abandoned => "مكالمة تركها المتصل في الانتظار",
            Self::Busy => "مكالمة وجدت الخط مشغولًا",
            Self::Failed => "مكالمة تعذر توصيلها",
        }
    }
}

impl Language {
    fn tag(self) -> &'static str {
        match self {
            Self::Arabic => "ar",
            Self::English => "en",
        }
    }
}

/// What is kept of a caller's name as an exchange tells it; the line as a whole is too long for more.
const NAME_CHARS_MAX: usize = 200;
/// Longest id of a call. Exchanges write a few dozen bytes; what is much longer is a line that was read wrongly.
const ID_BYTES_MAX: usize = 500;

/// Why an id cannot be that of a call; `column` is where it stands.
pub(crate) fn unfit_id(id: &str, column: &str, hint: &str) -> Option<Bad> {
    if id.is_empty() {
        return Some(Bad::field("no-id", column, format!("is empty{hint}")));
    }
    let too_long = id.len() > ID_BYTES_MAX;
    too_long.then(|| {
        let why = format!("has {} bytes; an id has at most {ID_BYTES_MAX}", id.len());
        Bad::field("id-too-long", column, why)
    })
}

/// An exchange writes one line for each leg of a call, all with the call's id. The hash keeps the legs apart, and makes
/// a line that is read twice the same item.
fn external_id(id: &str, line: &[String]) -> String {
    let mut hash = Sha256::new();
    for field in line {
        hash.update(field.trim());
        hash.update([0]);
    }
    let digest: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{id}#{digest}")
}

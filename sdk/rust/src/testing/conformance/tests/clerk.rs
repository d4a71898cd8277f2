//! A department that does everything right, but for the one sin that its settings name.

use serde_json::{Value as Json, json};

use super::desk::SITE;
use crate::{
    Ack, AckState, Delivered, Delivery, Destination, Event, Host, InboundRequest, Mac, Outcome, Plugin, PluginError,
    Request, Response, Setback, StatusUpdate, StoredFeedback, Webhook, WorkState, one_by_one,
};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sin {
    None,
    NeverWorks,
    Panics,
    ForgetsTheTime,
    AnswersTwice,
    AnswersForOthers,
    SaysNothing,
    LinksToScripts,
    GivesUp,
    GivesUpOnSilence,
    ComesBackAtOnce,
    TakesSecondsForMilliseconds,
    CountsLimitsAsFailures,
    TriesRevokedKeys,
    DeadLettersAll,
    OneForAll,
    BelievesEverything,
    CreatesAgain,
    TrustsItsState,
    ReadsNothingAsNothingThere,
    RemembersTooEarly,
    KeepsTheOld,
    ErasesWhatItKnows,
    Follows,
    JoinsReferences,
    Quotes,
    LogsEverything,
    MixesUpStates,
    TakesTheClock,
    HasNoTime,
    BelievesAnybody,
    ReportsOfStrangers,
    ReadsAgain,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Settings {
    sin: Sin,
}

pub(super) struct Clerk;

impl Plugin for Clerk {
    type Settings = Settings;
}

impl Destination for Clerk {
    fn deliver(host: &Host, settings: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
        let sin = settings.sin;
        if sin == Sin::NeverWorks {
            return Err(PluginError::permanent("lazy", "اليوم عطلة"));
        }
        let desk = At { host, sin };
        let mut acks = one_by_one(host, &batch, 2_000, |delivery| desk.take(delivery));
        match sin {
            Sin::AnswersTwice => acks.extend(acks.clone()),
            Sin::AnswersForOthers => acks.extend(acks.first().cloned().map(|ack| Ack {
                id: "d-99".into(),
                ..ack
            })),
            Sin::SaysNothing => acks.truncate(1),
            _ => {}
        }
        Ok(acks)
    }
}

/// The desk, as one call sees it.
struct At<'h> {
    host: &'h Host,
    sin: Sin,
}

#[derive(serde::Deserialize)]
struct Found {
    found: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Opened {
    #[serde(rename = "ref")]
    reference: String,
}

impl At<'_> {
    fn take(&self, delivery: &Delivery) -> Result<AckState, Setback> {
        let known = delivery.external_ref.clone();
        let known = known.filter(|reference| self.sin == Sin::JoinsReferences || is_reference(reference));
        match &delivery.event {
            Event::Created(item) | Event::Updated(item) | Event::Digest(item) => self.write(item, known),
            Event::Erased(_) if known.is_none() && self.sin == Sin::ErasesWhatItKnows => Ok(delivered(None)),
            Event::Erased(id) => {
                let known = match known {
                    Some(reference) => Some(reference),
                    None => self.find(id)?,
                };
                match known.map(|reference| self.send("DELETE", &format!("/tickets/{reference}"), None)) {
                    None | Some(Ok(_) | Err(Setback::Missing(_))) => Ok(delivered(None)),
                    Some(Err(error)) => Err(error),
                }
            }
        }
    }

    fn write(&self, item: &StoredFeedback, known: Option<String>) -> Result<AckState, Setback> {
        let text = format!(
            "{} {}",
            item.feedback.subject.as_deref().unwrap_or_default(),
            item.feedback.body
        );
        if self.sin == Sin::LogsEverything {
            self.host.debug(&text);
        }
        if self.sin == Sin::RemembersTooEarly && self.remembers(&item.id, "1") && known.is_none() {
            return Ok(AckState::Skipped("it was sent already".into()));
        }
        if self.sin == Sin::KeepsTheOld && known.is_some() {
            return Ok(self.done(known));
        }
        let found = match (known, self.sin) {
            (Some(reference), _) => Some(reference),
            (None, Sin::CreatesAgain) => None,
            (None, Sin::TrustsItsState) => self.remembered(&item.id),
            (None, _) => self.find(&item.id)?,
        };
        let Some(reference) = found else {
            let new = json!({ "key": item.id, "text": text });
            let response = self.send("POST", "/tickets", Some(&new))?;
            if self.sin == Sin::BelievesEverything {
                return Ok(delivered(None));
            }
            let opened: Opened = self.read(&response)?;
            if self.sin == Sin::TrustsItsState {
                self.remembers(&item.id, &opened.reference);
            }
            return Ok(self.done(Some(opened.reference)));
        };
        let path = format!("/tickets/{reference}");
        match self.send("PUT", &path, Some(&json!({ "text": text }))) {
            Ok(_) => Ok(self.done(Some(reference))),
            Err(Setback::Missing(_)) => Ok(AckState::Skipped("it was deleted there".into())),
            Err(error) => Err(error),
        }
    }

    fn find(&self, id: &str) -> Result<Option<String>, Setback> {
        let response = self.send("GET", &format!("/tickets?key={id}"), None)?;
        if self.sin == Sin::ReadsNothingAsNothingThere {
            let found: Json = response.json().unwrap_or_default();
            return Ok(found["found"][0].as_str().map(str::to_owned));
        }
        let found: Found = self.read(&response)?;
        Ok(found.found.into_iter().next())
    }

    fn read<T: serde::de::DeserializeOwned>(&self, response: &Response) -> Result<T, Setback> {
        if self.sin == Sin::Panics {
            return Ok(response.json().expect("the desk always answers with JSON"));
        }
        let unexpected = || {
            Setback::Item(PluginError::transient(
                "unexpected-answer",
                "the desk answers something else",
            ))
        };
        response.json().map_err(|_| unexpected())
    }

    /// Writes a value down; whether there was one.
    fn remembers(&self, id: &str, value: &str) -> bool {
        let was_there = self.remembered(id).is_some();
        self.host.state_set(id, value.as_bytes()).expect("there is room");
        was_there
    }

    fn remembered(&self, id: &str) -> Option<String> {
        let value = self.host.state_get(id).expect("the state can be read")?;
        Some(String::from_utf8(value).expect("it was a text"))
    }

    fn done(&self, reference: Option<String>) -> AckState {
        let site = if self.sin == Sin::LinksToScripts {
            "javascript:"
        } else {
            SITE
        };
        let url = reference.as_ref().map(|reference| format!("{site}/{reference}"));
        AckState::Delivered(Delivered {
            external_ref: reference,
            url,
        })
    }

    fn send(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Response, Setback> {
        let mut request = Request::new(method, format!("{SITE}{path}"));
        if self.sin == Sin::JoinsReferences {
            request.url = format!("{SITE}{}", path.replace("/tickets/@", "@"));
        }
        if self.sin != Sin::ForgetsTheTime {
            let left = self.host.remaining_ms().saturating_sub(500);
            request = request.timeout_ms(u32::try_from(left).unwrap_or(u32::MAX).min(3_000));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = match self.host.http(&request) {
            Ok(response) => response,
            Err(_) if self.sin == Sin::GivesUpOnSilence => {
                return Err(Setback::Item(PluginError::permanent(
                    "silent",
                    "the desk does not answer",
                )));
            }
            Err(error) => return Err(error.into()),
        };
        if self.sin == Sin::Follows
            && let Some(there) = response.header("location")
        {
            return Ok(self.host.http(&Request::get(there))?);
        }
        let is_believed = self.sin == Sin::BelievesEverything && response.status >= 500;
        if response.is_success() || is_believed {
            return Ok(response);
        }
        Err(self.judged(&response))
    }

    fn judged(&self, response: &Response) -> Setback {
        let status = response.status;
        let code = format!("http-{status}");
        let pause = response.retry_after_ms(self.host.now());
        let told = if self.sin == Sin::Quotes {
            response.text()
        } else {
            "the desk refuses it".to_owned()
        };
        let gives_up =
            (status == 410 && self.sin == Sin::DeadLettersAll) || (status >= 500 && self.sin == Sin::GivesUp);
        if gives_up {
            return refused(code, told);
        }
        match status {
            401 if self.sin == Sin::TriesRevokedKeys => Setback::All(PluginError::transient(code, told)),
            401 | 403 => Setback::All(PluginError::unauthorized(code, told)),
            404 => Setback::Missing(404),
            410 => Setback::All(PluginError::misconfigured("site", told)),
            429 if self.sin != Sin::CountsLimitsAsFailures => {
                Setback::All(PluginError::rate_limited(code, told, self.pause(pause)))
            }
            429 | 500..=599 => Setback::failed(code, told, pause),
            _ if self.sin == Sin::OneForAll => Setback::All(PluginError::permanent(code, told)),
            _ => refused(code, told),
        }
    }

    /// The pause that is told on.
    fn pause(&self, asked: Option<u64>) -> Option<u64> {
        match self.sin {
            Sin::ComesBackAtOnce => Some(0),
            Sin::TakesSecondsForMilliseconds => asked.map(|ms| ms / 1000),
            _ => asked,
        }
    }
}

fn refused(code: String, told: String) -> Setback {
    Setback::Item(PluginError::permanent(code, told))
}

fn is_reference(text: &str) -> bool {
    let digits = text.strip_prefix("T-").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn delivered(reference: Option<String>) -> AckState {
    AckState::Delivered(Delivered {
        external_ref: reference,
        url: None,
    })
}

#[derive(serde::Deserialize)]
struct Report {
    #[serde(rename = "ref")]
    reference: String,
    state: String,
    at: i64,
    ours: bool,
}

impl Webhook for Clerk {
    fn handle(host: &Host, settings: &Settings, request: InboundRequest) -> Result<Outcome, PluginError> {
        let sin = settings.sin;
        let mut outcome = Outcome {
            changes: Vec::new(),
            refusals: Vec::new(),
            reply: None,
        };
        if sin == Sin::ReadsAgain && serde_json::from_slice::<Report>(&request.body).is_err() {
            return Err(PluginError::transient("json", "the report cannot be read"));
        }
        let tag = bytes_of(request.header("x-signature").unwrap_or_default());
        let is_signed = host.verify("signing", Mac::HmacSha256, &request.body, &tag)?;
        if !is_signed && sin != Sin::BelievesAnybody {
            return Ok(outcome);
        }
        let report: Report = serde_json::from_slice(&request.body)
            .map_err(|_| PluginError::permanent("json", "the report cannot be read"))?;
        if !report.ours && sin != Sin::ReportsOfStrangers {
            return Ok(outcome);
        }
        let state = match (report.state.as_str(), sin) {
            ("rejected", Sin::MixesUpStates) => WorkState::Resolved,
            (state, _) => WorkState::named(state),
        };
        let changed_at = match sin {
            Sin::TakesTheClock => host.now(),
            Sin::HasNoTime => 0,
            _ => report.at,
        };
        outcome
            .changes
            .push(StatusUpdate::new(report.reference, state, changed_at).into());
        Ok(outcome)
    }
}

/// The bytes that hexadecimal digits stand for; nothing for what is none.
fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]);
    pairs.filter_map(|byte| u8::try_from(byte).ok()).collect()
}

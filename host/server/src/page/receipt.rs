//! A receipt for people: one page that is complete in itself, to be printed and kept.

mod code;
mod words;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header;
use mihwar_ledger::{Checkpoint, Receipt};
use mihwar_model::{Event, EventBody, Time};

use super::settings::Tongue;
use crate::http::Problem;
use code::Code;
use words::Words;

/// The style stands in the page itself, and nothing is loaded.
const CSP_RECEIPT: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "receipt.html")]
struct Page {
    words: &'static Words,
    feedback: String,
    origin: String,
    /// Entries of the checkpoint.
    size: u64,
    /// Place of the first entry, from 0.
    entry: u64,
    steps: Vec<Step>,
    code: Option<Code>,
    checkpoint: String,
    key: String,
}

/// One entry in words.
struct Step {
    exact: String,
    shown: String,
    what: &'static str,
    entry: u64,
}

/// The page of a receipt, in the language of the feedback.
pub(crate) fn show(receipt: &Receipt, language: Option<&str>) -> Result<Response, Problem> {
    let page = Page::of(receipt, tongue(language))?;
    let html = page.render().map_err(Problem::internal)?;
    Ok(([(header::CONTENT_SECURITY_POLICY, CSP_RECEIPT)], Html(html)).into_response())
}

/// Arabic for Arabic in all its countries, else English.
fn tongue(language: Option<&str>) -> Tongue {
    let primary = language.and_then(|tag| tag.split('-').next()).unwrap_or_default();
    if primary.eq_ignore_ascii_case("ar") {
        Tongue::Arabic
    } else {
        Tongue::English
    }
}

impl Page {
    fn of(receipt: &Receipt, tongue: Tongue) -> Result<Self, Problem> {
        let words = Words::of(tongue);
        let checkpoint = Checkpoint::from_text(receipt.checkpoint.text()).map_err(Problem::internal)?;
        let mut steps = Vec::with_capacity(receipt.entries.len());
        for entry in &receipt.entries {
            let event = Event::from_bytes(&entry.event).map_err(Problem::internal)?;
            steps.push(Step {
                exact: event.at.to_rfc3339(),
                shown: minute(event.at),
                what: words.of_event(&event.body),
                entry: entry.index,
            });
        }
        let short = receipt.of_first_entry().to_short_json().map_err(Problem::internal)?;
        Ok(Self {
            words,
            feedback: receipt.feedback.clone(),
            origin: checkpoint.origin,
            size: checkpoint.size,
            entry: receipt.entries.first().map_or(0, |entry| entry.index),
            steps,
            code: Code::of(&short),
            checkpoint: receipt.checkpoint.to_string(),
            key: receipt.key.to_string(),
        })
    }
}

/// To the minute; the zone stands over the column.
fn minute(time: Time) -> String {
    let exact = time.to_rfc3339();
    match exact.get(..16) {
        Some(minute) => minute.replace('T', " "),
        None => exact,
    }
}

impl Words {
    fn of_event(&self, event: &EventBody) -> &'static str {
        match event {
            EventBody::Received(received) if received.revision > 1 => self.revised,
            EventBody::Received(_) => self.received,
            EventBody::Enriched(_) => self.enriched,
            EventBody::EnrichmentFailed(_) => self.enrichment_failed,
            EventBody::Routed(_) | EventBody::BackFilled(_) => self.routed,
            EventBody::Delivered(_) => self.delivered,
            EventBody::DeliveryFailed(_) => self.delivery_failed,
            EventBody::DeliverySkipped(_) => self.delivery_skipped,
            EventBody::DeliveryDeadLettered(_) => self.dead_lettered,
            EventBody::DeliveryReplayed(_) => self.replayed,
            EventBody::Withdrawn(_) => self.withdrawn,
            EventBody::RecordErased(_) => self.erased,
            EventBody::StatusReported(_) => self.reported,
            _ => self.other_event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{minute, tongue};
    use crate::page::settings::Tongue;
    use mihwar_model::Time;

    #[test]
    fn the_language_is_that_of_what_was_said() {
        for arabic in ["ar", "ar-SA", "AR-eg"] {
            assert_eq!(tongue(Some(arabic)), Tongue::Arabic, "{arabic}");
        }
        for other in [None, Some("en-GB"), Some("arc"), Some("")] {
            assert_eq!(tongue(other), Tongue::English, "{other:?}");
        }
    }

    #[test]
    fn times_are_shown_to_the_minute() {
        assert_eq!(minute(Time(1_790_000_000_000)), "2026-09-21 14:13");
    }
}

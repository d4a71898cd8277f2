//! Handing items over: each is created once, and written anew or removed by its reference.

use mihwar_sdk::{AckState, Delivered, Delivery, Event, PluginError, Response, Setback, StoredFeedback};
use serde_json::Value as Json;

use crate::answer::{found, text_at};
use crate::api::Api;
use crate::context::Context;
use crate::settings::OnMissing;

/// Works a batch off.
pub(crate) struct Desk<'a> {
    api: Api<'a>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(api: Api<'a>) -> Self {
        Self { api }
    }

    pub(crate) fn take(&self, delivery: &Delivery) -> Result<AckState, Setback> {
        let known = delivery.external_ref.as_deref();
        match (&delivery.event, known) {
            (Event::Created(item) | Event::Updated(item) | Event::Digest(item), Some(reference)) => {
                self.update(item, delivery, reference)
            }
            (Event::Created(item) | Event::Updated(item) | Event::Digest(item), None) => {
                match self.find(&item.id, delivery)? {
                    Some(found) => self.renew(item, delivery, &found),
                    None => self.create(item, delivery),
                }
            }
            (Event::Erased(id), Some(reference)) => self.erase(id, delivery, reference),
            (Event::Erased(id), None) => match self.find(id, delivery)? {
                Some(found) => self.erase(id, delivery, &found),
                None => Ok(nothing_more()),
            },
        }
    }

    fn create(&self, item: &StoredFeedback, delivery: &Delivery) -> Result<AckState, Setback> {
        let exchange = &self.api.settings.create;
        let context = self.context().item(item).delivery(delivery).json();
        let response = match self.api.send("create", exchange, &context) {
            Err(Setback::Missing(status)) => {
                return Err(Setback::All(PluginError::misconfigured(
                    "create.path",
                    format!("the other system answers {status}: the address may be another one"),
                )));
            }
            answered => answered?,
        };
        let Some(pointer) = &exchange.reference else {
            return Ok(AckState::Delivered(Delivered {
                external_ref: None,
                url: self.told_page(&response),
            }));
        };
        let reference = match text_at(&json(&response), pointer) {
            Some(reference) => reference,
            // A status such as 409 may stand for "it is there already", and in a dry run nobody answers.
            None => match self.find(&item.id, delivery)? {
                Some(found) => found,
                None if self.api.host.instance().dry_run => return Ok(nothing_more()),
                None => {
                    return Err(Setback::All(PluginError::misconfigured(
                        "create.reference",
                        format!("the answer holds neither text nor number at {pointer}; the item was created"),
                    )));
                }
            },
        };
        Ok(self.delivered(&item.id, reference, Some(&response)))
    }

    /// The item that is there already, if there is a way to ask.
    fn find(&self, id: &str, delivery: &Delivery) -> Result<Option<String>, Setback> {
        let Some(exchange) = &self.api.settings.lookup else {
            return Ok(None);
        };
        let pointer = exchange.reference.as_deref().unwrap_or_default();
        let context = self.context().id(id).delivery(delivery).json();
        match self.api.send("lookup", exchange, &context) {
            // In a dry run nobody answers.
            Ok(response) if response.body.is_empty() && self.api.host.instance().dry_run => Ok(None),
            Ok(response) => found(&response, pointer),
            Err(Setback::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes what was found anew, where there is a request for it.
    fn renew(&self, item: &StoredFeedback, delivery: &Delivery, found: &str) -> Result<AckState, Setback> {
        if self.api.settings.update.is_none() {
            return Ok(self.delivered(&item.id, found.to_owned(), None));
        }
        self.update(item, delivery, found)
    }

    fn update(&self, item: &StoredFeedback, delivery: &Delivery, reference: &str) -> Result<AckState, Setback> {
        let Some(exchange) = &self.api.settings.update else {
            return Ok(AckState::Skipped("no request is set for new versions".into()));
        };
        let context = self.context().item(item).delivery(delivery).reference(reference).json();
        match self.api.send("update", exchange, &context) {
            Ok(response) => Ok(self.delivered(&item.id, reference.to_owned(), Some(&response))),
            Err(Setback::Missing(_)) => match self.api.settings.on_missing {
                OnMissing::Skip => Ok(AckState::Skipped("the item was deleted there".into())),
                OnMissing::Create => self.create(item, delivery),
            },
            Err(error) => Err(error),
        }
    }

    fn erase(&self, id: &str, delivery: &Delivery, reference: &str) -> Result<AckState, Setback> {
        let Some(exchange) = &self.api.settings.erase else {
            return Err(Setback::Item(PluginError::permanent(
                "no-erase",
                "no request is set for `erase`: remove the item there by hand, or set one and deliver this again",
            )));
        };
        let context = self.context().id(id).delivery(delivery).reference(reference).json();
        match self.api.send("erase", exchange, &context) {
            // Whoever deleted it has erased it.
            Ok(_) | Err(Setback::Missing(_)) => Ok(nothing_more()),
            Err(error) => Err(error),
        }
    }

    fn context(&self) -> Context {
        Context::new(self.api.settings)
    }

    fn delivered(&self, id: &str, reference: String, response: Option<&Response>) -> AckState {
        let told = response.and_then(|response| self.told_page(response));
        AckState::Delivered(Delivered {
            url: told.or_else(|| self.api.page(id, &reference)),
            external_ref: Some(reference),
        })
    }

    /// The item's address, if the answer holds it.
    fn told_page(&self, response: &Response) -> Option<String> {
        let pointer = self.api.settings.page_at.as_deref()?;
        text_at(&json(response), pointer).filter(|page| page.starts_with("https://") || page.starts_with("http://"))
    }
}

/// An answer that is no JSON holds nothing.
fn json(response: &Response) -> Json {
    response.json().unwrap_or_default()
}

/// Delivered, and nothing is kept of it.
fn nothing_more() -> AckState {
    AckState::Delivered(Delivered {
        external_ref: None,
        url: None,
    })
}

//! A batch handed over item by item, as most departments do it: what holds up one item must not hold up the others, and what
//! holds up all of them must not be tried once for each.

use crate::{Ack, AckState, Delivery, Host, HttpError, PluginError};

/// Why something was not done, and whom it concerns.
#[derive(Debug, Clone, PartialEq)]
pub enum Setback {
    /// The other system does not know what was asked for; the status of its answer (404 or 410) tells it.
    Missing(u16),
    /// This item cannot be handed over, or not now. The others go on.
    Item(PluginError),
    /// It is not about the item (no connection, a key that is refused, a pause that is asked for): the rest of the batch would
    /// fail alike.
    All(PluginError),
}

impl Setback {
    /// The other system failed, as by a status of 500. Who names a time (`after_ms`, from `Retry-After`) names it for all.
    pub fn failed(code: impl Into<String>, message: impl Into<String>, after_ms: Option<u64>) -> Self {
        let error = PluginError::transient_after(code, message, after_ms);
        if after_ms.is_some() {
            Self::All(error)
        } else {
            Self::Item(error)
        }
    }

    /// As an error of the item, or of the whole call.
    #[must_use]
    pub fn into_error(self) -> PluginError {
        match self {
            Self::Item(error) | Self::All(error) => error,
            Self::Missing(status) => PluginError::permanent(
                format!("http-{status}"),
                "the other system does not know what this is about any more",
            ),
        }
    }
}

impl From<HttpError> for Setback {
    /// One request may be too large, or be answered too slowly; without a connection or a grant none gets through.
    fn from(error: HttpError) -> Self {
        let is_of_item = matches!(
            error,
            HttpError::Timeout(_)
                | HttpError::Protocol(_)
                | HttpError::RequestTooLarge(_)
                | HttpError::ResponseTooLarge(_)
                | HttpError::InvalidRequest(_)
        );
        let error = PluginError::from(error);
        if is_of_item {
            Self::Item(error)
        } else {
            Self::All(error)
        }
    }
}

/// Hands a batch over, one item after the other, and answers for each. After a [`Setback::All`] the rest fails alike without
/// being tried. With less than `item_ms` left of the call's time, the rest gets no answer: the hub hands it over again, and it
/// costs those items no attempt.
pub fn one_by_one(
    host: &Host,
    batch: &[Delivery],
    item_ms: u64,
    mut hand_over: impl FnMut(&Delivery) -> Result<AckState, Setback>,
) -> Vec<Ack> {
    let mut acks = Vec::with_capacity(batch.len());
    let mut stopped: Option<AckState> = None;
    for delivery in batch {
        if stopped.is_none() && host.remaining_ms() < item_ms {
            host.info("time is short: the rest of the batch waits for the next call");
            break;
        }
        let state = match &stopped {
            Some(state) => state.clone(),
            None => match hand_over(delivery) {
                Ok(state) => state,
                Err(setback) => {
                    let is_of_all = matches!(setback, Setback::All(_));
                    let state = AckState::Failed(setback.into_error());
                    stopped = is_of_all.then(|| state.clone());
                    state
                }
            },
        };
        acks.push(Ack {
            id: delivery.id.clone(),
            state,
        });
    }
    acks
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::{Setback, one_by_one};
    use crate::testing::FakeHost;
    use crate::{AckState, Delivered, Delivery, Event, PluginError};

    fn batch(ids: &[&str]) -> Vec<Delivery> {
        let delivery = |id: &&str| Delivery {
            id: (*id).to_owned(),
            attempt: 1,
            event: Event::Erased((*id).to_owned()),
            external_ref: None,
        };
        ids.iter().map(delivery).collect()
    }

    fn delivered() -> AckState {
        AckState::Delivered(Delivered {
            external_ref: None,
            url: None,
        })
    }

    /// Which items were tried, and what became of each.
    fn handed_over(remaining_ms: u64, setback: &Setback) -> (Vec<String>, Vec<(String, bool)>) {
        let fake = FakeHost::new().with_remaining_ms(remaining_ms);
        let mut tried = Vec::new();
        let acks = one_by_one(&fake.host(), &batch(&["أ", "b", "ج"]), 1_000, |delivery| {
            tried.push(delivery.id.clone());
            if delivery.id == "b" {
                return Err(setback.clone());
            }
            Ok(delivered())
        });
        let became = acks
            .into_iter()
            .map(|ack| (ack.id, matches!(ack.state, AckState::Delivered(_))));
        (tried, became.collect())
    }

    #[test]
    fn what_is_of_one_item_holds_up_that_item_and_what_is_of_all_is_tried_once() {
        let told = |became: &[(&str, bool)]| -> Vec<(String, bool)> {
            became
                .iter()
                .map(|(id, is_there)| ((*id).to_owned(), *is_there))
                .collect()
        };
        let alone = [Setback::Missing(404), Setback::Item(PluginError::permanent("x", "لا"))];
        for setback in alone {
            let (tried, became) = handed_over(60_000, &setback);
            assert_eq!(tried, ["أ", "b", "ج"]);
            assert_eq!(became, told(&[("أ", true), ("b", false), ("ج", true)]));
        }
        let (tried, became) = handed_over(60_000, &Setback::All(PluginError::unauthorized("x", "لا")));
        assert_eq!(tried, ["أ", "b"], "the third fails alike, untried");
        assert_eq!(became, told(&[("أ", true), ("b", false), ("ج", false)]));
    }

    #[test]
    fn without_time_nothing_is_answered() {
        let (tried, became) = handed_over(999, &Setback::Missing(410));
        assert!(tried.is_empty() && became.is_empty());
    }

    #[test]
    fn who_names_a_time_names_it_for_all() {
        assert!(matches!(Setback::failed("http-503", "x", Some(5_000)), Setback::All(_)));
        assert!(matches!(Setback::failed("http-500", "x", None), Setback::Item(_)));
    }
}

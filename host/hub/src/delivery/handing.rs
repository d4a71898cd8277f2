//! One batch on its way: read, handed over, and what was said to it. A task of its own, so that several are on their way at
//! once; nothing of it is written here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use mihwar_model::DeliveryId;
use mihwar_sandbox::contract::destination::{Ack, Delivery};
use mihwar_sandbox::{CallError, CallFailure, Done, Told};
use mihwar_store::Edit;

use super::damaged::Damaged;
use super::department::Department;
use super::outbox::Due;
use super::outcome::{self, Said};
use super::preparing::{self, Prepared, Recipient};
use super::told::{EXCHANGES_MAX, Exchange};
use crate::core::Core;
use crate::fault::Fault;
use crate::lent;
use crate::projection;

/// What is to be handed over.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) wanted: Vec<DeliveryId>,
    /// So many entries the ledger had when these were found: the read models must know of them, so that a department sees
    /// the record with all that enrichers found.
    pub(super) seen: u64,
    /// Calls in a row that had come to nothing by then.
    pub(super) failures: u32,
    /// How often the department had begun anew by then.
    pub(super) beginnings: u64,
    /// Whether the department is left alone, and this finds out whether it is back.
    pub(super) is_probe: bool,
    /// Whether it is a digest.
    pub(super) is_edition: bool,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Called {
    pub(super) due: Vec<Due>,
    pub(super) said: Said,
    /// What the plugin wants to remember.
    pub(super) state: Vec<Edit>,
    /// The last requests for each delivery.
    pub(super) exchanges: BTreeMap<DeliveryId, Vec<Exchange>>,
    pub(super) damaged: Vec<Damaged>,
    /// Those whose rows are gone.
    pub(super) vanished: Vec<DeliveryId>,
    /// Those for which there was no room.
    pub(super) left: Vec<DeliveryId>,
    /// Those that end a call, each by itself, or about which nothing was said: they go by themselves next.
    pub(super) breakers: Vec<DeliveryId>,
    /// How many were in a call that ran out of time.
    pub(super) timed_out: Option<usize>,
    pub(super) failures: u32,
    pub(super) beginnings: u64,
    pub(super) is_probe: bool,
}

/// Hands over what was ordered.
pub(super) async fn hand_over(core: Arc<Core>, department: Arc<dyn Department>, order: Order) -> Result<Called, Fault> {
    projection::catch_up_to(&core, order.seen).await?;
    let view = core.store.view().await?;
    let to = Recipient {
        name: department.name(),
        fields: department.fields(),
    };
    let prepared = preparing::prepare(&core, &*view, to, &order.wanted, order.is_edition).await?;
    drop(view);
    let Prepared {
        due,
        batch,
        handed,
        outcomes,
        owners,
        damaged,
        vanished,
        left,
        ..
    } = prepared;
    let mut called = Called {
        due,
        damaged,
        vanished,
        left,
        failures: order.failures,
        beginnings: order.beginnings,
        is_probe: order.is_probe,
        ..Called::default()
    };
    called.said.outcomes = outcomes;
    let whole = 0..batch.len();
    let mut parts: Vec<Range<usize>> = vec![whole];
    while let Some(part) = parts.pop() {
        let (Some(some), Some(ids)) = (batch.get(part.clone()), handed.get(part.clone())) else {
            continue;
        };
        if some.is_empty() {
            continue;
        }
        let some: Vec<Delivery> = some.to_vec();
        let result = department.hand_over(&core, some, owners.clone()).await;
        // If the call as a whole breaks off, its halves are tried, so that one bad item costs only itself.
        let broke = result.as_ref().is_err_and(|error| outcome::breaks_off(&error.failure));
        if broke && ids.len() > 1 {
            let middle = part.start + ids.len() / 2;
            parts.push(middle..part.end);
            parts.push(part.start..middle);
            continue;
        }
        if broke && batch.len() > 1 {
            called.breakers.extend(ids);
        }
        called.take(&core, &*department, ids, result)?;
    }
    Ok(called)
}

impl Called {
    /// Takes what one call came to.
    fn take(
        &mut self,
        core: &Core,
        department: &dyn Department,
        ids: &[DeliveryId],
        mut result: Result<Done<Vec<Ack>>, CallError>,
    ) -> Result<(), Fault> {
        let told = match &mut result {
            Ok(done) => {
                let state = lent::state_edits(core, department.name(), &done.effects)?;
                self.state.extend(state);
                std::mem::take(&mut done.effects.told)
            }
            Err(error) => {
                if matches!(*error.failure, CallFailure::TimeLimit { .. }) && ids.len() > 1 {
                    self.timed_out = Some(ids.len());
                }
                std::mem::take(&mut error.told).into_vec()
            }
        };
        self.attach(ids, told);
        let first = department.config().delivery.retry.first();
        let said = outcome::judge(result.map(|done| done.value), ids, first);
        self.breakers.extend(said.passed_over);
        self.said.join(said);
        Ok(())
    }

    /// Keeps with each delivery the requests that were made for it. What was asked for another one may quote another person,
    /// so that those which name none are left out, unless there was only one.
    fn attach(&mut self, ids: &[DeliveryId], told: Vec<Told>) {
        for one in told {
            let named: Vec<DeliveryId> = match ids {
                [only] => vec![*only],
                _ => one.keys.iter().filter_map(|key| key.parse().ok()).collect(),
            };
            // One request for several may quote all of them.
            let [delivery] = named[..] else {
                continue;
            };
            let exchanges = self.exchanges.entry(delivery).or_default();
            if exchanges.len() >= EXCHANGES_MAX {
                exchanges.remove(0);
            }
            exchanges.push(Exchange::from(one));
        }
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::DeliveryId;
    use mihwar_sandbox::Told;

    use super::{Called, EXCHANGES_MAX};

    fn id(number: u8) -> DeliveryId {
        DeliveryId::from_bytes([number; 16])
    }

    fn told(keys: &[u8], answer: &str) -> Told {
        Told {
            method: "POST".into(),
            url: "https://crm.example/in".into(),
            headers: Vec::new(),
            bytes: 10,
            status: Some(422),
            answer: answer.into(),
            took_ms: 3,
            keys: keys.iter().map(|number| id(*number).to_string()).collect(),
        }
    }

    #[test]
    fn a_request_is_kept_with_the_delivery_that_it_was_for_and_with_no_other() {
        let mut called = Called::default();
        let all = vec![
            told(&[1], "هدى: مرفوض"),
            told(&[2], "خالد: refused"),
            told(&[], "هدى، خالد"),
            told(&[1, 2], "هدى، خالد"),
        ];
        called.attach(&[id(1), id(2)], all);
        let answers = |number: u8| -> Vec<&str> {
            let kept = &called.exchanges[&id(number)];
            kept.iter().map(|exchange| exchange.answer.as_str()).collect()
        };
        assert_eq!((answers(1), answers(2)), (vec!["هدى: مرفوض"], vec!["خالد: refused"]));
    }

    #[test]
    fn of_a_delivery_by_itself_the_last_requests_are_kept() {
        let mut called = Called::default();
        let many = (0..9).map(|number| told(&[], &format!("جواب {number}"))).collect();
        called.attach(&[id(1)], many);
        let kept = &called.exchanges[&id(1)];
        assert_eq!((kept.len(), kept[0].answer.as_str()), (EXCHANGES_MAX, "جواب 5"));
    }
}

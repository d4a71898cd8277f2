//! A department that does as a test tells it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mihwar_model::{ContactId, DeliveryId, InstanceName, Time};
use mihwar_sandbox::contract::destination::{Ack, AckState, Delivered, Delivery, Event};
use mihwar_sandbox::{CallError, CallFailure, Cost, Done, Effects};

use super::billing;
use crate::config::{Config, InstanceConfig};
use crate::convert::GrantedFields;
use crate::core::Core;
use crate::delivery::department::Department;

/// What a call is answered with.
pub(in crate::delivery) type Answer = Result<Vec<Ack>, CallFailure>;
type Script = Box<dyn FnMut(Time, &[Delivery]) -> Answer + Send>;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::delivery) struct Call {
    pub(in crate::delivery) at: Time,
    pub(in crate::delivery) ids: Vec<DeliveryId>,
    /// As departments count them: the first is 1.
    pub(in crate::delivery) attempts: Vec<u32>,
    /// Created, updated, erased or digest.
    pub(in crate::delivery) kinds: Vec<&'static str>,
}

/// A department that does what a test tells it.
pub(in crate::delivery) struct Scripted {
    name: InstanceName,
    config: &'static InstanceConfig,
    mark: Mutex<[u8; 16]>,
    shown: Mutex<Option<String>>,
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
}

impl Scripted {
    /// Billing, with further keys of its instance. It takes everything.
    pub(in crate::delivery) fn new(more: &str) -> Arc<Self> {
        let script: Script = Box::new(|_, batch| Ok(all(batch, taken)));
        Arc::new(Self {
            name: billing(),
            config: configured(more),
            mark: Mutex::new([1; 16]),
            shown: Mutex::default(),
            script: Mutex::new(script),
            calls: Mutex::default(),
        })
    }

    /// From now on it does this.
    pub(in crate::delivery) fn does(&self, script: impl FnMut(Time, &[Delivery]) -> Answer + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// From now on it takes everything.
    pub(in crate::delivery) fn works(&self) {
        self.does(|_, batch| Ok(all(batch, taken)));
    }

    /// An admin has changed a secret.
    pub(in crate::delivery) fn reconfigured(&self) {
        self.mark.lock().unwrap()[0] += 1;
    }

    pub(in crate::delivery) fn shown(&self) -> Option<String> {
        self.shown.lock().unwrap().clone()
    }

    fn answer(&self, at: Time, batch: &[Delivery]) -> Answer {
        let mut script = self.script.lock().unwrap();
        (*script)(at, batch)
    }

    /// The calls since the last time.
    pub(in crate::delivery) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// What was handed over since the last time, in order.
    pub(in crate::delivery) fn handed(&self) -> Vec<DeliveryId> {
        self.calls().into_iter().flat_map(|call| call.ids).collect()
    }
}

/// It lives as long as the tests.
fn configured(more: &str) -> &'static InstanceConfig {
    let text = format!("[[plugin]]\nid = \"p\"\n[[instance]]\nname = \"billing\"\nplugin = \"p\"\n{more}");
    let config = Config::parse("mihwar.toml".as_ref(), &text, Vec::new()).unwrap();
    Box::leak(Box::new(config.instances[0].clone()))
}

/// The same answer to each delivery of a batch.
pub(in crate::delivery) fn all(batch: &[Delivery], state: impl Fn(&Delivery) -> AckState) -> Vec<Ack> {
    let ack = |delivery: &Delivery| Ack {
        id: delivery.id.clone(),
        state: state(delivery),
    };
    batch.iter().map(ack).collect()
}

pub(in crate::delivery) fn taken(delivery: &Delivery) -> AckState {
    AckState::Delivered(Delivered {
        external_ref: Some(format!("تذكرة-{}", delivery.attempt)),
        url: None,
    })
}

pub(in crate::delivery) fn trap() -> CallFailure {
    CallFailure::Trap {
        during: "destination.deliver",
        message: "خطأ".into(),
        place: None,
        frames: Vec::new(),
    }
}

#[async_trait]
impl Department for Scripted {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    fn config(&self) -> &InstanceConfig {
        self.config
    }

    fn fields(&self) -> GrantedFields {
        GrantedFields::default()
    }

    fn mark(&self, _core: &Core) -> [u8; 16] {
        *self.mark.lock().unwrap()
    }

    fn is_paused(&self) -> bool {
        self.shown.lock().unwrap().is_some()
    }

    fn show_paused(&self, why: Option<String>) {
        *self.shown.lock().unwrap() = why;
    }

    async fn hand_over(
        &self,
        core: &Arc<Core>,
        batch: Vec<Delivery>,
        _owners: HashMap<String, ContactId>,
    ) -> Result<Done<Vec<Ack>>, CallError> {
        let at = core.clock.now();
        let kind = |delivery: &Delivery| match delivery.event {
            Event::Created(_) => "created",
            Event::Updated(_) => "updated",
            Event::Erased(_) => "erased",
            Event::Digest(_) => "digest",
        };
        self.calls.lock().unwrap().push(Call {
            at,
            ids: batch.iter().map(|delivery| delivery.id.parse().unwrap()).collect(),
            attempts: batch.iter().map(|delivery| delivery.attempt).collect(),
            kinds: batch.iter().map(kind).collect(),
        });
        let answer = self.answer(at, &batch);
        // Others have their turn while it is on its way.
        tokio::task::yield_now().await;
        match answer {
            Ok(value) => Ok(Done {
                value,
                effects: Effects::default(),
                cost: Cost::default(),
            }),
            Err(failure) => Err(CallError {
                failure: Box::new(failure),
                log: Vec::new(),
                stderr: String::new(),
                cost: Cost::default(),
                told: Box::default(),
            }),
        }
    }
}

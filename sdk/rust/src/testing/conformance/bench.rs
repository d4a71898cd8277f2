//! One trial's world: a fake hub, the other system, and what the hub remembers between calls.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batch::{PERSONAL, Parcel, quoted};
use super::fault::Plan;
use super::stand::{Seen, Shared, Stand};
use super::verdict::{Called, Verdict, reference_fault, verdicts};
use super::{Finding, Rule, Setup, System};
use crate::testing::FakeHost;
use crate::{Ack, AckState, Delivery, InboundRequest, Outcome, PluginError};

/// Below so many bytes, a secret's value may stand in a text by chance.
const SECRET_BYTES_MIN: usize = 6;

/// A fake hub with one department, and the system that it speaks to.
pub(super) struct Bench<'a, S> {
    pub(super) setup: &'a Setup<S>,
    pub(super) fake: FakeHost,
    stand: Arc<Mutex<Stand<S>>>,
    /// What is played.
    scene: String,
    calls: usize,
    /// What the department calls an item, by the hub's id.
    pub(super) references: BTreeMap<String, String>,
    pub(super) findings: Vec<Finding>,
}

impl<'a, S: System> Bench<'a, S> {
    pub(super) fn new(setup: &'a Setup<S>, scene: String) -> Self {
        // The hub masks what it knows of a secret in an answer; what a system makes of it stays.
        let keys = setup
            .secrets
            .iter()
            .map(|(_, key)| String::from_utf8_lossy(key).into_owned());
        let echo = format!("{}, with {}", quoted(), keys.collect::<Vec<_>>().join(" "));
        let stand = Stand::new((setup.make)(), echo, &setup.origins, &setup.lines);
        let stand = Arc::new(Mutex::new(stand));
        let mut fake = FakeHost::new()
            .with_remaining_ms(setup.time_ms)
            .answered_by(Box::new(Shared(Arc::clone(&stand))));
        for (name, key) in &setup.secrets {
            fake = fake.secret(name, key.clone());
        }
        Self {
            setup,
            fake,
            stand,
            scene,
            calls: 0,
            references: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    pub(super) fn stand(&self) -> MutexGuard<'_, Stand<S>> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time passes between calls.
    pub(super) fn pass(&self, milliseconds: u64) {
        let mut world = self.fake.world();
        world.now = world.now.saturating_add_unsigned(milliseconds);
    }

    /// The state of the instance is as it was: nothing of a call is kept that the hub did not live to write down.
    pub(super) fn forget(&mut self) {
        self.fake.world().state.clear();
        self.references.clear();
    }

    /// Hands a batch over, while this goes wrong, and looks at what holds for every call.
    pub(super) fn call(&mut self, batch: &[Parcel], plan: Option<Plan>) -> Called {
        let deliveries: Vec<Delivery> = batch.iter().map(|parcel| parcel.delivery.clone()).collect();
        let (result, seen) = self.watched(plan, |setup, fake| {
            (setup.deliver)(&fake.host(), &setup.settings, deliveries.clone())
        });
        let (verdicts, odd) = verdicts(batch, &result);
        let called = Called {
            name: format!("call {} of `deliver`", self.calls),
            verdicts,
            seen,
        };
        for what in odd {
            self.find(Rule::OneVerdict, &called, None, what);
        }
        self.always(&called, result.as_ref().err(), &words_of(&result));
        if plan.is_none() {
            for parcel in batch.iter().filter(|parcel| called.is_silent(parcel)) {
                self.find(
                    Rule::OneVerdict,
                    &called,
                    Some(parcel),
                    "nothing went wrong, time was left, and it has no verdict".into(),
                );
            }
        }
        for parcel in batch {
            self.keep(&called, parcel);
        }
        called
    }

    /// Lets the plugin handle a request of the other system.
    pub(super) fn handle(&mut self, request: &InboundRequest) -> (Called, Result<Outcome, PluginError>) {
        let (result, seen) = self.watched(None, |setup, fake| match setup.handle {
            Some(handle) => handle(&fake.host(), &setup.settings, request.clone()),
            None => Err(PluginError::unsupported("it is not called")),
        });
        let called = Called {
            name: format!("call {} of the plugin, `handle`", self.calls),
            verdicts: BTreeMap::new(),
            seen,
        };
        let mut words = Vec::new();
        match &result {
            Ok(outcome) => words.extend(outcome.refusals.iter().map(|refusal| {
                let said = format!("{}: {} ({})", refusal.place, refusal.reason, refusal.code);
                ("a refusal".to_owned(), said)
            })),
            Err(Trap::Error(error)) => words.push(("the error".to_owned(), words_of_error(error))),
            Err(Trap::Panic(_)) => {}
        }
        self.always(&called, result.as_ref().err(), &words);
        let result = result.map_err(|trap| match trap {
            Trap::Error(error) => error,
            Trap::Panic(message) => PluginError::permanent("panic", message),
        });
        (called, result)
    }

    /// Makes one call, in which a panic ends nothing but the call.
    fn watched<T>(
        &mut self,
        plan: Option<Plan>,
        work: impl FnOnce(&Setup<S>, &FakeHost) -> Result<T, PluginError>,
    ) -> (Result<T, Trap>, Vec<Seen>) {
        self.calls += 1;
        self.stand().begin(plan);
        let state = {
            let mut world = self.fake.world();
            world.logs.clear();
            world.metrics.clear();
            world.state.clone()
        };
        let (setup, fake) = (self.setup, &self.fake);
        let result = catch_unwind(AssertUnwindSafe(|| work(setup, fake)));
        let result = match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Trap::Error(error)),
            Err(panic) => {
                self.fake.world().state = state;
                Err(Trap::Panic(message_of(panic.as_ref())))
            }
        };
        let seen = self.stand().seen();
        (result, seen)
    }

    /// What no call may do, whatever goes wrong.
    fn always(&mut self, called: &Called, trap: Option<&Trap>, words: &[(String, String)]) {
        if let Some(Trap::Panic(message)) = trap {
            self.find(Rule::NoPanic, called, None, format!("it panicked: {message}"));
        }
        let (remaining_ms, logs, metrics) = {
            let world = self.fake.world();
            (world.call.remaining_ms, world.logs.clone(), world.metrics.clone())
        };
        if remaining_ms == 0 {
            let done = format!("the call used all of its {} ms", self.setup.time_ms);
            self.find(Rule::InTime, called, None, done);
        }
        let strays: Vec<String> = called
            .seen
            .iter()
            .filter(|seen| !seen.is_granted)
            .map(|seen| seen.what.clone())
            .collect();
        for stray in strays {
            self.find(
                Rule::Granted,
                called,
                None,
                format!("it asked for what no grant allows: {stray}"),
            );
        }
        let logged = logs.into_iter().map(|record| {
            let fields: Vec<String> = record
                .fields
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            ("the log".to_owned(), format!("{} {}", record.message, fields.join(" ")))
        });
        let labels = metrics.into_iter().flat_map(|metric| metric.labels);
        let measured = labels.map(|(_, value)| ("a label of a metric".to_owned(), value));
        let all: Vec<(String, String)> = words.iter().cloned().chain(logged).chain(measured).collect();
        for (place, text) in all {
            self.look_for_secrets(called, &place, &text);
        }
    }

    fn look_for_secrets(&mut self, called: &Called, place: &str, text: &str) {
        let setup = self.setup;
        for (name, key) in &setup.secrets {
            let value = String::from_utf8_lossy(key);
            if key.len() >= SECRET_BYTES_MIN && text.contains(&*value) {
                let done = format!("the value of the secret `{name}` stands in {place}");
                self.find(Rule::Secret, called, None, done);
            }
        }
        if PERSONAL.iter().any(|word| text.contains(word)) {
            let done = format!("what a customer said, or is called, stands in {place}: «{text}»");
            self.find(Rule::Quoted, called, None, done);
        }
    }

    /// Keeps the reference of what was delivered, as the hub does.
    fn keep(&mut self, called: &Called, parcel: &Parcel) {
        let Some(Verdict::Done(done)) = called.verdict(parcel) else {
            return;
        };
        if let Some(what) = reference_fault(done) {
            self.find(Rule::Reference, called, Some(parcel), what.to_owned());
        }
        if let Some(reference) = &done.external_ref {
            self.references.insert(parcel.handed.item.clone(), reference.clone());
        }
    }

    pub(super) fn find(&mut self, rule: Rule, called: &Called, parcel: Option<&Parcel>, done: String) {
        let about = parcel.map_or_else(String::new, |parcel| {
            let Delivery { id, attempt, .. } = &parcel.delivery;
            format!(", delivery {id} (attempt {attempt}) of item {}", parcel.handed.item)
        });
        self.findings.push(Finding {
            rule,
            scene: self.scene.clone(),
            call: format!("{}{about}", called.name),
            done,
            passed: called
                .seen
                .iter()
                .map(|seen| format!("{}: {}", seen.what, seen.how))
                .collect(),
        });
    }
}

/// How a call ended that returned nothing.
#[derive(Debug)]
pub(super) enum Trap {
    Error(PluginError),
    Panic(String),
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".into())
}

fn words_of_error(error: &PluginError) -> String {
    format!("{} {}", error.code().unwrap_or_default(), error.summary())
}

/// Everything that a result says to people, with its place.
fn words_of(result: &Result<Vec<Ack>, Trap>) -> Vec<(String, String)> {
    match result {
        Ok(acks) => acks
            .iter()
            .filter_map(|ack| match &ack.state {
                AckState::Delivered(_) => None,
                AckState::Skipped(why) => Some((format!("the verdict of {}", ack.id), why.clone())),
                AckState::Failed(error) => Some((format!("the error of {}", ack.id), words_of_error(error))),
            })
            .collect(),
        Err(Trap::Error(error)) => vec![("the error of the call".to_owned(), words_of_error(error))],
        Err(Trap::Panic(_)) => Vec::new(),
    }
}

//! Lines against a plain model: whatever departments do, and whenever the hub starts anew, of one contact nothing overtakes
//! anything, and everything arrives, once by its key.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mihwar_model::{Actor, EventBody};
use mihwar_sandbox::CallFailure;
use mihwar_sandbox::contract::destination::{Ack, AckState, Delivery};
use mihwar_sandbox::contract::types::{PluginError, Retry};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::super::department::Department;
use super::super::house::{Answer, House, Scripted, all, billing, taken, trap, work_until};
use super::super::line::Line;
use super::super::pausing;
use super::{HOUR, failure, transient};
use crate::keys;

/// How a department is.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Works,
    Down,
    /// It takes everything, and its answers get lost.
    Mute,
    /// It breaks off whenever something of the first contact is in the call.
    Traps,
    /// It takes every second item.
    Halves,
    /// It acknowledges nothing, and has nothing.
    Silent,
    Limited,
    Refuses,
}

#[derive(Debug, Clone)]
enum Deed {
    Write(u8),
    Mood(Mood),
    /// What can be handed over is.
    Turn,
    /// What is on its way goes on a little.
    Yield(u8),
    /// What came back is written down.
    Land,
    Wait(i64),
    /// The hub falls and starts anew, whatever is on its way.
    Restart,
    Resume,
}

fn deed() -> impl Strategy<Value = Deed> {
    let mood = prop_oneof![
        4 => Just(Mood::Works),
        1 => Just(Mood::Down),
        1 => Just(Mood::Mute),
        1 => Just(Mood::Traps),
        1 => Just(Mood::Halves),
        1 => Just(Mood::Silent),
        1 => Just(Mood::Limited),
        1 => Just(Mood::Refuses),
    ];
    prop_oneof![
        8 => (0_u8..4).prop_map(Deed::Write),
        3 => mood.prop_map(Deed::Mood),
        8 => Just(Deed::Turn),
        4 => (0_u8..30).prop_map(Deed::Yield),
        6 => Just(Deed::Land),
        3 => (1_i64..90_000).prop_map(Deed::Wait),
        1 => Just(Deed::Restart),
        1 => Just(Deed::Resume),
    ]
}

/// What the department has, and what it should not have met.
#[derive(Debug)]
struct Theirs {
    mood: Mood,
    has: BTreeSet<String>,
    /// Everything that was ever written, in order, and whose it is.
    written: Vec<(String, u8)>,
    faults: Vec<String>,
}

impl Theirs {
    fn whose(&self, id: &str) -> Option<u8> {
        let mut written = self.written.iter();
        written.find(|(known, _)| known == id).map(|(_, whose)| *whose)
    }

    fn check(&mut self, batch: &[Delivery]) {
        for delivery in batch {
            let id = &delivery.id;
            let Some(whose) = self.whose(id) else {
                self.faults.push(format!("{id} was never written"));
                continue;
            };
            let older = self.written.iter().take_while(|(known, _)| known != id);
            let mut missing = older.filter(|(known, of)| *of == whose && !self.has.contains(known));
            if let Some((missing, _)) = missing.next() {
                self.faults
                    .push(format!("{id} comes before {missing} of the same contact"));
            }
        }
    }

    fn take<'a>(&mut self, batch: impl IntoIterator<Item = &'a Delivery>) {
        self.has.extend(batch.into_iter().map(|delivery| delivery.id.clone()));
    }

    fn answer(&mut self, batch: &[Delivery]) -> Answer {
        self.check(batch);
        let plugin = |error| Err(CallFailure::Plugin(error));
        match self.mood {
            Mood::Traps if batch.iter().any(|delivery| self.whose(&delivery.id) == Some(0)) => Err(trap()),
            Mood::Works | Mood::Traps => {
                self.take(batch);
                Ok(all(batch, taken))
            }
            Mood::Mute => {
                self.take(batch);
                Err(CallFailure::TimeLimit {
                    limit: Duration::from_secs(60),
                    setting: "instance.limits.time",
                })
            }
            Mood::Halves => {
                self.take(batch.iter().step_by(2));
                let acks = batch.iter().enumerate().map(|(number, delivery)| Ack {
                    id: delivery.id.clone(),
                    state: if number % 2 == 0 {
                        taken(delivery)
                    } else {
                        AckState::Failed(transient(None))
                    },
                });
                Ok(acks.collect())
            }
            Mood::Down => plugin(transient(None)),
            Mood::Silent => Ok(Vec::new()),
            Mood::Limited => plugin(PluginError::RateLimited(Retry {
                failure: failure("http-429"),
                after_ms: Some(7_000),
            })),
            Mood::Refuses => plugin(PluginError::Unauthorized(failure("http-401"))),
        }
    }
}

/// One life of a hub: up to its fall, or the end.
async fn live(
    house: &House,
    department: &Arc<Scripted>,
    theirs: &Mutex<Theirs>,
    deeds: &mut impl Iterator<Item = Deed>,
) {
    let (stop, as_department) = (CancellationToken::new(), department.clone() as Arc<dyn Department>);
    let mut line = Line::new(&house.core, billing());
    for deed in deeds {
        match deed {
            Deed::Write(whose) => {
                let id = house.waits(&format!("زبون-{whose}")).await;
                theirs.lock().unwrap().written.push((id.to_string(), whose));
            }
            Deed::Mood(mood) => theirs.lock().unwrap().mood = mood,
            Deed::Turn => {
                line.turn(&as_department).await.unwrap();
            }
            Deed::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            Deed::Land if line.is_flying() => {
                let landed = line.land().await;
                line.settle(&**department, landed, &stop).await.unwrap();
            }
            Deed::Land => {}
            Deed::Wait(millis) => house.clock.advance_millis(millis),
            Deed::Restart => return,
            Deed::Resume => resume(house, department).await,
        }
    }
}

async fn resume(house: &House, department: &Scripted) {
    pausing::resume(&house.core, &Actor::Console, &billing()).await.unwrap();
    department.show_paused(None);
}

async fn check(more: &str, deeds: Vec<Deed>) -> Result<(), TestCaseError> {
    let mut house = House::new();
    let department = Scripted::new(more);
    let theirs = Arc::new(Mutex::new(Theirs {
        mood: Mood::Works,
        has: BTreeSet::new(),
        written: Vec::new(),
        faults: Vec::new(),
    }));
    let script = theirs.clone();
    department.does(move |_, batch| script.lock().unwrap().answer(batch));
    let starts = deeds.iter().filter(|deed| matches!(deed, Deed::Restart)).count();
    let mut deeds = deeds.into_iter();
    for _ in 0..=starts {
        live(&house, &department, &theirs, &mut deeds).await;
        house.restart();
        department.show_paused(None);
    }
    theirs.lock().unwrap().mood = Mood::Works;
    let mut line = Line::new(&house.core, billing());
    resume(&house, &department).await;
    let end = house.now().plus_millis(HOUR);
    work_until(&house, &mut line, &department, end).await;
    let written: BTreeSet<String> = {
        let theirs = theirs.lock().unwrap();
        prop_assert!(theirs.faults.is_empty(), "{:?}", theirs.faults);
        let written = theirs.written.iter().map(|(id, _)| id.clone()).collect();
        prop_assert_eq!(&theirs.has, &written);
        written
    };
    prop_assert!(house.deliveries(keys::OUTBOX).await.is_empty() && house.deliveries(keys::DEAD).await.is_empty());
    let mut told = BTreeSet::new();
    for body in house.events().await {
        if let EventBody::Delivered(delivered) = body {
            prop_assert!(
                told.insert(delivered.delivery.to_string()),
                "told twice: {}",
                delivered.delivery
            );
        }
    }
    prop_assert_eq!(told, written);
    prop_assert_eq!(house.findings().await, Vec::<String>::new());
    Ok(())
}

fn run(more: &str, deeds: Vec<Deed>) -> Result<(), TestCaseError> {
    let more = format!("retry = {{ first = \"1s\", most = \"1m\", attempts = 1000 }}\n{more}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(check(&more, deeds))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn everything_arrives_in_order_and_once(deeds in proptest::collection::vec(deed(), 1..80)) {
        run("batch = 3\nbreaker = { failures = 3 }", deeds)?;
    }

    #[test]
    fn also_when_calls_go_side_by_side(deeds in proptest::collection::vec(deed(), 1..80)) {
        run("batch = 2\nconcurrency = 3", deeds)?;
    }
}

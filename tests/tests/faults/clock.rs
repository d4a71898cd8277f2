//! A clock that steps back and forth, by hours, by a day and to 1970, under a hub with a real department; and a hub
//! that is started with a clock that was never set.

use std::sync::Arc;
use std::time::Duration;

use mihwar_hub::{Config, Doors, Hub, IdempotencyState, Intake, OpenError};
use mihwar_model::{Actor, Channel, Clock, Draft, FeedbackId, InstanceName, ManualClock, OsRandomness, Tag, Time};
use mihwar_tests::{Dice, Receiver, Site, report_faults, rounds};
use tokio::sync::mpsc;

use crate::support::{client, delivered, marked, snapshot, until, without_plugins};

/// Where the clock begins.
const START: Time = Time(1_790_000_000_000);
/// Where it steps to first, in hours from the beginning.
const STEPS: [i64; 6] = [1, -2, 20, -30, 3, -1];
/// Steps at random behind those, in a usual run.
const RANDOM_STEPS: u64 = 4;
/// Records handed in at each step.
const RECORDS: usize = 4;
/// Out of a hundred first deliveries the department fails this many: they wait for a retry when the clock steps.
const FAILED_PERCENT: u64 = 60;

const HOUR_MS: i64 = 3_600_000;

/// A hub on a clock that a test moves.
struct House {
    site: Site,
    clock: Arc<ManualClock>,
}

impl House {
    fn new(receiver: &Receiver) -> Self {
        // The sandbox's client and the receiver use the same one.
        drop(client());
        let site = Site::small(receiver.address).unwrap();
        site.keep_secrets_in_files().unwrap();
        Self {
            site,
            clock: Arc::new(ManualClock::at(START)),
        }
    }

    async fn open(&self) -> Result<Hub, OpenError> {
        let folder = self.site.data().to_str().unwrap().to_owned();
        let data = ("storage.folder".to_owned(), folder);
        let config = Config::load(&self.site.config(), &[data], std::iter::empty()).unwrap();
        let doors = Doors {
            clock: self.clock.clone(),
            randomness: Arc::new(OsRandomness),
            ..Doors::real()
        };
        Hub::open(config, doors).await
    }

    fn set_clock(&self, to: Time) {
        self.clock.advance_millis(to.0 - self.clock.now().0);
    }
}

fn draft(mark: &str) -> Draft {
    Draft {
        body: marked(mark),
        ..Draft::new(Channel::new(Tag::new("kiosk").unwrap()))
    }
}

fn kiosk() -> InstanceName {
    InstanceName::new("kiosk").unwrap()
}

/// Hands in some records, and waits until the department has been asked to take each of them.
async fn hand_in_some(hub: &Hub, receiver: &Receiver, step: usize, ids: &mut Vec<FeedbackId>) {
    let drafts = (0..RECORDS).map(|number| draft(&format!("{step}-{number}"))).collect();
    for intake in hub.accept(&Actor::Console, &kiosk(), drafts).await.unwrap() {
        match intake {
            Intake::New { feedback, .. } => ids.push(feedback),
            other => panic!("{other:?}"),
        }
    }
    // The clock stands still meanwhile: what was failed waits for its retry until the clock steps.
    until("an attempt at every delivery", || {
        (receiver.seen().len() >= ids.len()).then_some(())
    })
    .await;
}

/// Uses one idempotency key for the first time.
async fn use_key(hub: &Hub, key: &str) -> FeedbackId {
    let IdempotencyState::Fresh(ticket) = hub.idempotency_check(None, key, [1; 32]).await.unwrap() else {
        panic!("{key} was used before");
    };
    let answer = |intake: &Intake| match intake {
        Intake::New { feedback, .. } => Some((201, feedback.to_string().into_bytes())),
        _ => None,
    };
    let intake = hub
        .accept_once(&Actor::Console, &kiosk(), draft("key"), &ticket, answer)
        .await;
    match intake.unwrap() {
        Intake::New { feedback, .. } => feedback,
        other => panic!("{other:?}"),
    }
}

async fn assert_key_holds(hub: &Hub, key: &str, first: FeedbackId, moment: &str) {
    let state = hub.idempotency_check(None, key, [1; 32]).await.unwrap();
    let expected = IdempotencyState::Replay {
        status: 201,
        body: first.to_string().into_bytes(),
    };
    assert_eq!(state, expected, "{moment}");
}

async fn assert_verifies(hub: &Hub, moment: &str) {
    let (progress, _told) = mpsc::channel(8);
    let report = hub.verify(progress).await.unwrap();
    assert!(report.ok, "{moment}: {:?}", report.findings);
}

/// Where the clock steps to, one after the other. All within a day after the beginning: so long is a key kept.
fn steps(dice: &mut Dice) -> Vec<Time> {
    let hours = |hours: i64| START.plus_millis(hours * HOUR_MS);
    let mut steps: Vec<Time> = STEPS.into_iter().map(hours).collect();
    steps.insert(4, Time(5_000));
    for _ in 0..rounds(RANDOM_STEPS) {
        let to = i64::try_from(dice.below(95 * 60)).unwrap() - 72 * 60;
        steps.push(START.plus_millis(to * 60_000));
    }
    steps
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_and_forth_loses_nothing_and_holds_nothing_up() {
    let mut dice = Dice::thrown();
    let receiver = Receiver::start_for_any_clock(FAILED_PERCENT).await.unwrap();
    let house = House::new(&receiver);
    let hub = house.open().await.unwrap();
    hub.start();
    let mut ids = vec![use_key(&hub, "مفتاح").await];
    let first = ids[0];
    let steps = steps(&mut dice);
    for (number, to) in steps.iter().enumerate() {
        hand_in_some(&hub, &receiver, number, &mut ids).await;
        house.set_clock(*to);
        assert_key_holds(&hub, "مفتاح", first, &format!("step {number} to {to}")).await;
        assert!(!hub.checkpoint().await.unwrap().is_empty());
    }
    // A start with a clock that was put back by days: behind the newest entry, and good all the same.
    hub.close().await.unwrap();
    drop(hub);
    house.set_clock(START.plus_millis(-240 * HOUR_MS));
    let hub = house.open().await.unwrap();
    hub.start();
    hand_in_some(&hub, &receiver, steps.len(), &mut ids).await;
    assert_key_holds(&hub, "مفتاح", first, "after a start").await;
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");

    let late = until_delivered(&house, &receiver, ids.len()).await;
    assert_eq!(receiver.unsigned(), Vec::<String>::new());
    let arrived = delivered(&receiver);
    assert!(
        arrived.len() == ids.len() && arrived.values().all(|keys| keys.len() == 1),
        "{arrived:?}"
    );
    assert!(late > 0, "no delivery waited while the clock stepped");
    assert_verifies(&hub, "at the end").await;
    hub.close().await.unwrap();
    report_faults(
        "steps of the clock",
        &[
            ("seed", dice.seed()),
            ("steps", steps.len() as u64 + 1),
            ("records", ids.len() as u64),
            ("deliveries that waited over a step", late),
            ("lost", 0),
            ("stuck", 0),
        ],
    );
}

/// Lets the clock go on until everything has arrived. Answers how many deliveries were failed first.
async fn until_delivered(house: &House, receiver: &Receiver, expected: usize) -> u64 {
    until("every delivery", || {
        house.clock.advance_millis(100);
        (receiver.delivered() >= expected).then_some(())
    })
    .await;
    // Nothing comes twice while the clock goes on: by an hour, which is longer than any pause before a retry.
    for _ in 0..60 {
        house.clock.advance_millis(HOUR_MS / 60);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = receiver.seen();
    assert_eq!(seen.len(), expected);
    for (key, seen) in &seen {
        let good = seen.answers.iter().filter(|status| **status == 200).count();
        assert_eq!(good, 1, "{key}: {:?}", seen.answers);
    }
    seen.values().filter(|seen| seen.answers.len() > 1).count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_not_started_in_1970() {
    let receiver = Receiver::start_for_any_clock(0).await.unwrap();
    let house = House::new(&receiver);
    without_plugins(&house.site);
    house.set_clock(Time(5_000));
    let told = match house.open().await {
        Err(error @ OpenError::Clock { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(told.contains("1970-01-01") && told.contains("set it"), "{told}");
    assert!(!house.site.data().exists(), "nothing may be made under such a clock");
    // Nor is a folder that is there already touched.
    house.set_clock(START);
    house.open().await.unwrap().close().await.unwrap();
    let before = snapshot(&house.site.data());
    house.set_clock(Time(0));
    assert!(matches!(house.open().await, Err(OpenError::Clock { .. })));
    assert_eq!(snapshot(&house.site.data()), before);
    report_faults("a clock in 1970", &[("refused", 2), ("changed", 0)]);
}

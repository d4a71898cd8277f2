//! Lines to departments that are down, that refuse, that are slow, that want to be let alone: under a clock that the tests
//! move, over a store that outlives the line.

mod changes;
mod keeping_up;
mod property;

use mihwar_model::{Actor, EventBody, Tag, Time};
use mihwar_sandbox::CallFailure;
use mihwar_sandbox::contract::destination::{AckState, Delivery};
use mihwar_sandbox::contract::types::{Failure, PluginError, Retry};

use super::house::{Answer, House, START, Scripted, all, billing, taken, work, work_until};
use super::line::{Line, Next};
use super::pausing;
use crate::erasure::erase;
use crate::keys;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn failure(code: &str) -> Failure {
    Failure {
        code: code.into(),
        message: "النظام متوقف".into(),
    }
}

fn transient(after_ms: Option<u64>) -> PluginError {
    PluginError::Transient(Retry {
        failure: failure("http-503"),
        after_ms,
    })
}

/// The whole call fails so.
fn fails(error: impl Fn() -> PluginError) -> impl FnMut(Time, &[Delivery]) -> Answer {
    move |_, _| Err(CallFailure::Plugin(error()))
}

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

async fn delivered(house: &House) -> usize {
    let events = house.events().await;
    events
        .iter()
        .filter(|body| matches!(body, EventBody::Delivered(_)))
        .count()
}

#[tokio::test]
async fn a_week_down_loses_nothing_and_uses_no_attempts_up() {
    let house = House::new();
    let department = Scripted::new("batch = 4");
    department.does(fails(|| transient(None)));
    let mut line = Line::new(&house.core, billing());
    let mut waiting = Vec::new();
    for day in 0..7 {
        for number in 0..3 {
            // One of them comes every day.
            waiting.push(house.waits(&format!("c-{}", number * day)).await);
        }
        work_until(&house, &mut line, &department, START.plus_millis((day + 1) * DAY)).await;
    }
    let calls = department.calls();
    assert!((700..1_300).contains(&calls.len()), "{} calls in a week", calls.len());
    assert!(
        calls.iter().skip(8).all(|call| call.ids.len() == 1),
        "one delivery finds out whether it is back"
    );
    assert_eq!(house.deliveries(keys::OUTBOX).await, waiting);
    for delivery in &waiting {
        let row = house.waiting(*delivery).await;
        assert!(row.attempts - row.attempts_before_replay <= 5, "{row:?}");
    }
    department.works();
    let back = house.now().plus_millis(20 * MINUTE);
    work_until(&house, &mut line, &department, back).await;
    assert_eq!(delivered(&house).await, waiting.len());
    assert!(house.deliveries(keys::OUTBOX).await.is_empty() && house.deliveries(keys::DEAD).await.is_empty());
    // Those of the contact who came every day arrived in their order.
    let handed = department.handed();
    let of_one: Vec<_> = waiting.iter().step_by(3).collect();
    let places: Vec<_> = of_one
        .iter()
        .map(|id| handed.iter().position(|handed| handed == *id))
        .collect();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_start_in_the_middle_of_an_outage_changes_nothing() {
    let mut house = House::new();
    let department = Scripted::new("breaker = { failures = 2, first = \"1m\", most = \"1h\" }");
    department.does(fails(|| transient(None)));
    for number in 0..4 {
        house.waits(&format!("c-{number}")).await;
    }
    let mut line = Line::new(&house.core, billing());
    work_until(&house, &mut line, &department, START.plus_millis(30_000)).await;
    assert_eq!(department.calls().len(), 2);
    drop(line);
    house.restart();
    let mut line = Line::new(&house.core, billing());
    let next = work(&mut line, &department).await;
    let Next::At(next) = next else {
        panic!("{next:?}");
    };
    assert!(next > house.now() && next <= house.now().plus_millis(MINUTE));
    assert!(
        department.calls().is_empty(),
        "it is left alone by the new process, too"
    );
    work_until(&house, &mut line, &department, next.plus_millis(1)).await;
    assert_eq!(department.calls().len(), 1);
}

#[tokio::test]
async fn a_key_that_was_taken_back_pauses_until_somebody_acts() {
    let mut house = House::new();
    let department = Scripted::new("");
    department.does(fails(|| PluginError::Unauthorized(failure("http-410"))));
    let delivery = house.waits("هدى").await;
    let mut line = Line::new(&house.core, billing());
    assert_eq!(work(&mut line, &department).await, Next::Told);
    let shown = department.shown().unwrap();
    assert!(
        shown.contains("http-410") && shown.contains("mihwar delivery resume billing"),
        "{shown}"
    );
    drop(line);
    // A start, and a department that has just been built.
    house.restart();
    house.clock.advance_millis(30 * DAY);
    let department = Scripted::new("");
    let mut line = Line::new(&house.core, billing());
    assert_eq!(work(&mut line, &department).await, Next::Told);
    assert!(department.calls().is_empty() && department.shown().unwrap().contains("http-410"));
    assert!(pausing::resume(&house.core, &Actor::Console, &billing()).await.unwrap());
    assert!(
        !pausing::resume(&house.core, &Actor::Console, &billing()).await.unwrap(),
        "once"
    );
    let row = house.waiting(delivery).await;
    assert_eq!(row.attempts, row.attempts_before_replay, "no attempt was used up");
    let department = Scripted::new("");
    assert_eq!(work(&mut line, &department).await, Next::Told);
    assert_eq!(department.handed(), [delivery]);
    let events = house.events().await;
    let told = |body: &&EventBody| matches!(body, EventBody::DestinationPaused(_) | EventBody::DestinationResumed(_));
    assert_eq!(events.iter().filter(told).count(), 2);
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_of_its_configuration_lets_a_paused_department_go_on() {
    let house = House::new();
    let department = Scripted::new("");
    department.does(fails(|| PluginError::Misconfigured(Vec::new())));
    let delivery = house.waits("خالد").await;
    let mut line = Line::new(&house.core, billing());
    assert_eq!(work(&mut line, &department).await, Next::Told);
    department.works();
    work_until(&house, &mut line, &department, house.now().plus_millis(DAY)).await;
    assert_eq!(department.calls().len(), 1, "it is not asked again");
    department.reconfigured();
    work_until(&house, &mut line, &department, house.now().plus_millis(MINUTE)).await;
    assert_eq!((department.shown(), department.handed()), (None, vec![delivery]));
}

#[tokio::test]
async fn quiet_hours_are_those_of_the_departments_clock_also_when_it_changes() {
    // At 03:00 on that Sunday clocks are put back by an hour.
    let house = House::at(at("2026-10-24T19:30:00Z"));
    let department = Scripted::new("time-zone = \"Europe/Berlin\"\nquiet = { from = \"22:00\", to = \"07:00\" }");
    let mut line = Line::new(&house.core, billing());
    let by_day = house.waits("هدى").await;
    work(&mut line, &department).await;
    assert_eq!(department.handed(), [by_day]);
    house.go_to(at("2026-10-24T20:00:00Z"));
    let by_night = house.waits("هدى").await;
    assert_eq!(work(&mut line, &department).await, Next::At(at("2026-10-25T06:00:00Z")));
    work_until(&house, &mut line, &department, at("2026-10-25T05:59:59Z")).await;
    assert!(department.calls().is_empty());
    work_until(&house, &mut line, &department, at("2026-10-25T06:00:01Z")).await;
    assert_eq!(department.handed(), [by_night]);
}

#[tokio::test]
async fn a_rate_is_kept_and_a_start_is_no_burst() {
    let mut house = House::new();
    let department = Scripted::new("rate = \"60/min\"\nbatch = 10");
    for number in 0..30 {
        house.waits(&format!("c-{number}")).await;
    }
    for _ in 0..3 {
        let mut line = Line::new(&house.core, billing());
        let until = house.now().plus_millis(5_500);
        work_until(&house, &mut line, &department, until).await;
        drop(line);
        house.restart();
    }
    let calls = department.calls();
    let gaps = calls.windows(2).map(|pair| pair[1].at.0 - pair[0].at.0);
    assert!(
        calls.iter().all(|call| call.ids.len() == 1) && gaps.min().unwrap() >= 1_000,
        "{calls:?}"
    );
    assert!((13..=16).contains(&calls.len()), "{} in 16.5 s", calls.len());
}

#[tokio::test]
async fn whoever_asks_to_be_let_alone_is_let_alone_and_no_attempt_is_used_up() {
    let house = House::new();
    let department = Scripted::new("");
    let limited = |after_ms| {
        PluginError::RateLimited(Retry {
            failure: failure("http-429"),
            after_ms,
        })
    };
    let mut line = Line::new(&house.core, billing());
    // What is odd is bounded: never at once, never for longer than the longest pause of the schedule.
    for (asked, pause) in [(Some(90_000), 90_000), (Some(0), 1_000), (Some(u64::MAX), DAY)] {
        let delivery = house.waits("هدى").await;
        department.does(fails(move || limited(asked)));
        work(&mut line, &department).await;
        department.works();
        let asked_at = house.now();
        work_until(&house, &mut line, &department, asked_at.plus_millis(pause - 1)).await;
        assert_eq!(department.handed(), [delivery], "{asked:?}");
        let row = house.waiting(delivery).await;
        assert_eq!(row.attempts, row.attempts_before_replay);
        work_until(&house, &mut line, &department, asked_at.plus_millis(pause + MINUTE)).await;
        assert_eq!(department.handed(), [delivery], "{asked:?}");
    }
}

#[tokio::test]
async fn a_digest_goes_out_at_its_time_as_one_and_says_of_the_erased_at_once() {
    // A Wednesday.
    let house = House::at(at("2026-11-18T10:00:00Z"));
    let department = Scripted::new("time-zone = \"Asia/Riyadh\"\ndigest = { cron = \"0 8 * * SUN\" }");
    let mut line = Line::new(&house.core, billing());
    let mut waiting = Vec::new();
    for who in ["هدى", "خالد", "هدى", "salem"] {
        waiting.push(house.waits(who).await);
        let next = house.now().plus_millis(6 * HOUR);
        work_until(&house, &mut line, &department, next).await;
    }
    assert!(department.calls().is_empty());
    let contact = house.waiting(waiting[1]).await.contact;
    let why = Tag::new("طلب-صاحبها").unwrap();
    erase(&house.core, &[], &Actor::Console, contact, &why).await.unwrap();
    work_until(&house, &mut line, &department, at("2026-11-22T05:00:30Z")).await;
    let calls = department.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].at, at("2026-11-22T05:00:00Z"));
    assert_eq!(calls[0].ids, [waiting[0], waiting[2], waiting[3]]);
    assert!(calls[0].kinds.iter().all(|kind| *kind == "digest"));
    // What comes later waits for the next one; that something is gone is said at once.
    house.waits("خالد").await;
    let huda = house.events().await.into_iter().find_map(|body| match body {
        EventBody::Delivered(delivered) => Some(delivered.feedback),
        _ => None,
    });
    let contact = house.contact_of(huda.unwrap()).await;
    erase(&house.core, &[], &Actor::Console, contact, &why).await.unwrap();
    work_until(&house, &mut line, &department, at("2026-11-22T05:01:00Z")).await;
    let calls = department.calls();
    assert!(
        calls.iter().flat_map(|call| &call.kinds).all(|kind| *kind == "erased"),
        "{calls:?}"
    );
    assert_eq!(calls.iter().map(|call| call.ids.len()).sum::<usize>(), 2);
    work_until(&house, &mut line, &department, at("2026-11-29T05:00:01Z")).await;
    assert_eq!(department.handed().len(), 1);
}

/// One item fails, with its own error.
fn refuses(poison: String, error: impl Fn() -> PluginError) -> impl FnMut(Time, &[Delivery]) -> Answer {
    move |_, batch| {
        Ok(all(batch, |delivery| match delivery.id == poison {
            true => AckState::Failed(error()),
            false => taken(delivery),
        }))
    }
}

//! Deliveries that their department cannot take, calls side by side, and backlogs: the rest go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mihwar_model::{DeliveryId, Kind};
use mihwar_sandbox::CallFailure;
use mihwar_sandbox::contract::destination::Delivery;
use mihwar_sandbox::contract::types::{PluginError, Retry};

use super::super::department::Department;
use super::super::house::{House, START, Scripted, all, billing, often, taken, trap, work, work_until};
use super::super::line::{Line, Next};
use super::{HOUR, MINUTE, delivered, fails, failure, refuses, transient};
use crate::keys;

#[tokio::test]
async fn an_item_that_ends_its_call_costs_itself_alone() {
    let house = House::new();
    let department = Scripted::new("batch = 8\nretry = { schedule = [\"1s\", \"1s\"] }");
    let mut waiting = Vec::new();
    for number in 0..8 {
        waiting.push(house.waits(&format!("c-{number}")).await);
    }
    let poison = waiting[5].to_string();
    department.does(
        move |_, batch: &[Delivery]| match batch.iter().any(|delivery| delivery.id == poison) {
            true => Err(trap()),
            false => Ok(all(batch, taken)),
        },
    );
    let mut line = Line::new(&house.core, billing());
    work(&mut line, &department).await;
    assert_eq!(delivered(&house).await, 7, "the rest went on at once");
    for number in 8..16 {
        waiting.push(house.waits(&format!("c-{number}")).await);
    }
    work_until(&house, &mut line, &department, START.plus_millis(MINUTE)).await;
    let calls = department.calls();
    let with_it = calls.iter().filter(|call| call.ids.contains(&waiting[5]));
    let sizes: Vec<usize> = with_it.map(|call| call.ids.len()).collect();
    assert_eq!(sizes, [8, 4, 2, 1, 1, 1], "found by halves, and alone from then on");
    assert_eq!(delivered(&house).await, 15);
    assert_eq!(house.deliveries(keys::DEAD).await, [waiting[5]]);
    assert!(house.deliveries(keys::OUTBOX).await.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_department_refuses_for_good_is_set_aside_and_what_it_cannot_take_now_is_not() {
    let house = House::new();
    let department = Scripted::new("");
    let (first, second) = (house.waits("هدى").await, house.waits("هدى").await);
    let other = house.waits("خالد").await;
    department.does(refuses(first.to_string(), || transient(None)));
    let mut line = Line::new(&house.core, billing());
    work(&mut line, &department).await;
    assert_eq!(
        department.handed(),
        [first, other],
        "the second one of a contact waits for the first"
    );
    department.does(refuses(first.to_string(), || {
        PluginError::Permanent(failure("http-422"))
    }));
    work_until(&house, &mut line, &department, START.plus_millis(MINUTE)).await;
    assert_eq!(department.handed(), [first, second]);
    assert_eq!(house.deliveries(keys::DEAD).await, [first]);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_made_smaller_until_it_does_not() {
    let house = House::new();
    let department = Scripted::new("batch = 16\nbreaker = { failures = 9 }");
    for number in 0..40 {
        house.waits(&format!("c-{number}")).await;
    }
    department.does(|_, batch: &[Delivery]| match batch.len() {
        ..=5 => Ok(all(batch, taken)),
        _ => Err(CallFailure::TimeLimit {
            limit: Duration::from_secs(60),
            setting: "instance.limits.time",
        }),
    });
    let mut line = Line::new(&house.core, billing());
    work_until(&house, &mut line, &department, START.plus_millis(MINUTE)).await;
    let calls = department.calls();
    let sizes: Vec<usize> = calls.iter().map(|call| call.ids.len()).collect();
    assert_eq!(sizes[..3], [16, 8, 4]);
    assert_eq!(sizes.iter().filter(|size| **size > 5).count(), 2, "{sizes:?}");
    assert_eq!(delivered(&house).await, 40);
}

#[tokio::test]
async fn calls_go_side_by_side_and_never_two_of_one_contact() {
    let house = House::new();
    let department = Scripted::new("batch = 2\nconcurrency = 3");
    let mut waiting = Vec::new();
    for number in 0..12 {
        waiting.push(house.waits(&format!("c-{}", number % 6)).await);
    }
    let mut line = Line::new(&house.core, billing());
    let as_department = department.clone() as Arc<dyn Department>;
    assert_eq!(line.turn(&as_department).await.unwrap(), Next::Told);
    // Nobody has taken them back yet.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let calls = department.calls();
    let side_by_side: BTreeSet<DeliveryId> = calls.iter().flat_map(|call| call.ids.clone()).collect();
    assert_eq!((calls.len(), side_by_side), (3, waiting[..6].iter().copied().collect()));
    work(&mut line, &department).await;
    let rest: BTreeSet<DeliveryId> = department.handed().into_iter().collect();
    assert_eq!(rest, waiting[6..].iter().copied().collect());
    assert_eq!(delivered(&house).await, 12);
}

#[tokio::test]
async fn who_writes_now_does_not_wait_for_the_backlog_of_a_night() {
    let house = House::new();
    let department = Scripted::new("batch = 4\nrate = \"4/s\"");
    // It is paused for a while.
    department.does(fails(|| {
        PluginError::RateLimited(Retry {
            failure: failure("maintenance"),
            after_ms: Some(3_600_000),
        })
    }));
    let mut line = Line::new(&house.core, billing());
    let mut backlog = vec![house.waits("قديم").await];
    work_until(&house, &mut line, &department, START.plus_millis(MINUTE)).await;
    for number in 0..60 {
        backlog.push(house.waits(&format!("old-{number}")).await);
    }
    department.works();
    work_until(&house, &mut line, &department, START.plus_millis(HOUR + 2_000)).await;
    department.calls();
    let mut live = Vec::new();
    for number in 0..40 {
        live.push(house.waits(&format!("new-{number}")).await);
    }
    // One who waits in the backlog says something more.
    let later = house.waits("old-59").await;
    let soon = house.now().plus_millis(10_000);
    work_until(&house, &mut line, &department, soon).await;
    let handed = department.handed();
    let of = |some: &[DeliveryId]| handed.iter().filter(|id| some.contains(id)).count();
    assert!(
        of(&live) >= 26 && of(&backlog) >= 8,
        "{} live, {} of the backlog",
        of(&live),
        of(&backlog)
    );
    assert_eq!(of(&[later]), 0, "not before what they said earlier");
    let end = house.now().plus_millis(HOUR);
    work_until(&house, &mut line, &department, end).await;
    assert_eq!(delivered(&house).await, 102);
    let handed = [handed, department.handed()].concat();
    let place = |wanted: DeliveryId| handed.iter().position(|id| *id == wanted).unwrap();
    assert!(place(backlog[60]) < place(later));
}

#[tokio::test]
async fn a_line_with_nothing_to_do_looks_at_nothing() {
    let house = House::new();
    let department = Scripted::new("");
    let first = house.waits("هدى").await;
    let mut line = Line::new(&house.core, billing());
    assert_eq!(work(&mut line, &department).await, Next::Told);
    assert_eq!(department.handed(), [first]);
    let (views, writes) = (&house.store.views, &house.store.writes);
    let before = (views.load(Ordering::Relaxed), writes.load(Ordering::Relaxed));
    for _ in 0..100 {
        house.clock.advance_millis(60_000);
        assert_eq!(work(&mut line, &department).await, Next::Told);
    }
    assert_eq!((views.load(Ordering::Relaxed), writes.load(Ordering::Relaxed)), before);
    // What is written meanwhile for another department is no reason to look, either.
    let feedback = house.said("c-9", "شكرًا", Kind::Praise).await;
    house.route(feedback, &["service"]).await;
    let before = views.load(Ordering::Relaxed);
    assert_eq!(work(&mut line, &department).await, Next::Told);
    assert_eq!(views.load(Ordering::Relaxed), before);
    let second = house.waits("هدى").await;
    work(&mut line, &department).await;
    assert_eq!(department.handed(), [second]);
}

#[tokio::test]
async fn a_backlog_is_read_once_and_settled_with_few_writes() {
    let house = House::new();
    let department = Scripted::new("batch = 50\nconcurrency = 4");
    for number in 0..400 {
        house.waits(&format!("c-{}", number % 200)).await;
    }
    let mut line = Line::new(&house.core, billing());
    let before = house.store.writes.load(Ordering::Relaxed);
    work(&mut line, &department).await;
    let writes = house.store.writes.load(Ordering::Relaxed) - before;
    assert_eq!(delivered(&house).await, 400);
    let calls = department.calls();
    assert!(often(&calls).values().all(|times| *times == 1));
    // Eight batches at least; folding what became of them writes, too.
    assert!(
        calls.len() <= 14 && writes <= 30,
        "{} calls, {writes} writes",
        calls.len()
    );
}

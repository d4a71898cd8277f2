//! What changes while something is on its way: configurations, keys, rows; somebody lets a department go on; what is written
//! is written without an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mihwar_model::{Actor, EventBody};
use mihwar_sandbox::contract::destination::Delivery;
use mihwar_sandbox::contract::types::{PluginError, Retry};
use mihwar_store::Edit;
use tokio_util::sync::CancellationToken;

use super::super::department::Department;
use super::super::house::{House, Scripted, all, billing, taken, work, work_until};
use super::super::line::{Line, Next};
use super::super::pausing;
use super::{HOUR, MINUTE, at, delivered, fails, failure};
use crate::{keys, rows};

fn refused() -> PluginError {
    PluginError::Unauthorized(failure("http-401"))
}

#[tokio::test]
async fn what_the_former_key_was_refused_with_pauses_nobody_who_has_a_new_one() {
    let house = House::new();
    let department = Scripted::new("");
    department.does(fails(refused));
    let delivery = house.waits("هدى").await;
    let (mut line, stop) = (Line::new(&house.core, billing()), CancellationToken::new());
    let as_department = department.clone() as Arc<dyn Department>;
    assert_eq!(line.turn(&as_department).await.unwrap(), Next::Told);
    // The key is changed while a call with the old one is on its way.
    department.reconfigured();
    assert_eq!(line.turn(&as_department).await.unwrap(), Next::Told);
    let landed = line.land().await;
    line.settle(&*department, landed, &stop).await.unwrap();
    department.works();
    let soon = house.now().plus_millis(MINUTE);
    work_until(&house, &mut line, &department, soon).await;
    assert_eq!(department.shown(), None);
    assert_eq!(department.handed(), [delivery, delivery]);
    let events = house.events().await;
    assert!(
        !events
            .iter()
            .any(|body| matches!(body, EventBody::DestinationPaused(_)))
    );
}

#[tokio::test]
async fn what_was_on_its_way_when_somebody_let_it_go_on_does_not_pause_it_again() {
    let house = House::new();
    let department = Scripted::new("");
    department.does(fails(refused));
    house.waits("هدى").await;
    let (mut line, stop) = (Line::new(&house.core, billing()), CancellationToken::new());
    let as_department = department.clone() as Arc<dyn Department>;
    line.turn(&as_department).await.unwrap();
    // An earlier answer has it wait.
    let outbox = house.core.outboxes.of(&billing());
    let mut standing = outbox.standing(&house.core).await.unwrap();
    let hour = std::time::Duration::from_secs(3_600);
    standing.hold(house.now().plus_millis(HOUR), house.now(), hour);
    outbox.stands(standing);
    assert!(pausing::resume(&house.core, &Actor::Console, &billing()).await.unwrap());
    let landed = line.land().await;
    line.settle(&*department, landed, &stop).await.unwrap();
    let standing = outbox.standing(&house.core).await.unwrap();
    assert!(standing.paused.is_none() && department.shown().is_none());
}

#[tokio::test]
async fn what_is_no_digest_any_more_goes_out_although_one_was_on_its_way() {
    let house = House::at(at("2026-11-22T04:00:00Z"));
    let digest = Scripted::new("time-zone = \"Asia/Riyadh\"\ndigest = { cron = \"0 8 * * SUN\" }");
    let first = house.waits("هدى").await;
    house.go_to(at("2026-11-22T05:00:30Z"));
    let (mut line, stop) = (Line::new(&house.core, billing()), CancellationToken::new());
    let as_department = digest.clone() as Arc<dyn Department>;
    line.turn(&as_department).await.unwrap();
    assert!(line.is_flying());
    let second = house.waits("خالد").await;
    let single = Scripted::new("");
    single.reconfigured();
    let as_department = single.clone() as Arc<dyn Department>;
    line.turn(&as_department).await.unwrap();
    let landed = line.land().await;
    line.settle(&*single, landed, &stop).await.unwrap();
    assert_eq!(digest.handed(), [first]);
    let soon = house.now().plus_millis(MINUTE);
    work_until(&house, &mut line, &single, soon).await;
    assert_eq!(single.handed(), [second]);
}

#[tokio::test]
async fn what_was_written_down_without_an_answer_is_not_written_down_twice() {
    let house = House::new();
    let department = Scripted::new("");
    department.does(fails(refused));
    let delivery = house.waits("خالد").await;
    let (mut line, stop) = (Line::new(&house.core, billing()), CancellationToken::new());
    let as_department = department.clone() as Arc<dyn Department>;
    line.turn(&as_department).await.unwrap();
    let landed = line.land().await;
    house.store.is_mute.store(true, Ordering::Relaxed);
    line.settle(&*department, landed, &stop).await.unwrap();
    assert_eq!(house.waiting(delivery).await.attempts, 1);
    let events = house.events().await;
    let often = |wanted: fn(&EventBody) -> bool| events.iter().filter(|body| wanted(body)).count();
    assert_eq!(often(|body| matches!(body, EventBody::DeliveryFailed(_))), 1);
    assert_eq!(often(|body| matches!(body, EventBody::DestinationPaused(_))), 1);
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_row_that_changes_meanwhile_strands_nobody() {
    let house = House::new();
    let department = Scripted::new("");
    let delivery = house.waits("هدى").await;
    let (mut line, stop) = (Line::new(&house.core, billing()), CancellationToken::new());
    let as_department = department.clone() as Arc<dyn Department>;
    line.turn(&as_department).await.unwrap();
    let key = keys::outbox(&billing(), delivery);
    house
        .write(vec![Edit::Put(key.clone(), "صف تالف".into())], Vec::new())
        .await;
    let landed = line.land().await;
    house
        .write(vec![Edit::Put(key, "صف تالف آخر".into())], Vec::new())
        .await;
    assert!(line.settle(&*department, landed, &stop).await.is_err());
    let soon = house.now().plus_millis(MINUTE);
    work_until(&house, &mut line, &department, soon).await;
    assert!(department.calls().is_empty());
    assert_eq!(house.deliveries(keys::DEAD).await, [delivery]);
}

#[tokio::test]
async fn what_could_not_be_looked_at_is_looked_at_again() {
    let house = House::new();
    let department = Scripted::new("");
    let delivery = house.waits("هدى").await;
    let row = house.waiting(delivery).await;
    let mut line = Line::new(&house.core, billing());
    work(&mut line, &department).await;
    assert_eq!(department.handed(), [delivery]);
    // It is sent again, and the disk fails just then.
    let key = keys::outbox(&billing(), delivery);
    house
        .write(vec![Edit::Put(key, rows::encode(&row).unwrap())], Vec::new())
        .await;
    house.store.is_blind.store(true, Ordering::Relaxed);
    let as_department = department.clone() as Arc<dyn Department>;
    assert!(line.turn(&as_department).await.is_err());
    work(&mut line, &department).await;
    assert_eq!(department.handed(), [delivery]);
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept_although_the_schedule_has_none_so_long() {
    let house = House::new();
    let department = Scripted::new("retry = { schedule = [\"5s\", \"1m\"] }");
    department.does(fails(|| {
        PluginError::RateLimited(Retry {
            failure: failure("http-429"),
            after_ms: Some(3_600_000),
        })
    }));
    let delivery = house.waits("خالد").await;
    let mut line = Line::new(&house.core, billing());
    work(&mut line, &department).await;
    department.works();
    let asked_at = house.now();
    work_until(&house, &mut line, &department, asked_at.plus_millis(HOUR - 1)).await;
    assert_eq!(department.handed(), [delivery]);
    work_until(&house, &mut line, &department, asked_at.plus_millis(HOUR + MINUTE)).await;
    assert_eq!(department.handed(), [delivery]);
}

#[tokio::test]
async fn whoever_says_for_hours_that_it_is_too_much_is_asked_with_one_at_a_time() {
    let house = House::new();
    let department = Scripted::new("batch = 8");
    department.does(fails(|| {
        PluginError::RateLimited(Retry {
            failure: failure("http-429"),
            after_ms: None,
        })
    }));
    for number in 0..8 {
        house.waits(&format!("c-{number}")).await;
    }
    let mut line = Line::new(&house.core, billing());
    let later = house.now().plus_millis(HOUR);
    work_until(&house, &mut line, &department, later).await;
    let sizes: Vec<usize> = department.calls().iter().map(|call| call.ids.len()).collect();
    assert!(
        sizes[0] == 8 && sizes.len() > 100 && sizes[1..].iter().all(|size| *size == 1),
        "{sizes:?}"
    );
    department.works();
    let later = house.now().plus_millis(MINUTE);
    work_until(&house, &mut line, &department, later).await;
    let sizes: Vec<usize> = department.calls().iter().map(|call| call.ids.len()).collect();
    assert_eq!((sizes[0], sizes.iter().sum::<usize>()), (1, 8), "{sizes:?}");
    assert!(sizes.len() < 8, "together again once one has arrived: {sizes:?}");
}

#[tokio::test]
async fn an_item_of_which_a_plugin_never_says_anything_is_set_aside_while_the_rest_go_on() {
    let house = House::new();
    let department = Scripted::new("batch = 4\nretry = { schedule = [\"1s\", \"1s\"] }");
    let mut waiting = Vec::new();
    for number in 0..4 {
        waiting.push(house.waits(&format!("c-{number}")).await);
    }
    let poison = waiting[0].to_string();
    department.does(move |_, batch: &[Delivery]| {
        let mut acks = all(batch, taken);
        acks.retain(|ack| ack.id != poison);
        Ok(acks)
    });
    let mut line = Line::new(&house.core, billing());
    work(&mut line, &department).await;
    for number in 4..10 {
        // It is never alone in the outbox.
        house.clock.advance_millis(2_000);
        house.waits(&format!("c-{number}")).await;
        work(&mut line, &department).await;
    }
    assert_eq!(house.deliveries(keys::DEAD).await, [waiting[0]]);
    assert_eq!(delivered(&house).await, 9);
    assert_eq!(house.findings().await, Vec::<String>::new());
}

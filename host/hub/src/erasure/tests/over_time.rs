//! Records whose time is over.

use std::sync::Arc;

use mihwar_model::{Draft, EventBody, Kind};
use mihwar_store::MemoryStore;
use tokio_util::sync::CancellationToken;

use super::super::retention::{Sweep, sweep};
use super::{House, huda, id, person, said, tag};
use crate::config::{Hold, RetentionRule};
use crate::erasure::find;
use crate::{keys, query};

const DAY: i64 = 86_400_000;

fn rule(name: &str, kind: Option<Kind>, days: u32) -> RetentionRule {
    RetentionRule {
        name: tag(name),
        kind,
        channel: None,
        days,
    }
}

fn praise(draft: Draft) -> Draft {
    Draft {
        kind: Some(Kind::Praise),
        ..draft
    }
}

#[tokio::test]
async fn the_first_rule_that_fits_decides_and_a_hold_stops_it() {
    let store = Arc::new(MemoryStore::new());
    let house = House::over(store.clone());
    let salem = person("salem@example.com");
    let mona = person("mona@example.com");
    let taken = house
        .accept(vec![
            said(&huda(), "1", "فاتورة خاطئة"),
            said(&salem, "2", "The courier was rude"),
            praise(said(&salem, "3", "شكرًا")),
            said(&mona, "4", "شكوى في قضية"),
        ])
        .await;
    let held = house.contact_of(id(&taken[3])).await;
    let house = house.restarted(store.clone(), 400 * DAY);
    let rules = [rule("شكاوى", Some(Kind::Complaint), 365), rule("rest", None, 1_000)];
    let hold = Hold {
        contact: held,
        reason: "case".to_owned(),
    };
    let stop = CancellationToken::new();
    let run = async |house: &House| {
        sweep(&house.core, &rules, std::slice::from_ref(&hold), &stop)
            .await
            .unwrap()
    };
    let first = run(&house).await;
    let expected = Sweep {
        records: 2,
        contacts: 1,
        held: 1,
        postponed: 0,
    };
    assert_eq!(first, expected);
    assert_eq!(house.findings().await, Vec::<String>::new());
    assert_eq!(
        find(&house.core, &huda()).await.unwrap(),
        None,
        "nothing of her is left"
    );
    assert!(find(&house.core, &salem).await.unwrap().is_some());
    let left = |n: usize| query::feedback(&house.core, id(&taken[n]));
    let mut readable = Vec::new();
    for n in 0..4 {
        readable.push(left(n).await.unwrap().unwrap().content.is_some());
    }
    assert_eq!(readable, [false, false, true, true]);
    let reasons = house.events().await;
    let reasons: Vec<_> = reasons
        .iter()
        .filter_map(|event| match event {
            EventBody::RecordErased(erased) => Some(erased.reason.as_str()),
            EventBody::ContactErased(erased) => Some(erased.reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["شكاوى"; 3]);

    let again = run(&house).await;
    assert_eq!((again.records, again.contacts, again.held), (0, 0, 1));
    let house = house.restarted(store, 1_001 * DAY);
    assert_eq!(run(&house).await.contacts, 1, "the praise, and with it the last of him");
    assert_eq!(house.rows(keys::CONTENT).await.len(), 1);
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_on_its_way_is_left_to_the_next_run() {
    let store = Arc::new(MemoryStore::new());
    let house = House::over(store.clone());
    let taken = house.accept(vec![said(&huda(), "1", "انتظرت طويلًا")]).await;
    let house = house.restarted(store, 9 * DAY);
    let contact = house.contact_of(id(&taken[0])).await;
    let (rules, stop) = ([rule("week", None, 7)], CancellationToken::new());
    let working = house.core.turns.work_with([contact]);
    let first = sweep(&house.core, &rules, &[], &stop).await.unwrap();
    assert_eq!((first.records, first.postponed), (0, 1));
    drop(working);
    let next = sweep(&house.core, &rules, &[], &stop).await.unwrap();
    assert_eq!((next.records, next.contacts), (1, 1));
    assert_eq!(sweep(&house.core, &[], &[], &stop).await.unwrap(), Sweep::default());
}

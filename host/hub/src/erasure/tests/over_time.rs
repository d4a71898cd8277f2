//! Records whose time is over.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use mihwar_model::{Actor, Draft, EventBody, Kind};
use mihwar_store::{Edit, MemoryStore};
use tokio_util::sync::CancellationToken;

use super::cut_off::Failing;
use super::{House, START, huda, id, person, said, tag};
use crate::config::{Hold, RetentionRule};
use crate::erasure::open::{Open, Waiting};
use crate::erasure::records::{self, Condemned, Destroyed};
use crate::erasure::retention::{Found, InForce, Sweep, destroy, is_clock_believed, sweep};
use crate::erasure::{find, identifiers};
use crate::fault::Fault;
use crate::{keys, projection, query};

const DAY: i64 = 86_400_000;

fn rule(name: &str, kind: Option<Kind>, days: u32) -> RetentionRule {
    RetentionRule {
        name: tag(name),
        kind,
        channel: None,
        days,
    }
}

/// Everything is over after a week.
fn week() -> InForce {
    InForce {
        rules: vec![rule("أسبوع", None, 7)],
        holds: Vec::new(),
    }
}

/// A run that goes on from a whole one.
async fn run(house: &House, in_force: impl Fn() -> InForce) -> Sweep {
    sweep(&house.core, in_force, false, &CancellationToken::new())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_damaged_record_stops_the_time_of_no_other() {
    let store = Arc::new(MemoryStore::new());
    let house = House::over(store.clone());
    let taken = house
        .accept(vec![
            said(&huda(), "1", "فاتورة خاطئة"),
            said(&huda(), "2", "The courier was rude"),
            said(&person("salem@example.com"), "3", "شكوى"),
        ])
        .await;
    projection::catch_up(&house.core).await.unwrap();
    let damage = Edit::Put(keys::head(id(&taken[1])), "صف تالف".into());
    house.write(vec![damage], Vec::new()).await;
    let house = house.restarted(store, 8 * DAY);
    let expected = Sweep {
        records: 2,
        contacts: 1,
        held: 0,
        postponed: 0,
    };
    assert_eq!(run(&house, week).await, expected);
    assert!(
        find(&house.core, &huda()).await.unwrap().is_some(),
        "one of hers may be there still"
    );
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
    let in_force = || InForce {
        rules: rules.to_vec(),
        holds: vec![hold.clone()],
    };
    let first = run(&house, in_force).await;
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

    let again = run(&house, in_force).await;
    assert_eq!((again.records, again.contacts, again.held), (0, 0, 1));
    let house = house.restarted(store, 1_001 * DAY);
    assert_eq!(
        run(&house, in_force).await.contacts,
        1,
        "the praise, and with it the last of him"
    );
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
    let working = house.core.turns.work_with([contact]);
    let first = run(&house, week).await;
    assert_eq!((first.records, first.postponed), (0, 1));
    drop(working);
    let next = run(&house, week).await;
    assert_eq!((next.records, next.contacts), (1, 1));
    assert_eq!(run(&house, InForce::default).await, Sweep::default());
}

#[tokio::test]
async fn a_hold_that_is_set_while_much_is_erased_counts_at_once() {
    let store = Arc::new(MemoryStore::new());
    let house = House::over(store.clone());
    let people = ["a@example.com", "b@example.com", "c@example.com"].map(person);
    let taken = (1..).zip(&people).map(|(number, person)| {
        let number: i32 = number;
        said(person, &number.to_string(), "شكوى قديمة")
    });
    let taken = house.accept(taken.collect()).await;
    let last = house.contact_of(id(&taken[2])).await;
    let house = house.restarted(store, 9 * DAY);
    let asked = Cell::new(0);
    // Once for the run itself and once for each page, of two records.
    let in_force = || {
        asked.set(asked.get() + 1);
        let hold = Hold {
            contact: last,
            reason: "قضية ١٢".to_owned(),
        };
        InForce {
            holds: if asked.get() > 2 { vec![hold] } else { Vec::new() },
            ..week()
        }
    };
    let swept = run(&house, in_force).await;
    assert_eq!((swept.records, swept.held), (2, 1));
    let left = query::feedback(&house.core, id(&taken[2])).await.unwrap().unwrap();
    assert!(left.content.is_some());
}

#[tokio::test]
async fn a_revision_that_comes_in_before_its_record_has_its_turn_goes_too() {
    let store = Arc::new(MemoryStore::new());
    let house = House::over(store.clone());
    let taken = house.accept(vec![said(&huda(), "1", "نص أول")]).await;
    let house = house.restarted(store, 9 * DAY);
    let feedback = id(&taken[0]);
    let before = query::feedback(&house.core, feedback).await.unwrap().unwrap().head;
    let found = Found {
        records: vec![(feedback, before.contact)],
        contacts: BTreeMap::from([(before.contact, tag("أسبوع"))]),
        ..Found::default()
    };
    let revised = Draft {
        revision: Some("b".to_owned()),
        ..said(&huda(), "1", "نص ثانٍ")
    };
    house.accept(vec![revised]).await;
    projection::catch_up(&house.core).await.unwrap();
    let view = house.core.store.view().await.unwrap();
    let version = view.version();
    // As it was found, it must not be destroyed: the second revision would stay.
    let stale = [Condemned {
        head: before,
        reason: tag("أسبوع"),
    }];
    let open = Open::read(&*view, |_| true).await.unwrap();
    let refused = records::destroy(&house.core, &Actor::Hub, &stale, &open, &mut Destroyed::default()).await;
    assert!(matches!(refused, Err(Fault::Contended)), "{refused:?}");
    assert_eq!(house.core.store.view().await.unwrap().version(), version);
    drop(view);

    let (mut swept, now) = (Sweep::default(), START.plus_millis(9 * DAY));
    let mut waiting = Waiting::of_records_before(now);
    destroy(&house.core, &week(), now, found, &mut waiting, &mut swept)
        .await
        .unwrap();
    assert_eq!((swept.records, swept.contacts), (1, 1));
    for space in [keys::CONTENT, keys::QUEUE, keys::CONTACT_KEY, keys::IDENTIFIER] {
        assert!(house.rows(space).await.is_empty(), "{space:?}");
    }
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_that_is_cut_off_at_any_write_leaves_nothing_that_the_next_does_not_find() {
    for writes in 0.. {
        assert!(writes < 100, "a run over two records takes no end");
        let store = Arc::new(MemoryStore::new());
        let house = House::over(store.clone());
        let salem = person("salem@example.com");
        let both = vec![said(&huda(), "1", "فاتورة خاطئة"), said(&salem, "2", "Still nothing")];
        house.accept(both).await;
        projection::catch_up(&house.core).await.unwrap();
        let house = house.restarted(Failing::after(writes, store.clone()), 9 * DAY);
        let stop = CancellationToken::new();
        let is_done = sweep(&house.core, week, false, &stop).await.is_ok();
        let house = house.restarted(store, 10 * DAY);
        sweep(&house.core, week, true, &stop).await.unwrap();
        for space in [keys::CONTENT, keys::CONTACT_KEY, keys::IDENTIFIER] {
            assert!(house.rows(space).await.is_empty(), "{space:?} after {writes} writes");
        }
        assert_eq!(house.rows(keys::ERASED).await.len(), 2);
        assert_eq!(house.findings().await, Vec::<String>::new(), "after {writes} writes");
        if is_done {
            return;
        }
    }
}

#[tokio::test]
async fn whom_somebody_with_much_behind_them_is_known_as_is_told_by_what_they_said_last() {
    let store = Arc::new(MemoryStore::new());
    let house = House::over(store.clone());
    let old = (0..10).map(|number| said(&huda(), &number.to_string(), "قديم"));
    house.accept(old.collect()).await;
    let house = house.restarted(store, 9 * DAY);
    let taken = house.accept(vec![said(&huda(), "new", "جديد")]).await;
    assert_eq!(run(&house, week).await.records, 10);
    let contact = house.contact_of(id(&taken[0])).await;
    let told = identifiers::told(&house.core, contact).await.unwrap();
    assert_eq!(told.map(|places| places.len()), Some(1));
}

#[tokio::test]
async fn a_clock_that_leapt_is_believed_when_it_is_there_still_at_the_next_look() {
    let store = Arc::new(MemoryStore::new());
    let mut house = House::over(store.clone());
    let hour = DAY / 24;
    let looks = [
        (0, false),
        (hour, true),
        (400 * DAY, false),
        // It was set right: nothing had been erased.
        (2 * hour, true),
        (400 * DAY, false),
        (400 * DAY + hour, true),
    ];
    for (millis, believed) in looks {
        house = house.restarted(store.clone(), millis);
        assert_eq!(is_clock_believed(&house.core).await.unwrap(), believed, "{millis}");
    }
}

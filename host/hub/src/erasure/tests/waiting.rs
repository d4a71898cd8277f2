//! Which deliveries wait of records whose time is over: looked for once, however many records these are.

use std::collections::BTreeSet;
use std::sync::Arc;

use mihwar_model::{DeliveryId, FeedbackId};
use mihwar_store::{Edit, MemoryStore};
use tokio_util::sync::CancellationToken;

use super::house::waiting;
use super::{House, START, huda, id, name, person, said, tag};
use crate::config::RetentionRule;
use crate::erasure::open::Waiting;
use crate::erasure::retention::{InForce, sweep};
use crate::intake::Intake;
use crate::keys;
use crate::query::tests::counting::{Counting, Given};
use crate::rows::{self, DeadRow};

const DAY: i64 = 86_400_000;
/// Records whose time is over: five pages.
const OLD: u8 = 10;
/// Records that stay, each with a delivery that waits.
const YOUNG: u8 = 30;

/// So many records, each of which waits for a department; the first delivery has this number.
async fn waiting_records(house: &House, first: u8, count: u8) -> Vec<FeedbackId> {
    let people = (first..first + count).map(|number| (number, person(&format!("منى-{number}@example.com"))));
    let drafts = people.map(|(number, person)| said(&person, &number.to_string(), "انتظرت طويلًا"));
    let taken: Vec<Intake> = house.accept(drafts.collect()).await;
    let ids: Vec<FeedbackId> = taken.iter().map(id).collect();
    for (number, feedback) in (first..).zip(&ids) {
        let contact = house.contact_of(*feedback).await;
        house.route(*feedback, contact, &[("service", number)]).await;
    }
    ids
}

#[tokio::test]
async fn a_run_looks_through_what_waits_once_however_many_pages_it_has() {
    let given = Arc::new(Given::default());
    let store = Arc::new(Counting {
        inner: MemoryStore::new(),
        given: Arc::clone(&given),
    });
    let house = House::over(store.clone());
    waiting_records(&house, 1, OLD).await;
    let house = house.restarted(store, 9 * DAY);
    waiting_records(&house, 1 + OLD, YOUNG).await;
    let in_force = || InForce {
        rules: vec![RetentionRule {
            name: tag("أسبوع"),
            kind: None,
            channel: None,
            days: 7,
        }],
        holds: Vec::new(),
    };
    given.waiting_taken();
    let swept = sweep(&house.core, in_force, false, &CancellationToken::new()).await;
    assert_eq!(swept.unwrap().records, u64::from(OLD));
    // All of them once, and those of the records that go once more, when it is their turn.
    assert_eq!(given.waiting_taken(), usize::from(OLD + YOUNG + OLD));
    let left = house.rows(keys::OUTBOX).await.into_iter();
    let left = left.filter(|row| {
        let row: rows::OutboxRow = rows::decode("an outbox row", &row.value.bytes).unwrap();
        row.erased.is_none()
    });
    assert_eq!(left.count(), usize::from(YOUNG));
    assert_eq!(house.findings().await, Vec::<String>::new());
    // Where nothing is over, nothing is looked through.
    given.waiting_taken();
    let none = sweep(&house.core, in_force, false, &CancellationToken::new()).await;
    assert_eq!((none.unwrap().records, given.waiting_taken()), (0, 0));
}

#[tokio::test]
async fn what_waits_is_looked_through_again_where_it_is_too_much_to_keep() {
    let given = Arc::new(Given::default());
    let store = Arc::new(Counting {
        inner: MemoryStore::new(),
        given: Arc::clone(&given),
    });
    let house = House::over(store.clone());
    let many = 40;
    let ids = waiting_records(&house, 1, many).await;
    let mut known = Waiting::of_records_before(START.plus_millis(DAY));
    let view = house.core.store.view().await.unwrap();
    given.waiting_taken();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    for two in sorted.chunks(2) {
        let open = known.open(&*view, &two.iter().copied().collect()).await.unwrap();
        for record in two {
            assert_eq!(open.of(*record).len(), 1);
        }
    }
    // Three times, with 16, 16 and the last 8 of them kept; and each of them when it was asked for.
    assert_eq!(given.waiting_taken(), 4 * usize::from(many));
    // Those that alone are too many are found all the same, and so are those that were passed by.
    for some in [&ids[..], &ids[..1]] {
        let open = known.open(&*view, &some.iter().copied().collect()).await.unwrap();
        assert!(some.iter().all(|record| open.of(*record).len() == 1));
    }
}

#[tokio::test]
async fn what_begins_to_wait_meanwhile_is_known_and_so_is_where_it_waits_now() {
    let house = House::new();
    let taken = house
        .accept(vec![
            said(&huda(), "1", "فاتورة خاطئة"),
            said(&huda(), "2", "Still nothing"),
        ])
        .await;
    let (first, second) = (id(&taken[0]), id(&taken[1]));
    let contact = house.contact_of(first).await;
    house.route(first, contact, &[("service", 1)]).await;
    let mut known = Waiting::of_records_before(START.plus_millis(DAY));
    let both = BTreeSet::from([first, second]);
    let view = house.core.store.view().await.unwrap();
    let open = known.open(&*view, &both).await.unwrap();
    assert_eq!((open.of(first).len(), open.of(second).len()), (1, 0));

    house.route(second, contact, &[("billing", 2), ("service", 3)]).await;
    // The first one becomes a dead letter.
    let (service, delivery) = (name("service"), DeliveryId::from_bytes([1; 16]));
    let letter = DeadRow {
        entry: waiting(first, contact),
        code: "refused".into(),
        reason: vec![9; 40],
        at: START,
    };
    let place = keys::dead(&service, delivery);
    let edits = vec![
        Edit::Delete(keys::outbox(&service, delivery)),
        Edit::Put(place.clone(), rows::encode(&letter).unwrap()),
    ];
    house.write(edits, Vec::new()).await;
    let view = house.core.store.view().await.unwrap();
    let open = known.open(&*view, &both).await.unwrap();
    assert_eq!((open.of(first).len(), open.of(second).len()), (1, 2));
    assert_eq!(open.of(first)[0].place, place);

    // Of records that are younger than what is asked for, nothing is kept.
    let mut older = Waiting::of_records_before(START.plus_millis(-DAY));
    let none = older.open(&*view, &both).await.unwrap();
    assert_eq!((none.of(first).len(), none.of(second).len()), (0, 0));
}

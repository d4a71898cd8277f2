//! Erasure over the engine in memory, and on disk where bytes are looked for.

mod cut_off;
mod damage;
mod house;
mod on_disk;
mod over_time;
mod waiting;

use std::time::Duration;

use mihwar_model::{Actor, ContactId, Draft, EventBody};
use mihwar_store::Order;

use super::{EraseRefusal, erase, find};
use crate::config::Hold;
use crate::intake::{Arrival, Intake, Rider, accept};
use crate::rows::{self, OutboxRow};
use crate::{keys, projection, query};
use house::{House, START, files_below, huda, id, name, person, said, story, tag};

#[tokio::test]
async fn nothing_of_a_person_is_left_departments_are_told_and_every_proof_holds() {
    let house = House::new();
    let (ids, contact) = story(&house).await;
    assert_eq!(house.findings().await, Vec::<String>::new());
    assert_eq!(find(&house.core, &huda()).await.unwrap(), Some(contact));
    let report = house.erase(contact).await.unwrap();
    let counts = (
        report.records,
        report.contents,
        report.files,
        report.withheld,
        report.told,
    );
    // The service never had the first one; billing may have both.
    assert_eq!(counts, (2, 2, 2, 2, 2), "{report:?}");

    assert_eq!(house.rows(keys::CONTENT).await.len(), 1);
    assert_eq!(house.rows(keys::CONTACT_KEY).await.len(), 1);
    assert_eq!(house.rows(keys::IDENTIFIER).await.len(), 1);
    for space in [keys::REFERENCE, keys::DEAD, keys::FILE, keys::DOOMED, keys::ERASING] {
        assert!(house.rows(space).await.is_empty(), "{space:?}");
    }
    assert_eq!(files_below(&house.folder.path().join("files")), 0);
    assert_eq!(find(&house.core, &huda()).await.unwrap(), None);
    assert!(house.core.vault.kept_contact_key(contact).is_none());
    let told = house.rows(keys::OUTBOX).await;
    let told: Vec<OutboxRow> = told
        .iter()
        .map(|row| rows::decode("an outbox row", &row.value.bytes).unwrap())
        .collect();
    let named = |row: &OutboxRow| (row.feedback, !row.erased.as_ref().unwrap().reference.is_empty());
    assert_eq!(
        told.iter().map(named).collect::<Vec<_>>(),
        [(ids[0], true), (ids[1], false)]
    );

    assert_eq!(house.findings().await, Vec::<String>::new());
    let sequence = usize::try_from(report.sequence).unwrap();
    match &house.events().await[sequence] {
        EventBody::ContactErased(erased) => assert_eq!((erased.contact, erased.records), (contact, 2)),
        other => panic!("{other:?}"),
    }
    let record = query::feedback(&house.core, ids[0]).await.unwrap().unwrap();
    assert!(record.content.is_none() && record.head.erased_at == Some(START));
    let deliveries = query::deliveries_of(&house.core, ids[0]).await.unwrap();
    let states: Vec<_> = deliveries
        .iter()
        .map(|one| (one.state.as_str(), one.rule.as_str()))
        .collect();
    assert_eq!(
        states,
        [("delivered", "فاتورة"), ("skipped", "فاتورة"), ("waiting", "erasure")]
    );
}

#[tokio::test]
async fn a_department_that_may_have_got_something_from_a_process_that_ended_is_told() {
    let mut house = House::new();
    let (ids, contact) = story(&house).await;
    // The service's first delivery waits as if it had never been tried, but it is from before the start.
    house.core.opened_at = house.core.store.view().await.unwrap().version();
    assert_eq!(house.erase(contact).await.unwrap().told, 3);
    let service = keys::outbox_of(&name("service"));
    let view = house.core.store.view().await.unwrap();
    let told = view.scan(service, Order::Ascending, 10).await.unwrap().rows;
    let told: OutboxRow = rows::decode("an outbox row", &told[0].value.bytes).unwrap();
    assert!(told.feedback == ids[0] && told.erased.is_some());
}

#[tokio::test]
async fn what_an_erased_person_said_does_not_come_back_and_the_person_may() {
    let house = House::new();
    let (ids, contact) = story(&house).await;
    house.erase(contact).await.unwrap();
    let size = house.events().await.len();
    let revised = Draft {
        revision: Some("b".to_owned()),
        ..said(&huda(), "1", "نص جديد")
    };
    let again = house.accept(vec![said(&huda(), "1", "x"), revised]).await;
    let known = Intake::Duplicate {
        feedback: ids[0],
        revision: 1,
    };
    assert_eq!(again, [known.clone(), known]);
    assert_eq!(house.events().await.len(), size, "nothing is written");
    let fresh = house.accept(vec![said(&huda(), "4", "عدت إليكم")]).await;
    assert!(matches!(fresh[0], Intake::New { .. }));
    let newcomer = house.contact_of(id(&fresh[0])).await;
    assert_ne!(newcomer, contact);
    assert_eq!(find(&house.core, &huda()).await.unwrap(), Some(newcomer));
}

#[tokio::test]
async fn who_is_held_worked_with_unknown_or_erased_is_refused_and_nothing_changes() {
    let house = House::new();
    let (_, contact) = story(&house).await;
    projection::catch_up(&house.core).await.unwrap();
    let version = house.core.store.view().await.unwrap().version();
    let hold = Hold {
        contact,
        reason: "قضية ١٢".to_owned(),
    };
    let held = erase(&house.core, &[hold], &Actor::Console, contact, &tag("request")).await;
    assert!(held.unwrap_err().to_string().contains("قضية ١٢"));
    let working = house.core.turns.work_with([contact]);
    assert!(matches!(house.erase(contact).await, Err(EraseRefusal::OnItsWay(_))));
    drop(working);
    let unknown = ContactId::from_bytes([9; 16]);
    assert!(matches!(house.erase(unknown).await, Err(EraseRefusal::Unknown(_))));
    assert_eq!(house.core.store.view().await.unwrap().version(), version);
    house.erase(contact).await.unwrap();
    projection::catch_up(&house.core).await.unwrap();
    let version = house.core.store.view().await.unwrap().version();
    assert!(matches!(
        house.erase(contact).await,
        Err(EraseRefusal::Already { at: START, .. })
    ));
    assert_eq!(house.core.store.view().await.unwrap().version(), version);
}

#[tokio::test]
async fn who_is_being_written_to_is_erased_as_soon_as_that_has_ended() {
    let house = House::new();
    let (_, contact) = story(&house).await;
    let working = house.core.turns.work_with([contact]);
    let delivers = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(working);
    };
    let (erased, ()) = tokio::join!(house.erase(contact), delivers);
    assert_eq!(erased.unwrap().records, 2);
}

#[tokio::test]
async fn an_anonymous_person_and_one_whose_contents_are_gone_are_erased_whole() {
    let house = House::new();
    let anonymous = Draft {
        author: None,
        ..said(&huda(), "1", "بلا اسم")
    };
    let taken = house.accept(vec![anonymous, said(&huda(), "2", "باسم")]).await;
    let nobody = house.contact_of(id(&taken[0])).await;
    house.erase(nobody).await.unwrap();
    assert_eq!(house.rows(keys::IDENTIFIER).await.len(), 1, "hers stays");
    let contact = house.contact_of(id(&taken[1])).await;
    let back = [Arrival::Withdrawal {
        external_id: "2".to_owned(),
    }];
    let (form, rider) = (name("form"), Rider::default());
    accept(&house.core, &Actor::Console, &form, &back, &rider)
        .await
        .unwrap();
    house.erase(contact).await.unwrap();
    assert!(house.rows(keys::IDENTIFIER).await.is_empty());
    assert!(house.rows(keys::CONTACT_KEY).await.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

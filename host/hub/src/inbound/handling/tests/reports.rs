//! Requests in which departments report about what nothing is called.

use std::sync::Arc;

use mihwar_model::{DeliveryId, Event, EventBody, InboundId, InstanceName, Time};
use mihwar_sandbox::Effects;
use mihwar_sandbox::contract::types::{Change, StatusUpdate, WorkState};
use mihwar_sandbox::contract::webhook;
use mihwar_store::{Edit, MemoryStore, Store};

use super::super::{Handling, Stored, dead};
use super::{START, hub, over, put, rows};
use crate::content::inline_row;
use crate::core::Core;
use crate::hub::Hub;
use crate::keys;
use crate::rows::InboxRow;

/// A request of a department that came at the beginning.
fn of_department(name: &InstanceName) -> InboxRow {
    InboxRow {
        instance: name.clone(),
        endpoint: "events".to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: "أُعيد المبلغ إلى هدى".into(),
        verified: None,
        received_at: Time(START),
        item: None,
    }
}

/// The first request of the inbox, of which its plugin made a report with this state about what nothing is called.
async fn reports(store: &Arc<MemoryStore>, hub: &Hub, name: &InstanceName, states: &[&str]) {
    let stored = Stored::of(&hub.shared, rows(store, keys::INBOX).await.remove(0)).unwrap();
    let request = of_department(name);
    let handling = Handling {
        stored: &stored,
        request: &request,
    };
    let update = |state: &&str| {
        Change::Status(StatusUpdate {
            external_ref: "تذكرة-٩".to_owned(),
            state: WorkState::Other((*state).to_owned()),
            note: None,
            url: None,
            changed_at: START,
        })
    };
    let outcome = webhook::Outcome {
        changes: states.iter().map(update).collect(),
        refusals: Vec::new(),
        reply: None,
    };
    handling.keep(name, outcome, &Effects::default()).await.unwrap();
}

#[tokio::test]
async fn a_report_that_comes_too_early_waits_and_one_about_nothing_goes_with_all_that_it_said() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("tickets").unwrap();
    let hub = hub(&store, &folder, START).await;
    let id = InboundId::from_bytes([5; 16]);
    // Its answer is not written down yet: the delivery lies in the outbox still.
    let delivery = keys::outbox(&name, DeliveryId::from_bytes([7; 16]));
    put(&store, Edit::Put(delivery.clone(), "تسليم".into())).await;
    put(&store, Edit::Put(keys::inbox(&name, id), inline_row(b"sealed"))).await;
    for _ in 0..2 {
        reports(&store, &hub, &name, &["open"]).await;
        let waiting = rows(&store, keys::INBOX).await;
        let put_off = keys::inbox_parts(&waiting[0].key);
        assert_eq!(put_off, Some((name.clone(), 0)), "it costs no attempt");
    }
    let hub = super::hub(&store, &folder, START + 90_000).await;
    reports(&store, &hub, &name, &["open"]).await;
    assert!(rows(&store, keys::INBOX).await.is_empty(), "not for ever");
    // With nothing on its way, nobody waits.
    put(&store, Edit::Delete(delivery)).await;
    put(&store, Edit::Put(keys::inbox(&name, id), inline_row(b"sealed"))).await;
    reports(&store, &hub, &name, &["open"]).await;
    assert!(rows(&store, keys::INBOX).await.is_empty());
    // The item may have been erased: nothing of what was said about it is kept.
    assert!(rows(&store, keys::INBOX_DEAD).await.is_empty());
    for entry in store.view().await.unwrap().journal(0, 100).await.unwrap() {
        let event = Event::from_bytes(&entry.bytes).unwrap();
        assert!(!matches!(event.body, EventBody::InboundDeadLettered(_)));
    }
}

#[tokio::test]
async fn a_request_stays_whole_when_a_report_about_nothing_is_not_all_that_is_wrong_with_it() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("tickets").unwrap();
    let hub = hub(&store, &folder, START).await;
    let id = InboundId::from_bytes([5; 16]);
    put(&store, Edit::Put(keys::inbox(&name, id), inline_row(b"sealed"))).await;
    reports(&store, &hub, &name, &["open", "Waiting for Huda"]).await;
    assert!(rows(&store, keys::INBOX).await.is_empty());
    let dead = dead::page(&hub.shared.core, None, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].code.as_str()), (1, "refused"));
    let reasons: Vec<&str> = dead[0].reason.lines().collect();
    assert!(
        reasons.len() == 2 && reasons[0].starts_with("تذكرة-٩: external_ref: no item") && reasons[1].contains("state"),
        "{reasons:?}"
    );
}

/// A process that ended between a department's answer and writing it down has stored the report; the next one makes the
/// delivery again first, however long it was off.
#[tokio::test]
async fn a_report_that_an_earlier_process_stored_is_looked_at_twice() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("tickets").unwrap();
    let delivery = keys::outbox(&name, DeliveryId::from_bytes([7; 16]));
    put(&store, Edit::Put(delivery, "تسليم".into())).await;
    let id = InboundId::from_bytes([5; 16]);
    put(&store, Edit::Put(keys::inbox(&name, id), inline_row(b"sealed"))).await;
    let mut core = Core::for_tests(store.clone(), folder.path(), Time(START + 3_600_000));
    core.opened_at = store.view().await.unwrap().version();
    let hub = over(core).await;
    for left in [1, 0] {
        reports(&store, &hub, &name, &["open"]).await;
        assert_eq!(rows(&store, keys::INBOX).await.len(), left);
    }
}

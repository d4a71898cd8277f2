//! What lies beside contents: queue, outbox, dead letters, contacts' keys, files.

use mihwar_model::{
    AttachmentBytes, AttachmentId, Channel, ContactId, DeadLettered, Delivered, DeliveryId, Draft, DraftAttachment,
    EventBody, FeedbackId, InboundId, Route, Routed, Tag,
};
use mihwar_store::{Edit, Order, Row, Space, Store};

use super::super::FINDINGS_MAX;
use super::{House, START, draft, name, told, withdrawal};
use crate::content::blob_row;
use crate::intake::Arrival;
use crate::keys;
use crate::rows::{DeadRow, OutboxRow, encode};
use crate::withdrawal::{keep, keep_found};

async fn rows(house: &House, space: Space) -> Vec<Row> {
    let view = house.store.view().await.unwrap();
    view.scan(keys::all(space), Order::Ascending, 100).await.unwrap().rows
}

fn delivery(number: u8) -> DeliveryId {
    DeliveryId::from_bytes([number; 16])
}

fn routed(feedback: FeedbackId, numbers: impl IntoIterator<Item = u8>) -> EventBody {
    let route = |number| Route {
        delivery: delivery(number),
        destination: name("billing"),
        rule: "فاتورة invoice".into(),
    };
    EventBody::Routed(Routed {
        feedback,
        revision: 1,
        routes: numbers.into_iter().map(route).collect(),
        rules: 1,
        failed: None,
    })
}

fn entry(feedback: FeedbackId) -> OutboxRow {
    OutboxRow {
        feedback,
        revision: 1,
        contact: ContactId::from_bytes([2; 16]),
        attempts: 1,
        due: START,
        rule: "فاتورة invoice".into(),
        attempts_before_replay: 0,
        erased: None,
    }
}

fn waiting(feedback: FeedbackId) -> Vec<u8> {
    encode(&entry(feedback)).unwrap()
}

fn dead_letter(feedback: FeedbackId) -> Vec<u8> {
    let dead = DeadRow {
        entry: entry(feedback),
        code: "refused".into(),
        reason: Vec::new(),
        at: START,
    };
    encode(&dead).unwrap()
}

fn dead_lettered(feedback: FeedbackId, number: u8) -> EventBody {
    EventBody::DeliveryDeadLettered(DeadLettered {
        delivery: delivery(number),
        feedback,
        destination: name("billing"),
        attempts: 20,
        code: "refused".into(),
    })
}

fn delivered(feedback: FeedbackId, number: u8) -> EventBody {
    EventBody::Delivered(Delivered {
        delivery: delivery(number),
        feedback,
        destination: name("billing"),
        attempt: 1,
        reference: None,
    })
}

/// A record that was routed to deliveries of these numbers.
async fn record(house: &House, numbers: impl IntoIterator<Item = u8>) -> FeedbackId {
    let feedback = house.accept(&[draft("شكوى", "a")]).await[0];
    house.put(vec![Edit::Delete(keys::queue(feedback, 1))]).await;
    house.happen([routed(feedback, numbers)]).await;
    feedback
}

#[tokio::test]
async fn outbox_and_dead_letters_are_those_that_are_open() {
    let house = House::new();
    let feedback = record(&house, 1..=4).await;
    let (outbox, dead) = (
        |number| Edit::Put(keys::outbox(&name("billing"), delivery(number)), waiting(feedback)),
        |number| Edit::Put(keys::dead(&name("billing"), delivery(number)), dead_letter(feedback)),
    );
    house
        .happen([dead_lettered(feedback, 3), dead_lettered(feedback, 4)])
        .await;
    house.put(vec![outbox(1), outbox(2), dead(3), dead(4)]).await;
    let report = house.verified().await;
    told(&report, &[]);
    assert_eq!(report.deliveries_open, 4);
    // One is lost, one lies in the wrong place.
    let lost = Edit::Delete(keys::outbox(&name("billing"), delivery(1)));
    let misplaced = Edit::Delete(keys::dead(&name("billing"), delivery(3)));
    house.put(vec![lost, misplaced, outbox(3)]).await;
    told(
        &house.verified().await,
        &[
            "2 deliveries are neither done nor waiting",
            "a delivery waits that the ledger does not know",
        ],
    );
}

#[tokio::test]
async fn rows_of_deliveries_and_requests_that_say_nothing_are_named() {
    let house = House::new();
    let feedback = record(&house, 1..=2).await;
    house.happen([dead_lettered(feedback, 2)]).await;
    let many = OutboxRow {
        attempts: u32::MAX,
        ..entry(feedback)
    };
    let outbox = keys::outbox(&name("billing"), delivery(1));
    let dead = keys::dead(&name("billing"), delivery(2));
    house
        .put(vec![
            Edit::Put(outbox, encode(&many).unwrap()),
            Edit::Put(dead, "صف تالف".into()),
            Edit::Put(keys::idempotency([3; 16]), "صف تالف".into()),
        ])
        .await;
    told(
        &house.verified().await,
        &[
            &format!("the delivery {} waits is damaged", delivery(1)),
            &format!("the dead letter {} is damaged", delivery(2)),
            "a repeated request is known again",
        ],
    );
}

#[tokio::test]
async fn what_happens_twice_or_out_of_turn_is_found() {
    let house = House::new();
    let feedback = record(&house, 1..=2).await;
    house
        .happen([
            routed(feedback, []),
            delivered(feedback, 1),
            delivered(feedback, 1),
            dead_lettered(feedback, 2),
            delivered(feedback, 2),
        ])
        .await;
    told(
        &house.verified().await,
        &[
            "was routed without waiting for it",
            "ends, at a place where it is not open",
            "ends, at a place where it is a dead letter",
        ],
    );
}

#[tokio::test]
async fn a_queue_entry_that_the_ledger_does_not_know_is_found() {
    let house = House::new();
    let ids = house.accept(&[draft("1", "a"), draft("2", "a")]).await;
    // Its entry stays until the pipeline comes by, and whoever has read it before may still route it.
    house.accept(&[withdrawal("2")]).await;
    told(&house.verified().await, &[]);
    house.put(vec![Edit::Delete(keys::queue(ids[1], 1))]).await;
    house.happen([routed(ids[1], [])]).await;
    told(&house.verified().await, &[]);
    house.put(vec![Edit::Put(keys::queue(ids[0], 7), vec![1])]).await;
    told(
        &house.verified().await,
        &["something waits to be routed that the ledger does not know"],
    );
}

#[tokio::test]
async fn a_damaged_contact_key_is_found_although_it_is_in_memory() {
    let house = House::new();
    house.accept(&[draft("1", "a"), draft("1", "b"), draft("2", "a")]).await;
    let row = rows(&house, keys::CONTACT_KEY).await.remove(0);
    let contact = ContactId::from_bytes(keys::last_id(&row.key).unwrap());
    house.put(vec![Edit::Put(row.key, "مفتاح تالف".into())]).await;
    let report = house.verified().await;
    told(&report, &[&format!("the key of contact {contact} is damaged")]);
    assert_eq!(report.contents, 1, "the others are looked at all the same");
}

#[tokio::test]
async fn a_damaged_contact_key_is_no_finding_once_its_contact_has_taken_everything_back() {
    let house = House::new();
    house.accept(&[draft("١", "a"), draft("2", "a")]).await;
    for row in rows(&house, keys::CONTACT_KEY).await {
        house.put(vec![Edit::Put(row.key, "مفتاح تالف".into())]).await;
    }
    house.accept(&[withdrawal("١")]).await;
    told(&house.verified().await, &["the key of contact"]);
    house.accept(&[withdrawal("2")]).await;
    told(&house.verified().await, &[]);
}

#[tokio::test]
async fn rows_by_which_items_and_people_are_known_again_must_say_something() {
    let house = House::new();
    house.accept(&[draft("١", "a"), draft("2", "a")]).await;
    let item = rows(&house, keys::SEEN).await.remove(0).key;
    let person = keys::identifier([4; 16]);
    let damaged = |key| Edit::Put(key, "صف تالف".into());
    house.put(vec![damaged(item), damaged(person)]).await;
    told(
        &house.verified().await,
        &["the row by which an item", "the row by which a person"],
    );
}

/// With an attachment, and so long that the content lies in a file, too.
fn long_with_photo() -> Arrival {
    let photo = DraftAttachment {
        name: "صورة الفاتورة.png".to_owned(),
        media_type: "image/png".to_owned(),
        size: None,
        bytes: AttachmentBytes::Inline(vec![7; 100]),
    };
    Draft {
        body: "نص طويل ".repeat(5_000),
        attachments: vec![photo],
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    }
    .into()
}

#[tokio::test]
async fn rows_of_files_are_compared_with_what_names_files() {
    let house = House::new();
    house.accept(&[long_with_photo()]).await;
    let kept = rows(&house, keys::FILE).await;
    assert_eq!(kept.len(), 2);
    let found = AttachmentId::from_bytes([9; 16]);
    house.put(vec![keep_found(found)]).await;
    told(&house.verified().await, &[]);
    house.put(vec![keep(found)]).await;
    told(
        &house.verified().await,
        &[&format!(
            "nothing that is stored names 1 of the files that are kept, such as {found}"
        )],
    );
    house
        .put(vec![Edit::Delete(keys::file(found)), Edit::Delete(kept[0].key.clone())])
        .await;
    told(&house.verified().await, &["no row says that it is kept"]);
}

#[tokio::test]
async fn the_file_of_a_stored_request_is_looked_for() {
    let house = House::new();
    let (request, file) = (InboundId::from_bytes([5; 16]), AttachmentId::from_bytes([6; 16]));
    let stored = Edit::Put(keys::inbox(&name("hooks"), request), blob_row(file, 70_000));
    house.put(vec![stored, keep(file)]).await;
    told(
        &house.verified().await,
        &[&format!("the file {file} of a stored request")],
    );
    house.core.blobs.put(file.0, "طلب".into()).await.unwrap();
    told(&house.verified().await, &[]);
    house.put(vec![Edit::Delete(keys::file(file))]).await;
    told(&house.verified().await, &["no row says that it is kept"]);
}

#[tokio::test]
async fn findings_beyond_the_first_are_counted() {
    let house = House::new();
    let stray = |number| Edit::Put(keys::outbox(&name("billing"), delivery(number)), vec![1]);
    house.put((0..60).map(stray).collect()).await;
    let report = house.verified().await;
    assert_eq!((report.findings.len(), report.findings_untold), (FINDINGS_MAX, 10));
    assert!(!report.ok);
}

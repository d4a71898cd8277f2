//! Feeds over the engine in memory, and against a plain model of one.

mod model;

use std::time::Duration;

use mihwar_model::{Actor, ContactId, DeliveryId, Enriched, EventBody, Kind, Tag, Time, Withdrawn};
use mihwar_store::Edit;

use super::{
    CURSORS_MAX, FeedCursor, FeedPage, FeedRefusal, FeedStart, FeedWanted, MAIN_CURSOR, acknowledge, list, reading,
    remove,
};
use crate::convert::GrantedFields;
use crate::delivery::house::{House, billing, name};
use crate::delivery::preparing::Recipient;
use crate::delivery::{ReplaySelection, replay};
use crate::enrichment::nothing;
use crate::erasure::erase;
use crate::{keys, projection};

fn by(cursor: &str, start: Option<FeedStart>, limit: usize) -> FeedWanted {
    FeedWanted {
        department: billing(),
        cursor: name(cursor),
        start,
        after: None,
        limit,
        wait: Duration::ZERO,
    }
}

fn main(limit: usize) -> FeedWanted {
    by(MAIN_CURSOR, None, limit)
}

async fn ask(house: &House, wanted: &FeedWanted) -> Result<FeedPage, FeedRefusal> {
    projection::catch_up(&house.core).await.unwrap();
    let to = Recipient {
        name: &wanted.department,
        fields: GrantedFields::read(&["body".to_owned()]).unwrap(),
    };
    Ok(reading::hand_out(&house.core, to, wanted).await?.page)
}

async fn page(house: &House, limit: usize) -> FeedPage {
    ask(house, &main(limit)).await.unwrap()
}

async fn acknowledged(house: &House, position: u64) -> Result<FeedCursor, FeedRefusal> {
    acknowledge(&house.core, &Actor::Console, &billing(), &name(MAIN_CURSOR), position).await
}

fn ids(page: &FeedPage) -> Vec<DeliveryId> {
    let id = |event: &serde_json::Value| event["id"].as_str().unwrap().parse().unwrap();
    page.items.iter().map(|item| id(&item.event)).collect()
}

fn sorts(page: &FeedPage) -> Vec<String> {
    let sort = |event: &serde_json::Value| event["type"].as_str().unwrap().to_owned();
    page.items.iter().map(|item| sort(&item.event)).collect()
}

async fn forget(house: &House, contact: ContactId) {
    let reason = Tag::new("request").unwrap();
    erase(&house.core, &[], &Actor::Console, contact, &reason)
        .await
        .unwrap();
}

async fn ended(house: &House, named: &str) -> usize {
    let events = house.events().await;
    events.iter().filter(|body| body.name() == named).count()
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_under_the_same_id_and_what_is_is_delivered() {
    let house = House::new();
    let mut waiting = Vec::new();
    for number in 0..5 {
        waiting.push(house.waits(&format!("هدى-{number}")).await);
    }
    let first = page(&house, 4).await;
    assert_eq!(ids(&first), waiting[..4]);
    assert!(first.is_more && first.acknowledged < first.items[0].position);
    assert_eq!(first.items[0].event["source"], "urn:mihwar:billing");
    let body = &first.items[0].event["data"]["body"];
    assert!(body.as_str().unwrap().contains("الفاتورة خاطئة"), "{body}");
    assert_eq!(
        ids(&page(&house, 4).await),
        waiting[..4],
        "the same until it is acknowledged"
    );
    assert_eq!(ended(&house, "delivered").await, 0);

    // More than one transaction.
    let stands = acknowledged(&house, first.next).await.unwrap();
    assert_eq!((stands.acknowledged, stands.handed), (first.next, first.next));
    assert!(stands.settles);
    assert_eq!(ended(&house, "delivered").await, 4);
    assert_eq!(house.deliveries(keys::OUTBOX).await, waiting[4..]);
    let older = acknowledged(&house, first.items[1].position).await.unwrap();
    assert_eq!(
        (older, ended(&house, "delivered").await),
        (stands, 4),
        "it changes nothing"
    );

    let second = page(&house, 4).await;
    assert_eq!((ids(&second), second.is_more), (waiting[4..].to_vec(), false));
    let beyond = acknowledged(&house, second.next + 1).await;
    assert!(matches!(beyond, Err(FeedRefusal::Beyond { handed, .. }) if handed == second.next));
    acknowledged(&house, second.next).await.unwrap();
    assert!(page(&house, 4).await.items.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn who_looks_on_sees_everything_from_where_it_began_and_settles_nothing() {
    let house = House::new();
    let first = house.waits("هدى").await;
    let all = page(&house, 9).await;
    acknowledged(&house, all.next).await.unwrap();
    house.clock.advance_millis(60_000);
    let later = house.now();
    let second = house.waits("خالد").await;

    let looking = by("audit", Some(FeedStart::Earliest), 9);
    let seen = ask(&house, &looking).await.unwrap();
    assert_eq!(ids(&seen), [first, second]);
    // Once it is there, where it would begin does not matter.
    let again = by("audit", Some(FeedStart::Latest), 9);
    assert_eq!(ids(&ask(&house, &again).await.unwrap()), [first, second]);
    let since = by("since", Some(FeedStart::Since(later)), 9);
    assert_eq!(ids(&ask(&house, &since).await.unwrap()), [second]);
    let early = by("early", Some(FeedStart::Since(Time(0))), 9);
    assert_eq!(ids(&ask(&house, &early).await.unwrap()), [first, second]);
    let latest = by("latest", Some(FeedStart::Latest), 9);
    assert!(ask(&house, &latest).await.unwrap().items.is_empty());
    let third = house.waits("هدى").await;
    assert_eq!(ids(&ask(&house, &latest).await.unwrap()), [third]);
    let beyond = FeedWanted {
        after: Some(seen.next + 1_000),
        ..looking.clone()
    };
    assert!(matches!(ask(&house, &beyond).await, Err(FeedRefusal::Beyond { .. })));
    let back = FeedWanted {
        after: Some(seen.items[0].position),
        ..looking
    };
    assert_eq!(ids(&ask(&house, &back).await.unwrap()), [second, third]);

    let done = acknowledge(&house.core, &Actor::Console, &billing(), &name("audit"), seen.next).await;
    assert!(!done.unwrap().settles);
    assert_eq!(ended(&house, "delivered").await, 1);
    assert_eq!(ids(&page(&house, 9).await), [second, third]);
}

#[tokio::test]
async fn cursors_have_names_that_are_known_and_are_few() {
    let house = House::new();
    house.waits("هدى").await;
    page(&house, 1).await;
    let unknown = ask(&house, &by("maim", None, 1)).await.unwrap_err();
    assert!(unknown.to_string().contains("(did you mean `main`?)"), "{unknown}");
    let unknown = acknowledge(&house.core, &Actor::Console, &billing(), &name("maim"), 1).await;
    assert!(matches!(unknown, Err(FeedRefusal::Cursor { .. })));
    let fixed = ask(&house, &by(MAIN_CURSOR, Some(FeedStart::Latest), 1)).await;
    assert!(matches!(fixed, Err(FeedRefusal::Start)));
    for number in 1..CURSORS_MAX {
        let cursor = by(&format!("c-{number}"), Some(FeedStart::Earliest), 1);
        ask(&house, &cursor).await.unwrap();
    }
    let one_more = by("one-more", Some(FeedStart::Earliest), 1);
    assert!(matches!(ask(&house, &one_more).await, Err(FeedRefusal::Cursors { .. })));
    remove(&house.core, &billing(), &name("c-1")).await.unwrap();
    ask(&house, &one_more).await.unwrap();
    assert!(matches!(
        remove(&house.core, &billing(), &name("c-1")).await,
        Err(FeedRefusal::Cursor { .. })
    ));
    let cursors = list(&house.core, &billing()).await.unwrap();
    assert_eq!((cursors.items.len(), cursors.end > 0), (CURSORS_MAX, true));
    assert!("أمس".parse::<FeedStart>().is_err() && "latest".parse::<FeedStart>() == Ok(FeedStart::Latest));
}

#[tokio::test]
async fn what_is_erased_after_it_was_handed_out_is_told_and_is_not_handed_out_any_more() {
    let house = House::new();
    let feedback = house.said("هدى", "بيانات خاصة, private", Kind::Complaint).await;
    let contact = house.contact_of(feedback).await;
    let delivery = house.route(feedback, &["billing"]).await[0];
    let other = house.waits("خالد").await;
    let looking = by("audit", Some(FeedStart::Earliest), 9);
    let handed = page(&house, 9).await;
    assert_eq!(ids(&handed), [delivery, other]);
    forget(&house, contact).await;
    for wanted in [main(9), looking] {
        let after = ask(&house, &wanted).await.unwrap();
        assert_eq!(sorts(&after), ["mihwar.feedback.created", "mihwar.feedback.erased"]);
        assert_eq!(ids(&after)[0], other);
        assert_eq!(after.items[1].event["subject"], feedback.to_string());
    }
    let told = page(&house, 9).await;
    acknowledged(&house, told.next).await.unwrap();
    assert!(house.deliveries(keys::OUTBOX).await.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn who_has_never_asked_is_told_of_nothing_that_is_erased() {
    let house = House::new();
    let feedback = house.said("هدى", "بيانات خاصة", Kind::Complaint).await;
    let contact = house.contact_of(feedback).await;
    house.route(feedback, &["billing"]).await;
    forget(&house, contact).await;
    assert!(house.deliveries(keys::OUTBOX).await.is_empty());
    assert!(page(&house, 9).await.items.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn who_is_being_erased_holds_up_what_is_behind_and_nothing_before() {
    let house = House::new();
    let first = house.waits("خالد").await;
    let feedback = house.said("هدى", "بيانات خاصة", Kind::Complaint).await;
    let contact = house.contact_of(feedback).await;
    house.route(feedback, &["billing"]).await;
    let third = house.waits("خالد").await;
    let erasing = house.core.turns.erase([contact]);
    let held = page(&house, 9).await;
    assert_eq!((ids(&held), held.is_more), (vec![first], true));
    acknowledged(&house, held.next).await.unwrap();
    let held = page(&house, 9).await;
    assert!(held.items.is_empty() && held.is_more);
    drop(erasing);
    forget(&house, contact).await;
    let rest = page(&house, 9).await;
    assert_eq!((ids(&rest)[0], rest.items.len()), (third, 2), "and that it is erased");
}

#[tokio::test]
async fn what_is_withdrawn_or_kept_back_is_passed_by_and_the_ledger_says_so() {
    let house = House::new();
    let withdrawn = house.said("هدى", "سحبت شكواي", Kind::Complaint).await;
    house.route(withdrawn, &["billing"]).await;
    let kept_back = house.said("خالد", "محجوز", Kind::Complaint).await;
    house.route(kept_back, &["billing"]).await;
    let stays = house.waits("سارة").await;
    let gone = vec![Edit::Delete(keys::content(withdrawn, 1))];
    let events = vec![
        EventBody::Withdrawn(Withdrawn { feedback: withdrawn }),
        EventBody::Enriched(Enriched {
            quarantine: Some(Tag::new("suspect").unwrap()),
            ..nothing(kept_back, 1, name("reader"))
        }),
    ];
    house.write(gone, events).await;
    let seen = page(&house, 9).await;
    assert_eq!(ids(&seen), [stays]);
    assert_eq!(seen.acknowledged + 1, seen.items[0].position, "nothing before it waits");
    assert_eq!(ended(&house, "delivery_skipped").await, 2);
    let looking = by("audit", Some(FeedStart::Earliest), 9);
    assert_eq!(ids(&ask(&house, &looking).await.unwrap()), [stays]);
}

#[tokio::test]
async fn what_is_sent_again_waits_at_its_new_place_whatever_is_acknowledged_before() {
    let house = House::new();
    let spoilt = house.waits("هدى").await;
    let other = house.waits("خالد").await;
    let damage = Edit::Put(keys::outbox(&billing(), spoilt), "صف تالف".into());
    house.write(vec![damage], Vec::new()).await;
    let handed = page(&house, 9).await;
    assert_eq!(ids(&handed), [other]);
    assert_eq!(house.deliveries(keys::DEAD).await, [spoilt]);
    let replayed = replay(&house.core, &Actor::Console, &ReplaySelection::All)
        .await
        .unwrap();
    assert_eq!(replayed, 1);
    // Its first place is acknowledged by that, and nobody was handed it there.
    acknowledged(&house, handed.next).await.unwrap();
    assert_eq!(house.deliveries(keys::OUTBOX).await, [spoilt]);
    let again = page(&house, 9).await;
    assert_eq!(ids(&again), [spoilt]);
    assert!(again.items[0].position > handed.next);
    acknowledged(&house, again.next).await.unwrap();
    assert!(house.deliveries(keys::OUTBOX).await.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_row_of_a_feed_is_made_of_the_ledger() {
    let house = House::new();
    let (first, second) = (house.waits("هدى").await, house.waits("خالد").await);
    projection::catch_up(&house.core).await.unwrap();
    let row = house.rows(keys::FEED).await.swap_remove(0);
    house
        .write(vec![Edit::Put(row.key, "صف تالف".into())], Vec::new())
        .await;
    let handed = page(&house, 9).await;
    assert_eq!(ids(&handed), [first, second]);
    acknowledged(&house, handed.next).await.unwrap();
    assert!(house.deliveries(keys::OUTBOX).await.is_empty());
}

#[tokio::test]
async fn a_clock_that_steps_back_hides_nothing() {
    let mut house = House::new();
    let first = house.waits("هدى").await;
    let handed = page(&house, 9).await;
    assert_eq!(ids(&handed), [first]);
    // Ids that the next process makes are smaller.
    house.clock.advance_millis(-3_600_000);
    house.restart();
    let second = house.waits("خالد").await;
    assert!(second < first);
    acknowledged(&house, handed.next).await.unwrap();
    assert_eq!(ids(&page(&house, 9).await), [second]);
}

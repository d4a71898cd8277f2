//! What a department is filled up with: what the rules would have chosen, once, and nothing else.

use mihwar_model::{Actor, DeliveryId, Enriched, EventBody, FeedbackId, Kind, Tag};
use mihwar_store::Edit;

use super::super::house::{House, billing, name};
use super::{BackFill, BackFillReport, delivery_of, fill};
use crate::enrichment;
use crate::erasure::erase;
use crate::keys;
use crate::routing::{RouteSource, RuleSet, RulesSource};
use crate::rows::OutboxRow;

/// Complaints go to billing.
fn rules() -> RuleSet {
    let route = RouteSource {
        name: "شكاوى".into(),
        when: "record.kind == \"complaint\"".into(),
        to: vec![billing()],
    };
    let (rules, problems) = RuleSet::read(RulesSource {
        routes: vec![route],
        ..RulesSource::default()
    });
    assert!(problems.is_empty(), "{problems:?}");
    rules
}

async fn filled(house: &House, wanted: &BackFill) -> BackFillReport {
    fill(&house.core, &rules(), &Actor::Console, wanted).await.unwrap()
}

fn since(house: &House, hours: i64) -> BackFill {
    BackFill {
        destination: billing(),
        from: house.now().plus_millis(-hours * 3_600_000),
        to: None,
    }
}

/// A record that somebody keeps back.
async fn kept_back(house: &House) {
    let feedback = house.said("c-5", "إعلان", Kind::Complaint).await;
    let enriched = Enriched {
        quarantine: Some(Tag::new("إعلان").unwrap()),
        ..enrichment::nothing(feedback, 1, name("censor"))
    };
    house.write(Vec::new(), vec![EventBody::Enriched(enriched)]).await;
    house.route(feedback, &[]).await;
}

#[tokio::test]
async fn what_the_rules_would_have_chosen_is_put_into_the_outbox_once() {
    let house = House::new();
    let complaint = house.said("c-1", "الطابور طويل", Kind::Complaint).await;
    let praise = house.said("c-2", "شكرًا لكم", Kind::Praise).await;
    let known = house.said("c-3", "The invoice is wrong", Kind::Complaint).await;
    let erased = house.said("c-4", "لا أحد يجيب", Kind::Complaint).await;
    for feedback in [complaint, praise, erased] {
        house.route(feedback, &[]).await;
    }
    let had = house.route(known, &["billing"]).await[0];
    kept_back(&house).await;
    let unrouted = house.said("c-6", "لم يتصل أحد", Kind::Complaint).await;
    let contact = house.contact_of(erased).await;
    let why = Tag::new("طلب-صاحبها").unwrap();
    erase(&house.core, &[], &Actor::Console, contact, &why).await.unwrap();

    let report = filled(&house, &since(&house, 24)).await;
    let expected = BackFillReport {
        looked_at: 6,
        filled: 1,
        known: 1,
        left_out: 0,
    };
    assert_eq!(report, expected);
    let (delivery, other) = (delivery_of(complaint, &billing()), delivery_of(unrouted, &billing()));
    let row = OutboxRow {
        feedback: complaint,
        revision: 1,
        contact: house.contact_of(complaint).await,
        attempts: 0,
        due: house.now(),
        rule: "شكاوى".into(),
        attempts_before_replay: 0,
        erased: None,
    };
    assert_eq!(house.waiting(delivery).await, row);
    assert_eq!(house.deliveries(keys::OUTBOX).await.len(), 2);
    assert!(![delivery, other].contains(&had));
    assert_eq!(house.findings().await, Vec::<String>::new());
    let again = filled(&house, &since(&house, 24)).await;
    assert_eq!((again.filled, again.known), (0, 2), "nothing twice");
    // What was delivered is no more forgotten than what waits.
    house
        .write(vec![Edit::Delete(keys::outbox(&billing(), delivery))], Vec::new())
        .await;
    assert_eq!(filled(&house, &since(&house, 24)).await.filled, 0);
}

#[tokio::test]
async fn only_what_was_received_in_the_time_is_looked_at() {
    let house = House::new();
    let mut all = Vec::new();
    for number in 0..4 {
        let feedback = house
            .said(&format!("c-{number}"), "الطابور طويل", Kind::Complaint)
            .await;
        house.route(feedback, &[]).await;
        all.push(feedback);
        house.clock.advance_millis(3_600_000);
    }
    let wanted = BackFill {
        to: Some(house.now().plus_millis(-5_400_000)),
        ..since(&house, 3)
    };
    assert_eq!(filled(&house, &wanted).await.filled, 2);
    let expected = [1, 2].map(|number: usize| delivery_of(all[number], &billing()));
    assert_eq!(house.deliveries(keys::OUTBOX).await, expected);
}

#[test]
fn what_is_filled_in_is_as_old_as_its_record_and_always_the_same() {
    let mut records: Vec<FeedbackId> = Vec::new();
    for number in 0..200_u16 {
        let mut bytes = [0x7A; 16];
        bytes[6..8].copy_from_slice(&(0x7000 | number).to_be_bytes());
        records.push(FeedbackId::from_bytes(bytes));
    }
    let deliveries: Vec<DeliveryId> = records.iter().map(|id| delivery_of(*id, &billing())).collect();
    assert!(deliveries.is_sorted());
    assert!(
        records
            .iter()
            .zip(&deliveries)
            .all(|(record, delivery)| record.made_at() == delivery.made_at())
    );
    assert_eq!(delivery_of(records[7], &billing()), deliveries[7]);
    assert_ne!(delivery_of(records[7], &name("service")), deliveries[7]);
}

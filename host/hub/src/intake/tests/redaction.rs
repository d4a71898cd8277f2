//! What is masked before anything of it is stored, and what becomes of what cannot be.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::join_all;
use mihwar_model::{
    Actor, BODY_BYTES_MAX, Draft, EventBody, FeedbackId, InstanceName, Masked, TEXT_BYTES_MAX, Tag, Time,
};
use mihwar_sandbox::contract::processor::{Edit, Edits, Span, StoredFeedback, Verdict};
use mihwar_sandbox::contract::types::{Failure, PluginError};

use super::{House, draft, form, id, withdrawal_of};
use crate::config::OnFailure;
use crate::convert::{FIELD_NAMES, GrantedFields};
use crate::fault::Fault;
use crate::intake::redaction::Unseen;
use crate::intake::{Arrival, Desk, Intake, Redactor};
use crate::{keys, query};

/// Masks `secret` and `سر`; texts with other words in them it cannot look at.
struct Fake {
    name: InstanceName,
    on_failure: OnFailure,
    /// How many texts each call had.
    calls: Mutex<Vec<usize>>,
}

impl Fake {
    fn new(name: &str, on_failure: OnFailure) -> Arc<Self> {
        Arc::new(Self {
            name: InstanceName::new(name).unwrap(),
            on_failure,
            calls: Mutex::default(),
        })
    }
}

fn unseen(code: &str, is_ours: bool) -> Unseen {
    Unseen {
        code: code.to_owned(),
        is_ours,
    }
}

fn verdict(item: &StoredFeedback) -> Option<Verdict> {
    let (id, body) = (item.id.clone(), item.feedback.body.as_str());
    if body.contains("silence") {
        return None;
    }
    if body.contains("failed") {
        let failure = Failure {
            code: "هدى".to_owned(),
            message: String::new(),
        };
        return Some(Verdict::Failed((id, PluginError::Permanent(failure))));
    }
    let at = |at: usize| u32::try_from(at).unwrap();
    let found = ["secret", "سر"].into_iter().flat_map(|word| body.match_indices(word));
    let spans = found.map(|(start, word)| Span {
        start: at(start),
        end: at(start + word.len()) - u32::from(body.contains("split")),
        label: "secret".to_owned(),
    });
    // Other edits than masks are not for this moment.
    let tag = Edit::AddTag("seen".to_owned());
    Some(Verdict::Edited(Edits {
        id,
        edits: spans.map(Edit::Redact).chain([tag]).collect(),
    }))
}

#[async_trait]
impl Redactor for Fake {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    fn fields(&self) -> GrantedFields {
        let all: Vec<String> = FIELD_NAMES.iter().map(|field| (*field).to_owned()).collect();
        GrantedFields::read(&all).unwrap()
    }

    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    async fn look(&self, _: Time, texts: Vec<StoredFeedback>) -> Result<Vec<Verdict>, Unseen> {
        self.calls.lock().unwrap().push(texts.len());
        let holds = |word: &str| texts.iter().any(|text| text.feedback.body.contains(word));
        if holds("busy") {
            return Err(unseen("busy", true));
        }
        if holds("trap") {
            return Err(unseen("plugin-trap", false));
        }
        Ok(texts.iter().filter_map(verdict).collect())
    }
}

fn house_with(redactors: &[&Arc<Fake>]) -> House {
    let house = House::new();
    set(&house, redactors);
    house
}

fn set(house: &House, redactors: &[&Arc<Fake>]) {
    let mut set: Vec<Arc<dyn Redactor>> = Vec::new();
    for fake in redactors {
        let fake: Arc<Fake> = Arc::clone(fake);
        set.push(fake);
    }
    house.core.redactors.set(set);
}

fn arrivals(bodies: &[&str]) -> Vec<Arrival> {
    let arrival = |(n, body): (usize, &&str)| Arrival::from(draft(&n.to_string(), "a", body));
    bodies.iter().enumerate().map(arrival).collect()
}

async fn body(house: &House, feedback: FeedbackId) -> String {
    let record = query::feedback(&house.core, feedback).await.unwrap().unwrap();
    record.content.unwrap().body
}

async fn masked(house: &House) -> Vec<Option<Vec<Masked>>> {
    let received = house.events().await.into_iter().filter_map(|event| match event {
        EventBody::Received(received) => Some(received.masked),
        _ => None,
    });
    received.collect()
}

fn count(instance: &str, count: u32) -> Masked {
    Masked {
        instance: InstanceName::new(instance).unwrap(),
        label: Tag::new("secret").unwrap(),
        count,
    }
}

#[tokio::test]
async fn what_is_pointed_at_is_masked_before_it_is_stored_and_the_event_says_so() {
    let redact = Fake::new("redact", OnFailure::Hold);
    let house = house_with(&[&redact]);
    let told = Draft {
        subject: Some("secret subject".to_owned()),
        raw: Some(r#"{"a":"\u0633\u0631"}"#.to_owned()),
        ..draft("1", "a", "هذا سر و secret")
    };
    let taken = house
        .accept(&[Arrival::from(told), withdrawal_of("9"), draft("2", "a", "شكراً").into()])
        .await
        .unwrap();
    let record = query::feedback(&house.core, id(&taken[0])).await.unwrap().unwrap();
    let content = record.content.unwrap();
    assert_eq!(content.body, "هذا [secret] و [secret]");
    assert_eq!(content.subject.as_deref(), Some("[secret] subject"));
    assert_eq!(content.raw.as_deref(), Some(r#"{"a":"[secret]"}"#));
    assert_eq!(content.external_id.as_deref(), Some("1"));
    assert_eq!(record.head.body_chars, 23);
    assert_eq!(masked(&house).await, [Some(vec![count("redact", 4)]), None]);
    // The same again is the same record.
    let again = house.accept(&arrivals(&["", "هذا سر و secret"])[1..]).await.unwrap();
    assert!(matches!(again[0], Intake::Duplicate { .. }));
}

#[tokio::test]
async fn mark_up_hides_nothing_in_any_field_and_stays() {
    let redact = Fake::new("redact", OnFailure::Hold);
    let house = house_with(&[&redact]);
    let told = Draft {
        body_html: Some("<p>هذا س<b>ر</b></p>".to_owned()),
        subject: Some("sec&#114;et و A&B".to_owned()),
        raw: Some(r#"{"html":"<i>sec</i>ret<br>"}"#.to_owned()),
        ..draft("1", "a", "هذا س<b>ر</b>")
    };
    let taken = house.accept(&[Arrival::from(told)]).await.unwrap();
    let record = query::feedback(&house.core, id(&taken[0])).await.unwrap().unwrap();
    let content = record.content.unwrap();
    assert_eq!(content.body, "هذا [secret]<b></b>");
    assert_eq!(content.body_html.as_deref(), Some("<p>هذا [secret]<b></b></p>"));
    assert_eq!(content.subject.as_deref(), Some("[secret] و A&B"));
    assert_eq!(content.raw.as_deref(), Some(r#"{"html":"<i>[secret]</i><br>"}"#));
    assert_eq!(masked(&house).await, [Some(vec![count("redact", 4)])]);
    // Four texts of which readers see something else, and the name of a field.
    assert_eq!(*redact.calls.lock().unwrap(), [9]);
}

#[tokio::test]
async fn a_text_at_its_limit_is_kept_though_its_masks_are_longer_than_what_they_cover() {
    let house = house_with(&[
        &Fake::new("first", OnFailure::Hold),
        &Fake::new("second", OnFailure::Hold),
    ]);
    let at = |bytes: usize, said: &str| format!("{said}{}", "ط".repeat((bytes - said.len()) / 2));
    let (subject, long) = (at(TEXT_BYTES_MAX, "secret  "), at(BODY_BYTES_MAX, "سر  "));
    assert_eq!((subject.len(), long.len()), (TEXT_BYTES_MAX, BODY_BYTES_MAX));
    let told = Draft {
        subject: Some(subject.clone()),
        ..draft("1", "a", &long)
    };
    let taken = house.accept(&[Arrival::from(told)]).await.unwrap();
    assert!(matches!(taken[0], Intake::New { .. }), "{taken:?}");
    let record = query::feedback(&house.core, id(&taken[0])).await.unwrap().unwrap();
    let content = record.content.unwrap();
    assert!(content.subject == Some(subject.replace("secret", "[…]")) && content.body == long.replace("سر", "*"));
    assert_eq!(masked(&house).await, [Some(vec![count("first", 2)])]);
    // With room for it the label stands in full.
    let taken = house.accept(&[Arrival::from(draft("2", "a", "سر"))]).await.unwrap();
    assert_eq!(body(&house, id(&taken[0])).await, "[[secret]]");
}

#[tokio::test]
async fn many_texts_share_a_call() {
    let redact = Fake::new("redact", OnFailure::Hold);
    let house = house_with(&[&redact]);
    let bodies: Vec<String> = (0..600).map(|n| format!("شكوى {n}")).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    assert_eq!(house.accept(&arrivals(&bodies)).await.unwrap().len(), 600);
    assert_eq!(*redact.calls.lock().unwrap(), [256, 256, 88]);
    let long = "ط".repeat(400 << 10);
    let house = house_with(&[&redact]);
    house.accept(&arrivals(&[&long, "سؤال", &long])).await.unwrap();
    assert_eq!(
        *redact.calls.lock().unwrap(),
        [256, 256, 88, 2, 1],
        "and no more than so many bytes"
    );
}

#[tokio::test]
async fn each_redactor_sees_what_the_one_before_left() {
    let (first, second) = (
        Fake::new("first", OnFailure::Hold),
        Fake::new("second", OnFailure::Hold),
    );
    let house = house_with(&[&first, &second]);
    let taken = house.accept(&arrivals(&["secret"])).await.unwrap();
    // The second finds the word again, inside of the mask.
    assert_eq!(body(&house, id(&taken[0])).await, "[[secret]]");
    assert_eq!(
        masked(&house).await,
        [Some(vec![count("first", 1), count("second", 1)])]
    );
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_held_back_and_stored_when_it_can() {
    let (broken, sound) = (
        Fake::new("broken", OnFailure::Hold),
        Fake::new("sound", OnFailure::Hold),
    );
    for bad in ["trap سر", "silence سر", "failed سر", "split سر", "busy سر"] {
        let house = house_with(&[&broken]);
        let page = arrivals(&["سر", bad, "سؤال"]);
        match house.accept(&page).await {
            Err(Fault::HeldBack { instance, code, .. }) => {
                assert_eq!(instance.as_str(), "broken");
                assert!(code.is_ascii(), "{code} may name a person");
            }
            other => panic!("{bad}: {other:?}"),
        }
        assert!(house.events().await.is_empty() && house.rows(keys::all(keys::CONTENT)).await.is_empty());
        // Once it need not be looked at any more, or can be.
        set(&house, &[]);
        house.accept(&page[..1]).await.unwrap();
        set(&house, &[&sound]);
        assert_eq!(house.accept(&page[2..]).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_admin_may_have_such_items_refused_and_the_rest_stored() {
    let house = house_with(&[&Fake::new("redact", OnFailure::Refuse)]);
    let page = arrivals(&["سر", "trap سر", "silence سر", "secret", "failed", "split سر"]);
    let taken = house.accept(&page).await.unwrap();
    let refused: Vec<bool> = taken.iter().map(|one| matches!(one, Intake::Refused { .. })).collect();
    assert_eq!(refused, [false, true, true, false, true, true]);
    assert_eq!(body(&house, id(&taken[0])).await, "[secret]");
    assert_eq!(body(&house, id(&taken[3])).await, "[secret]");
    let Intake::Refused { problems } = &taken[1] else {
        panic!("{taken:?}")
    };
    assert!(problems[0].message.contains("redact") && problems[0].message.contains("plugin-trap"));
    assert_eq!(house.rows(keys::all(keys::CONTENT)).await.len(), 2);
}

#[tokio::test]
async fn an_admin_may_have_them_stored_and_the_ledger_says_so() {
    let house = house_with(&[&Fake::new("redact", OnFailure::Store)]);
    let taken = house.accept(&arrivals(&["trap سر", "سر", "failed سر"])).await.unwrap();
    assert_eq!(body(&house, id(&taken[0])).await, "trap سر");
    assert_eq!(body(&house, id(&taken[1])).await, "[secret]");
    let failed = house.events().await.into_iter().filter_map(|event| match event {
        EventBody::EnrichmentFailed(failed) => Some((failed.feedback, failed.code)),
        _ => None,
    });
    let wanted = [
        (id(&taken[0]), "plugin-trap".to_owned()),
        (id(&taken[2]), "plugin-error".to_owned()),
    ];
    assert_eq!(failed.collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn a_hub_that_has_too_much_to_do_holds_back_whatever_the_admin_chose() {
    for choice in [OnFailure::Refuse, OnFailure::Store] {
        let house = house_with(&[&Fake::new("redact", choice)]);
        let held = house.accept(&arrivals(&["سؤال", "busy"])).await.unwrap_err();
        assert!(matches!(held, Fault::HeldBack { .. }), "{held}");
        assert!(house.events().await.is_empty());
    }
}

#[tokio::test]
async fn who_comes_alone_is_masked_alone_and_holds_up_nobody() {
    let house = house_with(&[&Fake::new("redact", OnFailure::Hold)]);
    let bodies = ["سر", "trap", "secret", "busy", "سؤال"];
    let accept = |(n, body): (usize, &str)| {
        let draft = draft(&n.to_string(), "a", body);
        Desk::accept(&house.core, Actor::Console, form(), draft)
    };
    let results = join_all(bodies.into_iter().enumerate().map(accept)).await;
    for (body, result) in bodies.iter().zip(&results) {
        let is_held = matches!(result, Err(Fault::HeldBack { .. }));
        assert_eq!(is_held, ["trap", "busy"].contains(body), "{body}: {result:?}");
    }
    assert_eq!(body(&house, id(results[0].as_ref().unwrap())).await, "[secret]");
    assert_eq!(masked(&house).await.iter().flatten().count(), 2);
}

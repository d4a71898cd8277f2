//! Deliveries against scripted endpoints; signatures checked by an independent verifier.

mod conformance;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use mihwar_sdk::testing::{self, Answer, FakeHost};
use mihwar_sdk::{
    Ack, AckState, Body, ChannelKind, Delivered, Delivery, Event, Feedback, HttpError, Person, PluginError, Request,
    TransportFailure,
};
use serde_json::{Value as Json, json};

use crate::WebhookDepartment;

const URL: &str = "https://crm.example/feedback";
const KEY: &[u8] = b"a key of at least 24 bytes, for tests";

fn delivery(id: &str) -> Delivery {
    let feedback = Feedback::new("m-1", ChannelKind::Email)
        .body("لم يصل الطلب \u{2013} order #٤٢ \"late\"")
        .author(Person::new().named("خالد").identifier("email", "khalid@example.com"));
    let event = Event::Created(testing::stored("fb-1", feedback));
    Delivery {
        id: id.into(),
        attempt: 1,
        event,
        external_ref: None,
    }
}

fn fake() -> FakeHost {
    FakeHost::new().secret("signing", KEY)
}

fn deliver(fake: &FakeHost, batch: Vec<Delivery>) -> Vec<Ack> {
    testing::deliver::<WebhookDepartment>(&fake.host(), &json!({ "url": URL }), batch).unwrap()
}

fn body(request: &Request) -> &[u8] {
    match &request.body {
        Body::Bytes(bytes) => bytes,
        other => panic!("no body: {other:?}"),
    }
}

fn headers(request: &Request) -> http::HeaderMap {
    let pair = |h: &mihwar_sdk::Header| (h.name.parse::<http::HeaderName>().unwrap(), h.value.parse().unwrap());
    request.headers.iter().map(pair).collect()
}

/// The state that one answer leads to, and how many of two requests were sent.
fn judged(answer: Answer) -> (AckState, usize) {
    let fake = fake().always("POST", URL, answer);
    let acks = deliver(&fake, vec![delivery("d-1"), delivery("d-2")]);
    assert_eq!(acks[0].state, acks[1].state, "what was not sent shares the reason");
    (acks.into_iter().next().unwrap().state, fake.requests().len())
}

fn error(answer: Answer) -> (PluginError, usize) {
    match judged(answer) {
        (AckState::Failed(error), sent) => (error, sent),
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[test]
fn the_body_is_a_cloud_event() {
    let fake = fake().always("POST", URL, Answer::status(204));
    let update = Delivery {
        external_ref: Some("CRM-7".into()),
        ..delivery("d-2")
    };
    let erased = Delivery {
        event: Event::Erased("fb-9".into()),
        ..delivery("d-3")
    };
    let acks = deliver(&fake, vec![delivery("d-1"), update, erased]);
    assert!(acks.iter().all(|ack| ack.state
        == AckState::Delivered(Delivered {
            external_ref: None,
            url: None
        })));
    let events: Vec<Json> = fake
        .requests()
        .iter()
        .map(|r| serde_json::from_slice(body(r)).unwrap())
        .collect();
    let first = &events[0];
    assert_eq!(first["specversion"], "1.0");
    assert_eq!(first["id"], "d-1");
    assert_eq!(first["type"], "mihwar.feedback.created");
    assert_eq!(first["source"], "urn:mihwar:test");
    assert_eq!(first["subject"], "fb-1");
    assert_eq!(first["time"], "2026-01-01T00:00:00.000Z");
    assert_eq!(first["data"]["body"], "لم يصل الطلب \u{2013} order #٤٢ \"late\"");
    assert_eq!(first["data"]["author"]["name"], "خالد");
    assert_eq!(first.get("externalref"), None);
    assert_eq!(events[1]["externalref"], "CRM-7");
    assert_eq!(
        (&events[2]["type"], &events[2]["data"]),
        (&json!("mihwar.feedback.erased"), &json!({ "id": "fb-9" }))
    );
    assert_eq!(
        headers(&fake.requests()[0])["content-type"],
        "application/cloudevents+json"
    );
}

#[test]
fn an_independent_verifier_accepts_the_signature_with_the_new_and_the_previous_key() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap();
    let fake = fake()
        .at(now)
        .secret("signing-previous", b"the key before it, long enough".as_slice());
    let fake = fake.always("POST", URL, Answer::status(200));
    deliver(&fake, vec![delivery("d-1")]);
    let request = fake.requests().remove(0);
    let verifies = |key: &[u8], body: &[u8]| {
        let secret = format!("whsec_{}", STANDARD.encode(key));
        standardwebhooks::Webhook::new(&secret)
            .unwrap()
            .verify(body, &headers(&request))
            .is_ok()
    };
    assert!(verifies(KEY, body(&request)));
    assert!(verifies(b"the key before it, long enough", body(&request)));
    assert!(!verifies(b"another key, also long enough", body(&request)));
    assert!(!verifies(KEY, b"another body"));
}

/// Whether the holder of this public key takes the request: what a receiver does with a `whpk_…`.
fn takes(public: &VerifyingKey, headers: &http::HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    let signed = [signed.as_bytes(), body].concat();
    header("webhook-signature")
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1a,"))
        .filter_map(|signature| Signature::from_slice(&STANDARD.decode(signature).ok()?).ok())
        .any(|signature| public.verify_strict(&signed, &signature).is_ok())
}

#[test]
fn a_private_key_signs_for_receivers_that_know_its_public_half() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis().try_into().unwrap();
    let [new, old, stranger] = [1_u8, 2, 3].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let fake = FakeHost::new()
        .at(now)
        .secret("signing-ed25519", new.to_bytes())
        .secret("signing-ed25519-previous", old.to_keypair_bytes())
        .always("POST", URL, Answer::status(200));
    deliver(&fake, vec![delivery("d-1")]);
    let request = fake.requests().remove(0);
    let sent = headers(&request);
    assert_eq!(
        sent["webhook-signature"].to_str().unwrap().matches("v1a,").count(),
        2,
        "{sent:?}"
    );
    for (key, is_good) in [(&new, true), (&old, true), (&stranger, false)] {
        assert_eq!(takes(&key.verifying_key(), &sent, body(&request)), is_good);
        assert!(!takes(&key.verifying_key(), &sent, b"another body"));
    }
    // Beside them, a key that both sides know goes on to sign, so that a receiver may change from one scheme to the other.
    let both = fake.clone().secret("signing", KEY);
    deliver(&both, vec![delivery("d-2")]);
    let request = both.requests().remove(1);
    let sent = headers(&request);
    let shared = format!("whsec_{}", STANDARD.encode(KEY));
    let shared = standardwebhooks::Webhook::new(&shared).unwrap();
    assert!(shared.verify(body(&request), &sent).is_ok());
    assert!(takes(&new.verifying_key(), &sent, body(&request)));
}

#[test]
fn a_secret_that_is_no_key_stops_the_batch_and_names_it() {
    let fake = FakeHost::new().secret("signing-ed25519", "قصير");
    let acks = deliver(&fake, vec![delivery("d-1"), delivery("d-2")]);
    for ack in acks {
        assert!(
            matches!(&ack.state, AckState::Failed(PluginError::Unauthorized(failure))
                if failure.message.contains("signing-ed25519")),
            "{ack:?}"
        );
    }
    assert!(fake.requests().is_empty());
}

#[test]
fn a_thin_event_says_which_item_and_nothing_that_anybody_said() {
    let fake = fake().always("POST", URL, Answer::status(204));
    let mut told = delivery("d-1");
    if let Event::Created(item) = &mut told.event {
        item.feedback.kind = Some("complaint".into());
    }
    let settings = json!({ "url": URL, "payload": "thin", "link": "https://hub.example/api/v1/feedback/{id}" });
    testing::deliver::<WebhookDepartment>(&fake.host(), &settings, vec![told, delivery("d-2")]).unwrap();
    let events: Vec<Json> = fake
        .requests()
        .iter()
        .map(|request| serde_json::from_slice(body(request)).unwrap())
        .collect();
    let links = json!({ "self": "https://hub.example/api/v1/feedback/fb-1" });
    assert_eq!(
        events[0]["data"],
        json!({ "id": "fb-1", "version": 1, "kind": "complaint", "links": links })
    );
    assert_eq!(events[1]["data"], json!({ "id": "fb-1", "version": 1, "links": links }));
    let all = format!("{events:?}");
    assert!(!all.contains("خالد") && !all.contains("الطلب"), "{all}");
}

#[test]
fn the_id_is_stable_over_retries_and_the_time_is_that_of_the_attempt() {
    let fake = fake().always("POST", URL, Answer::status(500).takes_ms(5000));
    deliver(&fake, vec![delivery("d-1")]);
    deliver(
        &fake,
        vec![Delivery {
            attempt: 2,
            ..delivery("d-1")
        }],
    );
    let sent: Vec<http::HeaderMap> = fake.requests().iter().map(headers).collect();
    assert_eq!(sent[0]["webhook-id"], sent[1]["webhook-id"]);
    assert_eq!(sent[0]["webhook-timestamp"], "1767225600");
    assert_eq!(sent[1]["webhook-timestamp"], "1767225605");
    assert_eq!(body(&fake.requests()[0]), body(&fake.requests()[1]));
}

#[test]
fn a_receiver_may_tell_its_own_reference() {
    let (state, _) = judged(Answer::json(
        201,
        r#"{"ref": "CRM-7", "url": "https://crm.example/7", "x": 1}"#,
    ));
    let told = Delivered {
        external_ref: Some("CRM-7".into()),
        url: Some("https://crm.example/7".into()),
    };
    assert_eq!(state, AckState::Delivered(told));
    let plain = AckState::Delivered(Delivered {
        external_ref: None,
        url: None,
    });
    assert_eq!(judged(Answer::body(200, "تم")).0, plain);
}

#[test]
fn the_endpoint_as_a_whole_stops_the_batch() {
    for status in [401, 403, 410] {
        let (error, sent) = error(Answer::status(status));
        assert!(matches!(error, PluginError::Unauthorized(_)), "{status}: {error:?}");
        assert_eq!(sent, 1, "{status}");
    }
    let pause = "Thu, 01 Jan 2026 00:02:00 GMT";
    assert_eq!(
        error(Answer::status(429).header("Retry-After", pause)),
        (
            PluginError::rate_limited("http-429", "the endpoint asks for a pause", 120_000),
            1
        )
    );
    assert_eq!(
        error(Answer::status(503).header("Retry-After", "7")),
        (
            PluginError::transient_after("http-503", "the endpoint asks for a pause", 7000),
            1
        )
    );
    let refused = TransportFailure {
        message: "connection refused".into(),
        sent: false,
    };
    let (no_connection, sent) = error(Answer::fails(HttpError::Connect(refused)));
    assert_eq!((no_connection.code(), sent), (Some("http-connect"), 1));
    let (denied, sent) = error(Answer::fails(HttpError::Denied(
        "grant.http = [\"https://crm.example\"]".into(),
    )));
    assert!(matches!(denied, PluginError::Misconfigured(_)));
    assert_eq!(sent, 1);
}

#[test]
fn one_item_that_fails_does_not_stop_the_others() {
    for (answer, transient) in [
        (Answer::status(500), true),
        (Answer::status(503), true),
        (Answer::times_out(true), true),
        (
            Answer::status(302).header("location", "https://elsewhere.example"),
            false,
        ),
        (Answer::status(400), false),
        (Answer::status(422), false),
    ] {
        let (error, sent) = error(answer);
        assert_eq!(matches!(error, PluginError::Transient(_)), transient, "{error:?}");
        assert_eq!(matches!(error, PluginError::Permanent(_)), !transient, "{error:?}");
        assert_eq!(sent, 2);
    }
    let fake = fake()
        .answer("POST", URL, Answer::status(400))
        .answer("POST", URL, Answer::status(200));
    let acks = deliver(&fake, vec![delivery("d-1"), delivery("d-2")]);
    assert!(matches!(acks[0].state, AckState::Failed(_)));
    assert!(matches!(acks[1].state, AckState::Delivered(_)));
}

#[test]
fn what_time_does_not_allow_stays_without_an_ack() {
    let fake = fake()
        .with_remaining_ms(10_000)
        .always("POST", URL, Answer::status(200).takes_ms(4600));
    let acks = deliver(&fake, ["d-1", "d-2", "d-3"].map(delivery).to_vec());
    let ids: Vec<&str> = acks.iter().map(|ack| ack.id.as_str()).collect();
    assert_eq!(ids, ["d-1", "d-2"]);
    let timeouts: Vec<Option<u32>> = fake.requests().iter().map(|request| request.timeout_ms).collect();
    assert_eq!(timeouts, [Some(9500), Some(4900)], "a request never outlives the call");
}

#[test]
fn without_a_key_nothing_is_sent() {
    let fake = FakeHost::new();
    let result = testing::deliver::<WebhookDepartment>(&fake.host(), &json!({ "url": URL }), vec![delivery("d-1")]);
    assert!(matches!(result, Err(PluginError::Unauthorized(_))));
    assert!(fake.requests().is_empty());
}

#[test]
fn settings_and_connection_are_checked() {
    let paths = |settings: Json| -> Vec<String> {
        testing::validate::<WebhookDepartment>(&settings)
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    };
    assert_eq!(paths(json!({ "url": "crm.example", "source": " " })), ["url", "source"]);
    assert_eq!(paths(json!({ "url": URL, "timeout_ms": "long" })), ["timeout_ms"]);
    assert!(paths(json!({ "url": URL })).is_empty());
    let link = "https://hub.example/{id}";
    assert!(paths(json!({ "url": URL, "payload": "thin", "link": link })).is_empty());
    assert_eq!(paths(json!({ "url": URL, "payload": "رقيق" })), ["payload"]);
    for (payload, link) in [
        ("full", link),
        ("thin", "https://hub.example/"),
        ("thin", "hub.example/{id}"),
    ] {
        assert_eq!(paths(json!({ "url": URL, "payload": payload, "link": link })), ["link"]);
    }
    let fake = fake().answer("HEAD", URL, Answer::status(405));
    let health = testing::check::<WebhookDepartment>(&fake.host(), &json!({ "url": URL })).unwrap();
    assert_eq!(health.notes, ["https://crm.example/feedback answers HEAD with 405"]);
}

#[test]
fn the_manifest_asks_for_all_that_an_event_can_hold_and_says_why_in_both_languages() {
    let manifest = include_str!("../plugin.toml");
    let asked = manifest.lines().find(|line| line.starts_with("fields = ")).unwrap();
    for field in [
        "subject",
        "body",
        "author.name",
        "author.identifiers",
        "attachments",
        "details",
        "attributes",
        "raw",
    ] {
        assert!(asked.contains(&format!("\"{field}\"")), "{field}");
    }
    let for_people = |line: &&str| ["why", "label", "description"].iter().any(|key| line.starts_with(key));
    let texts: Vec<&str> = manifest.lines().filter(for_people).collect();
    assert_eq!(texts.len(), 6);
    for text in texts {
        assert!(text.contains("en = \"") && text.contains("ar = \""), "{text}");
    }
}

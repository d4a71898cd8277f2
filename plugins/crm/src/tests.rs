//! Settings and exchanges of three systems. Those of Odoo and HubSpot have the form that their documentation gives them; nothing
//! here was recorded from anybody's account.

mod conformance;
mod reports;
mod settings;

use mihwar_sdk::testing::{self, Answer, FakeHost};
use mihwar_sdk::{
    Ack, AckState, Body, ChannelKind, Delivered, Delivery, Event, Feedback, HttpError, Person, PluginError, Request,
    TransportFailure,
};
use serde_json::{Value as Json, json};

use crate::CrmDepartment;

const CASES: &str = "https://cases.example.sa/v1/cases";
const CASE: &str = "https://cases.example.sa/v1/cases/%D9%82%2F%D9%A7?order=A%2F7%20%D8%A8&source=test";
const BY_KEY: &str = "https://cases.example.sa/v1/cases?key=fb-1";

/// Settings, answers and a report of one system.
fn system(name: &str) -> Json {
    let text = match name {
        "odoo" => include_str!("tests/odoo.json"),
        "hubspot" => include_str!("tests/hubspot.json"),
        _ => include_str!("tests/inhouse.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn said() -> Feedback {
    Feedback::new("m-1", ChannelKind::Form)
        .subject("فاتورة خاطئة")
        .body("خُصم المبلغ مرتين، \"please\" {{ item.id }}")
        .kind("complaint")
        .score("nps", 2.0, 0.0, 10.0)
        .attribute("order-id", "A/7 ب")
        .author(Person::new().named("خالد").identifier("email", "khalid@example.org"))
}

fn delivery(event: Event, reference: Option<&str>) -> Delivery {
    Delivery {
        id: "d-1".into(),
        attempt: 1,
        event,
        external_ref: reference.map(str::to_owned),
    }
}

fn created() -> Delivery {
    delivery(Event::Created(testing::stored("fb-1", said())), None)
}

fn updated(reference: &str) -> Delivery {
    delivery(Event::Updated(testing::stored("fb-1", said())), Some(reference))
}

fn erased(reference: Option<&str>) -> Delivery {
    delivery(Event::Erased("fb-1".into()), reference)
}

fn answer(json: &Json) -> Answer {
    Answer::json(200, json.to_string())
}

fn deliver(fake: &FakeHost, settings: &Json, batch: Vec<Delivery>) -> Vec<Ack> {
    testing::deliver::<CrmDepartment>(&fake.host(), settings, batch).unwrap()
}

fn state(fake: &FakeHost, settings: &Json, delivery: Delivery) -> AckState {
    deliver(fake, settings, vec![delivery]).remove(0).state
}

fn failed(fake: &FakeHost, settings: &Json, delivery: Delivery) -> PluginError {
    match state(fake, settings, delivery) {
        AckState::Failed(error) => error,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn done(reference: &str, url: &str) -> AckState {
    AckState::Delivered(Delivered {
        external_ref: Some(reference.into()),
        url: Some(url.into()),
    })
}

fn nothing_more() -> AckState {
    AckState::Delivered(Delivered {
        external_ref: None,
        url: None,
    })
}

fn text(request: &Request) -> String {
    match &request.body {
        Body::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("no body: {other:?}"),
    }
}

fn sent(request: &Request) -> Json {
    serde_json::from_str(&text(request)).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    let found = request.headers.iter().find(|header| header.name == name);
    found.map_or("", |header| header.value.as_str())
}

#[test]
fn odoo_gets_a_ticket_by_its_methods_and_is_asked_first_whether_there_is_one() {
    let odoo = system("odoo");
    let url = |method: &str| format!("https://acme.odoo.example/json/2/helpdesk.ticket/{method}");
    let ticket = done("7", "https://acme.odoo.example/odoo/helpdesk/7");
    let fake = FakeHost::new()
        .answer("POST", &url("search"), answer(&odoo["nothing_found"]))
        .answer("POST", &url("create"), answer(&odoo["created"]));
    assert_eq!(state(&fake, &odoo["settings"], created()), ticket);
    let requests = fake.requests();
    assert_eq!(
        sent(&requests[0]),
        json!({ "domain": [["x_feedback", "=", "fb-1"]], "limit": 1 })
    );
    assert_eq!(
        sent(&requests[1]),
        json!({ "vals_list": [{
            "name": "فاتورة خاطئة", "description": "خُصم المبلغ مرتين، \"please\" {{ item.id }}", "team_id": 3, "priority": "2",
            "partner_name": "خالد", "partner_email": "khalid@example.org", "x_feedback": "fb-1",
        }] }),
        "what customers write is no template, and breaks no JSON"
    );
    assert_eq!(header(&requests[1], "X-Odoo-Database"), "acme");
    assert_eq!(header(&requests[1], "content-type"), "application/json");
    assert_eq!(requests[1].credential.as_deref(), Some("token"));

    // The answer to an earlier attempt was lost: the ticket is found and written anew.
    let fake = FakeHost::new()
        .answer("POST", &url("search"), answer(&odoo["found"]))
        .answer("POST", &url("write"), answer(&odoo["written"]));
    assert_eq!(state(&fake, &odoo["settings"], created()), ticket);
    assert_eq!(sent(&fake.requests()[1])["ids"], json!([7]));

    let fake = FakeHost::new().answer("POST", &url("unlink"), answer(&odoo["written"]));
    assert_eq!(state(&fake, &odoo["settings"], erased(Some("7"))), nothing_more());
    assert_eq!(sent(&fake.requests()[0]), json!({ "ids": [7] }));
    // Somebody deleted it there.
    let missing = Answer::json(404, odoo["missing"].to_string());
    let fake = FakeHost::new()
        .always("POST", &url("unlink"), missing.clone())
        .always("POST", &url("write"), missing);
    assert_eq!(state(&fake, &odoo["settings"], erased(Some("7"))), nothing_more());
    assert!(matches!(
        state(&fake, &odoo["settings"], updated("7")),
        AckState::Skipped(_)
    ));
}

#[test]
fn hubspot_gets_a_ticket_with_properties() {
    let hubspot = system("hubspot");
    let tickets = "https://api.hubapi.com/crm/objects/2026-03/tickets";
    let ticket = "https://api.hubapi.com/crm/objects/2026-03/tickets/30140252481";
    let search = "https://api.hubapi.com/crm/objects/2026-03/tickets/search";
    let is_there = done(
        "30140252481",
        "https://app.hubspot.com/contacts/147000000/record/0-5/30140252481",
    );
    let fake = FakeHost::new()
        .answer("POST", search, answer(&hubspot["nothing_found"]))
        .answer("POST", tickets, Answer::json(201, hubspot["created"].to_string()));
    assert_eq!(state(&fake, &hubspot["settings"], created()), is_there);
    let properties = sent(&fake.requests()[1])["properties"].clone();
    assert_eq!(properties["hs_ticket_priority"], "HIGH");
    assert_eq!(properties["feedback_id"], "fb-1");

    let fake = FakeHost::new()
        .answer("POST", search, answer(&hubspot["found"]))
        .answer("PATCH", ticket, answer(&hubspot["created"]));
    assert_eq!(state(&fake, &hubspot["settings"], created()), is_there);
    let fake = FakeHost::new()
        .answer("POST", search, answer(&hubspot["found"]))
        .answer("DELETE", ticket, Answer::status(204));
    assert_eq!(
        state(&fake, &hubspot["settings"], erased(None)),
        nothing_more(),
        "found by the hub's id"
    );
    assert!(fake.unused_answers().is_empty());
}

#[test]
fn a_system_of_ones_own_takes_forms_its_own_headers_and_statuses() {
    let own = system("own");
    let case = done("ق/٧", "https://cases.example.sa/c/7");
    let fake = FakeHost::new()
        .answer("GET", BY_KEY, answer(&own["nothing_found"]))
        .answer("POST", CASES, answer(&own["created"]));
    assert_eq!(state(&fake, &own["settings"], created()), case);
    let request = &fake.requests()[1];
    let body = text(request);
    assert!(
        body.starts_with("key=fb-1&order=A%2F7%20%D8%A8&score=2&text="),
        "{body}"
    );
    assert!(
        body.contains("%0A%E2%80%94%20") && body.ends_with("&urgent=true"),
        "{body}"
    );
    assert_eq!(header(request, "Idempotency-Key"), "d-1");
    assert_eq!(header(request, "X-Client"), "mihwar");
    assert_eq!(header(request, "content-type"), "application/x-www-form-urlencoded");
    assert_eq!(request.credential.as_deref(), Some("key"));

    // 409 says that it is there already, and the answer has no number: it is looked for once more.
    let fake = FakeHost::new()
        .answer("GET", BY_KEY, answer(&own["nothing_found"]))
        .answer("POST", CASES, Answer::json(409, "{}"))
        .answer("GET", BY_KEY, answer(&own["found"]));
    let AckState::Delivered(found) = state(&fake, &own["settings"], created()) else {
        panic!("not delivered")
    };
    assert_eq!(found.external_ref.as_deref(), Some("ق/٧"));

    // What is put into an address stays in its place.
    let fake = FakeHost::new().answer("PUT", CASE, answer(&own["created"]));
    assert_eq!(state(&fake, &own["settings"], updated("ق/٧")), case);
    let body = sent(&fake.requests()[0]);
    assert_eq!(
        (&body["version"], &body["all"]["author"]["name"]),
        (&json!(1), &json!("خالد"))
    );

    let fake = FakeHost::new()
        .answer("GET", BY_KEY, answer(&own["nothing_found"]))
        .answer("POST", CASES, answer(&own["failed"]));
    let error = failed(&fake, &own["settings"], created());
    assert_eq!(error.code(), Some("told-failure"), "a success that tells of a failure");
    assert!(!error.summary().contains("رُفض"), "{error:?}");
}

#[test]
fn what_cannot_be_done_is_said_and_not_passed_over() {
    let own = system("own");
    let error = failed(&FakeHost::new(), &own["settings"], erased(Some("ق/٧")));
    assert_eq!(error.code(), Some("no-erase"));
    let mut settings = own["settings"].clone();
    settings.as_object_mut().unwrap().remove("lookup");
    settings.as_object_mut().unwrap().remove("update");
    assert_eq!(state(&FakeHost::new(), &settings, erased(None)), nothing_more());
    assert!(matches!(
        state(&FakeHost::new(), &settings, updated("ق/٧")),
        AckState::Skipped(_)
    ));
    // The answer has no reference where the settings look for it: the next items would be lost as well.
    let fake = FakeHost::new().always("POST", CASES, answer(&json!({ "case": {} })));
    let acks = deliver(&fake, &settings, vec![created(), created()]);
    assert_eq!(
        (acks[0].state.clone(), fake.requests().len()),
        (acks[1].state.clone(), 1)
    );
    match &acks[0].state {
        AckState::Failed(PluginError::Misconfigured(problems)) => assert_eq!(problems[0].path, "create.reference"),
        other => panic!("{other:?}"),
    }
    // A reference that would lead to another address is put nowhere.
    let fake = FakeHost::new();
    let error = failed(&fake, &own["settings"], updated(".."));
    assert_eq!((error.code(), fake.requests().len()), (Some("template"), 0));
    // An item that was deleted there can be made again.
    settings["update"] = own["settings"]["update"].clone();
    settings["on_missing"] = json!("create");
    let fake = FakeHost::new()
        .answer("PUT", CASE, Answer::status(410))
        .answer("POST", CASES, answer(&own["created"]));
    assert!(matches!(
        state(&fake, &settings, updated("ق/٧")),
        AckState::Delivered(_)
    ));
}

#[test]
fn answers_have_their_classes() {
    let own = system("own");
    let of = |answer: Answer| {
        let fake = FakeHost::new().always("PUT", CASE, answer);
        let acks = deliver(&fake, &own["settings"], vec![updated("ق/٧"), updated("ق/٧")]);
        let AckState::Failed(error) = acks[0].state.clone() else {
            panic!("{acks:?}")
        };
        (error, fake.requests().len())
    };
    for status in [400, 405, 413, 422] {
        let (error, requests) = of(Answer::json(status, r#"{ "message": "خالد" }"#));
        assert!(matches!(error, PluginError::Permanent(_)) && requests == 2, "{error:?}");
        assert!(!error.summary().contains("خالد"), "{error:?}");
    }
    for status in [401, 403] {
        let (error, requests) = of(Answer::status(status));
        assert!(
            matches!(error, PluginError::Unauthorized(_)) && requests == 1,
            "{error:?}"
        );
    }
    let (error, requests) = of(Answer::status(302));
    assert!(
        matches!(error, PluginError::Misconfigured(_)) && requests == 1,
        "{error:?}"
    );
    let (error, requests) = of(Answer::status(502));
    assert!(matches!(error, PluginError::Transient(_)) && requests == 2, "{error:?}");
    for (answer, pause) in [
        (Answer::status(429), 60_000),
        (Answer::status(429).header("Retry-After", "7"), 7_000),
        (Answer::status(429).header("Retry-After", "0"), 1_000),
    ] {
        match of(answer) {
            (PluginError::RateLimited(retry), 1) => assert_eq!(retry.after_ms, Some(pause)),
            other => panic!("{other:?}"),
        }
    }
    match of(Answer::status(503).header("Retry-After", "9")) {
        (PluginError::Transient(retry), 1) => assert_eq!(retry.after_ms, Some(9_000)),
        other => panic!("{other:?}"),
    }
    let lost = TransportFailure {
        message: "انقطع الاتصال".into(),
        sent: true,
    };
    let (error, requests) = of(Answer::fails(HttpError::Timeout(lost)));
    assert!(matches!(error, PluginError::Transient(_)) && requests == 2, "{error:?}");
}

#[test]
fn what_time_does_not_allow_stays_without_an_ack() {
    let own = system("own");
    let fake = FakeHost::new()
        .with_remaining_ms(12_000)
        .always("PUT", CASE, answer(&own["created"]).takes_ms(4_000));
    let acks = deliver(
        &fake,
        &own["settings"],
        vec![updated("ق/٧"), updated("ق/٧"), updated("ق/٧")],
    );
    assert_eq!(acks.len(), 2);
}

#[test]
fn the_manifest_speaks_both_languages() {
    let manifest = include_str!("../plugin.toml");
    let for_people = |line: &&str| {
        ["why", "label", "description", "name = {"]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let texts: Vec<&str> = manifest.lines().filter(for_people).collect();
    assert_eq!(texts.len(), 9);
    for text in texts {
        assert!(text.contains("en = \"") && text.contains("ar = \""), "{text}");
    }
}

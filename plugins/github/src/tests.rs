//! Exchanges in the form that GitHub's documentation gives them; nothing here was recorded from anybody's account.

mod checks;
mod conformance;
mod events;

use mihwar_sdk::testing::{self, Answer, FakeHost};
use mihwar_sdk::{
    Ack, AckState, Body, ChannelKind, Delivered, Delivery, Event, Feedback, HttpError, Person, PluginError, Request,
    TransportFailure,
};
use serde_json::{Value as Json, json};

use crate::GithubDepartment;
use crate::api::Reference;

const REPO: &str = "https://api.github.com/repos/acme/shop";
const ISSUES: &str = "https://api.github.com/repos/acme/shop/issues";
const NEWEST: &str = "https://api.github.com/repos/acme/shop/issues?state=all&sort=created&direction=desc&per_page=50";
const SEARCH: &str =
    "https://api.github.com/search/issues?q=%22fb-1%22+in%3Abody+is%3Aissue+repo%3Aacme%2Fshop&per_page=10";
const ISSUE: &str = "https://api.github.com/repos/acme/shop/issues/12";
const COMMENTS: &str = "https://api.github.com/repos/acme/shop/issues/12/comments?per_page=100&page=1";
const CREATED: &str = include_str!("tests/created.json");
const LISTED: &str = include_str!("tests/listed.json");
const MARK: &str = "<!-- mihwar:fb-1 -->";

fn settings() -> Json {
    json!({
        "repository": "acme/shop", "labels": ["feedback"], "kind_labels": { "complaint": "bug" },
        "tag_labels": { "شحن": "shipping" }, "language": "ar",
    })
}

fn with(more: &Json) -> Json {
    let mut all = settings();
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

fn said() -> Feedback {
    let mut feedback = Feedback::new("m-1", ChannelKind::Form)
        .subject("فاتورة خاطئة")
        .body("خُصم المبلغ مرتين @acme\nplease fix #7")
        .kind("complaint")
        .score("nps", 2.0, 0.0, 10.0)
        .author(Person::new().named("خالد").identifier("tel", "+966500000001"));
    feedback.tags = vec!["شحن".into(), "vip".into()];
    feedback
}

fn delivery(attempt: u32, event: Event, reference: Option<&str>) -> Delivery {
    Delivery {
        id: "d-1".into(),
        attempt,
        event,
        external_ref: reference.map(str::to_owned),
    }
}

fn created(attempt: u32) -> Delivery {
    delivery(attempt, Event::Created(testing::stored("fb-1", said())), None)
}

fn updated() -> Delivery {
    delivery(1, Event::Updated(testing::stored("fb-1", said())), Some("acme/shop#12"))
}

fn deliver(fake: &FakeHost, settings: &Json, batch: Vec<Delivery>) -> Vec<Ack> {
    testing::deliver::<GithubDepartment>(&fake.host(), settings, batch).unwrap()
}

fn state(fake: &FakeHost, settings: &Json, delivery: Delivery) -> AckState {
    deliver(fake, settings, vec![delivery]).remove(0).state
}

fn failed(fake: &FakeHost, delivery: Delivery) -> PluginError {
    match state(fake, &settings(), delivery) {
        AckState::Failed(error) => error,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn as_issue() -> AckState {
    AckState::Delivered(Delivered {
        external_ref: Some("acme/shop#12".into()),
        url: Some("https://github.com/acme/shop/issues/12".into()),
    })
}

fn sent(request: &Request) -> Json {
    match &request.body {
        Body::Bytes(bytes) => serde_json::from_slice(bytes).unwrap(),
        other => panic!("no body: {other:?}"),
    }
}

fn calls(fake: &FakeHost) -> Vec<String> {
    let shown = |request: &Request| format!("{} {}", request.method, request.url);
    fake.requests().iter().map(shown).collect()
}

#[test]
fn an_item_becomes_an_issue_with_its_mark_its_labels_and_nothing_that_acts() {
    let fake = FakeHost::new().answer("GET", NEWEST, Answer::json(200, "[]")).answer(
        "POST",
        ISSUES,
        Answer::json(201, CREATED),
    );
    assert_eq!(state(&fake, &settings(), created(1)), as_issue());
    let request = &fake.requests()[1];
    let headers = |name: &str| {
        let found = request.headers.iter().find(|header| header.name == name);
        found.map(|header| header.value.clone()).unwrap_or_default()
    };
    assert_eq!(headers("x-github-api-version"), "2026-03-10");
    assert_eq!(headers("accept"), "application/vnd.github+json");
    let issue = sent(request);
    assert_eq!(issue["title"], "فاتورة خاطئة");
    assert_eq!(issue["labels"], json!(["feedback", "bug", "shipping"]));
    let body = issue["body"].as_str().unwrap();
    assert!(body.starts_with(MARK), "{body}");
    assert!(body.contains("> خُصم المبلغ مرتين @&#8203;acme"), "{body}");
    assert!(body.contains("#&#8203;7") && !body.contains("#7"), "{body}");
    assert!(body.contains("- **من:** خالد, tel&#58;\\+966500000001"), "{body}");
    assert!(body.contains("- **الدرجات:** nps 2 / 10"), "{body}");
}

#[test]
fn an_issue_whose_creation_was_not_answered_is_found_by_its_mark_and_the_oldest_of_several_counts() {
    // The hub may have died before it knew of an attempt: the newest issues are looked at always.
    let fake = FakeHost::new().answer("GET", NEWEST, Answer::json(200, LISTED)).answer(
        "PATCH",
        ISSUE,
        Answer::json(200, CREATED),
    );
    assert_eq!(state(&fake, &settings(), created(1)), as_issue());
    assert_eq!(calls(&fake), [format!("GET {NEWEST}"), format!("PATCH {ISSUE}")]);
    // What was created long ago is searched for, after an attempt that may have arrived.
    let found = json!({ "total_count": 1, "incomplete_results": false, "items": [serde_json::from_str::<Json>(CREATED).unwrap()] });
    let fake = FakeHost::new()
        .answer("GET", NEWEST, Answer::json(200, "[]"))
        .answer("GET", SEARCH, Answer::json(200, found.to_string()))
        .answer("PATCH", ISSUE, Answer::json(200, CREATED));
    assert_eq!(state(&fake, &settings(), created(2)), as_issue());
    let nothing = r#"{ "total_count": 0, "incomplete_results": false, "items": [] }"#;
    let fake = FakeHost::new()
        .answer("GET", NEWEST, Answer::json(200, "[]"))
        .answer("GET", SEARCH, Answer::json(200, nothing))
        .answer("POST", ISSUES, Answer::json(201, CREATED));
    assert_eq!(state(&fake, &settings(), created(2)), as_issue());
}

#[test]
fn the_newest_issues_are_asked_for_once_in_a_batch() {
    let fake = FakeHost::new()
        .with_remaining_ms(60_000)
        .answer("GET", NEWEST, Answer::json(200, "[]"))
        .always("POST", ISSUES, Answer::json(201, CREATED));
    let acks = deliver(&fake, &settings(), vec![created(1), created(1), created(1)]);
    assert_eq!((acks.len(), fake.requests().len()), (3, 4));
}

#[test]
fn a_new_version_edits_or_comments_once() {
    let fake = FakeHost::new().answer("PATCH", ISSUE, Answer::json(200, CREATED));
    assert_eq!(state(&fake, &settings(), updated()), as_issue());
    assert_eq!(
        sent(&fake.requests()[0]).get("labels"),
        None,
        "what people put there stays"
    );

    let commenting = with(&json!({ "on_update": "comment" }));
    let post = "https://api.github.com/repos/acme/shop/issues/12/comments";
    let fake = FakeHost::new()
        .answer(
            "GET",
            COMMENTS,
            Answer::json(200, r#"[{ "id": 1, "body": "نعم" }, { "id": 2, "body": null }]"#),
        )
        .answer("POST", post, Answer::json(201, r#"{ "id": 3 }"#));
    assert_eq!(state(&fake, &commenting, updated()), as_issue());
    let comment = sent(&fake.requests()[1])["body"].as_str().unwrap().to_owned();
    assert!(comment.starts_with("<!-- mihwar:fb-1 delivery:d-1 -->"), "{comment}");
    let there = json!([{ "id": 3, "body": comment }]).to_string();
    let fake = FakeHost::new().answer("GET", COMMENTS, Answer::json(200, there));
    assert_eq!(state(&fake, &commenting, updated()), as_issue(), "not a second time");
}

#[test]
fn an_erased_item_leaves_nothing_of_it() {
    let ours = "<!-- mihwar:fb-1 delivery:d-0 -->\nخُصم";
    let comments = json!([{ "id": 3, "body": ours }, { "id": 4, "body": "of somebody else" }]).to_string();
    let fake = FakeHost::new()
        .answer("PATCH", ISSUE, Answer::json(200, CREATED))
        .answer("GET", COMMENTS, Answer::json(200, comments))
        .answer(
            "DELETE",
            "https://api.github.com/repos/acme/shop/issues/comments/3",
            Answer::status(204),
        )
        .answer(
            "PUT",
            "https://api.github.com/repos/acme/shop/issues/12/lock",
            Answer::status(204),
        );
    let erased = delivery(1, Event::Erased("fb-1".into()), Some("acme/shop#12"));
    let nothing = AckState::Delivered(Delivered {
        external_ref: None,
        url: None,
    });
    assert_eq!(state(&fake, &settings(), erased.clone()), nothing);
    assert!(fake.unused_answers().is_empty(), "{:?}", fake.unused_answers());
    let changes = sent(&fake.requests()[0]);
    assert_eq!(
        (&changes["state"], &changes["state_reason"]),
        (&json!("closed"), &json!("not_planned"))
    );
    let text = changes.to_string();
    assert!(
        !text.contains("خُصم") && !text.contains("خالد") && text.contains("mihwar-erased:fb-1"),
        "{text}"
    );
    // Deleted there, or never opened: there is nothing to do.
    let fake = FakeHost::new()
        .answer(
            "PATCH",
            ISSUE,
            Answer::json(410, r#"{ "message": "This issue was deleted" }"#),
        )
        .answer("GET", REPO, Answer::json(200, "{}"));
    assert_eq!(state(&fake, &settings(), erased), nothing);
    let empty = r#"{ "total_count": 0, "items": [] }"#;
    let fake =
        FakeHost::new()
            .answer("GET", NEWEST, Answer::json(200, "[]"))
            .answer("GET", SEARCH, Answer::json(200, empty));
    let unknown = delivery(1, Event::Erased("fb-1".into()), None);
    assert_eq!(state(&fake, &settings(), unknown), nothing);
}

#[test]
fn limits_of_both_sorts_are_pauses_and_stop_the_batch() {
    let reset = (1_767_225_600 + 90).to_string();
    for (answer, pause) in [
        (
            Answer::json(403, r#"{ "message": "API rate limit exceeded" }"#)
                .header("x-ratelimit-remaining", "0")
                .header("x-ratelimit-reset", reset),
            90_000,
        ),
        (Answer::json(429, "{}").header("Retry-After", "7"), 7_000),
        (
            Answer::json(403, r#"{ "message": "You have exceeded a secondary rate limit." }"#),
            60_000,
        ),
        (Answer::status(429), 60_000),
    ] {
        let fake = FakeHost::new().always("PATCH", ISSUE, answer.clone());
        let acks = deliver(&fake, &settings(), vec![updated(), updated()]);
        assert_eq!(acks[0].state, acks[1].state);
        assert_eq!(fake.requests().len(), 1, "{answer:?}");
        match &acks[0].state {
            AckState::Failed(PluginError::RateLimited(retry)) => assert_eq!(retry.after_ms, Some(pause)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn answers_have_their_classes() {
    let classes = |status: u16, text: &str| {
        let fake = FakeHost::new()
            .always("PATCH", ISSUE, Answer::json(status, text))
            .always("GET", REPO, Answer::json(200, "{}"));
        failed(&fake, updated())
    };
    assert!(matches!(classes(401, "{}"), PluginError::Unauthorized(_)));
    assert!(matches!(
        classes(
            403,
            r#"{ "message": "Resource not accessible by personal access token" }"#
        ),
        PluginError::Unauthorized(_)
    ));
    assert!(matches!(classes(301, "{}"), PluginError::Misconfigured(_)));
    assert!(matches!(classes(400, "{}"), PluginError::Misconfigured(_)));
    assert!(matches!(classes(502, "<html>"), PluginError::Transient(_)));
    let refused = r#"{ "message": "Validation Failed", "errors": [{ "resource": "Issue", "field": "title", "code": "missing_field", "value": "خالد" }] }"#;
    let error = classes(422, refused);
    assert!(matches!(&error, PluginError::Permanent(_)), "{error:?}");
    assert!(
        error.summary().contains("title missing_field") && !error.summary().contains("خالد"),
        "{error:?}"
    );
    assert!(
        matches!(classes(200, "[]"), PluginError::Transient(_)),
        "what is not documented"
    );
    // An issue that was deleted costs itself; a repository that is not to be seen stops everything.
    let fake = FakeHost::new()
        .answer("PATCH", ISSUE, Answer::status(404))
        .answer("GET", REPO, Answer::json(200, "{}"));
    assert!(matches!(state(&fake, &settings(), updated()), AckState::Skipped(_)));
    let fake = FakeHost::new()
        .answer("PATCH", ISSUE, Answer::status(404))
        .answer("GET", REPO, Answer::status(404));
    assert!(matches!(failed(&fake, updated()), PluginError::Misconfigured(_)));
    let fake = FakeHost::new().answer("GET", NEWEST, Answer::json(200, "[]")).answer(
        "POST",
        ISSUES,
        Answer::json(410, r#"{ "message": "Issues are disabled for this repo" }"#),
    );
    assert!(matches!(failed(&fake, created(1)), PluginError::Misconfigured(_)));
    let lost = TransportFailure {
        message: "انقطع الاتصال".into(),
        sent: true,
    };
    let fake = FakeHost::new().always("PATCH", ISSUE, Answer::fails(HttpError::Timeout(lost)));
    let acks = deliver(&fake, &settings(), vec![updated(), updated()]);
    assert_eq!((acks.len(), fake.requests().len()), (2, 2), "the other one is tried");
}

#[test]
fn an_enterprise_server_is_reached_below_its_own_address() {
    let own = with(&json!({ "api": "https://git.example/api/v3", "api_version": "2022-11-28" }));
    let at = "https://git.example/api/v3/repos/acme/shop/issues/12";
    let there = CREATED.replace("https://github.com/", "https://git.example/");
    let fake = FakeHost::new().answer("PATCH", at, Answer::json(200, there));
    let AckState::Delivered(done) = state(&fake, &own, updated()) else {
        panic!("not delivered")
    };
    assert_eq!(done.url.as_deref(), Some("https://git.example/acme/shop/issues/12"));
}

#[test]
fn what_time_does_not_allow_stays_without_an_ack() {
    let fake =
        FakeHost::new()
            .with_remaining_ms(12_000)
            .always("PATCH", ISSUE, Answer::json(200, CREATED).takes_ms(4_000));
    let acks = deliver(&fake, &settings(), vec![updated(), updated(), updated()]);
    assert_eq!(acks.len(), 2);
}

#[test]
fn references_are_read_as_they_were_written() {
    let at = Reference::parse("acme/shop#12").unwrap();
    assert_eq!((at.repository.as_str(), at.number), ("acme/shop", 12));
    assert_eq!(at.to_string(), "acme/shop#12");
    for odd in [
        "acme/shop",
        "acme#12",
        "acme/shop#x",
        "../..#1",
        "acme/shop/issues#1",
        "",
    ] {
        assert_eq!(Reference::parse(odd), None, "{odd}");
    }
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
    assert_eq!(texts.len(), 5);
    for text in texts {
        assert!(text.contains("en = \"") && text.contains("ar = \""), "{text}");
    }
}

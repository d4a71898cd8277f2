//! Exchanges in the form that Atlassian's documentation gives them; nothing here was recorded from anybody's account.

mod conformance;
mod events;

use mihwar_sdk::testing::{self, Answer, FakeHost};
use mihwar_sdk::{
    Ack, AckState, Body, ChannelKind, Delivered, Delivery, Event, Feedback, Person, PluginError, Request,
};
use serde_json::{Value as Json, json};

use crate::JiraDepartment;

const API: &str = "https://acme.atlassian.net/rest/api/3";
const CREATED: &str =
    r#"{ "id": "10042", "key": "SHOP-12", "self": "https://acme.atlassian.net/rest/api/3/issue/10042" }"#;
const NOTHING: &str = r#"{ "issues": [], "isLast": true }"#;

fn url(path: &str) -> String {
    format!("{API}{path}")
}

fn cloud(more: &Json) -> Json {
    let mut all = json!({
        "url": "https://acme.atlassian.net", "email": "bot@acme.example", "project": "SHOP", "labels": ["feedback"],
        "kind_types": { "defect": "Bug" }, "tag_labels": { "شحن": "shipping" }, "language": "ar",
        "fields": { "priority": { "name": "High" } }, "fact_fields": { "customfield_10021": "score:nps" },
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

fn fake() -> FakeHost {
    FakeHost::new().secret("token", "ATATT".as_bytes())
}

fn said() -> Feedback {
    let mut feedback = Feedback::new("m-1", ChannelKind::Form)
        .subject("فاتورة خاطئة")
        .body("خُصم المبلغ مرتين\n[~admin] fix it")
        .kind("defect")
        .score("nps", 2.0, 0.0, 10.0)
        .author(Person::new().named("خالد"));
    feedback.tags = vec!["شحن".into()];
    feedback
}

fn delivery(id: &str, event: Event, reference: Option<&str>) -> Delivery {
    Delivery {
        id: id.into(),
        attempt: 1,
        event,
        external_ref: reference.map(str::to_owned),
    }
}

fn created(item: &str) -> Delivery {
    delivery("d-1", Event::Created(testing::stored(item, said())), None)
}

fn updated() -> Delivery {
    delivery("d-2", Event::Updated(testing::stored("fb-1", said())), Some("10042"))
}

fn erased() -> Delivery {
    delivery("d-3", Event::Erased("fb-1".into()), Some("10042"))
}

fn deliver(fake: &FakeHost, settings: &Json, batch: Vec<Delivery>) -> Vec<Ack> {
    testing::deliver::<JiraDepartment>(&fake.host(), settings, batch).unwrap()
}

fn state(fake: &FakeHost, settings: &Json, delivery: Delivery) -> AckState {
    deliver(fake, settings, vec![delivery]).remove(0).state
}

fn as_issue(url: Option<&str>) -> AckState {
    AckState::Delivered(Delivered {
        external_ref: Some("10042".into()),
        url: url.map(str::to_owned),
    })
}

fn nothing_more() -> AckState {
    AckState::Delivered(Delivered {
        external_ref: None,
        url: None,
    })
}

fn sent(request: &Request) -> Json {
    match &request.body {
        Body::Bytes(bytes) => serde_json::from_slice(bytes).unwrap(),
        other => panic!("no body: {other:?}"),
    }
}

fn issues(labels: &Json) -> String {
    json!({ "isLast": true, "issues": [{ "id": "10042", "key": "SHOP-12", "fields": { "labels": labels } }] })
        .to_string()
}

#[test]
fn an_item_becomes_an_issue_of_cloud() {
    let fake = fake()
        .answer("POST", &url("/search/jql"), Answer::json(200, NOTHING))
        .answer("POST", &url("/issue"), Answer::json(201, CREATED));
    let page = "https://acme.atlassian.net/browse/SHOP-12";
    assert_eq!(state(&fake, &cloud(&json!({})), created("fb-1")), as_issue(Some(page)));
    let [search, create]: [Request; 2] = fake.requests().try_into().unwrap();
    assert_eq!(
        sent(&search)["jql"],
        r#"labels in ("mihwar-fb-1") ORDER BY created ASC"#
    );
    assert_eq!(create.credential.as_deref(), Some("token"));
    let fields = &sent(&create)["fields"];
    assert_eq!(fields["project"], json!({ "key": "SHOP" }));
    assert_eq!(fields["issuetype"], json!({ "name": "Bug" }));
    assert_eq!(fields["summary"], "فاتورة خاطئة");
    assert_eq!(fields["labels"], json!(["mihwar-fb-1", "feedback", "shipping"]));
    assert_eq!(fields["priority"], json!({ "name": "High" }));
    assert_eq!(fields["customfield_10021"], json!(2.0));
    let description = &fields["description"];
    assert_eq!(description["type"], "doc");
    assert_eq!(
        description["content"][0]["content"][0]["content"][0]["text"],
        "خُصم المبلغ مرتين"
    );
    assert!(description.to_string().contains("خالد"));
}

#[test]
fn data_center_takes_wiki_notation_and_its_own_token_and_search() {
    let own = json!({ "url": "https://jira.example/jira", "deployment": "data-center", "project": "SHOP" });
    let api = "https://jira.example/jira/rest/api/2";
    let fake = FakeHost::new()
        .secret("access-token", "pat".as_bytes())
        .answer(
            "POST",
            &format!("{api}/search"),
            Answer::json(200, r#"{ "startAt": 0, "total": 0, "issues": [] }"#),
        )
        .answer("POST", &format!("{api}/issue"), Answer::json(201, CREATED));
    let page = "https://jira.example/jira/browse/SHOP-12";
    assert_eq!(state(&fake, &own, created("fb-1")), as_issue(Some(page)));
    let create = &fake.requests()[1];
    assert_eq!(create.credential.as_deref(), Some("access-token"));
    let description = sent(create)["fields"]["description"].as_str().unwrap().to_owned();
    assert!(
        description.starts_with("{quote}\nخُصم المبلغ مرتين\n\\[\\~admin\\] fix it\n{quote}\n"),
        "{description}"
    );
    let missing = FakeHost::new().secret("token", "x".as_bytes());
    let refused = testing::deliver::<JiraDepartment>(&missing.host(), &own, vec![created("fb-1")]);
    assert!(matches!(refused, Err(PluginError::Unauthorized(_))));
}

#[test]
fn issues_that_were_created_already_are_found_by_one_search_for_the_batch() {
    let fake = fake()
        .with_remaining_ms(60_000)
        .answer(
            "POST",
            &url("/search/jql"),
            Answer::json(200, issues(&json!(["feedback", "mihwar-fb-2"]))),
        )
        .answer("POST", &url("/issue"), Answer::json(201, CREATED))
        .answer("PUT", &url("/issue/10042"), Answer::status(204));
    let acks = deliver(&fake, &cloud(&json!({})), vec![created("fb-1"), created("fb-2")]);
    assert!(
        acks.iter().all(|ack| matches!(ack.state, AckState::Delivered(_))),
        "{acks:?}"
    );
    assert_eq!(
        sent(&fake.requests()[0])["jql"],
        r#"labels in ("mihwar-fb-1", "mihwar-fb-2") ORDER BY created ASC"#
    );
    assert_eq!(fake.requests().len(), 3);
    assert!(
        sent(&fake.requests()[2])["fields"].get("labels").is_none(),
        "what people put there stays"
    );
}

#[test]
fn a_new_version_comments_once_and_opens_again_what_was_done() {
    let comments = url("/issue/10042/comment?maxResults=100&orderBy=-created");
    let reopening = cloud(&json!({ "reopen_transition": "Reopen" }));
    let done = r#"{ "id": "10042", "key": "SHOP-12", "fields": { "labels": [], "status": { "name": "Done", "statusCategory": { "key": "done" } } } }"#;
    let transitions = r#"{ "transitions": [{ "id": "11", "name": "Archive" }, { "id": "21", "name": "reopen" }] }"#;
    let fake = fake()
        .answer("GET", &comments, Answer::json(200, r#"{ "total": 0, "comments": [] }"#))
        .answer(
            "POST",
            &url("/issue/10042/comment"),
            Answer::json(201, r#"{ "id": "7" }"#),
        )
        .answer(
            "GET",
            &url("/issue/10042?fields=status,labels"),
            Answer::json(200, done),
        )
        .answer("GET", &url("/issue/10042/transitions"), Answer::json(200, transitions))
        .answer("POST", &url("/issue/10042/transitions"), Answer::status(204));
    assert_eq!(state(&fake, &reopening, updated()), as_issue(None));
    assert!(fake.unused_answers().is_empty(), "{:?}", fake.unused_answers());
    assert_eq!(sent(&fake.requests()[4]), json!({ "transition": { "id": "21" } }));
    let comment = sent(&fake.requests()[1])["body"].clone();
    let there = json!({ "comments": [{ "id": "7", "body": comment }] }).to_string();
    let fake = self::fake().answer("GET", &comments, Answer::json(200, there));
    assert_eq!(
        state(&fake, &cloud(&json!({})), updated()),
        as_issue(None),
        "not a second time"
    );
    let edit = cloud(&json!({ "on_update": "edit" }));
    let fake = self::fake().answer("PUT", &url("/issue/10042"), Answer::status(204));
    assert_eq!(state(&fake, &edit, updated()), as_issue(None));
}

#[test]
fn an_erased_item_loses_its_label_first_and_then_its_issue() {
    let fake = fake().answer("PUT", &url("/issue/10042"), Answer::status(204)).answer(
        "DELETE",
        &url("/issue/10042?deleteSubtasks=true"),
        Answer::status(204),
    );
    assert_eq!(state(&fake, &cloud(&json!({})), erased()), nothing_more());
    let change = sent(&fake.requests()[0]);
    assert_eq!(
        change["update"]["labels"],
        json!([{ "remove": "mihwar-fb-1" }, { "add": "mihwar-erased-fb-1" }])
    );
    assert!(!change.to_string().contains("خُصم"));
    // Emptied only: comments of the hub go, those of people stay.
    let comments = json!({ "comments": [
        { "id": "7", "body": "h4. تغيّرت\n\nmihwar:fb\\-1 d\\-2" }, { "id": "8", "body": "نعم" },
    ] });
    let list = url("/issue/10042/comment?maxResults=100&orderBy=-created");
    let fake = self::fake()
        .answer("PUT", &url("/issue/10042"), Answer::status(204))
        .answer("GET", &list, Answer::json(200, comments.to_string()))
        .answer("DELETE", &url("/issue/10042/comment/7"), Answer::status(204));
    assert_eq!(
        state(&fake, &cloud(&json!({ "on_erase": "empty" })), erased()),
        nothing_more()
    );
    assert_eq!(fake.requests().len(), 3);
    // What the account may not delete is a dead letter of its own, and pauses nobody.
    let fake = self::fake()
        .always("PUT", &url("/issue/10042"), Answer::status(204))
        .always("DELETE", &url("/issue/10042?deleteSubtasks=true"), Answer::status(403));
    let acks = deliver(&fake, &cloud(&json!({})), vec![erased(), erased()]);
    assert!(matches!(&acks[1].state, AckState::Failed(PluginError::Permanent(f)) if f.code == "may-not-delete"));
    assert_eq!(fake.requests().len(), 4);
    // Deleted by people, or never created.
    let fake = self::fake()
        .answer("PUT", &url("/issue/10042"), Answer::status(404))
        .answer("GET", &url("/project/SHOP"), Answer::json(200, "{}"));
    assert_eq!(state(&fake, &cloud(&json!({})), erased()), nothing_more());
    let fake = self::fake().answer("POST", &url("/search/jql"), Answer::json(200, NOTHING));
    let unknown = delivery("d-3", Event::Erased("fb-1".into()), None);
    assert_eq!(state(&fake, &cloud(&json!({})), unknown), nothing_more());
}

/// What one answer to an edit means, and how many of two were tried.
fn judged(answer: Answer) -> (PluginError, usize) {
    let fake =
        fake()
            .always("PUT", &url("/issue/10042"), answer)
            .always("GET", &url("/project/SHOP"), Answer::status(404));
    let edit = cloud(&json!({ "on_update": "edit" }));
    match deliver(&fake, &edit, vec![updated(), updated()]).remove(0).state {
        AckState::Failed(error) => (error, fake.requests().len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_have_their_classes() {
    let (error, tried) = judged(Answer::status(429).header("Retry-After", "9"));
    assert_eq!(
        (error, tried),
        (PluginError::rate_limited("http-429", "Jira asks for a pause", 9_000), 1)
    );
    let reset = judged(Answer::status(429).header("X-RateLimit-Reset", "2026-01-01T00:02Z")).0;
    assert_eq!(
        reset,
        PluginError::rate_limited("http-429", "Jira asks for a pause", 120_000)
    );
    assert!(matches!(judged(Answer::status(401)), (PluginError::Unauthorized(_), 1)));
    assert!(matches!(judged(Answer::status(403)), (PluginError::Unauthorized(_), 1)));
    assert!(matches!(
        judged(Answer::status(302)),
        (PluginError::Misconfigured(_), 1)
    ));
    assert!(matches!(
        judged(Answer::status(404)),
        (PluginError::Misconfigured(_), 2)
    ));
    assert!(matches!(judged(Answer::status(500)), (PluginError::Transient(_), 2)));
    let paused = judged(Answer::status(503).header("Retry-After", "3"));
    assert!(matches!(paused, (PluginError::Transient(_), 1)));
    let of_item = r#"{ "errorMessages": [], "errors": { "summary": "«خالد» is too long" } }"#;
    let (error, tried) = judged(Answer::json(400, of_item));
    assert!(matches!(&error, PluginError::Permanent(_)) && tried == 2);
    assert!(
        error.summary().contains("summary") && !error.summary().contains("خالد"),
        "{error:?}"
    );
    let of_settings =
        r#"{ "errors": { "customfield_10021": "Field cannot be set. It is not on the appropriate screen." } }"#;
    let (error, tried) = judged(Answer::json(400, of_settings));
    assert!(
        matches!(&error, PluginError::Misconfigured(problems) if problems[0].path == "fields"),
        "{error:?}"
    );
    assert_eq!(tried, 1);
}

#[test]
fn settings_and_connection_are_checked() {
    let paths = |more: &Json| -> Vec<String> {
        let problems = testing::validate::<JiraDepartment>(&cloud(more));
        problems.into_iter().map(|problem| problem.path).collect()
    };
    assert!(paths(&json!({})).is_empty());
    assert_eq!(
        paths(&json!({ "url": "acme.atlassian.net", "project": "shop", "email": null })),
        ["url", "project", "email"]
    );
    assert_eq!(paths(&json!({ "deployment": "data-center" })), ["email"]);
    assert_eq!(
        paths(
            &json!({ "labels": ["two words"], "own_label": "", "kind_labels": { "شكوى": "x" }, "kind_types": { "bug": "Bug" } })
        ),
        ["labels[0]", "own_label", "kind_labels.شكوى", "kind_types.bug"]
    );
    assert_eq!(
        paths(&json!({ "fields": { "summary": "x" }, "fact_fields": { "customfield_1": "name", "priority": "id" } })),
        ["fields.summary", "fact_fields.customfield_1"]
    );
    assert_eq!(paths(&json!({ "states": { "Done": "All Done" } })), ["states.Done"]);

    let project = r#"{ "key": "SHOP", "name": "المتجر", "issueTypes": [{ "name": "Task" }, { "name": "Bug" }] }"#;
    let fake = fake()
        .always(
            "GET",
            &url("/myself"),
            Answer::json(200, r#"{ "accountId": "5b10", "displayName": "بوت الملاحظات" }"#),
        )
        .always("GET", &url("/project/SHOP"), Answer::json(200, project));
    let health = testing::check::<JiraDepartment>(&fake.host(), &cloud(&json!({}))).unwrap();
    assert_eq!(health.account.as_deref(), Some("بوت الملاحظات"));
    assert_eq!(health.notes.len(), 2, "{health:?}");
    let error = testing::check::<JiraDepartment>(&fake.host(), &cloud(&json!({ "issue_type": "Story" }))).unwrap_err();
    assert!(error.summary().contains("Story"), "{error:?}");
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
    assert_eq!(texts.len(), 7);
    for text in texts {
        assert!(text.contains("en = \"") && text.contains("ar = \""), "{text}");
    }
}

//! Deliveries against scripted mail servers; the mails are read by a parser that has nothing in common with what wrote
//! them.

use mail_parser::{Message, MessageParser};
use mihwar_sdk::testing::{self, Conversation, FakeHost, Heard};
use mihwar_sdk::{
    Ack, AckState, Attachment, ChannelKind, Delivered, Delivery, Event, Feedback, Person, PluginError, StoredFeedback,
};
use serde_json::{Value as Json, json};

use crate::{MailDepartment, Settings};

mod conformance;
mod server;

const HOST: &str = "relay.example";
const TOKEN: &str = "AHZvaWNlAHMzY3JldA==";

fn settings() -> Json {
    json!({
        "host": HOST,
        "user": "voice",
        "from": "صوت العميل <voice@shop.example>",
        "to": ["care@shop.example"],
        "language": "ar",
    })
}

fn fake() -> FakeHost {
    FakeHost::new().secret("password", "s3cret")
}

/// The beginning of every good conversation: TLS, and what the server offers behind it.
fn under_tls(offers: &str) -> Conversation {
    Conversation::new()
        .says("220-relay.example\r\n220 أهلاً\r\n")
        .hears("EHLO shop.example\r\n")
        .says("250-relay.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
        .hears("STARTTLS\r\n")
        .says("220 2.0.0 go on\r\n")
        .begins_tls()
        .hears("EHLO shop.example\r\n")
        .says(format!("250-relay.example\r\n{offers}250 HELP\r\n"))
}

/// … logged in, on a server that takes commands together.
fn logged_in() -> Conversation {
    under_tls("250-PIPELINING\r\n250-SIZE 1000000\r\n250-AUTH LOGIN PLAIN\r\n")
        .hears(format!("AUTH PLAIN {TOKEN}\r\n"))
        .says("235 2.7.0 ok\r\n")
}

/// The next mail, for the usual reader, and what is said to each of its steps.
fn mail(talk: Conversation, envelope: &str, end: &str) -> Conversation {
    talk.hears_until("\r\nRCPT TO:<care@shop.example>\r\n")
        .says(envelope)
        .hears("DATA\r\n")
        .says("354 go on\r\n")
        .hears_until("\r\n.\r\n")
        .says(end)
}

fn good_mail(talk: Conversation) -> Conversation {
    mail(talk, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n", "250 2.0.0 queued\r\n")
}

fn goodbye(talk: Conversation) -> Conversation {
    talk.hears("QUIT\r\n").says("221 bye\r\n").closes()
}

fn item(id: &str) -> StoredFeedback {
    let feedback = Feedback::new(id, ChannelKind::Form)
        .kind("complaint")
        .subject("خصم مكرر")
        .body("خُصم المبلغ مرتين.\n.\n<b>ولم يصلني رد</b>")
        .author(Person::new().named("ليلى حداد").identifier("tel", "+966500000001"))
        .language("ar")
        .score("nps", 2.0, 0.0, 10.0)
        .attachment(Attachment::inline("فاتورة.pdf", "application/pdf", vec![1]));
    testing::stored(id, feedback)
}

fn delivery(id: &str, event: Event) -> Delivery {
    Delivery {
        id: id.into(),
        attempt: 1,
        event,
        external_ref: None,
    }
}

fn created(id: &str) -> Delivery {
    delivery(id, Event::Created(item(&format!("fb-{id}"))))
}

fn deliver(fake: &FakeHost, settings: &Json, batch: Vec<Delivery>) -> Vec<Ack> {
    testing::deliver::<MailDepartment>(&fake.host(), settings, batch).unwrap()
}

/// The mails that a scripted server got, as it would keep them.
fn mails(fake: &FakeHost) -> Vec<String> {
    let heard = fake.heard();
    let all: Vec<String> = heard.iter().map(Heard::text).collect();
    all.iter()
        .flat_map(|text| text.split("DATA\r\n").skip(1))
        .map(|rest| rest.split("\r\n.\r\n").next().unwrap())
        .map(|mail| format!("{mail}\r\n").replace("\r\n..", "\r\n."))
        .collect()
}

fn parsed(mail: &str) -> Message<'_> {
    MessageParser::default().parse(mail.as_bytes()).unwrap()
}

fn error(ack: &Ack) -> &PluginError {
    match &ack.state {
        AckState::Failed(error) => error,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn arrived(ack: &Ack, reference: &str) -> bool {
    ack.state
        == AckState::Delivered(Delivered {
            external_ref: Some(reference.into()),
            url: None,
        })
}

#[test]
fn an_item_is_one_mail_as_text_and_as_html() {
    let fake = fake().conversation(HOST, 587, goodbye(good_mail(logged_in())));
    let mut settings = settings();
    settings["link"] = json!("https://hub.example/feedback/{id}");
    settings["time_zone"] = json!("Africa/Cairo");
    let acks = deliver(&fake, &settings, vec![created("d-1")]);
    assert!(arrived(&acks[0], "<d-1@shop.example>"), "{acks:?}");
    let heard = fake.heard().remove(0);
    assert!(heard.is_sealed && heard.unplayed == 0, "{heard:?}");
    assert!(
        heard.text().contains("MAIL FROM:<voice@shop.example> SIZE="),
        "{}",
        heard.text()
    );
    let mail = mails(&fake).remove(0);
    let mail = parsed(&mail);
    assert_eq!(mail.subject(), Some("شكوى: خصم مكرر"));
    let from = mail.from().and_then(|from| from.first()).unwrap();
    assert_eq!(
        (from.name(), from.address()),
        (Some("صوت العميل"), Some("voice@shop.example"))
    );
    let to = mail.to().and_then(|to| to.first()).unwrap();
    assert_eq!(to.address(), Some("care@shop.example"));
    assert_eq!(mail.message_id(), Some("d-1@shop.example"));
    assert_eq!(mail.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
    assert_eq!(mail.date().unwrap().to_timestamp(), 1_767_225_600);
    let text = mail.body_text(0).unwrap();
    for part in [
        "خُصم المبلغ مرتين.",
        "<b>ولم يصلني رد</b>",
        "ليلى حداد",
        "+966500000001",
        "nps 2 (0–10)",
        "فاتورة.pdf",
        "2026-01-01 02:00 (Africa/Cairo)",
        "fb-d-1",
        "https://hub.example/feedback/fb-d-1",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let html = mail.body_html(0).unwrap();
    assert!(html.contains("<html lang=\"ar\" dir=\"rtl\">"), "{html}");
    assert!(
        html.contains("&lt;b&gt;ولم يصلني رد&lt;/b&gt;") && !html.contains("<b>"),
        "{html}"
    );
    assert!(
        html.contains("<a href=\"https://hub.example/feedback/fb-d-1\">"),
        "{html}"
    );
}

#[test]
fn a_mail_in_english_about_arabic_words_runs_as_each_does() {
    let fake = fake().conversation(HOST, 587, goodbye(good_mail(logged_in())));
    let mut settings = settings();
    settings["language"] = json!("en");
    deliver(&fake, &settings, vec![created("d-1")]);
    let mail = mails(&fake).remove(0);
    let mail = parsed(&mail);
    assert_eq!(mail.subject(), Some("Complaint: خصم مكرر"));
    let html = mail.body_html(0).unwrap();
    assert!(html.contains("<html lang=\"en\" dir=\"ltr\">"), "{html}");
    assert!(html.contains("<blockquote dir=\"rtl\" lang=\"ar\""), "{html}");
}

#[test]
fn a_repeat_can_be_known_again_and_an_update_answers_the_first_mail() {
    let talk = goodbye(good_mail(good_mail(logged_in())));
    let fake = fake().conversation(HOST, 587, talk);
    let again = Delivery {
        attempt: 2,
        ..created("d-1")
    };
    let update = Delivery {
        external_ref: Some("<d-1@shop.example>".into()),
        ..delivery("d-2", Event::Updated(item("fb-d-1")))
    };
    let acks = deliver(&fake, &settings(), vec![again, update]);
    assert!(acks.iter().all(|ack| arrived(ack, "<d-1@shop.example>")), "{acks:?}");
    let mails = mails(&fake);
    assert_eq!(parsed(&mails[0]).message_id(), Some("d-1@shop.example"));
    let update = parsed(&mails[1]);
    assert_eq!(update.message_id(), Some("d-2@shop.example"));
    assert_eq!(update.in_reply_to().as_text(), Some("d-1@shop.example"));
    assert_eq!(update.references().as_text(), Some("d-1@shop.example"));
    assert_eq!(update.subject(), Some("Re: شكوى: خصم مكرر"));
}

#[test]
fn a_digest_is_one_mail_for_all_items_of_the_same_readers() {
    let mut settings = settings();
    settings["to_by_language"] = json!({ "en": ["english@shop.example"] });
    let talk = good_mail(logged_in())
        .hears_until("\r\nRCPT TO:<english@shop.example>\r\n")
        .says("250 ok\r\n250 ok\r\n")
        .hears("DATA\r\n")
        .says("354 go on\r\n")
        .hears_until("\r\n.\r\n")
        .says("250 queued\r\n");
    let fake = fake().conversation(HOST, 587, goodbye(talk));
    let mut english = item("fb-3");
    english.feedback.language = Some("en-GB".into());
    let batch = vec![
        delivery("d-1", Event::Digest(item("fb-1"))),
        delivery("d-2", Event::Digest(english)),
        delivery("d-3", Event::Digest(item("fb-2"))),
    ];
    let acks = deliver(&fake, &settings, batch);
    let ids: Vec<&str> = acks.iter().map(|ack| ack.id.as_str()).collect();
    assert_eq!(ids, ["d-1", "d-3", "d-2"]);
    assert!(arrived(&acks[0], "<d-1@shop.example>") && arrived(&acks[1], "<d-1@shop.example>"));
    assert!(arrived(&acks[2], "<d-2@shop.example>"));
    let mails = mails(&fake);
    let first = parsed(&mails[0]);
    assert_eq!(first.subject(), Some("ملخص الملاحظات: 2"));
    let text = first.body_text(0).unwrap();
    assert!(
        text.contains("fb-1") && text.contains("fb-2") && !text.contains("fb-3"),
        "{text}"
    );
}

#[test]
fn what_was_erased_is_asked_back_by_its_id_alone_from_whoever_may_have_it() {
    let mut settings = settings();
    settings["to_by_language"] = json!({ "en": ["english@shop.example"] });
    let talk = logged_in()
        .hears_until("RCPT TO:<care@shop.example>\r\nRCPT TO:<english@shop.example>\r\n")
        .says("250 ok\r\n250 ok\r\n250 ok\r\n")
        .hears("DATA\r\n")
        .says("354 go on\r\n")
        .hears_until("\r\n.\r\n")
        .says("250 queued\r\n");
    let fake = fake().conversation(HOST, 587, goodbye(talk));
    let gone = Delivery {
        external_ref: Some("<d-1@shop.example>".into()),
        ..delivery("d-9", Event::Erased("fb-1".into()))
    };
    let acks = deliver(&fake, &settings, vec![gone]);
    assert!(matches!(acks[0].state, AckState::Delivered(_)), "{acks:?}");
    let mail = mails(&fake).remove(0);
    let mail = parsed(&mail);
    assert_eq!(mail.subject(), Some("احذفوا نسختكم: fb-1"));
    assert_eq!(mail.in_reply_to().as_text(), Some("d-1@shop.example"));
}

#[test]
fn nothing_that_customers_write_reaches_a_header_or_the_envelope() {
    let evil = "x\r\nBcc: thief@evil.example\r\n\r\n<script>\r\n.\r\nMAIL FROM:<a@b>\r\n";
    let feedback = Feedback::new("m-1", ChannelKind::Other(evil.into()))
        .subject(evil)
        .body(evil)
        .author(Person::new().named(evil).identifier("email", evil))
        .language(evil)
        .tag(evil);
    let event = Event::Created(testing::stored(evil, feedback));
    let hostile = Delivery {
        id: evil.into(),
        attempt: 1,
        event,
        external_ref: Some(evil.into()),
    };
    let fake = fake().conversation(HOST, 587, goodbye(good_mail(logged_in())));
    deliver(&fake, &settings(), vec![hostile]);
    let heard = fake.heard().remove(0).text();
    assert_eq!(heard.matches("RCPT TO:").count(), 1, "{heard}");
    assert_eq!(heard.matches("MAIL FROM:").count(), 1, "{heard}");
    let mail = mails(&fake).remove(0);
    let mail = parsed(&mail);
    assert!(mail.bcc().is_none() && mail.in_reply_to().as_text().is_none());
    assert!(mail.headers().iter().all(|header| !header.name().contains("thief")));
    let html = mail.body_html(0).unwrap();
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
}

#[test]
fn settings_and_connection_are_checked() {
    let paths = |change: &[(&str, Json)]| -> Vec<String> {
        let mut settings = settings();
        for (key, value) in change {
            settings[*key] = value.clone();
        }
        testing::validate::<MailDepartment>(&settings)
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    };
    assert!(paths(&[]).is_empty());
    assert_eq!(paths(&[("to", json!([]))]), ["to"]);
    assert_eq!(paths(&[("to", json!(["a@b.example", "شكوى"]))]), ["to[1]"]);
    assert_eq!(paths(&[("from", json!("a@b.example\r\nBcc: c@d.example"))]), ["from"]);
    assert_eq!(paths(&[("host", json!("a b"))]), ["host"]);
    assert_eq!(paths(&[("security", json!("ssl"))]), ["security"]);
    assert_eq!(paths(&[("time_zone", json!("الرياض"))]), ["time_zone"]);
    assert_eq!(paths(&[("ehlo", json!("a b"))]), ["ehlo"]);
    assert_eq!(paths(&[("user", json!(""))]), ["user"]);
    assert_eq!(paths(&[("link", json!("javascript:{id}"))]), ["link"]);
    assert_eq!(
        paths(&[("to_by_language", json!({ "ar-SA": ["a@b.example"] }))]),
        ["to_by_language.ar-SA"]
    );
    let fake = fake().conversation(HOST, 587, goodbye(logged_in()));
    let health = testing::check::<MailDepartment>(&fake.host(), &settings()).unwrap();
    assert_eq!(health.account.as_deref(), Some("voice"));
    assert_eq!(
        health.notes,
        ["relay.example port 587 lets this department in after a login, and takes mails of up to 1000000 bytes"]
    );
}

/// The manifest's templates stand for settings that are always there, since the schema has defaults for them.
#[test]
fn port_and_security_have_defaults_that_the_hub_fills_in() {
    let schema: Json = serde_json::from_str(&mihwar_sdk::settings_schema::<Settings>()).unwrap();
    assert_eq!(schema["properties"]["port"]["default"], 587);
    assert_eq!(schema["properties"]["security"]["default"], "start-tls");
    let manifest = include_str!("../plugin.toml");
    assert!(manifest.contains("port = \"{settings.port}\"\nsecurity = \"{settings.security}\""));
    for line in manifest
        .lines()
        .filter(|line| line.starts_with("why") || line.starts_with("label"))
    {
        assert!(line.contains("en = \"") && line.contains("ar = \""), "{line}");
    }
}

//! Servers that refuse, leave, lie or say nothing, and what each costs.

use mihwar_sdk::NetError;

use super::*;

/// The error that answers to the envelope and to the mail lead to; the next mail goes out all the same.
fn refused(envelope: &str, end: Option<&str>) -> PluginError {
    let talk = logged_in();
    let talk = match end {
        Some(end) => mail(talk, envelope, end),
        None => talk
            .hears_until("\r\nRCPT TO:<care@shop.example>\r\n")
            .says(envelope)
            .hears("RSET\r\n")
            .says("250 ok\r\n"),
    };
    let fake = fake().conversation(HOST, 587, goodbye(good_mail(talk)));
    let acks = deliver(&fake, &settings(), vec![created("d-1"), created("d-2")]);
    assert!(arrived(&acks[1], "<d-2@shop.example>"), "{envelope} {acks:?}");
    assert_eq!(fake.heard()[0].unplayed, 0);
    error(&acks[0]).clone()
}

#[test]
fn one_mail_that_is_refused_does_not_stop_the_others() {
    let good = "250 ok\r\n250 ok\r\n";
    for (envelope, end, code) in [
        ("250 ok\r\n550 5.1.1 nobody\r\n", None, "smtp-550"),
        ("552 5.3.4 too big\r\n503 no sender\r\n", None, "smtp-552"),
        (good, Some("554 5.6.0 no\r\n"), "smtp-554"),
    ] {
        let error = refused(envelope, end);
        assert!(matches!(error, PluginError::Permanent(_)), "{error:?}");
        assert_eq!(error.code(), Some(code));
    }
    for (envelope, end) in [
        ("250 ok\r\n450 4.2.1 busy\r\n", None),
        ("451 4.3.0 later\r\n503 no sender\r\n", None),
        (good, Some("452 4.3.1 full\r\n")),
    ] {
        let error = refused(envelope, end);
        assert!(matches!(error, PluginError::Transient(_)), "{error:?}");
    }
    let greylisted = refused("250 ok\r\n450 4.7.1 come back\r\n", None);
    assert!(matches!(greylisted, PluginError::RateLimited(_)), "{greylisted:?}");
    let sender = refused("553 5.7.1 not your address\r\n503 no sender\r\n", None);
    assert!(
        matches!(&sender, PluginError::Misconfigured(problems) if problems[0].path == "from"),
        "{sender:?}"
    );
}

#[test]
fn one_recipient_that_is_refused_for_good_does_not_keep_the_mail_from_the_others() {
    let mut settings = settings();
    settings["to"] = json!(["care@shop.example", "gone@shop.example"]);
    let envelope = |second: &str| {
        logged_in()
            .hears_until("\r\nRCPT TO:<gone@shop.example>\r\n")
            .says(format!("250 ok\r\n250 ok\r\n{second}\r\n"))
    };
    let talk = envelope("550 <gone@shop.example> is unknown")
        .hears("DATA\r\n")
        .says("354 go on\r\n")
        .hears_until("\r\n.\r\n")
        .says("250 queued\r\n");
    let fake = fake().conversation(HOST, 587, goodbye(talk));
    assert!(arrived(
        &deliver(&fake, &settings, vec![created("d-1")])[0],
        "<d-1@shop.example>"
    ));
    let logs = fake.logs();
    assert!(
        logs.iter().any(|log| log.message.starts_with("1 of 2 recipients")),
        "{logs:?}"
    );
    assert!(logs.iter().all(|log| !log.message.contains("gone@")), "{logs:?}");
    // Refused for now, it keeps the mail back: all get it when it is sent again.
    let talk = envelope("450 busy").hears("RSET\r\n").says("250 ok\r\n");
    let fake = self::fake().conversation(HOST, 587, goodbye(talk));
    let acks = deliver(&fake, &settings, vec![created("d-1")]);
    assert!(matches!(error(&acks[0]), PluginError::Transient(_)));
}

/// What a conversation that ends early leads to: the same for the whole batch, which tries it once.
fn ended(talk: Conversation) -> PluginError {
    let fake = fake().conversation(HOST, 587, talk);
    let acks = deliver(&fake, &settings(), vec![created("d-1"), created("d-2")]);
    assert_eq!(acks.len(), 2);
    assert_eq!(acks[0].state, acks[1].state);
    assert!(fake.heard().len() <= 1);
    error(&acks[0]).clone()
}

#[test]
fn a_server_that_takes_nothing_costs_no_mail_an_attempt_of_its_own() {
    let busy = ended(Conversation::new().says("421 4.3.2 too many\r\n").closes());
    assert!(matches!(busy, PluginError::RateLimited(_)), "{busy:?}");
    let closed = ended(Conversation::new().says("554 5.7.1 go away\r\n"));
    assert!(matches!(closed, PluginError::Transient(_)), "{closed:?}");
    let nobody = ended(Conversation::refused(NetError::Io("لا أحد هناك".into())));
    assert_eq!(nobody.code(), Some("net-io"));
    let silent = ended(Conversation::new().is_silent());
    assert_eq!(silent.code(), Some("net-timeout"));
    let gone = ended(
        Conversation::new()
            .says("220 hello\r\n")
            .hears("EHLO shop.example\r\n")
            .closes(),
    );
    assert_eq!(gone.code(), Some("net-closed"));
    for other in [
        "HTTP/1.1 400 Bad Request\r\n",
        "مرحبا\r\n",
        "220-one\r\n250 two\r\n",
        "\r\n",
    ] {
        assert_eq!(
            ended(Conversation::new().says(other)).code(),
            Some("smtp-protocol"),
            "{other}"
        );
    }
    assert_eq!(
        ended(Conversation::new().says("2".repeat(5000))).code(),
        Some("net-limit")
    );
    let mut endless = Conversation::new();
    for _ in 0..200 {
        endless = endless.says("220-more\r\n");
    }
    assert_eq!(ended(endless).code(), Some("smtp-protocol"));
    let leaves = under_tls("250-AUTH PLAIN\r\n")
        .hears(format!("AUTH PLAIN {TOKEN}\r\n"))
        .says("235 ok\r\n")
        .hears_until("\r\n")
        .says("421 4.4.2 bye\r\n")
        .closes();
    assert!(matches!(ended(leaves), PluginError::RateLimited(_)));
}

#[test]
fn without_tls_nothing_is_said_that_is_worth_hearing() {
    let plain = Conversation::new()
        .says("220 hello\r\n")
        .hears("EHLO shop.example\r\n")
        .says("250-relay.example\r\n250 AUTH PLAIN\r\n");
    let error = ended(plain);
    assert!(
        matches!(&error, PluginError::Misconfigured(problems) if problems[0].path == "security"),
        "{error:?}"
    );
    let begins = || {
        Conversation::new()
            .says("220 hello\r\n")
            .hears("EHLO shop.example\r\n")
            .says("250-relay.example\r\n250 STARTTLS\r\n")
            .hears("STARTTLS\r\n")
    };
    let untrusted = ended(begins().says("220 go\r\n").fails_tls());
    assert_eq!(untrusted.code(), Some("net-tls"));
    let injected = ended(begins().says("220 go\r\n250 AUTH PLAIN\r\n").begins_tls());
    assert_eq!(injected.code(), Some("smtp-injected"));
}

#[test]
fn logins_work_in_both_ways_and_a_wrong_password_pauses_the_instance() {
    let by_steps = under_tls("250-AUTH=LOGIN\r\n")
        .hears("AUTH LOGIN\r\n")
        .says("334 VXNlcm5hbWU6\r\n")
        .hears("dm9pY2U=\r\n")
        .says("334 UGFzc3dvcmQ6\r\n")
        .hears("czNjcmV0\r\n")
        .says("235 ok\r\n");
    // This server takes no commands together, and says no size.
    let talk = by_steps
        .hears("MAIL FROM:<voice@shop.example>\r\n")
        .says("250 ok\r\n")
        .hears("RCPT TO:<care@shop.example>\r\n")
        .says("250 ok\r\n")
        .hears("DATA\r\n")
        .says("354 go on\r\n")
        .hears_until("\r\n.\r\n")
        .says("250 ok\r\n");
    let fake = fake().conversation(HOST, 587, goodbye(talk));
    assert!(arrived(
        &deliver(&fake, &settings(), vec![created("d-1")])[0],
        "<d-1@shop.example>"
    ));

    let late = under_tls("250-AUTH PLAIN\r\n")
        .hears(format!("AUTH PLAIN {TOKEN}\r\n"))
        .says("334 \r\n")
        .hears(format!("{TOKEN}\r\n"))
        .says("535 5.7.8 كلمة مرور خاطئة\r\n");
    let wrong = ended(late);
    assert!(matches!(wrong, PluginError::Unauthorized(_)), "{wrong:?}");
    assert_eq!(wrong.code(), Some("smtp-535"));
    let none = ended(under_tls("250-AUTH CRAM-MD5\r\n"));
    assert!(matches!(none, PluginError::Misconfigured(_)), "{none:?}");

    let acks = deliver(&FakeHost::new(), &settings(), vec![created("d-1")]);
    assert!(
        matches!(error(&acks[0]), PluginError::Unauthorized(_)),
        "no password, no connection"
    );
}

#[test]
fn addresses_in_arabic_need_a_server_that_takes_them() {
    let mut settings = settings();
    settings["to"] = json!(["خدمة@متجر.example"]);
    let able = under_tls("250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN\r\n")
        .hears(format!("AUTH PLAIN {TOKEN}\r\n"))
        .says("235 ok\r\n")
        .hears("MAIL FROM:<voice@shop.example> BODY=8BITMIME SMTPUTF8\r\n")
        .says("250 ok\r\n")
        .hears("RCPT TO:<خدمة@متجر.example>\r\n")
        .says("250 ok\r\n")
        .hears("DATA\r\n")
        .says("354 go on\r\n")
        .hears_until("\r\n.\r\n")
        .says("250 ok\r\n");
    let fake = fake().conversation(HOST, 587, goodbye(able));
    assert!(arrived(
        &deliver(&fake, &settings, vec![created("d-1")])[0],
        "<d-1@shop.example>"
    ));
    let fake = self::fake().conversation(HOST, 587, goodbye(logged_in()));
    let acks = deliver(&fake, &settings, vec![created("d-1")]);
    assert_eq!(error(&acks[0]).code(), Some("smtp-no-utf8"));
}

#[test]
fn a_mail_larger_than_the_server_takes_is_not_sent() {
    let talk = under_tls("250-SIZE 500\r\n250-AUTH PLAIN\r\n")
        .hears(format!("AUTH PLAIN {TOKEN}\r\n"))
        .says("235 ok\r\n");
    let fake = fake().conversation(HOST, 587, goodbye(talk));
    let acks = deliver(&fake, &settings(), vec![created("d-1")]);
    assert_eq!(error(&acks[0]).code(), Some("smtp-too-large"));
}

#[test]
fn what_time_does_not_allow_stays_without_an_ack_and_a_dry_run_sends_nothing() {
    let acks = deliver(&fake().with_remaining_ms(4_000), &settings(), vec![created("d-1")]);
    assert!(acks.is_empty());
    let dry = fake().dry_run();
    let acks = deliver(&dry, &settings(), vec![created("d-1")]);
    assert!(matches!(acks[0].state, AckState::Skipped(_)));
    assert!(dry.heard().is_empty());
}

//! The channel as the hub calls it: files in, pages out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share fails loudly")]

use mihwar_sdk::{
    AttachmentSource, Change, ChannelKind, Feedback, ImportPage, ImportRequest, PluginError, Refusal,
    testing::{self, FakeHost},
};
use plugin_mail::MailChannel;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

struct Outcome {
    records: Vec<Feedback>,
    refusals: Vec<Refusal>,
    pages: usize,
}

fn collect(pages: Vec<ImportPage>) -> Outcome {
    let mut outcome = Outcome {
        records: Vec::new(),
        refusals: Vec::new(),
        pages: pages.len(),
    };
    for page in pages {
        outcome.refusals.extend(page.refusals);
        for change in page.changes {
            match change {
                Change::Upsert(feedback) => outcome.records.push(feedback),
                other => panic!("a mail file only adds records, got {other:?}"),
            }
        }
    }
    outcome
}

fn import_with(settings: &Json, name: &str, bytes: &[u8], page: u32) -> Outcome {
    let host = FakeHost::new().host();
    collect(testing::import_file_by::<MailChannel>(&host, settings, name, bytes, page).unwrap())
}

fn import(name: &str, bytes: &[u8]) -> Outcome {
    import_with(&json!({}), name, bytes, 256)
}

fn one(bytes: &[u8]) -> Feedback {
    let mut outcome = import("رسالة.eml", bytes);
    assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
    assert_eq!(outcome.records.len(), 1);
    outcome.records.remove(0)
}

const COMPLAINT: &str = "Received: from mx.example by hub.example; Sun, 4 Jan 2026 09:00:05 +0300\r\n\
    Message-ID: <c1@shop.example>\r\nReferences: <root@shop.example> <b@shop.example>\r\n\
    In-Reply-To: <b@shop.example>\r\nDate: Sun, 4 Jan 2026 09:00:00 +0300\r\n\
    From: =?utf-8?B?2LPYp9ix2Kk=?= <Sara@Mail.example>\r\nTo: Support <Help@shop.example>\r\n\
    Subject: =?utf-8?B?2LTZg9mI2Q==?=\r\n =?utf-8?B?iSDYudmGINin2YTYqtmI2LXZitmE?=\r\n\
    Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n--b1\r\nContent-Type: text/plain; charset=windows-1256\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\n=C7=E1=D8=E1=C8 =E3=CA=C3=CE=D1\r\n> =E3=CA=EC=BF\r\n--b1\r\n\
    Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"../../invoice.pdf\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b1--\r\n";

#[test]
fn a_mail_becomes_a_whole_record() {
    let fake = FakeHost::new();
    let pages = testing::import_file::<MailChannel>(&fake.host(), &json!({}), "a.eml", COMPLAINT.as_bytes()).unwrap();
    let record = collect(pages).records.remove(0);
    assert_eq!(record.channel, ChannelKind::Email);
    assert!(
        record.external_id.starts_with("c1@shop.example#"),
        "{}",
        record.external_id
    );
    assert_eq!(record.thread_id.as_deref(), Some("root@shop.example"));
    assert_eq!(record.in_reply_to.as_deref(), Some("b@shop.example"));
    assert_eq!(record.subject.as_deref(), Some("شكوى عن التوصيل"));
    assert_eq!(record.body, "الطلب متأخر\n> متى؟");
    assert_eq!(record.occurred_at, Some(1_767_506_400_000));
    let author = record.author.unwrap();
    assert_eq!(author.display_name.as_deref(), Some("سارة"));
    assert_eq!(
        (author.identifiers[0].scheme.as_str(), author.identifiers[0].id.as_str()),
        ("email", "sara@mail.example")
    );
    assert_eq!(record.attachments.len(), 1);
    assert_eq!(
        (record.attachments[0].name.as_str(), record.attachments[0].size),
        ("invoice.pdf", Some(5))
    );
    let AttachmentSource::Blob(blob) = &record.attachments[0].source else {
        panic!("attachments are blobs")
    };
    assert_eq!(fake.host().read_blob_to_end(blob, 100).unwrap(), b"%PDF-");
    assert!(record.tags.is_empty(), "{:?}", record.tags);
    let attribute = |name: &str| {
        record
            .attributes
            .iter()
            .find(|a| a.name == name)
            .map(|a| a.value.clone())
    };
    assert_eq!(attribute("recipients"), Some("help@shop.example".into()));
    assert_eq!(attribute("quoted-lines"), Some(1.into()));
}

fn mbox(bodies: &[&str]) -> String {
    let message = |(at, body): (usize, &&str)| {
        format!(
            "From a@b.example Thu Aug 22 12:36:23 2002\nMessage-ID: <m{at}@b.example>\nSubject: رقم {at}\n\n{body}\n\n"
        )
    };
    bodies.iter().enumerate().map(message).collect()
}

#[test]
fn an_mbox_is_the_same_whatever_the_pages() {
    let file = mbox(&["first", ">From here\nFrom text without date", "ثالثة", "", "last"]);
    let whole = import("box.mbox", file.as_bytes());
    assert_eq!(whole.records.len(), 5);
    assert_eq!(whole.records[1].body, "From here\nFrom text without date");
    for page in 1..5 {
        let paged = import_with(&json!({}), "box.mbox", file.as_bytes(), page);
        assert_eq!(paged.pages, 5_usize.div_ceil(page as usize));
        assert_eq!(paged.records, whole.records);
    }
    // The same mail in a file of its own is the same item.
    let alone = one("Message-ID: <m2@b.example>\r\nSubject: رقم 2\r\n\r\nثالثة\r\n".as_bytes());
    assert_eq!(alone.external_id, whole.records[2].external_id);
}

#[test]
fn a_mark_and_blank_lines_before_the_first_message_do_not_hide_an_mbox() {
    let file = format!("\u{feff}\r\n\n{}", mbox(&["أولى", "second"]));
    for page in [1, 256] {
        let outcome = import_with(&json!({}), "box", file.as_bytes(), page);
        let bodies: Vec<&str> = outcome.records.iter().map(|record| record.body.as_str()).collect();
        assert_eq!(bodies, ["أولى", "second"]);
    }
    let host = FakeHost::new().host();
    let settings = json!({"max_message_bytes": 1024});
    let large = format!("\n\n{}", mbox(&[&"س".repeat(1000)]));
    let pages = testing::import_file::<MailChannel>(&host, &settings, "box", large.as_bytes()).unwrap();
    assert_eq!(pages[0].refusals[0].place, "message 1 at byte 2");
}

/// One page of a file, from the cursor on.
fn page(settings: &Json, bytes: &[u8], cursor: Option<String>, skip: u32) -> Result<ImportPage, PluginError> {
    let host = FakeHost::new().host();
    let request = ImportRequest {
        file: testing::source_file(&host, "box", bytes),
        cursor,
        max_items: 1,
        skip,
    };
    testing::import_page::<MailChannel>(&host, settings, request)
}

#[test]
fn messages_are_passed_over_unread() {
    let file = mbox(&["أولى", "second", "ثالثة"]);
    let passed = page(&json!({}), file.as_bytes(), None, 2).unwrap();
    assert_eq!((passed.changes.len(), passed.refusals.len(), passed.more), (0, 0, true));
    let rest = page(&json!({}), file.as_bytes(), passed.cursor, 0).unwrap();
    assert_eq!(collect(vec![rest]).records[0].body, "ثالثة");
    let beyond = page(&json!({}), file.as_bytes(), None, 9).unwrap();
    assert_eq!(
        (beyond.changes.len(), beyond.more, beyond.position),
        (0, false, file.len() as u64)
    );
    let alone = page(&json!({}), COMPLAINT.as_bytes(), None, 1).unwrap();
    assert_eq!(
        (alone.changes.len(), alone.refusals.len(), alone.more, alone.position),
        (0, 0, false, COMPLAINT.len() as u64)
    );
}

#[test]
fn a_file_that_shrank_is_not_asked_for_again() {
    for bytes in [mbox(&["a", "ب"]), COMPLAINT.to_owned()] {
        let host = FakeHost::new().host();
        let mut file = testing::source_file(&host, "box", bytes.as_bytes());
        file.size += 100;
        let request = ImportRequest {
            file,
            cursor: None,
            max_items: 256,
            skip: 0,
        };
        match testing::import_page::<MailChannel>(&host, &json!({}), request) {
            Err(PluginError::Permanent(failure)) => {
                assert_eq!(failure.code, "file-changed");
                assert!(
                    failure.message.contains(&format!("ends at byte {}", bytes.len())),
                    "{}",
                    failure.message
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A mail with binary attachments of so many MiB.
fn with_files(subject: &str, sizes: &[usize]) -> Vec<u8> {
    let mut mail = format!("Subject: {subject}\nContent-Type: multipart/mixed; boundary=b1\n\n").into_bytes();
    for size in sizes {
        mail.extend_from_slice(b"--b1\nContent-Type: audio/ogg\nContent-Disposition: attachment\n\n");
        mail.resize(mail.len() + (size << 20), b'x');
        mail.push(b'\n');
    }
    mail.extend_from_slice(b"--b1--\n\n");
    mail
}

#[test]
fn attachments_never_go_over_what_the_hub_takes_at_once() {
    let settings = json!({"max_message_bytes": 128 << 20});
    let read = |bytes: &[u8]| {
        let host = FakeHost::new().with_output_bytes(40 << 20).host();
        collect(testing::import_file::<MailChannel>(&host, &settings, "box", bytes).unwrap())
    };
    let kept = |record: &Feedback| {
        record
            .attachments
            .iter()
            .map(|a| a.size.unwrap() >> 20)
            .collect::<Vec<_>>()
    };
    let outcome = read(&with_files("تسجيل", &[41, 1, 20, 20]));
    assert_eq!(kept(&outcome.records[0]), [1, 20]);
    assert_eq!(outcome.records[0].tags, ["attachment-left-out"]);
    // In an mbox, the next page has room again.
    let from: &[u8] = b"From a@b.example Thu Aug 22 12:36:23 2002\n";
    let both = [from, &with_files("1", &[7]), from, &with_files("2", &[31])].concat();
    let outcome = read(&both);
    assert_eq!((outcome.records.len(), outcome.pages), (2, 2));
    assert_eq!(kept(&outcome.records[1]), [31]);
    assert!(outcome.records.iter().all(|record| record.tags.is_empty()));
}

#[test]
fn files_of_the_mail_server_are_passed_over_in_silence() {
    for (name, bytes) in [
        (
            "Maildir/dovecot-uidlist",
            &b"3 V1700000000 N3 G5\n1 :1700000000.M1P2.host\n"[..],
        ),
        ("Maildir/dovecot.index.log", b"\x01\x02\x18\0\x10\0\0\0:\0"),
        ("Maildir/dovecot-keywords", b"0 $Forwarded\n"),
        ("Maildir/maildirsize", b"1000000S,1000C\n24 1\n"),
        ("Maildir/maildirfolder", b""),
        ("Maildir/subscriptions", "V\t2\n\nالمبيعات\n".as_bytes()),
        ("Maildir/courierimapuiddb", b"1 1700000000 5\n1 1700000000.M1P2.host\n"),
    ] {
        let outcome = import(name, bytes);
        assert_eq!((outcome.records.len(), outcome.refusals.len()), (0, 0), "{name}");
    }
    assert_eq!(import("subscriptions", b"Subject: newsletters\n\nx").records.len(), 1);
    assert_eq!(import("notes", b"3 V1700000000\n").refusals.len(), 1);
}

#[test]
fn short_time_ends_a_page_but_not_the_progress() {
    let file = mbox(&["a", "b", "c"]);
    let host = FakeHost::new().with_remaining_ms(0).host();
    let pages = testing::import_file::<MailChannel>(&host, &json!({}), "box", file.as_bytes()).unwrap();
    assert_eq!(pages.len(), 3);
    assert_eq!(
        pages[0].cursor.as_deref(),
        Some(format!("{}:1", file.len() / 3).as_str())
    );
    assert_eq!(collect(pages).records.len(), 3);
}

#[test]
fn a_mail_that_is_too_large_does_not_stop_the_others() {
    let settings = json!({"max_message_bytes": 4096});
    let large = "كلمة ".repeat(600_000);
    let file = mbox(&["before", &large, "after"]);
    let start = mbox(&["before"]).len();
    let size = mbox(&["before", &large]).len() - start;
    for page in [1, 256] {
        let outcome = import_with(&settings, "box", file.as_bytes(), page);
        let bodies: Vec<&str> = outcome.records.iter().map(|record| record.body.as_str()).collect();
        assert_eq!(bodies, ["before", "after"]);
        assert_eq!(outcome.refusals.len(), 1);
        let refusal = &outcome.refusals[0];
        assert_eq!(
            (refusal.code.as_str(), refusal.place.as_str()),
            ("message-too-large", format!("message 2 at byte {start}").as_str())
        );
        assert!(
            refusal.reason.contains(&format!("{size} bytes")) && refusal.reason.contains("4096"),
            "{}",
            refusal.reason
        );
    }
    let host = FakeHost::new().with_remaining_ms(0).host();
    let hurried = testing::import_file::<MailChannel>(&host, &settings, "box", file.as_bytes()).unwrap();
    assert!(hurried.len() > 3, "a page ends inside the large mail");
    assert_eq!(collect(hurried).records.len(), 2);

    let alone = import_with(&settings, "a.eml", format!("Subject: x\n\n{large}").as_bytes(), 256);
    assert_eq!(alone.refusals[0].code, "message-too-large");
    assert_eq!(alone.refusals[0].place, "whole file");
}

#[test]
fn what_is_no_mail_is_refused_with_its_place() {
    for bytes in [
        &b""[..],
        b"just text\nwithout a header\n",
        b"\x89PNG\r\n\x1a\n\0\0",
        "ملاحظة: لا شيء\n".as_bytes(),
    ] {
        let outcome = import("notes", bytes);
        assert!(outcome.records.is_empty());
        assert_eq!(outcome.refusals.len(), 1, "{bytes:?}");
        assert_eq!(
            (outcome.refusals[0].code.as_str(), outcome.refusals[0].place.as_str()),
            ("not-a-mail", "whole file")
        );
    }
    let file = format!(
        "{}From x Thu Aug 22 12:36:23 2002\nX-Odd: y\n\ntext\n{}",
        mbox(&["a"]),
        mbox(&["b"])
    );
    let outcome = import("box", file.as_bytes());
    assert_eq!(outcome.records.len(), 2);
    assert_eq!(
        outcome.refusals[0].place,
        format!("message 2 at byte {}", mbox(&["a"]).len())
    );
}

#[test]
fn unfinished_maildir_deliveries_are_not_read() {
    let outcome = import("Maildir/tmp/1767506400.M1P2.host", b"Subject: half");
    assert_eq!((outcome.records.len(), outcome.refusals.len()), (0, 0));
    assert_eq!(
        import("Maildir/cur/1767506400.M1P2.host:2,FS", b"Subject: whole\n\nx")
            .records
            .len(),
        1
    );
}

#[test]
fn bad_bytes_stay_visible() {
    let record = one("Subject: شكوى\0\nContent-Type: text/plain; charset=utf-8\n\nقبل\0بعد\u{7}\n".as_bytes());
    assert_eq!(record.subject.as_deref(), Some("شكوى\u{fffd}"));
    assert_eq!(record.body, "قبل\u{fffd}بعد\u{fffd}");
    let lone = one(b"Subject: x\nContent-Type: text/plain; charset=utf-8\n\nab \xed\xa0\xbd cd");
    assert!(
        lone.body.starts_with("ab ") && lone.body.ends_with(" cd"),
        "{}",
        lone.body
    );
    assert_eq!(lone.tags, ["charset-unknown"]);
}

#[test]
fn ten_thousand_levels_become_one_flat_record() {
    let mut mail = String::from("Subject: عمق\n");
    for level in 0..10_000 {
        mail.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
        ));
    }
    mail.push_str("\nbottom\n");
    let record = one(mail.as_bytes());
    assert_eq!(record.tags, ["mime-cut"]);
    assert_eq!(record.attachments[0].name, "nested.mime");
    assert!(
        record.body.contains("boundary=b41"),
        "the beginning of the rest is shown"
    );
}

#[test]
fn a_long_text_is_cut_and_kept_whole_beside() {
    let text = "سطر طويل\n".repeat(1_000);
    let mail = format!("Subject: x\nContent-Type: text/plain; charset=utf-8\n\n{text}");
    let outcome = import_with(&json!({"max_body_bytes": 2000}), "a.eml", mail.as_bytes(), 256);
    let record = &outcome.records[0];
    assert!(record.body.len() <= 2000 && record.body.len() > 1990);
    assert_eq!(record.tags, ["body-cut"]);
    assert_eq!(record.attachments[0].name, "body.txt");
    assert_eq!(record.attachments[0].size, Some(text.trim_end().len() as u64));
}

#[test]
fn a_cut_text_and_the_most_attachments_still_fit_a_record() {
    let part = "--b1\nContent-Type: application/pdf\nContent-Disposition: attachment\n\nx\n";
    let mail = format!(
        "Subject: مرفقات\nContent-Type: multipart/mixed; boundary=b1\n\n--b1\nContent-Type: text/plain; charset=utf-8\n\n{}\n{}--b1--\n",
        "سطر طويل\n".repeat(200),
        part.repeat(300)
    );
    let settings = json!({"max_attachments": 255, "max_body_bytes": 1024});
    let record = import_with(&settings, "a.eml", mail.as_bytes(), 256).records.remove(0);
    assert_eq!(record.attachments.len(), 256);
    assert_eq!(record.tags, ["body-cut", "attachment-left-out"]);
}

#[test]
fn automatic_mail_is_marked() {
    let tags = |header: &str| one(format!("{header}\nSubject: x\n\ny").as_bytes()).tags;
    assert_eq!(
        tags("Content-Type: multipart/report; report-type=delivery-status; boundary=q"),
        ["bounce"]
    );
    assert_eq!(tags("Auto-Submitted: auto-replied"), ["auto-reply"]);
    assert_eq!(tags("List-Id: <news.example>"), ["list"]);
}

#[test]
fn settings_are_checked() {
    let problems = testing::validate::<MailChannel>(&json!({
        "fallback_charset": "klingon", "max_body_bytes": 1, "max_attachments": 256,
    }));
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["max_body_bytes", "max_attachments", "fallback_charset"]);
    assert!(testing::validate::<MailChannel>(&json!({"max_attachments": 255})).is_empty());
    assert_eq!(
        testing::validate::<MailChannel>(&json!({"max_mesage_bytes": 1}))[0].path,
        "max_mesage_bytes"
    );
}

/// Header and MIME fragments, whole and broken, in any order.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"\n",
        b"\r\n",
        b"\n\n",
        b"--b\n",
        b"--b--\n",
        b"--",
        b"From a@b Thu Aug 22 12:36:23 2002\n",
        b">From x\n",
        b"\0",
        b"Content-Type: multipart/mixed; boundary=b\n",
        b"Content-Type: multipart/digest; boundary=\"b\n",
        b"Content-Type: text/html; charset=utf-16\n",
        b"Content-Type: message/rfc822\n",
        b"Content-Type: ;;=\n",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\n",
        b"=?utf-8?B?2LT?=",
        b"Subject: =?utf-8?Q?=D8=?= =?utf-8?Q?=B4?=\n",
        b"Date: Thu, 99 Foo 20022 25:61:61 +9999\n",
        b"Message-ID: <a@b>\n",
        b"From: \"x <a@b>, (((\n",
        b"Received: from a by b; ;\n",
        b"References: <<a> b>\n",
        b"=D9=85=Z",
        b"2YXYsdit",
        b"<table><tr><td><script>",
        b"&#x110000;&nbsp",
        b" folded\n",
        b"Content-Disposition: attachment; filename*0*=x''%zz\n",
    ];
    prop_oneof![
        4 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => "\\PC{0,8}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever the bytes are: no panic, each message is a record or a refusal, and pages do not matter.
    #[test]
    fn any_bytes_are_read_or_refused(parts in proptest::collection::vec(fragment(), 0..40), page in 1_u32..4) {
        let bytes = parts.concat();
        let whole = import("any", &bytes);
        let paged = import_with(&json!({}), "any", &bytes, page);
        prop_assert!(whole.records.len() + whole.refusals.len() >= 1);
        prop_assert_eq!(&whole.refusals, &paged.refusals);
        let texts = |outcome: &Outcome| outcome.records.iter().map(|r| (r.external_id.clone(), r.body.clone())).collect::<Vec<_>>();
        prop_assert_eq!(texts(&whole), texts(&paged));
        // Passing over items ends where reading them ends.
        let host = FakeHost::new().host();
        let single = testing::import_file_by::<MailChannel>(&host, &json!({}), "any", &bytes, 1).unwrap();
        for (read, skip) in single.iter().zip(1..) {
            let passed = self::page(&json!({}), &bytes, None, skip).unwrap();
            prop_assert_eq!((&passed.cursor, passed.more, passed.position), (&read.cursor, read.more, read.position));
            prop_assert!(passed.changes.is_empty() && passed.refusals.is_empty());
        }
        for record in &whole.records {
            prop_assert!(!record.external_id.is_empty() && record.external_id.len() <= 1024);
            prop_assert!(!record.body.contains('\0'));
            prop_assert!(record.tags.iter().all(|tag| tag.len() <= 64));
        }
    }
}

//! Plugins, called natively as the hub calls them. The test kit of the SDK refuses every record, edit and page that the hub
//! would refuse: that panics, and is a finding.

use mihwar_sdk::testing::{self, Answer, Conversation, FakeHost};
use mihwar_sdk::{
    AckState, Change, ChannelKind, Delivery, Event, Feedback, Header, ImportPage, Importer, InboundRequest,
    PluginError, Verification,
};
use plugin_calls::CallsChannel;
use plugin_form::FormChannel;
use plugin_language::LanguageEnricher;
use plugin_mail::MailChannel;
use plugin_smtp::MailDepartment;
use plugin_webhook::WebhookDepartment;
use serde_json::{Value as Json, json};

use super::{Target, file, files, same};

/// One mail, or a mailbox where the first line says so.
pub(super) const MAIL: Target = Target {
    name: "mail",
    seeds: || [files("config/demo/mail", 40), vec![NESTED.as_bytes().to_vec()]].concat(),
    words: &[
        "Content-Type: ",
        "multipart/mixed; boundary=",
        "\r\n--b\r\n",
        "charset=windows-1256",
        "=?utf-8?B?",
        "?=",
        "=D8=B4",
        "Content-Transfer-Encoding: base64\r\n",
        "message/rfc822",
        "From ",
        "\r\n\r\n",
        "filename*=utf-8''",
        "<div>",
        "&#x",
        "References: <",
        "format=flowed",
        "charset=utf-7",
        "Date: ",
        "+AGE-",
        ";",
        "<style>",
        "</blockquote>",
    ],
    check: |input| import::<MailChannel>("رسالة.eml", &json!({}), input),
    bounded_inputs: 600,
    bytes_max: 96 << 20,
};

/// Several mails in one file.
pub(super) const MAILBOX: Target = Target {
    name: "mailbox",
    seeds: || {
        vec![
            file("config/demo/mail/archive-2025.mbox"),
            b"From a@example.com\nSubject: x\n\n>From b\n\nFrom c d\n\n".to_vec(),
        ]
    },
    words: &[
        "\nFrom ",
        ">From ",
        "\r\nFrom - ",
        "Content-Length: 9\n",
        "\n\n",
        "Message-ID: <",
        "Subject: شكوى\n",
    ],
    check: |input| import::<MailChannel>("archive.mbox", &json!({}), input),
    bounded_inputs: 250,
    bytes_max: 96 << 20,
};

const NESTED: &str = "From: =?utf-8?B?2LPYp9ix2Kk=?= <sara@mail.example>\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
    --b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/html; charset=windows-1256\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C7=E1=D8=E1=C8<br><table><tr><td>x</table>\r\n--c--\r\n--b\r\n\
    Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nنص\r\n--b--\r\n";

/// Call records in the layout of a telephone exchange.
pub(super) const CALLS: Target = Target {
    name: "calls",
    seeds: || vec![file("config/demo/calls/cdr-2026.csv").into_iter().take(3_000).collect()],
    words: &[
        "\"",
        "\"\"",
        ",",
        "\n",
        "ANSWERED",
        "NO ANSWER",
        "2026-10-25 02:30:00",
        "<+966",
        "٠٥",
        "Queue",
    ],
    check: |input| {
        import::<CallsChannel>(
            "مكالمات.csv",
            &json!({ "time_zone": "Asia/Riyadh", "default_country_code": "966" }),
            input,
        )
    },
    bounded_inputs: 1_500,
    bytes_max: 48 << 20,
};

/// Call records in a layout of the admin's own.
pub(super) const CALLS_MAPPED: Target = Target {
    name: "calls-mapped",
    seeds: || {
        let text =
            "id;من;متى;المدة;رد\n1;0500000001;25/03/2026 02:30;01:10;نعم\n2;+96550000144;٠١/٠٤/٢٠٢٦ ١٠:٠٠;0;متروكة\n";
        vec![text.as_bytes().to_vec()]
    },
    words: &[
        ";",
        "\"",
        "\n",
        "نعم",
        "٢٠٢٦",
        "31/12/9999 23:59",
        "99:99:99",
        "00",
        "1e9",
    ],
    check: |input| {
        let columns = json!({ "id": "id", "caller": "من", "started": "متى", "duration": "المدة", "answered": "رد" });
        let settings = json!({
            "format": "mapped", "separator": ";", "columns": columns, "time_format": "%d/%m/%Y %H:%M", "time_zone": "America/New_York",
        });
        import::<CallsChannel>("calls.csv", &settings, input)
    },
    bounded_inputs: 1_500,
    bytes_max: 48 << 20,
};

/// Imports a file whole and in pages of two: the records must be the same.
fn import<P: Importer>(name: &str, settings: &Json, input: &[u8]) -> Result<String, String> {
    let read = |page| {
        let host = FakeHost::new().host();
        testing::import_file_by::<P>(&host, settings, name, input, page)
            .map(summary)
            .map_err(|error| refusal(&error))
    };
    let (whole, paged) = (read(256), read(2));
    same("records in one page and in many", &paged, &whole)?;
    Ok(match whole {
        Ok(Summary { records, refusals }) => {
            let told: Vec<_> = records.iter().take(4).map(told).collect();
            format!(
                "{} {:?} {:?}",
                records.len().min(6),
                told,
                refusals.iter().map(|(_, code)| code).take(5).collect::<Vec<_>>()
            )
        }
        Err(error) => error?,
    })
}

/// What an import brought, whatever the pages.
#[derive(Debug, PartialEq)]
struct Summary {
    records: Vec<Feedback>,
    /// Where, and the code.
    refusals: Vec<(String, String)>,
}

fn summary(pages: Vec<ImportPage>) -> Summary {
    let mut records = Vec::new();
    let mut refusals = Vec::new();
    for page in pages {
        for change in page.changes {
            if let Change::Upsert(mut feedback) = change {
                // Handles of stored files are numbered within a call.
                feedback
                    .attachments
                    .iter_mut()
                    .for_each(|file| file.source = mihwar_sdk::AttachmentSource::Url(String::new()));
                records.push(feedback);
            }
        }
        refusals.extend(page.refusals.into_iter().map(|refusal| (refusal.place, refusal.code)));
    }
    Summary { records, refusals }
}

/// Which parts a record has: new shapes are worth keeping.
fn told(feedback: &Feedback) -> String {
    let author = feedback
        .author
        .as_ref()
        .map(|author| (author.display_name.is_some(), author.identifiers.len()));
    format!(
        "{} {} {} {} {author:?} {:?} {:?} {:?}",
        feedback.subject.is_some(),
        feedback.body.len().min(1 << 12).next_power_of_two(),
        feedback.body_html.is_some(),
        feedback.attachments.len(),
        feedback.occurred_at.is_some(),
        feedback.tags,
        feedback
            .attributes
            .iter()
            .map(|attribute| attribute.name.as_str())
            .collect::<Vec<_>>(),
    )
}

/// A refusal as an answer; one that says nothing is a finding.
pub(super) fn refusal(error: &PluginError) -> Result<String, String> {
    let told = error.summary();
    if told.trim().is_empty() {
        return Err("a refusal without a word".into());
    }
    Ok(told)
}

/// Posts of forms: JSON, a batch of them, or URL-encoded.
pub(super) const FORM: Target = Target {
    name: "form",
    seeds: || {
        let text = String::from_utf8_lossy(&file("config/demo/form/submissions.ndjson")).into_owned();
        let lines = text.lines().take(8).map(|line| format!("j{line}").into_bytes());
        let batch = format!("j[{}]", text.lines().take(3).collect::<Vec<_>>().join(","));
        let encoded = "umessage=%D8%B4%D9%83%D8%B1%D8%A7&nps=%D9%A9&name=Huda+A&email=huda%40example.com&a=1&a=2";
        lines.chain([batch.into_bytes(), encoded.as_bytes().to_vec()]).collect()
    },
    words: &[
        "\"message\":",
        "\"nps\":",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "&",
        "=",
        "%",
        "%D9",
        "+",
        "\\u0000",
        "\\ud800",
        "email",
        "1e308",
        "kind",
    ],
    check: form,
    bounded_inputs: 6_000,
    bytes_max: 32 << 20,
};

fn form(input: &[u8]) -> Result<String, String> {
    let (kind, body) = input.split_first().unwrap_or((&b'j', &[]));
    let content_type = match kind {
        b'u' => "application/x-www-form-urlencoded",
        b'j' => "application/json; charset=utf-8",
        _ => "text/plain",
    };
    let request = InboundRequest {
        delivery_id: "d-1".into(),
        endpoint: "submit".into(),
        method: "POST".into(),
        path: "/hooks/form/submit".into(),
        query: Vec::new(),
        headers: vec![Header {
            name: "Content-Type".into(),
            value: content_type.into(),
        }],
        body: body.to_vec(),
        verification: Verification::Verified("submit".into()),
        received_at: 0,
    };
    match testing::handle::<FormChannel>(&FakeHost::new().host(), &json!({ "country_code": "966" }), request) {
        Ok(outcome) => {
            let records = outcome.changes.iter().filter_map(|change| match change {
                Change::Upsert(feedback) => Some(format!("{} {:?}", told(feedback), feedback.scores.len())),
                _ => None,
            });
            Ok(format!(
                "{:?} {:?}",
                records.take(4).collect::<Vec<_>>(),
                outcome
                    .refusals
                    .iter()
                    .map(|refusal| &refusal.code)
                    .take(4)
                    .collect::<Vec<_>>()
            ))
        }
        Err(error) => refusal(&error),
    }
}

/// Texts in any script, for the enricher that guesses languages.
pub(super) const LANGUAGE: Target = Target {
    name: "language",
    seeds: || {
        [
            "وصل الطلب متأخرًا ولم يعتذر أحد",
            "The driver was rude and late",
            "el tawseel kan met2akher awi",
            "الخدمة good جدا thank you",
            "这个很好",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "ال", "the ", "7abibi ", "؟", "http://", "🙂", "の", "и", "\u{64b}", "1234 ",
    ],
    check: |input| {
        let text = String::from_utf8_lossy(input).into_owned();
        if text.contains('\0') {
            // The hub refuses these before any enricher.
            return Ok("nul".into());
        }
        let item = testing::stored("f-1", Feedback::new("x", ChannelKind::Email).body(text));
        let verdicts = testing::process::<LanguageEnricher>(&FakeHost::new().host(), &json!({}), vec![item]);
        match verdicts {
            Ok(verdicts) => Ok(format!("{verdicts:?}")),
            Err(error) => refusal(&error),
        }
    },
    bounded_inputs: 2_500,
    bytes_max: 32 << 20,
};

/// What a department's endpoint answers: status, headers, body.
pub(super) const ANSWER: Target = Target {
    name: "answer",
    seeds: || {
        [
            "200\nretry-after: 5\n\n{\"reference\":\"CRM-7\"}",
            "429\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\n\n",
            "410\n\n\nخطأ",
            "302\nlocation: /x\n\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "retry-after: ",
        "reference",
        "\n\n",
        "200",
        "503",
        "429",
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "\u{0}",
        "99999999999999999999",
    ],
    check: answer,
    bounded_inputs: 6_000,
    bytes_max: 32 << 20,
};

fn answer(input: &[u8]) -> Result<String, String> {
    const URL: &str = "https://crm.example/feedback";
    let text = String::from_utf8_lossy(input);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status: u16 = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(200);
    let mut answer = Answer::body(status, body.as_bytes());
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        answer = answer.header(name, value);
    }
    let fake = FakeHost::new()
        .secret("signing", b"a key of at least 24 bytes, for tests")
        .always("POST", URL, answer);
    let delivery = |id: &str| Delivery {
        id: id.into(),
        attempt: 1,
        event: Event::Created(testing::stored(
            "fb-1",
            Feedback::new("m-1", ChannelKind::Email).body("لم يصل"),
        )),
        external_ref: None,
    };
    let acks =
        testing::deliver::<WebhookDepartment>(&fake.host(), &json!({ "url": URL }), vec![delivery("a"), delivery("b")]);
    match acks {
        Ok(acks) if acks.len() == 2 => Ok(format!("{:?}", acks.first().map(|ack| &ack.state))),
        Ok(acks) => Err(format!("{} acknowledgements for 2 deliveries", acks.len())),
        Err(error) => refusal(&error),
    }
}

/// What a mail server says, all of it before it is asked.
pub(super) const MAIL_SERVER: Target = Target {
    name: "mail-server",
    seeds: || {
        [
            "220 أهلاً\r\n250-relay\r\n250-PIPELINING\r\n250-SIZE 9000\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n\
             250 ok\r\n550 5.1.1 no\r\n250 reset\r\n221 bye\r\n",
            "220 x\r\n250-relay\r\n250 AUTH=LOGIN\r\n334 a\r\n334 b\r\n535 5.7.8 wrong\r\n",
            "421 4.3.2 later\r\n",
            "554 no\r\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "\r\n",
        "250-",
        "250 ok\r\n",
        "354 ",
        "421 ",
        "450 4.7.1 ",
        "550 5.1.1 <a@b>",
        "AUTH ",
        "SIZE 1",
        "SMTPUTF8",
        "334 ",
        "235 ",
        "\u{0}",
    ],
    check: mail_server,
    bounded_inputs: 3_000,
    bytes_max: 32 << 20,
};

fn mail_server(input: &[u8]) -> Result<String, String> {
    const HOST: &str = "relay.example";
    let fake = FakeHost::new()
        .secret("password", "كلمة-السر")
        .conversation(HOST, 465, Conversation::new().says(input).is_silent())
        .conversation(HOST, 465, Conversation::new().says(input).is_silent());
    let settings = json!({
        "host": HOST,
        "port": 465,
        "security": "tls",
        "user": "voice",
        "from": "voice@shop.example",
        "to": ["care@shop.example"],
    });
    let delivery = |id: &str| Delivery {
        id: id.into(),
        attempt: 1,
        event: Event::Created(testing::stored(
            "fb-1",
            Feedback::new("m-1", ChannelKind::Email).body("لم يصل"),
        )),
        external_ref: None,
    };
    let acks = testing::deliver::<MailDepartment>(&fake.host(), &settings, vec![delivery("a"), delivery("b")]);
    match acks {
        Ok(acks) if acks.len() == 2 => {
            // What was said, without its words: those are as many as there are inputs.
            let states = acks.iter().map(|ack| match &ack.state {
                AckState::Failed(error) => error.code().unwrap_or("-").to_owned(),
                other => format!("{other:?}"),
            });
            Ok(states.collect::<Vec<_>>().join(" "))
        }
        Ok(acks) => Err(format!("{} acknowledgements for 2 deliveries", acks.len())),
        Err(error) => refusal(&error),
    }
}

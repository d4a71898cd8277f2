//! What is masked before it is stored: by the real plugin, on the ways in that a person can see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Site, plugin_file};
use serde_json::{Value, json};

/// The redactor as an admin configures it, with what else stands there.
fn redactor(more: &str) -> String {
    format!(
        "[[plugin]]\nid = \"redact\"\nfile = \"{}\"\n[[instance]]\nname = \"redact\"\nplugin = \"redact\"\n{more}\n",
        plugin_file("redact").display()
    )
}

const GRANTED: &str = "grant.redact = true\ngrant.fields = [\"subject\", \"body\", \"author.name\", \"attachments\", \"details\", \"attributes\", \"raw\"]";

async fn site(more: &str) -> (Receiver, Site) {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    site.configure_also(&redactor(more)).unwrap();
    (receiver, site)
}

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn post_form(site: &Site, body: &Value) -> u16 {
    // The hub checks the age of a signature against the real clock.
    #[expect(clippy::disallowed_methods, reason = "a test plays the outside world")]
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let bytes = serde_json::to_vec(body).unwrap();
    let mut request = client().post(format!("http://{}/hooks/form/submit", site.listen));
    for (name, value) in Site::form_headers(&bytes, i64::try_from(seconds).unwrap()) {
        request = request.header(name, value);
    }
    request.body(bytes).send().await.unwrap().status().as_u16()
}

async fn post_record(site: &Site, record: &Value) -> reqwest::Response {
    let token = site.json(&["token", "create", "test", "--scope", "feedback:write"]);
    client()
        .post(format!("http://{}/api/v1/feedback", site.listen))
        .bearer_auth(token["token"].as_str().unwrap())
        .header("content-type", "application/json")
        .body(record.to_string())
        .send()
        .await
        .unwrap()
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_numbers_reach_neither_the_store_nor_a_department() {
    let (receiver, site) = site(GRANTED).await;
    let running = site.serve().unwrap();
    let told = json!({
        "name": "هدى", "email": "huda@example.com",
        "message": "خصمتم من بطاقتي ٤١١١ ١١١١ ١١١١ ١١١١ مرتين، وجوالي ٠٥٠٠٠٠٠١٢٣، ورقم الطلب 1000000008",
        "iqama": "2000000006",
    });
    assert_eq!(post_form(&site, &told).await, 202);
    let record = json!({
        "external_id": "1", "body": "My IBAN is SA03 8000 0000 6080 1016 7519",
        "body_html": "<p>My IBAN is SA03 8000 0000 <b>6080</b> 1016 7519</p>",
    });
    assert_eq!(post_record(&site, &record).await.status(), 201);

    let seen = until("two deliveries", || {
        Some(receiver.seen()).filter(|seen| seen.len() >= 2)
    })
    .await;
    let items = site.json_lines(&["feedback", "list"]);
    assert_eq!(items.len(), 2, "{items:#?}");
    let delivered: String = seen.values().map(|seen| seen.body.to_string()).collect();
    let kept = items.iter().map(Value::to_string).collect::<String>();
    for original in ["٤١١١ ١١١١", "٠٥٠٠٠٠٠١٢٣", "2000000006", "8000 0000"] {
        assert!(!delivered.contains(original), "{original} was delivered");
        assert!(!kept.contains(original), "{original} was stored");
    }
    let of = |instance: &str| items.iter().find(|item| item["instance"] == instance).unwrap();
    let form = of("form");
    assert_eq!(
        form["content"]["body"],
        "خصمتم من بطاقتي [card-number]١١١١ مرتين، وجوالي [phone]، ورقم الطلب 1000000008"
    );
    // By this the person is known again.
    assert!(form["content"]["author"].to_string().contains("huda@example.com"));
    // In the message, in the answer, and both once more in the payload, where the address stands as well.
    let counts = [
        "masked-card-number",
        "masked-phone",
        "masked-national-id",
        "masked-email",
    ];
    let counts = counts.map(|name| form["attributes"][name].as_i64());
    assert_eq!(counts, [Some(2), Some(2), Some(2), Some(1)], "{form:#}");
    let api = items.iter().find(|item| item["instance"] != "form").unwrap();
    assert_eq!(api["content"]["body"], "My IBAN is [iban]7519");
    assert_eq!(
        api["content"]["body_html"], "<p>My IBAN is [iban]<b></b>7519</p>",
        "a tag between hides nothing: {api:#}"
    );
    let shown = site.json(&["feedback", "show", api["id"].as_str().unwrap()]);
    assert!(shown["events"].to_string().contains("\"label\":\"iban\""), "{shown:#}");
    assert!(running.stop());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrapped_or_linked_is_masked_and_a_text_at_its_limit_is_kept() {
    let (_receiver, site) = site(GRANTED).await;
    let running = site.serve().unwrap();
    // As long as a subject may be, and its mask is longer than what it covers.
    let said = "هويتي 1000000008 ";
    let subject = format!("{said}{}", "ط".repeat((65_536 - said.len()) / 2));
    assert_eq!(subject.len(), 65_536);
    let record = json!({
        "external_id": "1", "subject": subject,
        "body": "كتبت لكم:\r\n> بطاقتي ٤١١١ ١١١١\r\n> ١١١١ ١١١١ مرفوضة\r\n> وجوالي 050\r\n> 000 0123 مغلق",
        "body_html": "<p>بطاقتي <b>4111</b> 1111<br>\n1111 1111 مرفوضة <a href=\"tel:%2B966500000123\">اتصل</a></p>",
        "attributes": { "note": "رقمي 05<i>0000</i>0123" },
    });
    let stored = post_record(&site, &record).await;
    let (status, answer) = (stored.status(), stored.text().await.unwrap());
    assert_eq!(status, 201, "{answer}");
    let items = site.json_lines(&["feedback", "list"]);
    let content = &items[0]["content"];
    assert_eq!(
        content["body"],
        "كتبت لكم:\r\n> بطاقتي [card-number]١١١١ مرفوضة\r\n> وجوالي [phone] مغلق"
    );
    assert_eq!(
        content["body_html"],
        "<p>بطاقتي <b>[card-number]</b><br>\n1111 مرفوضة <a href=\"tel:[phone]\">اتصل</a></p>"
    );
    let kept = content["subject"].as_str().unwrap();
    assert!(kept.starts_with("هويتي […] ططط") && kept.len() == subject.len() - 5);
    assert!(
        !items[0].to_string().contains("0000</i>0123"),
        "{:#}",
        items[0]["attributes"]
    );
    assert!(running.stop());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_unmasked_while_the_redactor_cannot_run() {
    // Less than any plugin needs to begin.
    let (_receiver, site) = site(&format!("{GRANTED}\nlimits.memory = \"64KiB\"")).await;
    let running = site.serve().unwrap();
    let refused = post_record(&site, &json!({ "external_id": "1", "body": "جوالي 0500000123" })).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    // It is stored raw and sealed, and waits there.
    assert_eq!(post_form(&site, &json!({ "message": "جوالي 0500000123" })).await, 202);
    until("the form's request is put off", || {
        site.log().contains("tried again later").then_some(())
    })
    .await;
    assert!(site.json_lines(&["feedback", "list"]).is_empty());
    let listed = site.json(&["plugin", "list"]).to_string();
    assert!(listed.contains("limits.memory"), "the admin sees why: {listed}");

    site.reconfigure("limits.memory = \"64KiB\"", "limits.memory = \"96MiB\"");
    drop(site.json(&["config", "reload"]));
    let items = until("the request becomes a record", || {
        Some(site.json_lines(&["feedback", "list"])).filter(|items| !items.is_empty())
    })
    .await;
    assert_eq!(items[0]["content"]["body"], "جوالي [phone]");
    assert!(running.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn masking_is_granted_or_the_configuration_is_refused() {
    let checked = |site: &Site| {
        let output = site.run(&["config", "check"]).unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (_receiver, ungranted) = site("grant.fields = [\"body\"]").await;
    let (ok, said) = checked(&ungranted);
    assert!(!ok && said.contains("write grant.redact = true"), "{said}");
    // What it may not see is stored as it comes, and that is told.
    let (_receiver, narrow) = site("grant.redact = true\ngrant.fields = [\"body\"]").await;
    let (ok, said) = checked(&narrow);
    assert!(
        ok && said.contains("what stands in subject, author.name, attachments"),
        "{said}"
    );
    // Another plugin does not become a redactor by a grant.
    narrow.reconfigure("name = \"language\"", "name = \"language\"\ngrant.redact = true");
    let (ok, said) = checked(&narrow);
    assert!(!ok && said.contains("its manifest lacks redact = true"), "{said}");
}

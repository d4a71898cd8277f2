//! The test kit, tested with a small channel that counts lines.

use serde_json::json;

use super::{Answer, FakeHost, import_file_by, import_page, pull, source_file};
use crate::{
    ChannelKind, Feedback, Host, HttpError, ImportPage, ImportRequest, Importer, Mac, Plugin, PluginError, PullPage,
    PullRequest, Puller, Refusal, Request, SecretError,
};

struct Lines;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {
    #[serde(default)]
    fail_at: Option<usize>,
    /// More or fewer items than asked for.
    #[serde(default)]
    page: Option<usize>,
}

impl Plugin for Lines {
    type Settings = Settings;
}

impl Importer for Lines {
    fn read(host: &Host, settings: &Settings, request: ImportRequest) -> Result<ImportPage, PluginError> {
        let bytes = host.read_blob_to_end(&request.file.content, 1 << 20)?;
        let text = String::from_utf8(bytes).map_err(|_| PluginError::permanent("not-utf8", "no text"))?;
        let from: usize = request.cursor.as_deref().unwrap_or("0").parse().unwrap();
        let from = from + request.skip as usize;
        if request.skip > 0 {
            return Ok(ImportPage {
                changes: Vec::new(),
                refusals: Vec::new(),
                cursor: Some(from.to_string()),
                more: text.lines().count() > from,
                position: from as u64,
            });
        }
        let most = settings.page.unwrap_or(request.max_items as usize);
        let (mut changes, mut refusals) = (Vec::new(), Vec::new());
        for (number, line) in text.lines().enumerate().skip(from).take(most) {
            host.state_set("last", line.as_bytes())?;
            host.count("lines", 1, &[]);
            if settings.fail_at == Some(number) {
                return Err(PluginError::transient("asked", "as asked"));
            }
            if line.is_empty() {
                refusals.push(Refusal::new(format!("line {}", number + 1), "empty", "nothing here"));
            } else {
                changes.push(Feedback::new(number.to_string(), ChannelKind::Review).body(line).into());
            }
        }
        let next = from + most;
        let more = text.lines().count() > next;
        Ok(ImportPage {
            changes,
            refusals,
            cursor: Some(next.to_string()),
            more,
            position: next as u64,
        })
    }
}

impl Puller for Lines {
    fn pull(_: &Host, _: &Settings, request: PullRequest) -> Result<PullPage, PluginError> {
        let changes = vec![
            Feedback::new("1", ChannelKind::Review)
                .score("nps", 12.0, 0.0, 10.0)
                .into(),
        ];
        Ok(PullPage {
            changes,
            cursor: request.cursor,
            more: false,
            next_after_ms: None,
        })
    }
}

const TEXT: &str = "الأول\n\nsecond\nالثالث\nlast";

#[test]
fn a_file_is_read_page_by_page_to_its_end() {
    let fake = FakeHost::new();
    let pages = import_file_by::<Lines>(&fake.host(), &json!({}), "book.txt", TEXT.as_bytes(), 2).unwrap();
    let sizes: Vec<(usize, usize)> = pages
        .iter()
        .map(|page| (page.changes.len(), page.refusals.len()))
        .collect();
    assert_eq!(sizes, [(1, 1), (2, 0), (1, 0)]);
    assert_eq!(fake.state_entries(), [("last".to_owned(), b"last".to_vec())]);
    assert_eq!(fake.metrics().len(), 5);
}

#[test]
fn a_call_that_fails_leaves_state_and_metrics_as_they_were() {
    let fake = FakeHost::new();
    let failed = import_file_by::<Lines>(&fake.host(), &json!({ "fail_at": 3 }), "book.txt", TEXT.as_bytes(), 2);
    assert_eq!(failed.unwrap_err().code(), Some("asked"));
    assert_eq!(
        fake.state_entries(),
        [("last".to_owned(), Vec::new())],
        "the first page stays, the second is undone"
    );
    assert_eq!(fake.metrics().len(), 2);
}

#[test]
#[should_panic(expected = "the hub would refuse `1`: scores[0]: `nps` = 12 on 0 to 10")]
fn a_record_that_the_hub_would_refuse_fails_the_test() {
    pull::<Lines>(&FakeHost::new().host(), &json!({}), None).unwrap();
}

#[test]
fn settings_that_do_not_parse_fail_like_in_the_hub() {
    let problem = pull::<Lines>(&FakeHost::new().host(), &json!({ "fail_at": "ثلاثة" }), None).unwrap_err();
    assert!(matches!(problem, PluginError::Misconfigured(problems) if problems[0].path == "fail_at"));
}

#[test]
fn scripted_answers_come_in_order_and_the_rest_is_denied() {
    let url = "https://api.example/a";
    let fake = FakeHost::new()
        .always("GET", url, Answer::status(204))
        .answer("GET", url, Answer::body(200, "الأولى").takes_ms(250))
        .answer("POST", url, Answer::status(201));
    let host = fake.host();
    let before = host.now();
    assert_eq!(host.http(&Request::get(url)).unwrap().text(), "الأولى");
    assert_eq!((host.now() - before, host.remaining_ms()), (250, 9750));
    assert_eq!(host.http(&Request::get(url)).unwrap().status, 204);
    assert!(matches!(
        host.http(&Request::get("https://other.example/")),
        Err(HttpError::Denied(_))
    ));
    assert_eq!(fake.unused_answers(), ["POST https://api.example/a"]);
    assert_eq!(fake.requests().len(), 3);
}

#[test]
fn downloads_become_blobs_within_their_limit() {
    let url = "https://api.example/record.ogg";
    let fake = FakeHost::new().always(
        "GET",
        url,
        Answer::body(200, vec![7; 10]).header("Content-Type", "audio/ogg"),
    );
    let got = fake.host().download(&Request::get(url), 10).unwrap();
    assert_eq!(fake.blob(&got.blob), Some(("audio/ogg".to_owned(), vec![7; 10])));
    assert_eq!(
        fake.host().download(&Request::get(url), 9).unwrap_err(),
        HttpError::ResponseTooLarge(9)
    );
}

#[test]
fn macs_are_those_of_the_published_vectors() {
    // RFC 4231, test case 2; RFC 2202, test case 2.
    let host = FakeHost::new().secret("k", "Jefe").host();
    let hex = |algorithm| {
        let tag = host.sign("k", algorithm, b"what do ya want for nothing?").unwrap();
        tag.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(hex(Mac::HmacSha256), "5bdcc146");
    assert_eq!(hex(Mac::HmacSha512), "164b7a7b");
    assert_eq!(hex(Mac::HmacSha1), "effcdf6a");
    // RFC 8032, section 7.1, test 1: the seed, and nothing signed.
    let seed = *b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
    let signing = FakeHost::new().secret("e", seed).host();
    assert_eq!(
        signing.sign_ed25519("e", b"").unwrap().first_chunk(),
        Some(&[0xe5, 0x56, 0x43, 0x00])
    );
    assert!(matches!(host.sign_ed25519("k", b""), Err(SecretError::Unusable(_))));
    assert!(!host.verify("k", Mac::HmacSha256, b"x", b"y").unwrap());
    assert_eq!(host.sign("other", Mac::HmacSha1, b"").unwrap_err(), SecretError::NotSet);
}

#[test]
fn state_is_scanned_in_pages_and_randomness_repeats() {
    let fake = ["أ/1", "أ/2", "أ/3", "ب/1"]
        .into_iter()
        .fold(FakeHost::new(), |fake, key| fake.state(key, key));
    let host = fake.host();
    let first = host.state_scan("أ/", None, 2).unwrap();
    assert_eq!(first.next.as_deref(), Some("أ/2"));
    let rest = host.state_scan("أ/", first.next.as_deref(), 2).unwrap();
    assert_eq!((rest.entries.len(), rest.next), (1, None));
    let (one, two) = (FakeHost::new().seed(7).host(), FakeHost::new().seed(7).host());
    assert_eq!(one.random(20), two.random(20));
    assert_eq!(one.uuid(), two.uuid());
    assert_ne!(one.uuid(), one.uuid());
    assert_eq!(
        one.uuid().split('-').map(str::len).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12]
    );
}

#[test]
fn a_page_may_pass_over_items() {
    let host = FakeHost::new().host();
    let request = ImportRequest {
        file: source_file(&host, "book.txt", TEXT.as_bytes()),
        cursor: None,
        max_items: 1,
        skip: 2,
    };
    let page = import_page::<Lines>(&host, &json!({}), request).unwrap();
    assert_eq!(
        (page.changes.len(), page.cursor.as_deref(), page.more),
        (0, Some("2"), true)
    );
}

#[test]
#[should_panic(expected = "5 items on a page of at most 2")]
fn a_page_with_more_than_was_asked_for_fails_the_test() {
    let settings = json!({ "page": 9 });
    import_file_by::<Lines>(&FakeHost::new().host(), &settings, "book.txt", TEXT.as_bytes(), 2).unwrap();
}

//! Data folders of released formats: packed under `tests/fixtures`, each with what must be found in it.
//!
//! `data-format-N.tar.gz` is a folder as a hub of that format left it, `data-format-N.json` what it answers. A fixture is
//! made once, by the release that brings its format, and never changed.
#![expect(clippy::unwrap_used, reason = "a test that lacks its fixture reports by panic")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::{Site, compiled, guest_file, workspace};

/// More items than a fixture holds.
const ALL: &str = "10000";
/// What of a data folder is packed: the rest is made anew by every start.
const PACKED: [&str; 3] = ["mihwar.redb", "master.key", "blobs"];
/// Texts that stand in the facts word for word.
const TEXTS_TOLD: usize = 8;
const TEXT_CHARS_TOLD: usize = 120;

/// One kept data folder.
#[derive(Debug)]
pub struct Fixture {
    /// Its format.
    pub format: u64,
    /// What must be found in it, in the form of [`facts`].
    pub facts: Value,
    archive: PathBuf,
}

/// Every fixture, the oldest format first.
///
/// # Panics
/// When one lacks its facts.
#[must_use]
pub fn all() -> Vec<Fixture> {
    let listed = fs::read_dir(folder()).unwrap();
    let mut found: Vec<_> = listed
        .filter_map(|entry| {
            let archive = entry.unwrap().path();
            let name = archive.file_name()?.to_str()?.strip_suffix(".tar.gz")?.to_owned();
            let told = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
            let facts: Value = serde_json::from_str(&told).unwrap();
            let format = facts["format"].as_u64().unwrap();
            assert_eq!(
                name,
                format!("data-format-{format}"),
                "the facts tell of another fixture"
            );
            Some(Fixture { format, facts, archive })
        })
        .collect();
    found.sort_by_key(|fixture| fixture.format);
    found
}

fn folder() -> PathBuf {
    workspace().join("tests/fixtures")
}

impl Fixture {
    /// A new site with a copy of this folder as its data folder. Its departments cannot be reached, so that what waits
    /// goes on waiting.
    ///
    /// # Panics
    /// When it cannot be unpacked.
    #[must_use]
    pub fn unpack(&self) -> Site {
        let site = site("127.0.0.1:9", "127.0.0.1:9");
        fs::DirBuilder::new().mode(0o700).create(site.data()).unwrap();
        tar(Command::new("tar")
            .arg("-xpzf")
            .arg(&self.archive)
            .arg("-C")
            .arg(site.data()));
        site
    }
}

/// A site as fixtures are made and opened with: three departments, one of which nobody can reach and one of which
/// answers that there is no such place; a channel that takes things back.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn site(receiver: &str, script: &str) -> Site {
    let site = Site::new(receiver.parse().unwrap()).unwrap();
    site.reconfigure("/billing\"", "/no/such/place\"");
    site.configure_also(&format!(
        r#"
[[plugin]]
id = "scripted"
file = "{}"
[[instance]]
name = "notes"
plugin = "scripted"
every = "1s"
settings = {{ url = "http://{script}/pages", refused_word = "ممنوع" }}
[[instance.grant.http]]
origin = "http://{script}"
methods = ["GET"]
private = true
[[instance]]
name = "delivery"
plugin = "webhook"
settings = {{ url = "http://127.0.0.1:9/delivery" }}
secrets = {{ signing = {{ env = "DEPARTMENT_SIGNING_SECRET" }} }}
grant.fields = ["subject", "body"]
retry = {{ first = "12h", most = "24h", attempts = 20 }}
[[instance.grant.http]]
origin = "http://127.0.0.1:9"
methods = ["POST", "HEAD"]
private = true
[[route]]
name = "parcels"
when = "record.body.matches('(?i)courier|parcel|مندوب|شحنة')"
to = ["delivery"]
"#,
        guest_file("scripted").display()
    ))
    .unwrap();
    site
}

/// Makes the data folder of a site that has none yet, with the master key of fixtures in it.
///
/// # Errors
/// What the file system says.
pub fn prepare(site: &Site) -> std::io::Result<()> {
    compiled::make_data_folder(&site.data())
}

/// What a stopped site answers, in a form that later versions can answer too: identities, texts and counts, no layout.
///
/// # Panics
/// When a command fails.
#[must_use]
pub fn facts(site: &Site) -> Value {
    let feedback = site.json_lines(&["feedback", "list", "--limit", ALL]);
    let mut by_instance = BTreeMap::<&str, u64>::new();
    for item in &feedback {
        *by_instance
            .entry(item["instance"].as_str().unwrap_or("none"))
            .or_default() += 1;
    }
    let text = |item: &Value| json!([item["id"], item["content"]["subject"], item["content"]["body"]]);
    let mut texts: Vec<_> = feedback
        .iter()
        .filter(|item| item["content"]["body"].is_string())
        .map(text)
        .collect();
    let digest = digest(&texts);
    // Spread over all of them, so that every channel and both languages are told.
    let step = (texts.len() / TEXTS_TOLD).max(1);
    texts = texts.into_iter().step_by(step).take(TEXTS_TOLD).collect();
    texts.iter_mut().for_each(|text| shorten(&mut text[2]));
    let deliveries = |state: &str| {
        site.json_lines(&["delivery", "list", "--state", state, "--limit", ALL])
            .len()
    };
    let attachments = |item: &Value| item["content"]["attachments"].as_array().map_or(0, Vec::len);
    let tokens = site.json(&["token", "list"]);
    let mut tokens: Vec<_> = tokens["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|token| token["name"].clone())
        .collect();
    tokens.sort_by_key(Value::to_string);
    json!({
        "feedback": feedback.len(),
        "feedback_by_instance": by_instance,
        "feedback_withdrawn": feedback.iter().filter(|item| item["withdrawn"] == true).count(),
        "attachments": feedback.iter().map(attachments).sum::<usize>(),
        "texts": texts,
        "texts_sha256": digest,
        "delivered": deliveries("delivered"),
        "dead": deliveries("dead"),
        "open": deliveries("waiting") + deliveries("retrying"),
        "inbound_dead": site.json_lines(&["delivery", "list", "--inbound", "--limit", ALL]).len(),
        "tokens": tokens,
        "ledger": site.json(&["ledger", "head"]),
    })
}

/// So that facts stay readable: the digest is over all of it.
fn shorten(text: &mut Value) {
    let short: String = text
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(TEXT_CHARS_TOLD)
        .collect();
    *text = short.into();
}

fn digest(texts: &[Value]) -> String {
    use sha2::Digest;
    let mut texts: Vec<_> = texts.iter().map(Value::to_string).collect();
    texts.sort();
    let hash = sha2::Sha256::digest(texts.join("\n"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Packs the data folder of a stopped site as the fixture of `format`.
///
/// # Panics
/// When the folder does not verify, there is such a fixture already, or something cannot be written.
pub fn pack(site: &Site, format: u64, made_by: &str) {
    let verified = site.json(&["ledger", "verify"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
    let mut told = facts(site);
    told["format"] = format.into();
    told["made_by"] = made_by.into();
    let archive = folder().join(format!("data-format-{format}.tar.gz"));
    assert!(
        !archive.exists(),
        "{} is there already, and never changes",
        archive.display()
    );
    let there = |name: &&str| site.data().join(name).exists();
    let packed = PACKED.iter().chain(&["FORMAT"]).filter(|name| there(name));
    let owner = ["--owner=0", "--group=0", "--numeric-owner", "--exclude=unfinished"];
    tar(Command::new("tar")
        .args(owner)
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(site.data())
        .args(packed));
    let text = serde_json::to_string_pretty(&told).unwrap();
    fs::write(archive.with_extension("").with_extension("json"), format!("{text}\n")).unwrap();
}

fn tar(command: &mut Command) {
    let output = command.env("GZIP", "-9").output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

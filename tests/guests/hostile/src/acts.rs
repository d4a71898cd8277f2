//! What the guest can do wrong.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use mihwar_sdk::{Body, Change, ChannelKind, Feedback, Host, Level, Mac, PluginError, PullPage, PullRequest, Request};

use crate::{Settings, talk};

/// What the secret `token` holds in the tests. No plugin can read it; this one has guessed it.
const TOKEN: &str = "s3cret-token-value";

/// Does what the settings name.
pub(crate) fn perform(host: &Host, settings: &Settings, request: PullRequest) -> Result<PullPage, PluginError> {
    let amount = settings.amount;
    match settings.act.as_str() {
        "answer" => return answer(host, request),
        "loop" => spin(),
        "loop-in-host" => loop {
            black_box(host.now());
        },
        "allocate" => allocate(),
        "recurse" => {
            black_box(recurse(1));
        }
        "panic" => lookup(&[1, 2, 3], usize::try_from(amount).unwrap_or(usize::MAX)),
        "flood-log" => flood(host, amount),
        "flood-stderr" => return Err(flood_stderr(amount)),
        "forge" => return Err(forge(host)),
        "exit" => std::process::exit(3),
        "many-items" => return Ok(page((0..amount).map(|number| item(number, "ok")).collect())),
        "gigabyte" => {
            return Ok(page(vec![item(0, &"x".repeat(usize::try_from(amount).unwrap_or(0)))]));
        }
        "blob" => return blob(host, amount),
        "state" => return state(host, amount),
        "state-keys" => return state_keys(host, amount),
        "state-traces" => return state_traces(host, amount),
        "remnants" => return Ok(page(vec![item(0, &remnants())])),
        "environment" => return environment(),
        "fetch" => return fetch(host, settings),
        "sign" => return sign(host),
        "talk" | "carry" | "drain" | "many-connections" | "keep-open" | "knock" | "compose" | "pieces" => {
            return Ok(page(vec![item(0, &talk::perform(host, settings))]));
        }
        "confess" => {
            return Err(PluginError::permanent("confession", format!("the token is {TOKEN}")));
        }
        other => return Err(PluginError::permanent("unknown-act", other)),
    }
    Ok(page(Vec::new()))
}

fn page(changes: Vec<Change>) -> PullPage {
    PullPage {
        changes,
        cursor: Some("next".to_owned()),
        more: false,
        next_after_ms: None,
    }
}

fn item(number: u32, body: &str) -> Change {
    Feedback::new(format!("item-{number}"), ChannelKind::Form)
        .body(body)
        .into()
}

/// What a decent channel does: remembers, logs, counts, answers.
fn answer(host: &Host, request: PullRequest) -> Result<PullPage, PluginError> {
    host.state_set("last", request.cursor.unwrap_or_default().as_bytes())?;
    host.info("تم");
    host.count("items", 1, &[("kind", "form")]);
    Ok(page(vec![item(0, "الخدمة ممتازة")]))
}

fn spin() {
    let mut number = 1_u64;
    loop {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

fn allocate() {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![7_u8; 1 << 20]));
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1)) + depth)
}

fn lookup(numbers: &[u8], at: usize) {
    black_box(numbers[at]);
}

/// Records that tell the secret in each part and are longer than a record may be.
fn flood(host: &Host, amount: u32) {
    let message = format!("{TOKEN} {}", "ط".repeat(1024));
    let long = "ط".repeat(4 * 1024);
    for _ in 0..amount {
        host.log(
            Level::Info,
            &message,
            &[("token", TOKEN), (TOKEN, "name"), ("rest", long.as_str())],
        );
    }
}

fn flood_stderr(amount: u32) -> PluginError {
    for number in 0..amount {
        eprintln!("سطر {number}");
    }
    eprintln!("\u{1b}[31mthe token is {TOKEN}");
    PluginError::permanent("flooded", "stderr is full")
}

/// Tries to write lines that look like the hub's own.
fn forge(host: &Host) -> PluginError {
    host.log(
        Level::Info,
        "تم\n2026-11-01T00:00:00Z ERROR مزوّر\u{1b}[2J",
        &[("سبب", "أ\r\nب")],
    );
    PluginError::permanent("for\nged", "فشل\n2026-11-01T00:00:00Z ERROR مزوّر\u{1b}[2J")
}

fn blob(host: &Host, amount: u32) -> Result<PullPage, PluginError> {
    let id = host
        .blob_put("text/plain", &vec![b'b'; usize::try_from(amount).unwrap_or(0)])
        .map_err(|error| PluginError::permanent("blob", format!("{error:?}")))?;
    let size = host
        .blob_size(&id)
        .map_err(|error| PluginError::permanent("blob", format!("{error:?}")))?;
    Ok(page(vec![item(0, &format!("{id} {size}"))]))
}

fn state(host: &Host, amount: u32) -> Result<PullPage, PluginError> {
    for number in 0..amount {
        host.state_set(&format!("key-{number:06}"), &[b'v'; 1000])
            .map_err(|error| PluginError::permanent("state", format!("{error:?}")))?;
    }
    host.state_delete("key-000000")
        .map_err(|error| PluginError::permanent("state", format!("{error:?}")))?;
    let found = host
        .state_scan("key-", None, 1000)
        .map_err(|error| PluginError::permanent("state", format!("{error:?}")))?;
    Ok(page(
        found
            .entries
            .iter()
            .map(|entry| Feedback::new(&*entry.key, ChannelKind::Form).body("").into())
            .collect(),
    ))
}

/// Writes so many keys.
fn state_keys(host: &Host, amount: u32) -> Result<PullPage, PluginError> {
    for number in 0..amount {
        host.state_set(&format!("مفتاح-{number}"), b"")
            .map_err(|error| PluginError::permanent("state", format!("{error:?}")))?;
    }
    Ok(page(Vec::new()))
}

/// Deletes keys that were never there and keys that it has just made: nothing of it should be left.
fn state_traces(host: &Host, amount: u32) -> Result<PullPage, PluginError> {
    let fault = |error| PluginError::permanent("state", format!("{error:?}"));
    for number in 0..amount {
        host.state_delete(&format!("absent-{number}")).map_err(fault)?;
        let passing = format!("passing-{number}");
        host.state_set(&passing, b"v").map_err(fault)?;
        host.state_delete(&passing).map_err(fault)?;
    }
    let left = host.state_scan("", None, 10).map_err(fault)?;
    Ok(page(vec![item(0, &format!("{} left", left.entries.len()))]))
}

/// How often this memory has been used before, and how many bytes another call left in it.
fn remnants() -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    // Memory that the allocator takes for fresh is not cleared again before it is handed out.
    let mut fresh = black_box(vec![0_u8; 6 << 20]);
    let left = fresh.iter().filter(|byte| **byte != 0).count();
    fresh.fill(0xaa);
    black_box(&fresh);
    format!("{calls} {left}")
}

/// Looks for anything of the machine that it should not see.
fn environment() -> Result<PullPage, PluginError> {
    let variables = std::env::vars().count();
    let arguments = std::env::args().count();
    let files = std::fs::read_dir("/").map_or(0, Iterator::count) + usize::from(std::fs::read("/etc/passwd").is_ok());
    let connected = std::net::TcpStream::connect("127.0.0.1:22").is_ok();
    let resolved = std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok();
    Ok(page(vec![item(
        0,
        &format!("{variables} {arguments} {files} {connected} {resolved}"),
    )]))
}

fn fetch(host: &Host, settings: &Settings) -> Result<PullPage, PluginError> {
    let answer = host.http(&Request {
        method: "GET".to_owned(),
        url: settings.url.clone().unwrap_or_default(),
        headers: Vec::new(),
        body: Body::Empty,
        credential: None,
        timeout_ms: None,
        redirects: 0,
    });
    let told = match answer {
        Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
        Err(error) => format!("{error:?}"),
    };
    Ok(page(vec![item(0, &told)]))
}

fn sign(host: &Host) -> Result<PullPage, PluginError> {
    let told = match host.sign("signing", Mac::HmacSha256, b"data") {
        Ok(tag) => {
            let good = host.verify("signing", Mac::HmacSha256, b"data", &tag);
            let bad = host.verify("signing", Mac::HmacSha256, b"date", &tag);
            format!("{} {good:?} {bad:?}", tag.len())
        }
        Err(error) => format!("{error:?}"),
    };
    Ok(page(vec![item(0, &told)]))
}

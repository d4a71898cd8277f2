//! `mihwar doctor`: look at everything that must be right for the hub to run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mihwar_hub::{CLOCK_MIN, Config, Hub, ModelReport, OpenError, RebuildReport, STORE_FILE};
use mihwar_model::{Clock, SystemClock};
use mihwar_server::wire::{CheckView, CompactLine, InstanceListView, Readiness};
use mihwar_store::{FolderSpace, FreeSpace, RedbStore};
use serde::Serialize;
use tokio::sync::mpsc;

use super::load_config;
use super::stages::{StageBar, tell_times};
use crate::args::Global;
use crate::client::{Client, Opening};
use crate::output::{Outcome, json, line, plain};
use crate::words::{bytes, counted};

/// What is printed for programs.
#[derive(Serialize)]
struct Examined {
    #[serde(flatten)]
    readiness: Readiness,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<RebuildReport>,
}

/// What is to be done besides looking, each with its bar.
struct Tasks {
    rebuild: Option<StageBar>,
    compact: Option<StageBar>,
}

/// Looks, tells, and ends with status 1 when anything is wrong.
pub(super) async fn run(global: &Global, rebuild: bool, compact: bool) -> anyhow::Result<Outcome> {
    let mut findings = vec![check_clock(&SystemClock)];
    let mut rebuilt = None;
    match load_config(global, &[]) {
        Ok(config) => {
            let path = config.path.display().to_string();
            findings.push(good(
                "configuration",
                format!("{path}, {} instances", config.instances.len()),
            ));
            findings.extend(check_folder(&config));
            let bar = || StageBar::new(global.json);
            let tasks = Tasks {
                rebuild: rebuild.then(bar),
                compact: compact.then(bar),
            };
            let (found, report) = check_hub(&config, tasks).await;
            findings.extend(found);
            rebuilt = report;
            findings.extend(check_plugins(&config).await);
        }
        Err(error) => findings.push(bad("configuration", format!("{error:#}"))),
    }
    let all_good = findings.iter().all(|finding| finding.ok);
    if global.json {
        json(&Examined {
            readiness: Readiness {
                ready: all_good,
                checks: findings,
            },
            rebuild: rebuilt,
        })?;
    } else {
        for CheckView { name, ok, detail, .. } in &findings {
            let mark = if *ok { "good" } else { "BAD " };
            let text = format!("{mark}  {name}: {}", detail.as_deref().unwrap_or_default());
            line(plain(&text.replace('\n', "\n      ")))?;
        }
        if let Some(report) = &rebuilt {
            tell_times(&report.stages)?;
        }
    }
    Ok(Outcome::of(all_good))
}

fn good(name: &str, detail: impl Into<String>) -> CheckView {
    CheckView {
        name: name.to_owned(),
        ok: true,
        vital: true,
        detail: Some(detail.into()),
    }
}

fn bad(name: &str, detail: impl Into<String>) -> CheckView {
    CheckView {
        ok: false,
        ..good(name, detail)
    }
}

fn check_clock(clock: &impl Clock) -> CheckView {
    let now = clock.now();
    if now < CLOCK_MIN {
        return bad("clock", format!("the machine says it is {now}; set its clock"));
    }
    good("clock", now.to_string())
}

fn check_folder(config: &Config) -> Vec<CheckView> {
    let folder = &config.data;
    let shown = folder.display();
    let Ok(metadata) = std::fs::metadata(folder) else {
        let detail = format!("{shown} is not there yet; the first start makes it");
        return vec![good("data folder", detail)];
    };
    if !metadata.is_dir() {
        return vec![bad("data folder", format!("{shown} is no folder"))];
    }
    let mode = metadata.permissions().mode() & 0o777;
    let mut findings = vec![if mode & 0o077 == 0 {
        good("data folder", format!("{shown}, mode {mode:o}"))
    } else {
        bad(
            "data folder",
            format!("{shown} has mode {mode:o}: others on this machine can look in; run: chmod 700 {shown}"),
        )
    }];
    findings.push(check_space(folder, config.storage.free_space_floor.0));
    findings
}

fn check_space(folder: &Path, floor: u64) -> CheckView {
    match FolderSpace(folder.to_owned()).free_bytes() {
        Ok(free) if free > floor => good(
            "free space",
            format!("{}, of which {} stay free", bytes(free), bytes(floor)),
        ),
        Ok(free) => {
            let (free, floor) = (bytes(free), bytes(floor));
            bad(
                "free space",
                format!("{free}, below storage.free-space-floor ({floor}): writes are refused; make room"),
            )
        }
        Err(error) => bad("free space", error.to_string()),
    }
}

const REBUILT: &str = "rebuilt read models";

async fn rebuild_read_models(client: &Client, mut bar: StageBar) -> (CheckView, Option<RebuildReport>) {
    let hub = match client {
        Client::Running(_) => return (bad(REBUILT, "the hub runs; stop it first"), None),
        Client::Here { hub, .. } => hub,
    };
    let (sender, mut progress) = mpsc::channel(16);
    let work = hub.rebuild(sender);
    tokio::pin!(work);
    let outcome = loop {
        tokio::select! {
            Some(step) = progress.recv() => bar.step(step),
            outcome = &mut work => break outcome,
        }
    };
    bar.finish();
    match outcome {
        Ok(report) => (good(REBUILT, told(&report)), Some(report)),
        Err(error) => (bad(REBUILT, error.to_string()), None),
    }
}

/// What a rebuild found, by read model.
fn told(report: &RebuildReport) -> String {
    let rows: u64 = report.models.iter().map(|model| model.rows).sum();
    let (events, rows) = (counted(report.events, "event", "events"), counted(rows, "row", "rows"));
    let mut text = match report.mended {
        0 => format!("{events} folded, {rows} compared, all as the ledger says"),
        mended => format!("{events} folded, {rows} compared, {mended} put right"),
    };
    for model in report.models.iter().filter(|model| model.differences() > 0) {
        let ModelReport {
            model,
            missing,
            different,
            surplus,
            examples,
            ..
        } = model;
        text.push_str(&format!(
            "\n{model}: {missing} missing, {different} different, {surplus} too many"
        ));
        for example in examples {
            text.push_str(&format!("\n  {example}"));
        }
    }
    text
}

const COMPACTED: &str = "compacted store";

/// Has the store rewritten, by the hub that runs or here.
async fn compact_store(client: &Client, mut bar: StageBar) -> anyhow::Result<CheckView> {
    let mut lines = client.post("/api/v1/store:compact", &()).await?.lines();
    let report = loop {
        match lines.next().await? {
            Some(CompactLine::Progress(step)) => bar.step(step),
            Some(CompactLine::Report(report)) => break report,
            Some(CompactLine::Problem(problem)) => anyhow::bail!("{}", problem.detail),
            None => anyhow::bail!("the hub stopped in the middle; its store is as it was, or compacted"),
        }
    };
    bar.finish();
    Ok(good(
        COMPACTED,
        format!(
            "{} on disk before, {} now; {} moved; nothing could be written for {} ms",
            bytes(report.before),
            bytes(report.after),
            counted(report.rows, "row", "rows"),
            report.pause_millis
        ),
    ))
}

/// Asks the hub that runs, or opens the one in the folder. Where there is none, none is made.
async fn check_hub(config: &Config, tasks: Tasks) -> (Vec<CheckView>, Option<RebuildReport>) {
    let pages = if Client::running(config).await.is_none() {
        check_store_file(&config.data).await
    } else {
        None
    };
    // A damaged file is not written to, unless that is what was asked for.
    if let Some(damaged) = pages.as_ref().filter(|pages| !pages.ok && tasks.rebuild.is_none()) {
        return (vec![damaged.clone()], None);
    }
    let mut findings: Vec<CheckView> = pages.into_iter().collect();
    let (asked, report) = ask_hub(config, tasks).await;
    findings.extend(asked);
    (findings, report)
}

/// Compares every page of the store's file with its checksum, and the ledger with its root. A running hub has the file to itself; it is not looked at
/// then.
async fn check_store_file(folder: &Path) -> Option<CheckView> {
    let (name, path) = ("store file", folder.join(STORE_FILE));
    let size = std::fs::metadata(&path).ok()?.len();
    let looked = tokio::task::spawn_blocking(move || RedbStore::check_integrity(path)).await;
    Some(match looked {
        Ok(Ok(found)) => {
            let rows = counted(found.rows, "row", "rows");
            let entries = counted(found.journal_entries, "entry", "entries");
            let said = format!(
                "{}, {rows}, {entries} of the ledger, every page as it was written",
                bytes(size)
            );
            good(name, said)
        }
        Ok(Err(error)) => bad(name, error.to_string()),
        Err(error) => bad(name, error.to_string()),
    })
}

async fn ask_hub(config: &Config, tasks: Tasks) -> (Vec<CheckView>, Option<RebuildReport>) {
    let client = match Client::connect(config.clone(), Opening::Existing).await {
        Ok(client) => client,
        Err(error) => {
            let to_be_mended = tasks.rebuild.is_some() || tasks.compact.is_some();
            return (vec![no_hub(&error, to_be_mended)], None);
        }
    };
    let (rebuilt, report) = match tasks.rebuild {
        Some(bar) => {
            let (finding, report) = rebuild_read_models(&client, bar).await;
            (Some(finding), report)
        }
        None => (None, None),
    };
    let mut findings = match &client {
        Client::Running(socket) => {
            let mut findings = vec![good("hub", format!("runs, and answers on {}", socket.display()))];
            findings.extend(
                ask_running(&client)
                    .await
                    .unwrap_or_else(|error| vec![bad("readiness", format!("{error:#}"))]),
            );
            findings
        }
        Client::Here { hub, .. } => {
            let mut findings = vec![good("hub", "does not run; its store opens")];
            // The workers belong to a running hub; everything else can be looked at here.
            let checks = hub
                .readiness()
                .await
                .into_iter()
                .filter(|check| check.name != "workers");
            findings.extend(checks.map(|check| CheckView {
                name: check.name,
                ok: check.ok,
                vital: check.vital,
                detail: Some(check.detail),
            }));
            findings
        }
    };
    findings.extend(rebuilt);
    if let Some(bar) = tasks.compact {
        let compacted = compact_store(&client, bar).await;
        findings.push(compacted.unwrap_or_else(|error| bad(COMPACTED, format!("{error:#}"))));
    }
    if let Err(error) = client.close().await {
        findings.push(bad("store", format!("{error:#}")));
    }
    (findings, report)
}

/// That there is no hub yet is how every hub begins, and nothing bad unless one was to be mended.
fn no_hub(error: &anyhow::Error, to_be_mended: bool) -> CheckView {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::NoHub { .. }) if !to_be_mended => good("hub", error.to_string()),
        _ => bad("hub", format!("{error:#}")),
    }
}

/// Asks the hub that runs how its plugins are; where none runs, builds the instances as a start would.
async fn check_plugins(config: &Config) -> Vec<CheckView> {
    let name = "plugins";
    if let Some(hub) = Client::running(config).await {
        let asked = ask_for_plugins(&hub).await;
        return vec![asked.unwrap_or_else(|error| bad(name, format!("{error:#}")))];
    }
    match Hub::check_config(config).await {
        Ok(warnings) => {
            let fit = good(name, format!("{} instances fit their plugins", config.instances.len()));
            let warnings = warnings
                .into_iter()
                .map(|warning| good(name, format!("worth a thought: {warning}")));
            std::iter::once(fit).chain(warnings).collect()
        }
        Err(error) => vec![bad(name, error.to_string())],
    }
}

async fn ask_running(client: &Client) -> anyhow::Result<Vec<CheckView>> {
    let readiness: Readiness = client.get_any("/health/ready").await?.json().await?;
    Ok(readiness.checks)
}

async fn ask_for_plugins(client: &Client) -> anyhow::Result<CheckView> {
    let list: InstanceListView = client.get("/api/v1/plugins").await?.json().await?;
    let paused: Vec<_> = list
        .items
        .iter()
        .filter(|instance| instance.state != "running")
        .map(|i| i.name.as_str())
        .collect();
    Ok(if paused.is_empty() {
        good("plugins", format!("{} loaded", list.items.len()))
    } else {
        bad(
            "plugins",
            format!("not running: {}; see: mihwar plugin list", paused.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{check_clock, check_space};
    use mihwar_model::{ManualClock, Time};

    #[test]
    fn a_clock_that_was_never_set_is_found() {
        assert!(!check_clock(&ManualClock::at(Time(0))).ok);
        assert!(check_clock(&ManualClock::at(Time(1_790_000_000_000))).ok);
    }

    #[test]
    fn too_little_room_is_found() {
        let here = std::env::temp_dir();
        assert!(check_space(&here, 0).ok);
        let full = check_space(&here, u64::MAX);
        assert!(!full.ok && full.detail.unwrap().contains("free-space-floor"));
    }
}

//! `mihwar doctor`: look at everything that must be right for the hub to run.

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mihwar_hub::{CompactProgress, Config, Hub, OpenError};
use mihwar_model::{Clock, SystemClock};
use mihwar_server::wire::{CheckView, CompactLine, InstanceListView, Readiness};
use mihwar_store::{FolderSpace, FreeSpace};

use super::ledger::bar;
use super::load_config;
use crate::args::Global;
use crate::client::{Client, Opening};
use crate::output::{Outcome, json, line, plain};
use crate::words::bytes;

/// A clock before this (2026-01-01) was never set: certificates, signatures and schedules would fail.
const CLOCK_MIN_MILLIS: i64 = 1_767_225_600_000;

/// What is to be done besides looking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tasks {
    /// Fold the read models anew.
    pub(super) rebuild: bool,
    /// Compare every page of the store with its checksum.
    pub(super) integrity: bool,
    /// Rewrite the store's file.
    pub(super) compact: bool,
}

/// Looks, tells, and ends with status 1 when anything is wrong.
pub(super) async fn run(global: &Global, tasks: Tasks) -> anyhow::Result<Outcome> {
    let mut findings = vec![check_clock(&SystemClock)];
    match load_config(global, &[]) {
        Ok(config) => {
            let path = config.path.display().to_string();
            findings.push(good(
                "configuration",
                format!("{path}, {} instances", config.instances.len()),
            ));
            findings.extend(check_folder(&config));
            // Before the hub is opened: opening repairs what it can, and trusts the rest.
            if tasks.integrity {
                findings.push(check_integrity(&config).await);
            }
            findings.extend(check_hub(&config, tasks, global.json).await);
            findings.extend(check_plugins(&config).await);
        }
        Err(error) => findings.push(bad("configuration", format!("{error:#}"))),
    }
    let all_good = findings.iter().all(|finding| finding.ok);
    if global.json {
        json(&Readiness {
            ready: all_good,
            checks: findings,
        })?;
    } else {
        for CheckView { name, ok, detail, .. } in &findings {
            let mark = if *ok { "good" } else { "BAD " };
            let text = format!("{mark}  {name}: {}", detail.as_deref().unwrap_or_default());
            line(plain(&text.replace('\n', "\n      ")))?;
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
    if now.0 < CLOCK_MIN_MILLIS {
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

async fn check_integrity(config: &Config) -> CheckView {
    let name = "store, page by page";
    match Hub::check_integrity(config).await {
        Ok(found) => good(
            name,
            format!(
                "{}: {} rows and {} entries of the ledger, every page as it was written",
                bytes(found.file_bytes),
                found.rows,
                found.journal_entries
            ),
        ),
        Err(error) => bad(name, error.to_string()),
    }
}

async fn rebuild_read_models(client: &Client) -> CheckView {
    let name = "rebuilt read models";
    match client {
        Client::Running(_) => bad(name, "the hub runs; stop it first"),
        Client::Here { hub, .. } => match hub.rebuild().await {
            Ok(()) => good(name, "folded from the ledger again"),
            Err(error) => bad(name, error.to_string()),
        },
    }
}

const COMPACTED: &str = "compacted store";

/// Has the store rewritten, by the hub that runs or here.
async fn compact(client: &Client, as_json: bool) -> anyhow::Result<CheckView> {
    let mut lines = client.post("/api/v1/store:compact", &()).await?.lines();
    let bar = (!as_json && std::io::stderr().is_terminal()).then(bar);
    let report = loop {
        match lines.next().await? {
            Some(CompactLine::Progress(CompactProgress { stage, done, total })) => {
                if let Some(bar) = &bar {
                    bar.set_length(total);
                    bar.set_position(done);
                    bar.set_message(stage);
                }
            }
            Some(CompactLine::Report(report)) => break report,
            Some(CompactLine::Problem(problem)) => anyhow::bail!("{}", problem.detail),
            None => anyhow::bail!("the hub stopped in the middle; its store is as it was, or compacted"),
        }
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(good(
        COMPACTED,
        format!(
            "{} on disk before, {} now; {} rows moved; nothing could be written for {} ms",
            bytes(report.before),
            bytes(report.after),
            report.rows,
            report.pause_millis
        ),
    ))
}

/// Asks the hub that runs, or opens the one in the folder. Where there is none, none is made.
async fn check_hub(config: &Config, tasks: Tasks, as_json: bool) -> Vec<CheckView> {
    let client = match Client::connect(config.clone(), Opening::Existing).await {
        Ok(client) => client,
        Err(error) => return vec![no_hub(&error, tasks.rebuild || tasks.compact)],
    };
    let mut done = Vec::new();
    if tasks.rebuild {
        done.push(rebuild_read_models(&client).await);
    }
    if tasks.compact {
        let compacted = compact(&client, as_json).await;
        done.push(compacted.unwrap_or_else(|error| bad(COMPACTED, format!("{error:#}"))));
    }
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
    findings.extend(done);
    if let Err(error) = client.close().await {
        findings.push(bad("store", format!("{error:#}")));
    }
    findings
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

//! `mihwar ledger`: the proof of it all.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use mihwar_hub::{VerifyProgress, VerifyReport};
use mihwar_server::wire::VerifyLine;
use serde::Serialize;

use crate::args::Ledger;
use crate::client::Client;
use crate::output::{Outcome, json, line, one_line};
use crate::words::counted;

/// Carries out `mihwar ledger …`.
pub(super) async fn run(client: &Client, command: &Ledger, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Ledger::Head => head(client, as_json).await,
        Ledger::Verify => verify(client, as_json).await,
    }
}

#[derive(Serialize)]
struct Head {
    checkpoint: String,
    verifier_key: String,
}

async fn head(client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
    let answer = client.get("/api/v1/ledger/checkpoint").await?;
    let key = answer
        .headers
        .get("mihwar-verifier-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default();
    let verifier_key = key.to_owned();
    let checkpoint = answer.text().await?;
    if as_json {
        json(&Head {
            checkpoint,
            verifier_key,
        })?;
    } else {
        line(checkpoint.trim_end())?;
        line(format_args!("\nverifier key: {verifier_key}"))?;
    }
    Ok(Outcome::Done)
}

async fn verify(client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
    let mut lines = client.post("/api/v1/ledger:verify", &()).await?.lines();
    let bar = (!as_json && std::io::stderr().is_terminal()).then(bar);
    let report = loop {
        match lines.next().await? {
            Some(VerifyLine::Progress(VerifyProgress { stage, done, total })) => {
                if let Some(bar) = &bar {
                    bar.set_length(total);
                    bar.set_position(done);
                    bar.set_message(stage);
                }
            }
            Some(VerifyLine::Report(report)) => break report,
            Some(VerifyLine::Problem(problem)) => anyhow::bail!("{}", problem.detail),
            None => anyhow::bail!("the verification broke off; nothing is known"),
        }
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if as_json {
        json(&report)?;
    } else {
        tell(&report)?;
    }
    Ok(Outcome::of(report.ok))
}

pub(super) fn bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn tell(report: &VerifyReport) -> anyhow::Result<()> {
    line(format_args!("{} entries, root {}", report.events, report.root))?;
    line(format_args!(
        "{}, {} ({} gone by intent), {}, {}",
        counted(report.checkpoints, "checkpoint", "checkpoints"),
        counted(report.contents, "content", "contents"),
        report.contents_gone,
        counted(report.deliveries_open, "open delivery", "open deliveries"),
        counted(report.read_model_rows, "row of read models", "rows of read models")
    ))?;
    for finding in &report.findings {
        line(format_args!("  {}", one_line(finding)))?;
    }
    if report.findings_untold > 0 {
        line(format_args!("  … and {} more", report.findings_untold))?;
    }
    line(if report.ok {
        "Everything is as the ledger says."
    } else {
        "NOT everything is as the ledger says."
    })
}

//! `mihwar doctor --salvage-log`: the way on where the store's log is damaged.

use mihwar_hub::{SalvageReport, salvage};
use serde::Serialize;

use super::load_config;
use crate::args::Global;
use crate::output::{Outcome, json, line, plain};

/// What is printed for programs.
#[derive(Serialize)]
struct Told {
    damaged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<SalvageReport>,
}

/// Says what is whole and what is lost; with `yes`, takes what is whole. Ends with status 1 when there is damage and nothing
/// was done about it.
pub(super) async fn run(global: &Global, yes: bool) -> anyhow::Result<Outcome> {
    let config = load_config(global, &[])?;
    let report = salvage(&config, yes).await?;
    let outcome = Outcome::of(report.as_ref().is_none_or(|report| report.done));
    if global.json {
        json(&Told {
            damaged: report.is_some(),
            report,
        })?;
        return Ok(outcome);
    }
    match report {
        Some(report) => tell(&report)?,
        None => line(
            "The store's log is not damaged; nothing was changed. Start the hub: it brings the store to where the log ends.",
        )?,
    }
    Ok(outcome)
}

fn tell(report: &SalvageReport) -> anyhow::Result<()> {
    for told in report.lines() {
        line(plain(&told))?;
    }
    if report.done {
        if let Some(note) = &report.note {
            line(plain(&format!("All this stands in {}.", note.display())))?;
        }
        return line("Now run: mihwar ledger verify");
    }
    line(
        "NOTHING WAS CHANGED. Have the disk looked at, copy the whole data folder elsewhere, and compare with your last backup, \
         which may have more. Then: mihwar doctor --salvage-log --yes",
    )
}

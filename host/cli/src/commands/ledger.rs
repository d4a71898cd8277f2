//! `mihwar ledger`: the proof of it all.

use mihwar_hub::VerifyReport;
use mihwar_server::wire::VerifyLine;
use serde::Serialize;

use super::stages::{StageBar, tell_times};
use crate::args::Ledger;
use crate::client::Client;
use crate::output::{Outcome, json, line, one_line};
use crate::words::counted;

/// Carries out `mihwar ledger …`.
pub(super) async fn run(client: &Client, command: &Ledger, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Ledger::Head => head(client, as_json).await,
        Ledger::Verify { quick } => verify(client, *quick, as_json).await,
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

async fn verify(client: &Client, quick: bool, as_json: bool) -> anyhow::Result<Outcome> {
    let path = format!("/api/v1/ledger:verify?quick={quick}");
    let mut lines = client.post(&path, &()).await?.lines();
    let mut bar = StageBar::new(as_json);
    let report = loop {
        match lines.next().await? {
            Some(VerifyLine::Progress(progress)) => bar.step(progress),
            Some(VerifyLine::Report(report)) => break report,
            Some(VerifyLine::Problem(problem)) => anyhow::bail!("{}", problem.detail),
            None => anyhow::bail!("the verification broke off; nothing is known"),
        }
    };
    bar.finish();
    if as_json {
        json(&report)?;
    } else {
        tell(&report, quick)?;
    }
    Ok(outcome(&report))
}

/// How a command ends that verified: what was not compared is not known to be good.
pub(super) const fn outcome(report: &VerifyReport) -> Outcome {
    Outcome::of(report.ok && report.is_complete())
}

/// Prints what a verification found.
pub(super) fn tell(report: &VerifyReport, quick: bool) -> anyhow::Result<()> {
    line(format_args!("{} entries, root {}", report.events, report.root))?;
    let (checkpoints, tiles) = (
        counted(report.checkpoints, "checkpoint", "checkpoints"),
        counted(report.tiles, "tile", "tiles"),
    );
    if quick {
        line(format_args!("{checkpoints}, {tiles}"))?;
    } else {
        line(format_args!(
            "{checkpoints}, {tiles}, {} ({} gone by intent), {}, {}, {}",
            counted(report.contents, "content", "contents"),
            report.contents_gone,
            counted(report.files, "file", "files"),
            counted(report.deliveries_open, "open delivery", "open deliveries"),
            counted(report.read_model_rows, "row of read models", "rows of read models")
        ))?;
    }
    tell_times(&report.stages)?;
    for finding in &report.findings {
        line(format_args!("  {}", one_line(finding)))?;
    }
    if report.findings_untold > 0 {
        line(format_args!("  … and {} more", report.findings_untold))?;
    }
    if let Some(why) = &report.read_models_unchecked {
        line(one_line(&format!("The read models were NOT compared: {why}")))?;
    }
    line(match (report.ok, quick) {
        (true, false) if !report.is_complete() => {
            "Everything else is as the ledger says. Make room and verify again: until then the status is 1."
        }
        (true, false) => "Everything is as the ledger says.",
        (true, true) => "The ledger is what was signed; what follows from it was not looked at.",
        (false, _) => "NOT everything is as the ledger says.",
    })
}

#[cfg(test)]
mod tests {
    use mihwar_hub::VerifyReport;

    use super::outcome;
    use crate::output::Outcome;

    #[test]
    fn what_was_not_compared_does_not_count_as_good() {
        let good = VerifyReport {
            ok: true,
            ..VerifyReport::default()
        };
        assert_eq!(outcome(&good), Outcome::Done);
        let in_part = VerifyReport {
            read_models_unchecked: Some("لا مكان على القرص".to_owned()),
            ..good.clone()
        };
        assert_eq!(outcome(&in_part), Outcome::Refused);
        assert_eq!(outcome(&VerifyReport { ok: false, ..good }), Outcome::Refused);
    }
}

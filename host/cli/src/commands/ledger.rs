//! `mihwar ledger`: the proof of it all.

use std::path::Path;

use anyhow::Context;
use mihwar_hub::VerifyReport;
use mihwar_ledger::{Checkpoint, NotesPiece, VerifyingKey, notes_in};
use mihwar_server::wire::{HeadInput, VerifyInput, VerifyLine};
use serde::Serialize;

use super::evidence;
use super::ledger_export;
use super::prove;
use super::stages::{StageBar, tell_times};
use crate::args::Ledger;
use crate::client::Client;
use crate::output::{Outcome, json, line, one_line};
use crate::words::counted;

/// Carries out `mihwar ledger …`.
pub(super) async fn run(client: &Client, command: &Ledger, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Ledger::Head => head(client, as_json).await,
        Ledger::Verify {
            quick, witness, key, ..
        } => verify(client, *quick, witness.as_deref(), key.as_deref(), as_json).await,
        Ledger::Export {
            file,
            with_content,
            force,
        } => ledger_export::run(client, file, *with_content, *force, as_json).await,
        Ledger::Prove {
            feedback: Some(id),
            size,
            out,
            ..
        } => prove::feedback(client, id, *size, out, as_json).await,
        Ledger::Prove { from, to, out, .. } => {
            let from = from.context("name a piece of feedback, or --from")?;
            prove::growth(client, from, *to, out, as_json).await
        }
    }
}

/// The header in which the hub names its key.
const VERIFIER_KEY: &str = "mihwar-verifier-key";

/// Checkpoints that are compared in one verification: as many as fit the body of a request.
const HEADS_MAX: usize = 40_000;

/// Wrong lines of a file that are told one by one.
const FILE_FINDINGS_MAX: usize = 20;

/// How the line begins in which `ledger head` names the key.
const KEY_LINE: &str = "verifier key: ";

#[derive(Serialize)]
struct Head {
    checkpoint: String,
    verifier_key: String,
}

async fn head(client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
    let answer = client.get("/api/v1/ledger/checkpoint").await?;
    let verifier_key = answer.header(VERIFIER_KEY).unwrap_or_default().to_owned();
    let checkpoint = answer.text().await?;
    if as_json {
        json(&Head {
            checkpoint,
            verifier_key,
        })?;
    } else {
        line(checkpoint.trim_end())?;
        line(format_args!("\n{KEY_LINE}{verifier_key}"))?;
    }
    Ok(Outcome::Done)
}

async fn verify(
    client: &Client,
    quick: bool,
    witness: Option<&Path>,
    key: Option<&str>,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let witnessed = match witness {
        Some(file) => Witnessed::read(client, file, key).await?,
        None => Witnessed::default(),
    };
    let path = format!("/api/v1/ledger:verify?quick={quick}");
    let wanted = VerifyInput { heads: witnessed.heads };
    let mut lines = client.post(&path, &wanted).await?.lines();
    let mut bar = StageBar::new(as_json);
    let mut report = loop {
        match lines.next().await? {
            Some(VerifyLine::Progress(progress)) => bar.step(progress),
            Some(VerifyLine::Report(report)) => break report,
            Some(VerifyLine::Problem(problem)) => anyhow::bail!("{}", problem.detail),
            None => anyhow::bail!("the verification broke off; nothing is known"),
        }
    };
    bar.finish();
    // What the file itself has wrong was not the hub's to see.
    report.ok &= witnessed.findings.is_empty();
    report.findings.extend(witnessed.findings);
    if as_json {
        json(&report)?;
    } else {
        tell(&report, quick)?;
    }
    Ok(outcome(&report))
}

/// What a file with checkpoints that were kept outside says.
#[derive(Default)]
struct Witnessed {
    heads: Vec<HeadInput>,
    findings: Vec<String>,
}

impl Witnessed {
    /// Reads the file and verifies every checkpoint in it: by the asker's key, else by the hub's own.
    async fn read(client: &Client, file: &Path, key: Option<&str>) -> anyhow::Result<Self> {
        let answer = client.get("/ledger/checkpoint").await?;
        let own: Option<VerifyingKey> = answer.header(VERIFIER_KEY).and_then(|key| key.parse().ok());
        let own = own.context("the hub names no verifier key")?;
        let key = evidence::key(key, &own)?;
        let text = evidence::read(file)?;
        let shown = file.display().to_string();
        let mut witnessed = Self::of(&String::from_utf8_lossy(&text), &key, &shown);
        witnessed.findings.extend(other_key(&own, &key));
        anyhow::ensure!(
            witnessed.heads.len() <= HEADS_MAX,
            "{shown} has {} checkpoints, and at most {HEADS_MAX} are compared at once; split it between two of them",
            witnessed.heads.len()
        );
        Ok(witnessed)
    }

    fn of(text: &str, key: &VerifyingKey, file: &str) -> Self {
        let mut witnessed = Self::default();
        let lines: Vec<&str> = text.lines().collect();
        // What `ledger head` printed may have been put into the file whole.
        let is_key = |piece: &NotesPiece| {
            let first = lines.get(piece.line.saturating_sub(1));
            piece.note.is_none() && first.is_some_and(|line| line.starts_with(KEY_LINE))
        };
        for piece in notes_in(text).into_iter().filter(|piece| !is_key(piece)) {
            let opened = piece
                .note
                .map(|note| Checkpoint::open(&note, key.name(), key).map(|(checkpoint, _)| checkpoint));
            let wrong = match opened {
                Some(Ok(checkpoint)) => {
                    witnessed.heads.push(HeadInput {
                        size: checkpoint.size,
                        root: checkpoint.root.to_base64(),
                    });
                    continue;
                }
                Some(Err(error)) => error.to_string(),
                None => "this is no signed checkpoint".to_owned(),
            };
            let finding = format!("{file}, line {}: {wrong}", piece.line);
            witnessed.findings.push(finding);
        }
        let untold = witnessed.findings.len().saturating_sub(FILE_FINDINGS_MAX);
        if untold > 0 {
            witnessed.findings.truncate(FILE_FINDINGS_MAX);
            witnessed.findings.push(format!("{file}: {untold} more such lines"));
        }
        if witnessed.heads.is_empty() {
            let finding = format!("{file} holds no checkpoint that verifies: nothing was compared with it");
            witnessed.findings.push(finding);
        }
        witnessed
    }
}

/// What is wrong when a hub signs with another key than the one that the asker trusts: its own checkpoints, which are
/// verified with its own key, say nothing then.
fn other_key(own: &VerifyingKey, trusted: &VerifyingKey) -> Option<String> {
    (own != trusted).then(|| format!("this hub signs with {own}, and not with {trusted}, which you trust"))
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
    if report.witnessed > 0 {
        line(format_args!(
            "{} kept outside",
            counted(report.witnessed, "checkpoint that was", "checkpoints that were")
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
    use mihwar_ledger::{Checkpoint, Hash, Signer};

    use super::{Witnessed, other_key, outcome};
    use crate::output::Outcome;

    const ORIGIN: &str = "محور.example/ledger";

    fn signed(size: u64, seed: u8) -> String {
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root: Hash::of_empty_tree(),
            extensions: Vec::new(),
        };
        let signer = Signer::from_seed(ORIGIN, &[seed; 32]).unwrap();
        checkpoint.sign(&signer).unwrap().to_string()
    }

    #[test]
    fn of_a_witness_file_every_line_counts() {
        let key = Signer::from_seed(ORIGIN, &[7; 32]).unwrap().verifying_key();
        let of = |text: &str| Witnessed::of(text, &key, "شاهد.txt");
        let good = of(&format!("{}\n{}", signed(3, 7), signed(9, 7)));
        let sizes: Vec<u64> = good.heads.iter().map(|head| head.size).collect();
        assert_eq!((sizes.as_slice(), good.findings.len()), (&[3, 9][..], 0));
        // As `ledger head` prints it.
        let printed = of(&format!("{}\nverifier key: {key}\n", signed(3, 7)));
        assert_eq!((printed.heads.len(), printed.findings.len()), (1, 0));
        let bad = of(&format!("{}\nمحور\n\n{}", signed(3, 7), signed(9, 8)));
        assert_eq!(bad.heads.len(), 1);
        assert_eq!(bad.findings.len(), 2, "{:?}", bad.findings);
        assert!(bad.findings[0].contains("line 7") && bad.findings[0].contains("no signed checkpoint"));
        assert!(bad.findings[1].contains("line 9") && bad.findings[1].contains("no signature by"));
        assert_eq!(of("").findings.len(), 1);
    }

    #[test]
    fn a_hub_that_signs_with_another_key_is_told() {
        let key = |seed: u8| Signer::from_seed(ORIGIN, &[seed; 32]).unwrap().verifying_key();
        assert_eq!(other_key(&key(7), &key(7)), None);
        let told = other_key(&key(8), &key(7)).unwrap();
        assert!(told.contains(&key(8).to_string()) && told.contains(ORIGIN), "{told}");
    }

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

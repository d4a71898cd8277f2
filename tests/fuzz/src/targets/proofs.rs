//! What is handed out to outsiders and comes back from them: receipts, also of figures, consistency proofs, files of
//! checkpoints, addresses of tiles.

use mihwar_ledger::{
    Checkpoint, Consistency, FigureDefinition, FigureGroup, FigureLimits, FigureModule, FigureReceipt, FigureSelection,
    Inclusion, Receipt, SignedNote, Signer, TileAddress, leaf_hash, node_hash, notes_in,
};

use super::{Target, same};

const ORIGIN: &str = "demo.example/ledger";
/// The two entries of the ledger that the seeds prove.
const EVENTS: [&str; 2] = ["شكوى", "بلاغ"];

/// All that `mihwar ledger verify FILE` reads, and the last part of a tile's address.
pub(super) const PROOF: Target = Target {
    name: "proof",
    seeds: proofs,
    words: &[
        "\"index\":",
        "mihwar-receipt/1",
        "mihwar-consistency/1",
        "mihwar-figure/2",
        "\n\n\u{2014} ",
        "x001/",
        ".p/8",
    ],
    check: proof,
    bounded_inputs: 15_000,
    bytes_max: 8 << 20,
};

fn signer() -> Option<Signer> {
    Signer::from_seed(ORIGIN, &[7; 32]).ok()
}

/// The checkpoint of the first entries.
fn signed(signer: &Signer, size: u64) -> Option<SignedNote> {
    let [first, second] = EVENTS.map(|event| leaf_hash(event.as_bytes()));
    let checkpoint = Checkpoint {
        origin: ORIGIN.into(),
        size,
        root: if size == 1 { first } else { node_hash(&first, &second) },
        extensions: Vec::new(),
    };
    checkpoint.sign(signer).ok()
}

/// A figure of the ledger that a checkpoint speaks of.
fn figure(signer: &Signer, checkpoint: SignedNote) -> FigureReceipt {
    FigureReceipt {
        metric: "stars".into(),
        module: FigureModule {
            plugin: "stars".into(),
            version: "1.0.0".into(),
            sha256: "0f".repeat(32),
        },
        limits: FigureLimits {
            memory: 64 << 20,
            table: 20_000,
        },
        definition: FigureDefinition {
            id: "stars".into(),
            version: "1".into(),
            statement: "متوسط النجوم".into(),
            unit: "stars".into(),
        },
        key: signer.verifying_key(),
        checkpoint,
        selection: FigureSelection {
            from: "2026-01-01T00:00:00.000Z".into(),
            to: "2026-02-01T00:00:00.000Z".into(),
            by: Some("channel".into()),
            records: 1,
            withdrawn: 0,
            revised: 1,
            moved: 0,
        },
        groups: vec![FigureGroup {
            name: "form".into(),
            records: 1,
            n: 1,
            revised: 1,
            moved: 0,
            value: Some("4.00".into()),
            interval: None,
            parts: Vec::new(),
        }],
    }
}

fn seed_texts() -> Option<Vec<String>> {
    let signer = signer()?;
    let second = leaf_hash(EVENTS[1].as_bytes());
    let (old, new) = (signed(&signer, 1)?, signed(&signer, 2)?);
    let receipt = Receipt {
        feedback: "01990000-0000-7000-8000-000000000000".into(),
        key: signer.verifying_key(),
        checkpoint: new.clone(),
        entries: vec![Inclusion {
            index: 0,
            event: EVENTS[0].into(),
            audit_path: vec![second],
        }],
    };
    let witness = format!("{old}\n{new}\nverifier key: {}\n", signer.verifying_key());
    let figure = figure(&signer, new.clone()).to_json().ok()?;
    let consistency = Consistency {
        key: signer.verifying_key(),
        old,
        new,
        proof: vec![second],
    };
    Some(vec![
        receipt.to_short_json().ok()?,
        consistency.to_json().ok()?,
        witness,
        figure,
        "x001/x234/067.p/8".into(),
    ])
}

fn proofs() -> Vec<Vec<u8>> {
    seed_texts().into_iter().flatten().map(String::into_bytes).collect()
}

fn proof(input: &[u8]) -> Result<String, String> {
    let key = signer().ok_or("no signer")?.verifying_key();
    let mut told = Vec::new();
    match Receipt::from_json(input) {
        Ok(receipt) => {
            let written = receipt.to_json().map_err(|error| error.to_string())?;
            let again = Receipt::from_json(written.as_bytes()).map_err(|error| error.to_string())?;
            same("a receipt after reading it", &again, &receipt)?;
            let holds = receipt.verify(&key).is_ok();
            let is_entry = |entry: &Inclusion| EVENTS.iter().any(|event| event.as_bytes() == entry.event);
            if holds && !receipt.entries.iter().all(is_entry) {
                return Err("a receipt of what is not in the ledger holds".into());
            }
            told.push(format!("receipt {holds}"));
        }
        Err(error) => told.push(error.to_string()),
    }
    match Consistency::from_json(input) {
        Ok(proof) => {
            let written = proof.to_json().map_err(|error| error.to_string())?;
            let again = Consistency::from_json(written.as_bytes()).map_err(|error| error.to_string())?;
            same("a consistency proof after reading it", &again, &proof)?;
            told.push(format!("consistency {}", proof.verify(&key).is_ok()));
        }
        Err(error) => told.push(error.to_string()),
    }
    match FigureReceipt::from_json(input) {
        Ok(figure) => {
            let written = figure.to_json().map_err(|error| error.to_string())?;
            let again = FigureReceipt::from_json(written.as_bytes()).map_err(|error| error.to_string())?;
            same("a figure's receipt after reading it", &again, &figure)?;
            told.push(format!("figure {}", figure.verify(&key).is_ok()));
        }
        Err(error) => told.push(error.to_string()),
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let notes: Vec<String> = notes_in(text).into_iter().filter_map(|piece| piece.note).collect();
        let found = notes_in(&notes.join("\n"));
        let again: Vec<String> = found.into_iter().filter_map(|piece| piece.note).collect();
        same("notes of a file after reading them", &again, &notes)?;
        told.push(format!("{} notes", notes.len()));
        if let Some(address) = TileAddress::parse(text) {
            same("an address after reading it", &address.to_string().as_str(), &text)?;
            told.push("address".into());
        }
    }
    Ok(told.join("; "))
}

//! `mihwar ledger verify FILE` on a machine that has nothing but the binary and the files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use mihwar_ledger::{
    Checkpoint, Consistency, Frontier, Inclusion, Receipt, Signer, TileId, TileSet, consistency_proof, inclusion_proof,
    leaf_hash,
};
use mihwar_model::{
    Actor, Channel, ContactId, Event, EventBody, FeedbackId, InstanceName, Received, Tag, Time, Withdrawn,
};

const ORIGIN: &str = "محور.example/ledger";

fn id(number: u8) -> FeedbackId {
    FeedbackId::from_bytes([number; 16])
}

fn event(body: EventBody) -> Vec<u8> {
    let event = Event {
        at: Time(1_790_000_000_000),
        actor: Actor::Console,
        body,
    };
    event.to_bytes().unwrap()
}

fn received(number: u8) -> Vec<u8> {
    event(EventBody::Received(Received {
        feedback: id(number),
        revision: 1,
        contact: ContactId::from_bytes([9; 16]),
        instance: InstanceName::new("form").unwrap(),
        channel: Channel::new(Tag::new("form").unwrap()),
        kind: None,
        occurred_at: None,
        thread: None,
        language: None,
        scores: vec![],
        tags: vec![Tag::new("شحن").unwrap()],
        attachments: vec![],
        call: None,
        body_chars: 42,
        commitment: [number; 32],
        masked: None,
    }))
}

/// A ledger of few entries, and a folder for what is handed out.
struct Bench {
    events: Vec<Vec<u8>>,
    tiles: TileSet,
    signer: Signer,
    folder: tempfile::TempDir,
}

/// How a command ended and what it said.
#[derive(Debug)]
struct Ended {
    status: i32,
    said: String,
}

impl Bench {
    /// Feedback 0 to 6, of which 2 is withdrawn by entry 7, and more behind it.
    fn new() -> Self {
        let mut events: Vec<Vec<u8>> = (0..7).map(received).collect();
        events.push(event(EventBody::Withdrawn(Withdrawn { feedback: id(2) })));
        events.extend((7..20).map(received));
        let mut tiles = TileSet::new();
        let leaves = events.iter().map(|event| leaf_hash(event)).collect();
        tiles.insert(TileId { level: 0, index: 0 }, leaves);
        Self {
            events,
            tiles,
            signer: Signer::from_seed(ORIGIN, &[7; 32]).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut frontier = Frontier::new();
        for event in &self.events[..size] {
            frontier.append(leaf_hash(event));
        }
        Checkpoint {
            origin: ORIGIN.to_owned(),
            size: size as u64,
            root: frontier.root(),
            extensions: Vec::new(),
        }
    }

    fn note(&self, size: usize) -> String {
        self.checkpoint(size).sign(&self.signer).unwrap().to_string()
    }

    fn receipt(&self, of: FeedbackId, entries: &[usize], size: usize) -> Receipt {
        let inclusion = |entry: &usize| Inclusion {
            index: *entry as u64,
            event: self.events[*entry].clone(),
            audit_path: inclusion_proof(&self.tiles, *entry as u64, size as u64).unwrap(),
        };
        Receipt {
            feedback: of.to_string(),
            key: self.signer.verifying_key(),
            checkpoint: self.checkpoint(size).sign(&self.signer).unwrap(),
            entries: entries.iter().map(inclusion).collect(),
        }
    }

    fn consistency(&self, old: usize, new: usize) -> Consistency {
        Consistency {
            key: self.signer.verifying_key(),
            old: self.checkpoint(old).sign(&self.signer).unwrap(),
            new: self.checkpoint(new).sign(&self.signer).unwrap(),
            proof: consistency_proof(&self.tiles, old as u64, new as u64).unwrap(),
        }
    }

    fn key(&self) -> String {
        self.signer.verifying_key().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs it where there is no configuration and no hub.
    fn verify(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mihwar"));
        command.args(["ledger", "verify"]).args(arguments);
        let output = command.current_dir(self.folder.path()).output().unwrap();
        Ended {
            status: output.status.code().unwrap(),
            said: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        }
    }

    fn refused(&self, arguments: &[&str], words: &str) {
        let ended = self.verify(arguments);
        assert_eq!(ended.status, 1, "{arguments:?}: {}", ended.said);
        assert!(ended.said.contains(words), "{arguments:?}: {}", ended.said);
        assert!(!ended.said.contains("Proved"), "{arguments:?}: {}", ended.said);
    }
}

#[test]
fn a_receipt_is_proved_with_nothing_but_files() {
    let bench = Bench::new();
    let receipt = bench.file("إيصال.json", &bench.receipt(id(2), &[2, 7], 11).to_json().unwrap());
    let (own, earlier) = (
        bench.file("11.txt", &bench.note(11)),
        bench.file("5.txt", &bench.note(5)),
    );
    let proved = bench.verify(&[&receipt, "--checkpoint", &own, "--key", &bench.key()]);
    assert_eq!(proved.status, 0, "{}", proved.said);
    for wanted in [
        "entry 2",
        "received",
        "entry 7",
        "withdrawn",
        "signed by",
        "Proved: feedback",
    ] {
        assert!(proved.said.contains(wanted), "{wanted}: {}", proved.said);
    }
    // Without a key that the asker trusts it says whose word it takes.
    let alone = bench.verify(&[&receipt, "--checkpoint", &own]);
    assert_eq!(alone.status, 0, "{}", alone.said);
    assert!(
        alone.said.contains("the key that the file itself names"),
        "{}",
        alone.said
    );
    // What `mihwar ledger head` prints will do as checkpoint and as key, and so will a file of several checkpoints.
    let head = format!("{}\nverifier key: {}\n", bench.note(11), bench.key());
    let head = bench.file("head.txt", &head);
    assert_eq!(
        bench.verify(&[&receipt, "--checkpoint", &head, "--key", &head]).status,
        0
    );
    let several = format!("{}\n{}\n{}", bench.note(5), bench.note(11), bench.note(20));
    let several = bench.file("witness.txt", &several);
    assert_eq!(bench.verify(&[&receipt, "--checkpoint", &several]).status, 0);
    // An earlier checkpoint knows the feedback, and what came later is told as later.
    let bridge = bench.file("5-11.json", &bench.consistency(5, 11).to_json().unwrap());
    let proved = bench.verify(&[&receipt, "--checkpoint", &earlier, "--consistency", &bridge]);
    assert_eq!(proved.status, 0, "{}", proved.said);
    assert_eq!(
        proved.said.matches("later than the checkpoint").count(),
        1,
        "{}",
        proved.said
    );
    let json = bench.verify(&["--json", &receipt, "--checkpoint", &earlier, "--consistency", &bridge]);
    let json: serde_json::Value = serde_json::from_str(&json.said).unwrap();
    let later = |entry: usize| json["entries"][entry]["later"].as_bool();
    assert_eq!((later(0), later(1)), (Some(false), Some(true)), "{json}");
    let json = bench.verify(&["--json", &receipt, "--checkpoint", &own]);
    let json: serde_json::Value = serde_json::from_str(&json.said).unwrap();
    assert_eq!(
        (&json["ok"], &json["entries"][0]["index"], &json["size"]),
        (&true.into(), &2.into(), &11.into())
    );
}

#[test]
fn growth_is_proved_for_whoever_holds_either_end() {
    let bench = Bench::new();
    let proof = bench.file("consistency.json", &bench.consistency(5, 20).to_json().unwrap());
    let ends = [5, 20, 11].map(|size| bench.file(&format!("{size}.txt"), &bench.note(size)));
    for end in &ends[..2] {
        let proved = bench.verify(&[&proof, "--checkpoint", end, "--key", &bench.key()]);
        assert_eq!(proved.status, 0, "{}", proved.said);
        assert!(
            proved.said.contains("the 20 entries begin with the 5"),
            "{}",
            proved.said
        );
    }
    bench.refused(&[&proof, "--checkpoint", &ends[2]], "connects those of 5 and 20");
}

#[test]
fn what_is_damaged_foreign_or_cut_off_is_refused_and_named() {
    let bench = Bench::new();
    let (checkpoint, key) = (bench.file("11.txt", &bench.note(11)), bench.key());
    let text = bench.receipt(id(2), &[2], 11).to_json().unwrap();
    let cut = text.split_once("audit_path").unwrap().0;
    let other_event = bench.receipt(id(2), &[3], 11).to_json().unwrap();
    let no_receipt = bench.receipt(id(2), &[7, 2], 11).to_json().unwrap();
    let newer = text.replace("receipt/1", "receipt/9");
    let index = text.replace("\"index\": 2", "\"index\": 3");
    let leaf = text.replace("\"event\": \"", "\"event\": \"AAAA");
    let written = text.replace(&id(2).to_string(), &format!("{{{}}}", id(2)));
    for (name, text, words) in [
        ("مقطوع.json", cut, "was cut short"),
        ("foreign.json", "{\"a\":1}", "not of the format mihwar-receipt/1"),
        ("صفحة.html", "<html>", "no JSON"),
        ("newer.json", newer.as_str(), "use a newer one"),
        ("index.json", index.as_str(), "entry 3 is not in the ledger"),
        ("leaf.json", leaf.as_str(), "not the hash of this event"),
        ("written.json", written.as_str(), "feedback: no id"),
        ("other.json", other_event.as_str(), "entry 3 does not tell of feedback"),
        (
            "withdrawn.json",
            no_receipt.as_str(),
            "does not say that feedback came in",
        ),
    ] {
        let file = bench.file(name, text);
        bench.refused(&[&file, "--checkpoint", &checkpoint, "--key", &key], words);
        bench.refused(&[&file, "--checkpoint", &checkpoint, "--key", &key], name);
        bench.refused(&["--json", &file, "--checkpoint", &checkpoint], "\"ok\": false");
    }
    let good = bench.file("good.json", &text);
    bench.refused(&["لا-شيء.json", "--checkpoint", &checkpoint], "لا-شيء.json");
    bench.refused(&[&good, "--checkpoint", "none.txt"], "none.txt");
    bench.refused(&[&good, "--checkpoint", &good], "no signed checkpoint in it");
    bench.refused(
        &[&good, "--checkpoint", &checkpoint, "--key", "مفتاح"],
        "neither a verifier key",
    );
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused_and_says_why() {
    let bench = Bench::new();
    let receipt = bench.file("receipt.json", &bench.receipt(id(5), &[5], 11).to_json().unwrap());
    let held = |size: usize| bench.file(&format!("{size}.txt"), &bench.note(size));
    // Signed by another key.
    let other = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let note = bench.checkpoint(11).sign(&other).unwrap().to_string();
    let foreign = bench.file("foreign.txt", &note);
    bench.refused(&[&receipt, "--checkpoint", &foreign], "no signature by");
    let other_key = other.verifying_key().to_string();
    bench.refused(
        &[&receipt, "--checkpoint", &held(11), "--key", &other_key],
        "no signature by",
    );
    // Of a shorter history.
    bench.refused(
        &[&receipt, "--checkpoint", &held(4)],
        "of a shorter history: it speaks of 4 entries",
    );
    // Of the same ledger, with nothing that connects it.
    bench.refused(
        &[&receipt, "--checkpoint", &held(20)],
        "mihwar ledger prove --from 11 --to 20",
    );
    // Of a history that was rewritten: it fits itself, and the key is the right one.
    let mut rewritten = Bench::new();
    rewritten.events[3] = received(77);
    let leaves = rewritten.events.iter().map(|event| leaf_hash(event)).collect();
    rewritten.tiles.insert(TileId { level: 0, index: 0 }, leaves);
    let forked = bench.file("forked.txt", &rewritten.note(11));
    bench.refused(&[&receipt, "--checkpoint", &forked], "the history was rewritten");
    let later = bench.file("later.txt", &rewritten.note(20));
    let bridge = bench.file("bridge.json", &rewritten.consistency(11, 20).to_json().unwrap());
    bench.refused(
        &[&receipt, "--checkpoint", &later, "--consistency", &bridge],
        "the history was rewritten",
    );
    // Whoever holds both histories learns it, whichever of them the receipt is of.
    for both in [
        [bench.note(11), rewritten.note(11)],
        [rewritten.note(11), bench.note(11)],
    ] {
        let both = bench.file("both.txt", &both.join("\n"));
        bench.refused(&[&receipt, "--checkpoint", &both], "the history was rewritten");
    }
    let forged = Consistency {
        old: bench.consistency(11, 20).old,
        ..rewritten.consistency(11, 20)
    };
    let forged = bench.file("forged.json", &forged.to_json().unwrap());
    bench.refused(
        &[&receipt, "--checkpoint", &later, "--consistency", &forged],
        "did not grow out of",
    );
}

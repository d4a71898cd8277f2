//! `mihwar ledger verify BUNDLE` on a machine that has nothing but the binary and the files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::process::Command;

use mihwar_ledger::{BundleWriter, Checkpoint, ContentLine, Frontier, Signer, commitment, leaf_hash};
use mihwar_model::{
    Actor, Channel, ContactId, Content, Event, EventBody, FeedbackId, InstanceName, Kind, Received, Score, Tag, Time,
    Withdrawn,
};
use serde_json::Value;

const ORIGIN: &str = "محور.example/ledger";
const SALT: [u8; 32] = [3; 32];

fn id(number: u8) -> FeedbackId {
    FeedbackId::from_bytes([number; 16])
}

fn content(number: u8) -> Content {
    Content {
        body: format!("فاتورتي خاطئة، رقم {number}"),
        ..Content::default()
    }
}

fn content_bytes(number: u8) -> Vec<u8> {
    content(number).to_bytes().unwrap()
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
        kind: Some(Kind::Complaint),
        occurred_at: None,
        thread: None,
        language: None,
        scores: vec![Score {
            metric: "رضا".into(),
            value: f64::from(number % 2),
            min: 0.0,
            max: 10.0,
        }],
        tags: vec![],
        attachments: vec![],
        call: None,
        body_chars: 42,
        commitment: commitment(&SALT, &content_bytes(number)),
        masked: None,
    }))
}

/// A ledger of 20 pieces of feedback, of which one is withdrawn, and a folder for what is handed out.
struct Bench {
    entries: Vec<Vec<u8>>,
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
    fn new() -> Self {
        let mut entries: Vec<Vec<u8>> = (0..20).map(received).collect();
        entries.push(event(EventBody::Withdrawn(Withdrawn { feedback: id(2) })));
        Self {
            entries,
            signer: Signer::from_seed(ORIGIN, &[7; 32]).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut frontier = Frontier::new();
        for entry in &self.entries[..size] {
            frontier.append(leaf_hash(entry));
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

    /// A bundle of it all, with one checkpoint that was kept, and with these lines of content.
    fn bundle(&self, lines: &str) -> Vec<u8> {
        let note = self.checkpoint(self.entries.len()).sign(&self.signer).unwrap();
        let (mut writer, mut bytes) = BundleWriter::begin(&self.signer.verifying_key(), &note).unwrap();
        bytes.extend(writer.group(&[self.note(7)], &self.entries).unwrap());
        if !lines.is_empty() {
            bytes.extend(writer.content(lines.as_bytes()).unwrap());
        }
        bytes.extend(writer.end().unwrap());
        bytes
    }

    fn key(&self) -> String {
        self.signer.verifying_key().to_string()
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
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

    fn proved(&self, arguments: &[&str], words: &[&str]) {
        let ended = self.verify(arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {}", ended.said);
        for word in words {
            assert!(ended.said.contains(word), "{word}: {}", ended.said);
        }
    }

    fn refused(&self, arguments: &[&str], words: &str) {
        let ended = self.verify(arguments);
        assert_eq!(ended.status, 1, "{arguments:?}: {}", ended.said);
        assert!(ended.said.contains(words), "{arguments:?}: {}", ended.said);
        assert!(!ended.said.contains("Proved"), "{arguments:?}: {}", ended.said);
    }
}

fn line(entry: u64, number: u8) -> ContentLine {
    ContentLine {
        entry,
        feedback: id(number).to_string(),
        revision: 1,
        salt: SALT,
        content: content_bytes(number),
        says: content(number).says(),
    }
}

#[test]
fn a_bundle_is_proved_and_counted_with_nothing_but_files() {
    let bench = Bench::new();
    let file = bench.file("دفتر.tar", bench.bundle(""));
    let (own, earlier) = (bench.file("21.txt", bench.note(21)), bench.file("5.txt", bench.note(5)));
    let counted = [
        "ledger محور.example/ledger, 21 entries",
        "1 checkpoint that the hub had kept",
        "20  received",
        "1  withdrawn",
        "20 pieces of feedback, 1 of them withdrawn and 0 erased; 0 later revisions",
        "20  complaint, form",
        "20  رضا from 0 to 10: mean 0.5000",
        "nothing that people said",
        "Proved: these are the 21 entries",
    ];
    bench.proved(&[&file, "--key", &bench.key()], &counted);
    bench.proved(&[&file, "--checkpoint", &own], &["the key that the file itself names"]);
    bench.proved(
        &[&file, "--checkpoint", &earlier, "--key", &bench.key()],
        &["the largest of 5 entries", "what came after these 5 rests on"],
    );
    // A file of several, some of which the bundle is too old for.
    let later = Checkpoint {
        size: 90,
        ..bench.checkpoint(21)
    };
    let later = later.sign(&bench.signer).unwrap().to_string();
    let several = format!("{}\n{}\n{later}", bench.note(5), bench.note(9));
    let several = bench.file("شاهد.txt", several);
    bench.proved(
        &[&file, "--checkpoint", &several],
        &[
            "2 checkpoints, the largest of 9 entries",
            "1 of a longer history than the bundle's",
            "the first 21 entries that were signed. It is NOT the whole ledger",
        ],
    );
    let json = bench.verify(&["--json", &file, "--checkpoint", &own, "--key", &bench.key()]);
    let json: Value = serde_json::from_str(&json.said).unwrap();
    assert_eq!(
        (&json["ok"], &json["size"], &json["contents"]),
        (&true.into(), &21.into(), &0.into())
    );
    assert_eq!(
        (&json["events"]["received"], &json["kinds"][0]["count"]),
        (&20.into(), &20.into())
    );
    assert_eq!(
        (&json["scores"][0]["mean"], &json["key_given"]),
        (&0.5.into(), &true.into())
    );
}

#[test]
fn what_people_said_is_held_against_what_its_entry_commits_to() {
    let bench = Bench::new();
    let lines = line(0, 0).to_line().unwrap() + &line(19, 19).to_line().unwrap();
    let whole = bench.file("مع-المحتوى.tar", bench.bundle(&lines));
    bench.proved(&[&whole, "--key", &bench.key()], &["what people said, 2 times"]);
    let twice = lines.repeat(2);
    let other = line(1, 0).to_line().unwrap();
    let none = line(20, 2).to_line().unwrap();
    let mut salted = line(4, 4);
    salted.salt = [4; 32];
    let salted = salted.to_line().unwrap();
    let mut shown = line(4, 4);
    shown.says = content(5).says();
    let shown = shown.to_line().unwrap();
    for (lines, words) in [
        (twice.as_str(), "by entry 0 belongs to no entry there, or is told twice"),
        (other.as_str(), "is not what entry 1 commits to"),
        (none.as_str(), "by entry 20 belongs to no entry"),
        (salted.as_str(), "is not what entry 4 commits to"),
        (shown.as_str(), "is not what was said"),
        ("{\"entry\":1}\n", "what people said: it is damaged"),
    ] {
        let file = bench.file("محتوى-خاطئ.tar", bench.bundle(lines));
        bench.refused(&[&file, "--key", &bench.key()], words);
    }
}

#[test]
fn what_is_damaged_foreign_or_doctored_is_refused_and_named() {
    let bench = Bench::new();
    let (good, key) = (bench.bundle(""), bench.key());
    let other = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    // A bad rating dropped, and everything made anew with the right key.
    let mut doctored = Bench::new();
    doctored.entries.remove(3);
    let mut undecodable = Bench::new();
    undecodable.entries[4] = "كلام آخر".into();
    let mut tar = good.clone();
    tar[0] = b'x';
    for (name, bytes, words) in [
        ("مقطوع.tar", good[..good.len() - 1500].to_vec(), "it was cut short"),
        ("أجنبي.tar", tar, "it is no bundle of a ledger"),
        ("مقطوع-أوله.tar", good[..600].to_vec(), "it was cut short"),
        (
            "لا-حدث.tar",
            undecodable.bundle(""),
            "entry 4 is no event of this ledger's format",
        ),
    ] {
        let file = bench.file(name, bytes);
        bench.refused(&[&file, "--key", &key], words);
        bench.refused(&[&file, "--key", &key], name);
        bench.refused(&["--json", &file, "--key", &key], "\"ok\": false");
    }
    let file = bench.file("دفتر.tar", &good);
    bench.refused(&[&file, "--key", &other.verifying_key().to_string()], "no signature by");
    let foreign = bench.checkpoint(21).sign(&other).unwrap().to_string();
    let foreign = bench.file("foreign.txt", foreign);
    bench.refused(
        &[&file, "--checkpoint", &foreign],
        "foreign.txt, line 1: the checkpoint does not verify",
    );
    bench.refused(&[&file, "--checkpoint", &file], "دفتر.tar");
    let nothing = bench.file("nothing.txt", "لا شيء\n");
    bench.refused(&[&file, "--checkpoint", &nothing], "no signed checkpoint in it");
    let longer = Checkpoint {
        size: 90,
        ..bench.checkpoint(21)
    };
    let longer = bench.file("90.txt", longer.sign(&bench.signer).unwrap().to_string());
    bench.refused(
        &[&file, "--checkpoint", &longer],
        "the bundle is of a shorter history: it has 21 entries",
    );

    let doctored = bench.file("مزور.tar", doctored.bundle(""));
    bench.proved(&[&doctored, "--key", &key], &["these are the 20 entries"]);
    let held = bench.file("9.txt", bench.note(9));
    bench.refused(
        &[&doctored, "--checkpoint", &held, "--key", &key],
        "the first 9 entries have the root",
    );
    let same = bench.file("21.txt", bench.note(21));
    bench.refused(
        &[&doctored, "--checkpoint", &same, "--key", &key],
        "the bundle is of a shorter history: it has 20 entries",
    );
    bench.refused(
        &[&file, "--checkpoint", &held, "--consistency", &held],
        "--consistency is not needed",
    );
}

#[test]
fn without_anything_to_trust_nothing_is_checked() {
    let bench = Bench::new();
    let file = bench.file("دفتر.tar", bench.bundle(""));
    assert_eq!(bench.verify(&[&file]).status, 2);
    let receipt = bench.file("receipt.json", "{}");
    bench.refused(&[&receipt, "--key", &bench.key()], "name one with --checkpoint");
}

//! A small ledger, bundles of it, and the two programs that check them.

use std::fs;
use std::io::ErrorKind;
use std::process::{Command, Output};

use mihwar_ledger::{BundleWriter, Checkpoint, ContentLine, Frontier, Signer, commitment, leaf_hash};
use mihwar_model::{
    Actor, Channel, ContactId, Content, Event, EventBody, FeedbackId, InstanceName, Kind, Received, Score, Tag, Time,
    Withdrawn,
};

pub(crate) const ORIGIN: &str = "محور.example/ledger";
pub(crate) const SALT: [u8; 32] = [3; 32];

pub(crate) fn id(number: u8) -> FeedbackId {
    FeedbackId::from_bytes([number; 16])
}

pub(crate) fn content(number: u8) -> Content {
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

pub(crate) fn received(number: u8) -> Vec<u8> {
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

/// What was said by the piece of feedback `number`, as if `entry` committed to it.
pub(crate) fn line(entry: u64, number: u8) -> ContentLine {
    ContentLine {
        entry,
        feedback: id(number).to_string(),
        revision: 1,
        salt: SALT,
        content: content_bytes(number),
        says: content(number).says(),
    }
}

/// A ledger of 20 pieces of feedback, of which one is withdrawn, and a folder for what is handed out.
pub(crate) struct Bench {
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) signer: Signer,
    folder: tempfile::TempDir,
}

/// How a command ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) said: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            said: String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned(),
        }
    }

    pub(crate) fn assert_proved(&self, words: &[&str]) {
        assert_eq!(self.status, 0, "{}", self.said);
        for word in words.iter().chain(&["Proved"]) {
            assert!(self.said.contains(word), "{word}: {}", self.said);
        }
    }

    pub(crate) fn assert_refused(&self, words: &str) {
        assert_eq!(self.status, 1, "{}", self.said);
        assert!(self.said.contains(words), "{words}: {}", self.said);
        assert!(!self.said.contains("Proved"), "{}", self.said);
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut entries: Vec<Vec<u8>> = (0..20).map(received).collect();
        entries.push(event(EventBody::Withdrawn(Withdrawn { feedback: id(2) })));
        Self::of(entries)
    }

    pub(crate) fn of(entries: Vec<Vec<u8>>) -> Self {
        Self {
            entries,
            signer: Signer::from_seed(ORIGIN, &[7; 32]).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn checkpoint(&self, size: usize) -> Checkpoint {
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

    pub(crate) fn note(&self, size: usize) -> String {
        self.checkpoint(size).sign(&self.signer).unwrap().to_string()
    }

    /// A bundle of it all, with one checkpoint that was kept, and with these lines of content.
    pub(crate) fn bundle(&self, lines: &str) -> Vec<u8> {
        self.bundle_of(self.entries.len(), &[self.note(7)], |writer| {
            if lines.is_empty() {
                Vec::new()
            } else {
                writer.content(lines.as_bytes()).unwrap()
            }
        })
    }

    /// A bundle of the first `size` entries, with these checkpoints and what `beside` writes behind the first group of them.
    pub(crate) fn bundle_of(
        &self,
        size: usize,
        kept: &[String],
        beside: impl FnOnce(&mut BundleWriter) -> Vec<u8>,
    ) -> Vec<u8> {
        let note = self.checkpoint(size).sign(&self.signer).unwrap();
        let (mut writer, mut bytes) = BundleWriter::begin(&self.signer.verifying_key(), &note).unwrap();
        let mut first = writer.next_width();
        bytes.extend(writer.group(kept, &self.entries[..first]).unwrap());
        bytes.extend(beside(&mut writer));
        while writer.next_width() > 0 {
            let end = first + writer.next_width();
            bytes.extend(writer.group(&[], &self.entries[first..end]).unwrap());
            first = end;
        }
        bytes.extend(writer.end().unwrap());
        bytes
    }

    pub(crate) fn key(&self) -> String {
        self.signer.verifying_key().to_string()
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs it where there is no configuration and no hub.
    pub(crate) fn verify(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mihwar"));
        command.args(["ledger", "verify"]).args(arguments);
        Ended::of(&command.current_dir(self.folder.path()).output().unwrap())
    }

    pub(crate) fn proved(&self, arguments: &[&str], words: &[&str]) {
        self.verify(arguments).assert_proved(words);
    }

    pub(crate) fn refused(&self, arguments: &[&str], words: &str) {
        self.verify(arguments).assert_refused(words);
    }

    /// What both programs say of a bundle: ours, and the one that is in it, where there is something to run that with.
    pub(crate) fn by_both(&self, bundle: &str, checkpoints: &[&str]) -> Vec<Ended> {
        let key = self.key();
        let mut arguments = vec![bundle, "--key", key.as_str()];
        for checkpoint in checkpoints {
            arguments.extend(["--checkpoint", *checkpoint]);
        }
        let mut both = vec![self.verify(&arguments)];
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../ledger/src/bundle/verify.py");
        let mut python = Command::new("python3");
        python.env("PYTHONUTF8", "1");
        match python.args([program, bundle, key.as_str()]).args(checkpoints).output() {
            Ok(output) => both.push(Ended::of(&output)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                eprintln!("the program in the bundle was not tried: python3 is not there");
            }
        }
        both
    }

    pub(crate) fn both_prove(&self, bundle: &str, checkpoints: &[&str], words: &[&str]) {
        for ended in self.by_both(bundle, checkpoints) {
            ended.assert_proved(words);
        }
    }

    pub(crate) fn both_refuse(&self, bundle: &str, checkpoints: &[&str], words: &str) {
        for ended in self.by_both(bundle, checkpoints) {
            ended.assert_refused(words);
        }
    }
}

//! Whole ledgers in one file, as `mihwar ledger verify` is given them by anybody.

use std::sync::OnceLock;

use mihwar_ledger::{
    Bundle, BundleError, BundleWriter, Checkpoint, ContentLine, Frontier, MissingContent, Piece, SignedNote, Signer,
    leaf_hash,
};
use mihwar_model::{Content, Event};

use super::{Target, same};

const ORIGIN: &str = "demo.example/ledger";
const ENTRIES: [&str; 3] = ["شكوى", "بلاغ", "شكر"];
const CONTENT: &str = "{\"entry\":0,\"feedback\":\"\",\"revision\":1,\"salt\":\"\",\"content\":\"\",\"says\":{}}\n";

/// An input is a bundle, or what follows the texts, the key and the checkpoint of one: those are long, and always the same.
pub(super) const BUNDLE: Target = Target {
    name: "bundle",
    seeds: || {
        let beginning = mihwar_ledger::BUNDLE_FORMAT.as_bytes().to_vec();
        made().map_or_else(Vec::new, |made| {
            vec![made.rest.clone(), beginning, made.beginning.clone()]
        })
    },
    words: &[
        "checkpoints/000",
        "tile/entries/000.p/3",
        "long-entries/000.p/3",
        "tile/0/000.p/3",
        "content/000/000.ndjson",
        "content/000/missing.ndjson",
        "stopped",
        "ustar\u{0}00",
        "0000644\u{0}",
        "\u{0}\u{4}",
        "\n\n\u{2014} ",
    ],
    check,
    bounded_inputs: 800,
    bytes_max: 16 << 20,
};

/// A bundle of a few entries, in two parts.
struct Made {
    beginning: Vec<u8>,
    rest: Vec<u8>,
}

fn signed(signer: &Signer, size: usize) -> Option<SignedNote> {
    let mut frontier = Frontier::new();
    for entry in ENTRIES.iter().take(size) {
        frontier.append(leaf_hash(entry.as_bytes()));
    }
    let checkpoint = Checkpoint {
        origin: ORIGIN.into(),
        size: frontier.size(),
        root: frontier.root(),
        extensions: Vec::new(),
    };
    checkpoint.sign(signer).ok()
}

fn make() -> Option<Made> {
    let signer = Signer::from_seed(ORIGIN, &[7; 32]).ok()?;
    let note = signed(&signer, ENTRIES.len())?;
    let (mut writer, beginning) = BundleWriter::begin(&signer.verifying_key(), &note).ok()?;
    let kept = signed(&signer, 2)?.to_string();
    let entries = ENTRIES.map(|entry| entry.as_bytes().to_vec());
    let mut rest = writer.group(&[kept], &entries).ok()?;
    rest.extend(writer.content(CONTENT.as_bytes()).ok()?);
    let missing = MissingContent {
        entry: 1,
        feedback: String::new(),
        revision: 1,
        why: "المحتوى تالف".into(),
    };
    rest.extend(writer.missing(&[missing]).ok()?);
    rest.extend(writer.end().ok()?);
    Some(Made { beginning, rest })
}

fn made() -> Option<&'static Made> {
    static MADE: OnceLock<Option<Made>> = OnceLock::new();
    MADE.get_or_init(make).as_ref()
}

fn check(input: &[u8]) -> Result<String, String> {
    let made = made().ok_or("no bundle was made")?;
    let alone = read(input)?;
    let behind = read(&[made.beginning.as_slice(), input].concat())?;
    Ok(format!("{alone}; {behind}"))
}

fn read(bytes: &[u8]) -> Result<String, String> {
    let mut bundle = match Bundle::begin(bytes, None) {
        Ok(bundle) => bundle,
        Err(error) => return Ok(sort(&error)),
    };
    let mut read = Vec::new();
    let mut told = String::new();
    loop {
        match bundle.next_piece() {
            Ok(Some(Piece::Entries { first, entries })) => {
                same("the place of an entry", &first, &(read.len() as u64))?;
                let events = entries.iter().filter(|entry| Event::from_bytes(entry).is_ok()).count();
                told.push_str(&format!("{events} events, "));
                read.extend(entries);
            }
            Ok(Some(Piece::Content(lines))) => {
                let lines = ContentLine::read_all(&lines);
                let good = lines.filter(|line| {
                    line.as_ref()
                        .is_ok_and(|line| Content::from_bytes(&line.content).is_ok())
                });
                told.push_str(&format!("{} contents, ", good.count()));
            }
            Ok(Some(Piece::Missing(missing))) => told.push_str(&format!("{} missing, ", missing.len())),
            Ok(None) => break,
            Err(error) => return Ok(told + &sort(&error)),
        }
    }
    // It is signed by the only key that anybody here has, and so are these entries.
    let entries = ENTRIES.map(|entry| entry.as_bytes().to_vec());
    same("the entries of a whole bundle", &read.as_slice(), &entries.as_slice())?;
    Ok(told + "whole")
}

/// What sort of error it is, without the places and numbers in it.
fn sort(error: &BundleError) -> String {
    let text = error.to_string();
    text.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}

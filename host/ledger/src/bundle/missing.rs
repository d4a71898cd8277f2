//! Personal content that a bundle should hold and does not.

use serde::{Deserialize, Serialize};

use super::{BundleError, lines};
use crate::TILE_WIDTH;
use crate::document::{self, DocumentError};

/// That a bundle with content lacks what one revision said, though nobody took that back: whoever made it could not read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingContent {
    /// Place of the entry that commits to it, from 0.
    pub entry: u64,
    /// The piece of feedback: its id.
    pub feedback: String,
    /// 1 for the first.
    pub revision: u32,
    /// Why it could not be read, for people.
    pub why: String,
}

impl MissingContent {
    /// The line, with its line feed.
    pub(super) fn to_line(&self) -> Result<String, DocumentError> {
        Ok(document::write(self, true)? + "\n")
    }

    /// Reads the file `name`, which belongs to the group of entries that ends with `last`: at least one line, in the order of
    /// the entries, at most one of each.
    pub(super) fn read_all(name: &str, text: &[u8], last: u64) -> Result<Vec<Self>, BundleError> {
        let mut least = last - last % TILE_WIDTH as u64;
        let mut all = Vec::new();
        for line in lines(text) {
            let read = serde_json::from_slice(line);
            let missing: Self = read.map_err(|error| BundleError::damaged(name, error.to_string()))?;
            let entry = missing.entry;
            if !(least..=last).contains(&entry) {
                let what = format!("what is missing of entry {entry} does not belong there, or is named twice");
                return Err(BundleError::damaged(name, what));
            }
            least = entry + 1;
            all.push(missing);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::MissingContent;
    use crate::{Bundle, BundleWriter, Checkpoint, Frontier, Piece, Signer, leaf_hash};

    fn missing(entry: u64) -> MissingContent {
        MissingContent {
            entry,
            feedback: "0199f0c2-6c1e-7c55-8f3e-6e2a4c1d9b10".into(),
            revision: 2,
            why: "content does not open\nالمحتوى تالف".into(),
        }
    }

    fn read(entries: &[u64], last: u64) -> Result<Vec<MissingContent>, String> {
        let text: String = entries.iter().map(|entry| missing(*entry).to_line().unwrap()).collect();
        MissingContent::read_all("content/001/missing.ndjson", text.as_bytes(), last).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_read_as_they_were_written_in_the_order_of_their_entries() {
        assert_eq!(missing(7).to_line().unwrap().matches('\n').count(), 1);
        let right: [(&[u64], u64); 4] = [(&[256], 256), (&[256, 300, 511], 511), (&[0], 0), (&[300], 420)];
        for (entries, last) in right {
            let all: Vec<_> = entries.iter().map(|entry| missing(*entry)).collect();
            assert_eq!(read(entries, last), Ok(all));
        }
        // Of another group, of an entry that is not there, twice, in another order, of none.
        let wrong: [&[u64]; 5] = [&[255], &[301], &[257, 257], &[258, 257], &[]];
        for entries in wrong {
            let error = read(entries, 300).unwrap_err();
            assert!(error.contains("content/001/missing.ndjson"), "{error}");
        }
    }

    #[test]
    fn what_is_no_such_line_is_refused() {
        let good = missing(3).to_line().unwrap();
        for (right, wrong) in [
            ("\"why\"", "\"because\""),
            ("\"entry\":3", "\"entry\":-3"),
            ("\"revision\":2", "\"revision\":2.0"),
            ("}\n", "\n"),
            ("{", "{\"entry\":3,"),
            ("}\n", ",\"body\":\"\"}\n"),
        ] {
            let wrong = good.replacen(right, wrong, 1);
            let read = MissingContent::read_all("content/000/missing.ndjson", wrong.as_bytes(), 9);
            assert!(read.is_err(), "{wrong}");
        }
    }

    #[test]
    fn they_come_after_the_content_of_their_entries() {
        let signer = Signer::from_seed("محور.example/ledger", &[7; 32]).unwrap();
        let entries: Vec<Vec<u8>> = (0..300).map(|number| format!("شكوى {number}").into_bytes()).collect();
        let mut frontier = Frontier::new();
        entries.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
        let checkpoint = Checkpoint {
            origin: "محور.example/ledger".to_owned(),
            size: frontier.size(),
            root: frontier.root(),
            extensions: Vec::new(),
        };
        let note = checkpoint.sign(&signer).unwrap();
        let (mut writer, mut bytes) = BundleWriter::begin(&signer.verifying_key(), &note).unwrap();
        assert!(writer.missing(&[missing(0)]).is_err(), "of no entry");
        bytes.extend(writer.group(&[], &entries[..256]).unwrap());
        bytes.extend(writer.content(b"{}\n").unwrap());
        bytes.extend(writer.missing(&[missing(0), missing(255)]).unwrap());
        assert!(writer.content(b"{}\n").is_err() && writer.missing(&[missing(1)]).is_err());
        bytes.extend(writer.group(&[], &entries[256..]).unwrap());
        bytes.extend(writer.missing(&[missing(299)]).unwrap());
        bytes.extend(writer.end().unwrap());

        let mut bundle = Bundle::begin(&bytes[..], None).unwrap();
        let mut told = Vec::new();
        while let Some(piece) = bundle.next_piece().unwrap() {
            told.push(match piece {
                Piece::Entries { entries, .. } => format!("{} entries", entries.len()),
                Piece::Content(lines) => format!("{} bytes", lines.len()),
                Piece::Missing(missing) => {
                    let entries = missing.iter().map(|missing| missing.entry.to_string());
                    entries.collect::<Vec<_>>().join(" and ")
                }
            });
        }
        assert_eq!(told, ["256 entries", "3 bytes", "0 and 255", "44 entries", "299"]);
        let mut bundle = Bundle::begin(&bytes[..], None).unwrap();
        assert!(bundle.events().all(|event| event.is_ok()));
        assert_eq!(bundle.size(), 300);
    }
}

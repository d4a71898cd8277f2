//! Bundles: what is read is what was written, others read the log in it, and whatever is wrong is named.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::HashMap;

use mihwar_ledger::{
    Bundle, BundleError, BundleWriter, Checkpoint, EvidenceError, Frontier, Hash, NoteError, Piece, Signer, leaf_hash,
};
use proptest::prelude::*;
use tlog_tiles::{Tile, TileHashReader, TileReader};

const ORIGIN: &str = "محور.example/ledger";

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| format!("شكوى رقم {number}").into_bytes())
        .collect()
}

fn checkpoint(entries: &[Vec<u8>]) -> Checkpoint {
    let mut frontier = Frontier::new();
    entries.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size: entries.len() as u64,
        root: frontier.root(),
        extensions: Vec::new(),
    }
}

/// What a bundle is made from.
struct Source {
    entries: Vec<Vec<u8>>,
    /// Sizes at which a checkpoint was kept.
    kept: Vec<usize>,
    signer: Signer,
    /// Lines of content behind the first group.
    content: Vec<&'static str>,
}

impl Source {
    fn of(entries: Vec<Vec<u8>>, kept: &[usize]) -> Self {
        Self {
            entries,
            kept: kept.to_vec(),
            signer: signer(),
            content: Vec::new(),
        }
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        checkpoint(&self.entries[..size])
    }

    fn bundle(&self) -> Vec<u8> {
        let note = self.checkpoint(self.entries.len()).sign(&self.signer).unwrap();
        let (mut writer, mut bytes) = BundleWriter::begin(&self.signer.verifying_key(), &note).unwrap();
        let mut first = 0;
        loop {
            let end = first + writer.next_width();
            let kept = self
                .kept
                .iter()
                .filter(|size| (first..=end).contains(*size) && (**size > first || first == 0));
            let kept: Vec<String> = kept
                .map(|size| self.checkpoint(*size).sign(&self.signer).unwrap().to_string())
                .collect();
            bytes.extend(writer.group(&kept, &self.entries[first..end]).unwrap());
            if first == 0 {
                for content in &self.content {
                    bytes.extend(writer.content(content.as_bytes()).unwrap());
                }
            }
            first = end;
            if writer.next_width() == 0 {
                break;
            }
        }
        bytes.extend(writer.end().unwrap());
        bytes
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, BundleError> {
    let mut bundle = Bundle::begin(bytes, Some(&signer().verifying_key()))?;
    let mut entries = Vec::new();
    for event in bundle.events() {
        let (index, entry) = event?;
        assert_eq!(index, entries.len() as u64);
        entries.push(entry);
    }
    assert_eq!(bundle.size(), bundle.checkpoint().size);
    Ok(entries)
}

fn refused(bytes: &[u8]) -> BundleError {
    read(bytes).unwrap_err()
}

/// A file within a bundle: its name, and where its bytes are.
struct Place {
    name: String,
    start: usize,
    length: usize,
}

impl Place {
    /// From the beginning of its head to the beginning of the next.
    fn whole(&self) -> std::ops::Range<usize> {
        self.start - 512..self.start + self.length.next_multiple_of(512)
    }
}

/// The files of a bundle, as any tar program sees them.
fn places(bytes: &[u8]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = 0;
    while bytes[at] != 0 {
        let name = bytes[at..at + 100].split(|byte| *byte == 0).next().unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[at + 124..at + 135]).unwrap(), 8).unwrap();
        let place = Place {
            name: String::from_utf8(name.to_vec()).unwrap(),
            start: at + 512,
            length,
        };
        at = place.whole().end;
        places.push(place);
    }
    places
}

fn place(bytes: &[u8], name: &str) -> Place {
    places(bytes).into_iter().find(|place| place.name == name).unwrap()
}

/// With one byte of a file changed.
fn flipped(bytes: &[u8], name: &str, at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let start = place(&bytes, name).start;
    bytes[start + at] ^= 1;
    bytes
}

/// Without one file.
fn without(bytes: &[u8], name: &str) -> Vec<u8> {
    let whole = place(bytes, name).whole();
    [&bytes[..whole.start], &bytes[whole.end..]].concat()
}

#[test]
fn bundles_of_every_shape_are_read_as_they_were_written() {
    for (size, kept) in [
        (0, vec![]),
        (0, vec![0]),
        (1, vec![0, 1]),
        (255, vec![3]),
        (256, vec![1, 256]),
        (257, vec![0, 256, 257]),
        (700, vec![5, 300, 512, 513, 600]),
    ] {
        let source = Source::of(numbered(size), &kept);
        let bytes = source.bundle();
        assert_eq!(read(&bytes).unwrap(), source.entries, "{size}");
        let mut bundle = Bundle::begin(&bytes[..], None).unwrap();
        assert_eq!(*bundle.key(), signer().verifying_key());
        assert_eq!(*bundle.checkpoint(), source.checkpoint(size));
        assert_eq!(bundle.events().count(), size);
        assert_eq!(bundle.kept_checkpoints(), kept.len() as u64, "{size}");
        assert!(bundle.next_piece().unwrap().is_none());
    }
}

#[test]
fn entries_that_are_too_long_for_the_usual_form_have_another() {
    let mut entries = numbered(300);
    entries[257] = vec![7; 65_536];
    entries[299] = vec![8; 100_000];
    let source = Source::of(entries, &[]);
    let bytes = source.bundle();
    assert_eq!(read(&bytes).unwrap(), source.entries);
    let names: Vec<String> = places(&bytes).into_iter().map(|place| place.name).collect();
    assert!(names.contains(&"tile/entries/000".to_owned()) && names.contains(&"long-entries/001.p/44".to_owned()));
    let long = checkpoint(&[vec![0; 100_001]]).sign(&signer()).unwrap();
    let (mut writer, _) = BundleWriter::begin(&signer().verifying_key(), &long).unwrap();
    assert!(writer.group(&[], &[vec![0; 100_001]]).is_err());
}

#[test]
fn content_comes_after_its_entries_and_is_passed_over_by_whoever_wants_those() {
    let mut source = Source::of(numbered(300), &[]);
    source.content = vec!["{\"body\":\"سيئة\"}\n", "{}\n"];
    let bytes = source.bundle();
    assert_eq!(read(&bytes).unwrap(), source.entries);
    let mut bundle = Bundle::begin(&bytes[..], None).unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = bundle.next_piece().unwrap() {
        pieces.push(match piece {
            Piece::Entries { first, entries } => format!("{} from {first}", entries.len()),
            Piece::Content(lines) => String::from_utf8(lines).unwrap(),
            Piece::Missing(missing) => format!("{} missing", missing.len()),
        });
    }
    assert_eq!(pieces, ["256 from 0", "{\"body\":\"سيئة\"}\n", "{}\n", "44 from 256"]);
}

/// The tiles of a bundle under their paths, as the files of a log that somebody unpacked.
struct Unpacked(HashMap<String, Vec<u8>>);

impl TileReader for Unpacked {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| self.0[&tile.path().replace("tile/8/", "tile/")].clone();
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn others_read_the_log_that_is_in_a_bundle() {
    for size in [1, 256, 700] {
        let source = Source::of(numbered(size), &[]);
        let bytes = source.bundle();
        let files = places(&bytes).into_iter();
        let unpacked = Unpacked(
            files
                .map(|place| (place.name, bytes[place.start..place.start + place.length].to_vec()))
                .collect(),
        );
        let Checkpoint { size, root, .. } = source.checkpoint(size);
        let reader = TileHashReader::new(size, tlog_tiles::Hash(root.0), &unpacked);
        for index in [0, size / 2, size - 1] {
            let proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
            let leaf = leaf_hash(&source.entries[usize::try_from(index).unwrap()]);
            let (root, leaf) = (tlog_tiles::Hash(root.0), tlog_tiles::Hash(leaf.0));
            assert!(tlog_tiles::check_record(&proof, size, root, index, leaf).is_ok());
        }
    }
}

#[test]
fn what_is_no_bundle_is_told_from_one_that_was_cut_short() {
    let bytes = Source::of(numbered(300), &[5, 280]).bundle();
    let text = "ليس حزمة".repeat(100);
    let tar = without(&bytes, "mihwar-bundle");
    for foreign in [&b""[..], text.as_bytes(), &[0; 2_000][..], &tar[..]] {
        assert!(matches!(refused(foreign), BundleError::Foreign), "{}", foreign.len());
    }
    let newer = flipped(&bytes, "mihwar-bundle", "mihwar-bundle/".len());
    assert!(matches!(refused(&newer), BundleError::Version { found } if found == "mihwar-bundle/0"));
    let first = place(&bytes, "mihwar-bundle").whole().end;
    for cut in (first..bytes.len())
        .step_by(97)
        .chain([bytes.len() - 1, bytes.len() - 512])
    {
        let error = refused(&bytes[..cut]);
        assert!(matches!(error, BundleError::Cut { .. }), "{cut}: {error}");
    }
    let error = refused(&bytes[..place(&bytes, "tile/entries/001.p/44").start + 9]);
    assert!(error.to_string().contains("tile/entries/001.p/44"), "{error}");
    let longer = [&bytes[..], &[0]].concat();
    assert!(refused(&longer).to_string().contains("its end: something follows"));
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let mut source = Source::of(numbered(300), &[5, 280]);
    source.content = vec!["{\"body\":\"سيئة\"}\n"];
    let bytes = source.bundle();
    for place in places(&bytes) {
        // Texts for people are not looked at, and what people said is not the ledger's to judge.
        let is_text = ["FORMAT.md", "verify.py"].contains(&place.name.as_str()) || place.name.starts_with("content/");
        if is_text {
            continue;
        }
        for at in [0, place.length / 2, place.length - 1] {
            let error = refused(&flipped(&bytes, &place.name, at)).to_string();
            let named = [place.name.as_str(), "bundle's checkpoint", "bundle", "entry"];
            assert!(
                named.iter().any(|name| error.contains(name)),
                "{}, byte {at}: {error}",
                place.name
            );
        }
        // In the zeros behind it, and in its head.
        for at in [place.whole().end - 1, place.whole().start + 130] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(read(&bytes).is_err(), "{}", place.name);
        }
        // Whether a hub kept all of its checkpoints, nobody can tell from what it hands out.
        if !place.name.starts_with("checkpoints/") {
            let error = refused(&without(&bytes, &place.name));
            let is_named = matches!(&error, BundleError::Order { expected, .. } if *expected == place.name);
            assert!(
                is_named || matches!(error, BundleError::Foreign),
                "{}: {error}",
                place.name
            );
        }
    }
}

#[test]
fn a_wrong_entry_is_named() {
    let bytes = Source::of(numbered(300), &[5]).bundle();
    // The first byte of entry 256 stands behind its length.
    let changed = refused(&flipped(&bytes, "tile/entries/001.p/44", 2));
    assert!(
        matches!(&changed, BundleError::Entry { index: 256, file } if file == "tile/0/001.p/44"),
        "{changed}"
    );
    let level = refused(&flipped(&bytes, "tile/1/000.p/1", 0));
    assert!(
        matches!(&level, BundleError::Tile { file } if file == "tile/1/000.p/1"),
        "{level}"
    );
    // An entry dropped: its bytes are gone, and nothing else was touched.
    let place = place(&bytes, "tile/entries/001.p/44");
    let first = 2 + usize::from(bytes[place.start + 1]);
    let mut dropped = bytes.clone();
    dropped.copy_within(place.start + first..place.start + place.length, place.start);
    let tail = place.start + place.length - first;
    dropped[tail..place.start + place.length].fill(0);
    let error = refused(&dropped);
    assert!(
        matches!(&error, BundleError::Damaged { file, what } if *file == place.name && what.contains("more entries")),
        "{error}"
    );
}

/// Somebody made a whole bundle anew, with the key, so that it fits itself.
#[test]
fn a_rewritten_history_is_caught_by_what_was_signed_before() {
    let honest = Source::of(numbered(300), &[]);
    let mut changed = numbered(300);
    changed[100] = "شكرا جزيلا".into();
    let mut dropped = numbered(300);
    dropped.remove(100);
    for entries in [changed, dropped] {
        let size = entries.len();
        let forged = Source::of(entries, &[]).bundle();
        assert_eq!(read(&forged).unwrap().len(), size, "alone it fits itself");
        let held = |size: usize| honest.checkpoint(size);
        let mut bundle = Bundle::begin(&forged[..], None).unwrap();
        // From before it was rewritten: no objection.
        bundle.compare_with(held(100)).unwrap();
        bundle.compare_with(held(280)).unwrap();
        bundle.compare_with(held(101)).unwrap();
        let error = bundle.events().find_map(Result::err).unwrap();
        assert!(
            matches!(&error, BundleError::Root { size: 101, whose, .. } if whose.contains("elsewhere")),
            "{error}"
        );
        assert!(bundle.next_piece().unwrap().is_none(), "nothing comes after an error");
    }
    // One that was kept within the bundle itself catches it, too.
    let mut inside = Source::of(numbered(300), &[200]);
    let kept = honest.checkpoint(200).sign(&signer()).unwrap().to_string();
    inside.entries[150] = "x".into();
    let note = inside.checkpoint(300).sign(&signer()).unwrap();
    let (mut writer, mut bytes) = BundleWriter::begin(&signer().verifying_key(), &note).unwrap();
    bytes.extend(writer.group(&[kept], &inside.entries[..256]).unwrap());
    bytes.extend(writer.group(&[], &inside.entries[256..]).unwrap());
    bytes.extend(writer.end().unwrap());
    let error = refused(&bytes).to_string();
    assert!(
        error.contains("first 200 entries") && error.contains("checkpoints/000"),
        "{error}"
    );
}

#[test]
fn a_tree_that_fits_itself_and_not_what_was_signed_is_refused() {
    let source = Source::of(numbered(300), &[]);
    let forged = Checkpoint {
        root: Hash::of_empty_tree(),
        ..source.checkpoint(300)
    };
    let note = forged.sign(&signer()).unwrap();
    let (mut writer, mut bytes) = BundleWriter::begin(&signer().verifying_key(), &note).unwrap();
    bytes.extend(writer.group(&[], &source.entries[..256]).unwrap());
    bytes.extend(writer.group(&[], &source.entries[256..]).unwrap());
    assert!(
        matches!(writer.end(), Err(BundleError::Root { size: 300, .. })),
        "it is not written"
    );
    bytes.extend([0; 1024]);
    assert!(
        matches!(refused(&bytes), BundleError::Root { size: 300, .. }),
        "and not read"
    );
}

#[test]
fn an_empty_ledger_has_the_root_of_nothing() {
    let mut signed = checkpoint(&[]);
    signed.root = leaf_hash("دفتر آخر".as_bytes());
    let note = signed.sign(&signer()).unwrap();
    let (_, mut bytes) = BundleWriter::begin(&signer().verifying_key(), &note).unwrap();
    bytes.resize(bytes.len() + 1024, 0);
    let error = refused(&bytes);
    assert!(matches!(error, BundleError::Root { size: 0, .. }), "{error}");
}

#[test]
fn a_checkpoint_of_another_key_ledger_or_length_is_refused() {
    let source = Source::of(numbered(300), &[]);
    let bytes = source.bundle();
    let other = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let refused = Bundle::begin(&bytes[..], Some(&other.verifying_key())).unwrap_err();
    let BundleError::Evidence(EvidenceError::Checkpoint { why, .. }) = refused else {
        panic!("{refused}")
    };
    assert!(
        why.to_string()
            .contains(&NoteError::NotSigned { key: String::new() }.to_string()),
        "{why}"
    );

    let against = |held: Checkpoint| Bundle::begin(&bytes[..], None).unwrap().compare_with(held).unwrap_err();
    let longer = Checkpoint {
        size: 301,
        ..source.checkpoint(300)
    };
    assert!(matches!(against(longer), BundleError::Shorter { size: 300, held: 301 }));
    let forked = Checkpoint {
        root: Hash::of_empty_tree(),
        ..source.checkpoint(300)
    };
    assert!(matches!(
        against(forked),
        BundleError::Evidence(EvidenceError::Forked { size: 300 })
    ));
    let elsewhere = Checkpoint {
        origin: "another.example/ledger".to_owned(),
        ..source.checkpoint(5)
    };
    assert!(matches!(
        against(elsewhere),
        BundleError::Evidence(EvidenceError::OtherLedger { .. })
    ));
    // Too late to be compared.
    let mut bundle = Bundle::begin(&bytes[..], None).unwrap();
    bundle.next_piece().unwrap();
    assert!(matches!(
        bundle.compare_with(source.checkpoint(5)),
        Err(BundleError::Unfit { .. })
    ));
}

/// Its own checkpoint put in place of a newer one, with the right signature.
#[test]
fn entries_that_its_checkpoint_knows_nothing_of_are_refused() {
    let checkpoints = [5, 256];
    for (size, kept) in checkpoints
        .into_iter()
        .flat_map(|size| [(size, vec![]), (size, vec![280])])
    {
        let source = Source::of(numbered(300), &kept);
        let older = source.checkpoint(size).sign(&signer()).unwrap();
        let (_, beginning) = BundleWriter::begin(&signer().verifying_key(), &older).unwrap();
        let whole = source.bundle();
        let rest = place(&whole, "checkpoint").whole().end;
        let bytes = [beginning.as_slice(), &whole[rest..]].concat();
        let error = refused(&bytes);
        let is_named = error.to_string().contains("of a shorter history") || matches!(error, BundleError::Order { .. });
        assert!(is_named, "{size}: {error}");
        assert_eq!(
            matches!(error, BundleError::Beyond { .. }),
            kept.is_empty() || size == 5,
            "{error}"
        );
    }
}

#[test]
fn a_bundle_that_could_not_be_finished_says_why() {
    let source = Source::of(numbered(300), &[]);
    let note = source.checkpoint(300).sign(&signer()).unwrap();
    let (mut writer, mut bytes) = BundleWriter::begin(&signer().verifying_key(), &note).unwrap();
    bytes.extend(writer.group(&[], &source.entries[..256]).unwrap());
    bytes.extend(BundleWriter::stopped("القرص معطوب"));
    let error = refused(&bytes);
    assert!(
        matches!(&error, BundleError::Stopped { reason } if reason == "القرص معطوب"),
        "{error}"
    );
    assert!(writer.end().is_err(), "it has fewer entries than were signed");
}

#[test]
fn what_belongs_elsewhere_is_not_written() {
    let source = Source::of(numbered(300), &[]);
    let note = source.checkpoint(300).sign(&signer()).unwrap();
    let other = Signer::from_seed(ORIGIN, &[8; 32]).unwrap().verifying_key();
    assert!(BundleWriter::begin(&other, &note).is_err());
    let (mut writer, _) = BundleWriter::begin(&signer().verifying_key(), &note).unwrap();
    assert!(writer.content(b"{}\n").is_err(), "content of no entry");
    assert!(writer.group(&[], &source.entries[..255]).is_err());
    assert!(writer.group(&[], &source.entries[..256]).is_ok());
    assert_eq!(writer.next_width(), 44);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_ledger_is_read_as_it_was_written(
        lengths in proptest::collection::vec(0..40_usize, 0..600),
        kept in proptest::collection::btree_set(0..600_usize, 0..8),
    ) {
        let entries: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(number, length)| number.to_string().repeat(*length).into_bytes()).collect();
        let kept: Vec<usize> = kept.into_iter().filter(|size| *size <= entries.len()).collect();
        let source = Source::of(entries, &kept);
        prop_assert_eq!(read(&source.bundle()).unwrap(), source.entries);
    }

    #[test]
    fn no_bytes_end_it(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), at in 0..100_000_usize) {
        let mut bundle = Source::of(numbered(20), &[3]).bundle();
        let at = at % bundle.len();
        let end = bundle.len().min(at + bytes.len());
        bundle[at..end].copy_from_slice(&bytes[..end - at]);
        if let Ok(entries) = read(&bundle) {
            prop_assert_eq!(entries, numbered(20));
        }
        prop_assert!(read(&bytes).is_err());
    }
}

//! Every flipped bit and every cut is found, and its chunk is named.

use std::path::{Path, PathBuf};

use mihwar_store::backup::BackupError;

use crate::support::{House, LASTING, PASSING, checked, file_id, noise, put, put_file};

/// A backup of several chunks: its bytes, and where its chunks begin.
async fn sample() -> (House, Vec<u8>, Vec<u64>) {
    let house = House::redb();
    house.files.put(file_id(1), noise(1_300_000, 5)).await.unwrap();
    house.files.put(file_id(2), Vec::new()).await.unwrap();
    let rows = (0..40).map(|number| put(LASTING, &format!("شكوى {number}"), &"انقطاع ".repeat(number)));
    let mut edits: Vec<_> = rows.collect();
    edits.extend([put(PASSING, "q", "طابور"), put_file(1), put_file(2)]);
    house.apply(edits, &["استلام", "توجيه", "تسليم"]).await;
    let path = house.backup("full", None).await;
    let bytes = std::fs::read(path).unwrap();
    let begins = chunks(&bytes);
    (house, bytes, begins)
}

/// Where chunks begin, read as the format's table says.
fn chunks(bytes: &[u8]) -> Vec<u64> {
    let (mut begins, mut at) = (Vec::new(), 20);
    while at + 16 < bytes.len() {
        begins.push(at as u64);
        let stored = u32::from_be_bytes(bytes[at + 12..at + 16].try_into().unwrap());
        at += 48 + stored as usize;
    }
    begins
}

fn judged(bytes: &[u8], path: &Path) -> BackupError {
    std::fs::write(path, bytes).unwrap();
    let error = checked(&[path]).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(&path.display().to_string()),
        "the file is not named: {said}"
    );
    error
}

/// The chunk that an error names.
fn named(error: &BackupError) -> (u32, u64) {
    match error {
        BackupError::Damaged { chunk, offset, .. } | BackupError::CutShort { chunk, offset, .. } => (*chunk, *offset),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_where_it_is() {
    let (house, bytes, begins) = sample().await;
    assert!(
        begins.len() >= 6,
        "header, rows, journal, two of files, footer: {begins:?}"
    );
    let path: PathBuf = house.path("damaged");
    let near = begins.iter().flat_map(|begin| {
        let begin = usize::try_from(*begin).unwrap();
        begin..begin + 60
    });
    let far = (0..bytes.len()).step_by(bytes.len() / 150);
    let end = bytes.len() - 16..bytes.len();
    let mut flipped = 0;
    for at in (0..20).chain(near).chain(far).chain(end.clone()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let error = judged(&damaged, &path);
        flipped += 1;
        if at < 20 {
            let begins_otherwise = matches!(error, BackupError::Foreign { .. } | BackupError::Format { .. });
            assert!(begins_otherwise, "byte {at}: {error}");
            continue;
        }
        let chunk = begins.iter().rposition(|begin| *begin <= at as u64).unwrap();
        let expected = (u32::try_from(chunk).unwrap(), begins[chunk]);
        assert_eq!(named(&error), expected, "byte {at}: {error}");
    }
    assert!(flipped > 500, "{flipped}");
}

#[tokio::test]
async fn a_cut_is_found_where_it_is() {
    let (house, bytes, begins) = sample().await;
    let path = house.path("cut");
    let near = begins.iter().flat_map(|begin| {
        let begin = usize::try_from(*begin).unwrap();
        begin - 1..begin + 60
    });
    let far = (0..bytes.len()).step_by(bytes.len() / 100);
    for length in (1..20)
        .chain(near)
        .chain(far.skip(1))
        .chain([bytes.len() - 1, bytes.len() - 16])
    {
        let error = judged(&bytes[..length], &path);
        let (chunk, offset) = named(&error);
        assert!(offset <= length as u64, "{length} bytes: {error}");
        let whole = begins.iter().filter(|begin| **begin < length as u64).count();
        assert!(
            chunk as usize + 1 >= whole && chunk as usize <= whole,
            "{length} bytes: {error}"
        );
    }
    assert!(matches!(judged(&[], &path), BackupError::Foreign { .. }));
}

#[tokio::test]
async fn chunks_cannot_be_left_out_repeated_or_moved() {
    let (house, bytes, begins) = sample().await;
    let path = house.path("moved");
    let at = |number: usize| usize::try_from(begins[number]).unwrap();
    let (head, rows, journal, files) = (
        &bytes[..at(1)],
        &bytes[at(1)..at(2)],
        &bytes[at(2)..at(3)],
        &bytes[at(3)..],
    );
    for (made, chunk) in [
        ([head, journal, files].concat(), 1),
        ([head, rows, rows, journal, files].concat(), 2),
        ([head, journal, rows, files].concat(), 1),
        ([&bytes[..], b"\n"].concat(), u32::try_from(begins.len() - 1).unwrap()),
    ] {
        let error = judged(&made, &path);
        assert_eq!(named(&error).0, chunk, "{error}");
    }
}

//! Limits: what fits is kept whole, what does not is refused whole.

use mihwar_model::OrgId;
use mihwar_store::{
    ApplyError, Batch, Edit, Guard, Key, MAX_BATCH_BYTES, MAX_JOURNAL_ENTRY_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES,
    Space,
};

use crate::support::{SPACE, Shared, apply, edits, entries, key, put, refused, value, view};

/// A key of exactly this many bytes.
fn key_of(length: usize) -> Key {
    let start = Key::space(SPACE, OrgId::FIRST).finish();
    let mut bytes = start.as_bytes().to_vec();
    bytes.resize(length, 0xD8);
    Key::from_bytes(bytes)
}

pub(crate) async fn the_largest_of_everything_is_kept_whole(store: Shared) {
    let row = key_of(MAX_KEY_BYTES);
    let largest: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_VALUE_BYTES).collect();
    let entry: Vec<u8> = (0..=u8::MAX).rev().cycle().take(MAX_JOURNAL_ENTRY_BYTES).collect();
    let batch = Batch {
        guards: vec![Guard::Absent(row.clone())],
        edits: vec![put(&row, largest.clone())],
        journal: vec![entry.clone(), vec![]],
    };
    apply(&store, batch).await;
    assert_eq!(value(&store, &row).await, Some(largest));
    let found = view(&store).await.journal(0, 10).await.unwrap();
    assert_eq!(found[0].bytes, entry);
    assert!(found[1].bytes.is_empty());
}

pub(crate) async fn one_byte_more_is_refused(store: Shared) {
    let long = key_of(MAX_KEY_BYTES + 1);
    let cases = [
        (edits(vec![put(&long, "")]), "key", MAX_KEY_BYTES),
        (edits(vec![Edit::Delete(long.clone())]), "key", MAX_KEY_BYTES),
        (edits(vec![Edit::Add(long.clone(), 1)]), "key", MAX_KEY_BYTES),
        (
            Batch {
                guards: vec![Guard::Absent(long.clone())],
                ..Batch::default()
            },
            "key",
            MAX_KEY_BYTES,
        ),
        (
            edits(vec![put(&key("v"), vec![0; MAX_VALUE_BYTES + 1])]),
            "value",
            MAX_VALUE_BYTES,
        ),
        (
            entries([vec![0; MAX_JOURNAL_ENTRY_BYTES + 1]]),
            "journal entry",
            MAX_JOURNAL_ENTRY_BYTES,
        ),
    ];
    for (mut batch, what, limit) in cases {
        batch.edits.insert(0, put(&key("beside"), "x"));
        let expected = ApplyError::TooLarge {
            what,
            size: limit + 1,
            limit,
        };
        assert_eq!(refused(&store, batch).await, expected);
    }
    assert_eq!(value(&store, &key("beside")).await, None);
    assert_eq!(value(&store, &key("v")).await, None);
    let view = view(&store).await;
    assert_eq!(view.tree().size(), 0);
    assert_eq!(view.get(&long).await.unwrap(), None);
}

pub(crate) async fn a_batch_over_its_limit_is_refused(store: Shared) {
    let fill = |bytes: usize| {
        let numbered = |number: usize| Key::space(SPACE, OrgId::FIRST).u64(number as u64).finish();
        let mut batch = Batch::default();
        while batch.size() < bytes {
            let row = numbered(batch.edits.len());
            let room = bytes - batch.size() - row.as_bytes().len();
            batch.edits.push(put(&row, vec![1; room.min(90_000)]));
        }
        batch
    };
    let over = fill(MAX_BATCH_BYTES + 1);
    let size = over.size();
    let expected = ApplyError::TooLarge {
        what: "batch",
        size,
        limit: MAX_BATCH_BYTES,
    };
    assert_eq!(refused(&store, over).await, expected);
    assert_eq!(view(&store).await.version(), 0);
    let largest = fill(MAX_BATCH_BYTES);
    assert_eq!(largest.size(), MAX_BATCH_BYTES);
    let rows = largest.edits.len() as u64;
    apply(&store, largest).await;
    assert_eq!(store.statistics().rows_written, rows);
}

pub(crate) async fn the_spaces_of_the_store_and_keys_without_an_organisation_are_closed(store: Shared) {
    for row in [
        Key::space(Space(0x0F), OrgId::FIRST).finish(),
        Key::space(Space(0), OrgId::FIRST).text("شيء").finish(),
        Key::from_bytes(vec![]),
        Key::from_bytes(vec![SPACE.0, 0, 0, 0]),
    ] {
        let error = refused(&store, edits(vec![put(&row, "x")])).await;
        assert!(matches!(error, ApplyError::Invalid { key, .. } if key == row));
    }
}

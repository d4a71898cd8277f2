//! Rows: round trip, order, ranges, pages, counters.

use std::collections::BTreeMap;

use mihwar_model::OrgId;
use mihwar_store::{ApplyError, Batch, Edit, Key, KeyRange, MAX_PAGE_ROWS, Order, Space};

use crate::support::{SPACE, Shared, apply, edits, everything, key, put, refused, scan_all, value, values, view};

pub(crate) async fn what_was_put_is_read_back(store: Shared) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let cases = [("شكوى", "الطلب متأخر".into()), ("", vec![]), ("bytes", all_bytes)];
    let puts = cases.iter().map(|(name, bytes)| put(&key(name), bytes.clone()));
    let commit = apply(&store, edits(puts.collect())).await;
    let view = view(&store).await;
    let mut keys: Vec<Key> = cases.iter().map(|(name, _)| key(name)).collect();
    keys.push(key("absent"));
    let many = view.get_many(&keys).await.unwrap();
    for ((name, bytes), many) in cases.iter().zip(&many) {
        let row = view.get(&key(name)).await.unwrap().unwrap();
        assert_eq!((&row.bytes, row.version), (bytes, commit.version));
        assert_eq!(many.as_ref(), Some(&row));
    }
    assert_eq!(many[3], None);
    assert_eq!(view.get(&key("absent")).await.unwrap(), None);
    assert_eq!(view.get_many(&[]).await.unwrap(), vec![]);
    assert_eq!(view.version(), commit.version);
}

pub(crate) async fn a_put_replaces_and_a_delete_removes(store: Shared) {
    let row = key("حالة");
    apply(&store, edits(vec![put(&row, "first")])).await;
    apply(&store, edits(vec![put(&row, "2")])).await;
    assert_eq!(value(&store, &row).await, Some(b"2".to_vec()));
    apply(&store, edits(vec![Edit::Delete(row.clone())])).await;
    assert_eq!(value(&store, &row).await, None);
    apply(&store, edits(vec![Edit::Delete(row.clone())])).await;
    assert_eq!(value(&store, &row).await, None);
}

pub(crate) async fn later_edits_of_a_batch_see_earlier_ones(store: Shared) {
    let (a, b, c) = (key("a"), key("b"), key("c"));
    let batch = vec![
        put(&a, "old"),
        Edit::Delete(a.clone()),
        put(&b, "old"),
        put(&b, "new"),
        Edit::Add(c.clone(), 5),
        Edit::Delete(c.clone()),
        Edit::Add(c.clone(), 2),
        Edit::Add(c.clone(), 1),
    ];
    apply(&store, edits(batch)).await;
    assert_eq!(value(&store, &a).await, None);
    assert_eq!(value(&store, &b).await, Some(b"new".to_vec()));
    assert_eq!(value(&store, &c).await, Some(3_i64.to_le_bytes().to_vec()));
}

pub(crate) async fn scans_follow_byte_order_and_half_open_ranges(store: Shared) {
    // In byte order Arabic comes after Latin, whatever a locale would say.
    let names = ["", "a", "aa", "b", "ب", "ش", "شك", "شكوى"];
    let puts = names.iter().rev().map(|name| put(&key(name), *name));
    apply(&store, edits(puts.collect())).await;
    let view = view(&store).await;
    let scan = async |range, order| values(&scan_all(&*view, range, order, 1_000).await);

    assert_eq!(scan(everything(), Order::Ascending).await, names);
    let mut reversed = names;
    reversed.reverse();
    assert_eq!(scan(everything(), Order::Descending).await, reversed);

    let between = |start: &str, end: &str| KeyRange::between(key(start), key(end));
    assert_eq!(scan(between("a", "b"), Order::Ascending).await, ["a", "aa"]);
    assert_eq!(scan(between("a", "b"), Order::Descending).await, ["aa", "a"]);
    assert!(scan(between("b", "b"), Order::Ascending).await.is_empty());
    assert!(scan(between("b", "a"), Order::Descending).await.is_empty());
    let prefix = Key::space(SPACE, OrgId::FIRST).text_prefix("ش").finish();
    assert_eq!(
        scan(KeyRange::prefix(prefix), Order::Ascending).await,
        ["ش", "شك", "شكوى"]
    );
    assert_eq!(scan(KeyRange::all(), Order::Ascending).await, names);
}

pub(crate) async fn pages_join_to_the_whole_range_in_both_orders(store: Shared) {
    let numbered = |number: u32| Key::space(SPACE, OrgId::FIRST).u32(number).finish();
    let count = u32::try_from(MAX_PAGE_ROWS).unwrap() + 17;
    let puts = (0..count).map(|number| put(&numbered(number), number.to_string()));
    apply(&store, edits(puts.collect())).await;
    let view = view(&store).await;
    let ascending: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let descending: Vec<String> = ascending.iter().rev().cloned().collect();
    for limit in [1, 7, MAX_PAGE_ROWS, usize::MAX] {
        let range = everything();
        // A few rows a page is thousands of pages; a part of the range does for that.
        let (range, skip) = if limit < MAX_PAGE_ROWS {
            (range.after(&numbered(count - 20)), usize::try_from(count - 19).unwrap())
        } else {
            (range, 0)
        };
        let up = scan_all(&*view, range.clone(), Order::Ascending, limit).await;
        assert_eq!(values(&up), ascending[skip..], "limit {limit}");
        let down = scan_all(&*view, range, Order::Descending, limit).await;
        assert_eq!(values(&down), descending[..descending.len() - skip], "limit {limit}");
    }
    let none = view.scan(everything(), Order::Ascending, 0).await.unwrap();
    assert_eq!(none.rows.len(), 1, "a limit of 0 still moves on");
    let exact = everything().before(&numbered(5));
    let page = view.scan(exact, Order::Ascending, 5).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (5, None));
}

pub(crate) async fn a_page_ends_early_when_its_bytes_are_many(store: Shared) {
    let count = 50;
    let numbered = |number: u32| Key::space(SPACE, OrgId::FIRST).u32(number).finish();
    let puts = (0..count).map(|number| put(&numbered(number), vec![b'x'; 99_000]));
    apply(&store, edits(puts.collect())).await;
    let view = view(&store).await;
    let page = view.scan(everything(), Order::Ascending, 1_000).await.unwrap();
    assert!(page.next.is_some());
    assert!(page.rows.len() * 99_000 <= mihwar_store::MAX_PAGE_BYTES);
    let all = scan_all(&*view, everything(), Order::Ascending, 1_000).await;
    assert_eq!(all.len(), 50);
}

pub(crate) async fn organisations_and_spaces_do_not_mix(store: Shared) {
    let places = [
        (Space(0x10), OrgId(1)),
        (Space(0x10), OrgId(2)),
        (Space(0x11), OrgId(1)),
        (Space(0xFF), OrgId(u32::MAX)),
    ];
    let in_place = |(space, org)| Key::space(space, org).text("ملف").finish();
    for (number, place) in (0_u8..).zip(places) {
        apply(&store, edits(vec![put(&in_place(place), vec![number])])).await;
    }
    let view = view(&store).await;
    for (number, (space, org)) in (0_u8..).zip(places) {
        let range = KeyRange::prefix(Key::space(space, org).finish());
        let rows = scan_all(&*view, range, Order::Ascending, 10).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].value.bytes, [number]);
    }
}

pub(crate) async fn counters_add_up_and_refuse_nonsense(store: Shared) {
    let counter = key("عداد");
    for amount in [5, -7, i64::MAX, 0] {
        apply(&store, edits(vec![Edit::Add(counter.clone(), amount)])).await;
    }
    let expected = (i64::MAX - 2).to_le_bytes().to_vec();
    assert_eq!(value(&store, &counter).await.as_ref(), Some(&expected));

    let other = key("other");
    let overflow = edits(vec![put(&other, "x"), Edit::Add(counter.clone(), 3)]);
    assert!(matches!(refused(&store, overflow).await, ApplyError::Invalid { key, .. } if key == counter));
    assert_eq!(value(&store, &other).await, None);
    assert_eq!(value(&store, &counter).await.as_ref(), Some(&expected));

    apply(&store, edits(vec![put(&other, "not a counter")])).await;
    let nonsense = edits(vec![Edit::Add(other.clone(), 1)]);
    assert!(matches!(refused(&store, nonsense).await, ApplyError::Invalid { .. }));
}

pub(crate) async fn long_runs_behind_the_end_are_there_with_all_that_lies_before(store: Shared) {
    const STEP: u32 = 4_000;
    let row = |number: u32| Key::space(SPACE, OrgId::FIRST).u32(number).finish();
    let (mut wanted, mut told) = (BTreeMap::new(), Vec::new());
    for round in 0..3 {
        let end = round * STEP;
        let mut changes = Vec::new();
        for number in 0..end + STEP {
            let is_new = number >= end && number.is_multiple_of(2);
            if is_new || number % 7 == 3 {
                let text = format!("شكوى {number} كما هي بعد الجولة {round}");
                wanted.insert(row(number), text.clone());
                changes.push(put(&row(number), text));
            } else if number.is_multiple_of(5) {
                // Some of these are not there, before the end and behind it.
                wanted.remove(&row(number));
                changes.push(Edit::Delete(row(number)));
            }
        }
        // In whatever order they are sent.
        changes.reverse();
        let journal = (0..STEP).map(|number| format!("القيد {number} من الجولة {round}").into_bytes());
        let journal: Vec<Vec<u8>> = journal.collect();
        told.extend(journal.iter().cloned());
        let batch = Batch {
            journal,
            ..edits(changes)
        };
        apply(&store, batch).await;
        let view = view(&store).await;
        let rows = scan_all(&*view, everything(), Order::Ascending, MAX_PAGE_ROWS).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let found: BTreeMap<Key, String> = rows.into_iter().map(|row| (row.key, text(row.value.bytes))).collect();
        assert!(found == wanted, "round {round}");
        let mut read = Vec::new();
        while read.len() < told.len() {
            let some = view.journal(read.len() as u64, MAX_PAGE_ROWS).await.unwrap();
            assert!(!some.is_empty(), "round {round}: {} entries", read.len());
            read.extend(some.into_iter().map(|entry| entry.bytes));
        }
        assert!(read == told, "round {round}");
    }
}

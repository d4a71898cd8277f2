//! Blocks against a plain map, their rows, and what is stored of values.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_model::{Channel, ContactId, FeedbackId, InstanceName, Kind, Language, Received, Score, Tag, Time};
use mihwar_store::{Batch, Edit, MAX_VALUE_BYTES, MemoryStore, Order, Row, Store};
use proptest::prelude::*;

use super::block::{APPENDED_MAX, Block, Insertion, RECORDS_MAX};
use super::{ANYTHING, Blocks, CHANNEL, CODES_MAX, Code, Id, Passing, TAG, Wanted, code, codes, score, step};
use crate::fault::OnDamage;
use crate::keys;
use crate::query::{FeedbackFilter, ScoreFilter};
use crate::rows::Head;

/// Room for a value in a page of the store's file: 4096 bytes without the page's own, the key and the row's version.
const ROOM_IN_PAGE: usize = 4096 - 12 - 21 - 8;

/// Ids in the order of their numbers.
fn id(number: u64) -> Id {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&(number / 4).to_be_bytes()[2..]);
    id[8..].copy_from_slice(&(number % 4).to_be_bytes());
    id
}

fn record(number: u64) -> FeedbackId {
    FeedbackId::from_bytes(id(number))
}

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn head(tags: Vec<Tag>) -> Head {
    let nps = |value: f64| Score {
        metric: "nps".into(),
        value,
        min: 0.0,
        max: 10.0,
    };
    let received = Received {
        feedback: record(1),
        revision: 1,
        contact: ContactId::from_bytes([7; 16]),
        instance: name("form"),
        channel: Channel::new(tag("form")),
        kind: Some(Kind::Complaint),
        occurred_at: None,
        thread: None,
        language: Some(Language::new("ar-SA").unwrap()),
        scores: vec![nps(9.0)],
        tags,
        attachments: Vec::new(),
        call: None,
        body_chars: 226,
        commitment: [1; 32],
        masked: None,
    };
    let mut head = Head::of(Time(5), received);
    head.destinations = vec![name("billing")];
    head
}

#[test]
fn codes_are_stored_and_never_change() {
    assert_eq!(code(b'f', "oobar"), 0xBF9C_F968, "FNV-1a of foobar");
    assert_eq!(code(TAG, "عاجل"), 0x9FC5_4826);
    assert_eq!(code(CHANNEL, "form"), 0x6C8D_D3AA);
    assert_eq!(score("nps", step(9.0)), 0xB1D5_BB98);
}

#[test]
fn a_record_has_a_code_for_each_value_that_a_filter_can_name() {
    let head = head(vec![tag("شحن"), tag("late")]);
    let codes = codes(&head);
    // Channel, instance, kind, ar, ar-SA, department, two tags, one score.
    assert_eq!(codes.len(), 9);
    assert!(codes.is_sorted());
    let fits = |filter: FeedbackFilter| {
        let wanted = Wanted::of(&filter).unwrap();
        wanted
            .each
            .iter()
            .all(|any| any.iter().any(|code| codes.contains(code)))
    };
    let language = |text: &str| FeedbackFilter {
        language: Some(Language::new(text).unwrap()),
        ..FeedbackFilter::default()
    };
    assert!(fits(language("ar")) && fits(language("ar-SA")));
    assert!(!fits(language("ar-OM")) && !fits(language("en")));
    let nps = |min: Option<f64>, max: Option<f64>| FeedbackFilter {
        score: Some(ScoreFilter {
            metric: "nps".into(),
            min,
            max,
        }),
        ..FeedbackFilter::default()
    };
    assert!(fits(nps(None, None)) && fits(nps(Some(9.0), None)) && fits(nps(None, Some(9.0))));
    assert!(!fits(nps(None, Some(8.9))) && !fits(nps(Some(10.0), None)));
    let department = FeedbackFilter {
        destination: Some(name("billing")),
        kind: Some(Kind::Complaint),
        ..FeedbackFilter::default()
    };
    assert!(fits(department));
    assert_eq!(Wanted::of(&FeedbackFilter::default()), None);
}

#[test]
fn a_record_with_very_many_values_passes_every_filter() {
    let tags = (0..CODES_MAX).map(|number| tag(&format!("وسم-{number}"))).collect();
    assert_eq!(codes(&head(tags)), [ANYTHING]);
    let mut block = Block::of(id(1));
    assert!(block.set(id(1), &[ANYTHING]));
    let wanted = Wanted {
        each: vec![vec![77], vec![78]],
    };
    assert_eq!(Passing::read(&block.encode(), &wanted).unwrap().ids, [id(1)]);
}

proptest! {
    #[test]
    fn a_score_within_bounds_is_on_a_wanted_step(
        value in -5.0_f64..120.0, min in -5.0_f64..120.0, max in -5.0_f64..120.0,
    ) {
        let bounds = [(None, None), (Some(min), None), (None, Some(max)), (Some(min), Some(max))];
        for (min, max) in bounds {
            let is_within = min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max);
            let wanted = super::steps(&ScoreFilter { metric: "رضا".into(), min, max });
            prop_assert!(!is_within || wanted.contains(&score("رضا", step(value))));
        }
    }
}

/// A full block whose every record has so many codes that no other has.
fn all_different(codes: usize) -> Block {
    let mut block = Block::of(id(0));
    for number in 1..RECORDS_MAX as u64 {
        // The last ones come late, or they would not be taken.
        let late = number.checked_sub(APPENDED_MAX as u64);
        let place = late.map_or(number * 2, |late| late * 2 + 1);
        assert_eq!(block.insert(id(place)), Insertion::Here);
    }
    let mut unused = 1..;
    let mut records = 0;
    for number in 0..RECORDS_MAX as u64 * 2 {
        let own: Vec<Code> = unused.clone().take(codes).collect();
        if block.set(id(number), &own) {
            unused = own.last().unwrap() + 1..;
            records += 1;
        }
    }
    assert_eq!(records, RECORDS_MAX);
    block
}

#[test]
fn the_largest_row_is_one_that_the_store_takes() {
    let row = all_different(CODES_MAX).encode();
    assert!(row.len() < MAX_VALUE_BYTES, "{} bytes", row.len());
}

#[test]
fn the_usual_row_of_a_closed_block_fits_a_page_of_the_file() {
    // One in a second.
    let place = |number: Code| id(u64::from(number) * 4_000);
    let mut block = Block::of(place(0));
    for number in 0..Code::try_from(APPENDED_MAX).unwrap() {
        block.insert(place(number));
        // 4 channels and instances, 6 kinds, 3 languages, 6 departments, two of 20 tags, 11 scores.
        let values = (0..).zip([4, 4, 6, 3, 6, 20, 20, 11]);
        let own = values.map(|(facet, values): (Code, Code)| facet * 100 + number * 7 % values + 1);
        assert!(block.set(place(number), &own.collect::<Vec<Code>>()));
    }
    let row = block.encode();
    assert!(row.len() < ROOM_IN_PAGE, "{} bytes", row.len());
}

#[test]
fn what_comes_last_begins_another_block_and_what_comes_late_has_room() {
    let mut block = Block::of(id(10));
    for number in 2..=APPENDED_MAX as u64 {
        assert_eq!(block.insert(id(number * 10)), Insertion::Here);
    }
    let last = APPENDED_MAX as u64 * 10;
    let mut following = id(last);
    following[15] += 1;
    let beside = Insertion::Beside(following, Block::of(id(5_000)));
    assert_eq!(block.insert(id(5_000)), beside);
    for number in 1..=(RECORDS_MAX - APPENDED_MAX) as u64 {
        assert_eq!(block.insert(id(last - number * 10 + 5)), Insertion::Here);
    }
    let Insertion::Split(first, upper) = block.insert(id(15)) else {
        panic!("a full block takes another one");
    };
    let size = |block: &Block| usize::from(block.encode()[0]) + 1;
    assert_eq!((size(&block), size(&upper)), (129, 128));
    assert!(block.insert(id(last)) != Insertion::Known && first < id(last));
    assert_eq!(block.insert(id(15)), Insertion::Known);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_row_that_was_cut_or_changed_is_refused_or_another(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let block = all_different(2);
        let row = block.encode();
        prop_assert_eq!(&Block::decode(&row).unwrap(), &block);
        let at = at.index(row.len());
        prop_assert!(Block::decode(&row[..at]).is_err());
        let mut changed = row;
        changed[at] ^= flip;
        prop_assert!(Block::decode(&changed).ok() != Some(block));
    }

    #[test]
    fn reading_anything_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let wanted = Wanted { each: vec![vec![1]] };
        let block = Block::decode(&bytes);
        prop_assert!(block.is_err() || Passing::read(&bytes, &wanted).is_ok());
    }
}

/// Folds that follow each other as those of a rebuild do: what one changed is written when the next has begun.
#[derive(Default)]
struct Folds {
    store: MemoryStore,
    recent: Blocks,
    unwritten: Vec<Edit>,
}

impl Folds {
    async fn fold(&mut self, told: &[(u64, Vec<Code>)]) {
        let view = self.store.view().await.unwrap();
        let records = told.iter().map(|(number, _)| record(*number)).collect();
        let mut blocks = Blocks::load(&*view, &self.recent, OnDamage::End, records)
            .await
            .unwrap();
        drop(view);
        self.write().await;
        for (number, _) in told {
            blocks.insert(record(*number));
        }
        // The last word on each alone, as the head of a record is what all events have made of it.
        let mut last = BTreeMap::new();
        for (number, codes) in told {
            last.insert(*number, codes);
        }
        for (number, codes) in last {
            blocks.set(record(number), codes);
        }
        blocks.write(&mut self.unwritten);
        self.recent = blocks;
    }

    async fn write(&mut self) {
        let batch = Batch {
            edits: std::mem::take(&mut self.unwritten),
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    async fn rows(mut self) -> Vec<Row> {
        self.write().await;
        let view = self.store.view().await.unwrap();
        let page = view.scan(keys::all(keys::FACETS), Order::Ascending, 10_000).await;
        page.unwrap().rows
    }
}

/// The rows after all of this, folded in pieces of these sizes, the last of them again and again.
async fn folded(told: &[(u64, Vec<Code>)], sizes: &[usize]) -> Vec<Row> {
    let (mut folds, mut rest, mut sizes) = (Folds::default(), told, sizes.iter().copied());
    let mut size = 1;
    while !rest.is_empty() {
        size = sizes.next().unwrap_or(size);
        let (piece, after) = rest.split_at(size.min(rest.len()));
        folds.fold(piece).await;
        rest = after;
    }
    folds.rows().await
}

/// Ids about in their order: some come late, some belong anywhere, some come again.
fn any_story() -> impl Strategy<Value = Vec<(u64, Vec<Code>)>> {
    let steps = prop::collection::vec((0_u8..10, any::<u16>(), any::<u8>()), 1..900);
    (steps, prop_oneof![Just(1_u8), Just(4), Just(10)]).prop_map(|(steps, disorder)| {
        let told = (0_u64..).zip(steps).map(|(step, (sort, far, detail))| {
            let (usual, far) = (1_000 + step * 10, u64::from(far));
            let number = match sort {
                sort if sort + 1 >= disorder => usual,
                0 | 1 => far,
                _ => usual - far % 300,
            };
            let codes = vec![Code::from(detail % 5) + 1, Code::from(detail % 7) + 100];
            (number, codes)
        });
        told.collect::<Vec<(u64, Vec<Code>)>>()
    })
}

fn passing(rows: &[Row], any: Vec<Code>) -> Vec<Vec<Id>> {
    let wanted = Wanted { each: vec![any] };
    let read = |row: &Row| Passing::read(&row.value.bytes, &wanted).unwrap().ids;
    rows.iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn blocks_are_a_map_however_many_are_folded_at_once(
        told in any_story(), sizes in prop::collection::vec(1_usize..300, 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let rows = runtime.block_on(folded(&told, &sizes));
        let one_by_one = runtime.block_on(folded(&told, &[1]));
        let bytes = |row: Row| (row.key, row.value.bytes);
        let as_bytes = |rows: Vec<Row>| rows.into_iter().map(bytes).collect::<Vec<_>>();
        prop_assert_eq!(as_bytes(rows.clone()), as_bytes(one_by_one));

        let model: BTreeMap<Id, Vec<Code>> = told.iter().map(|(number, codes)| (id(*number), codes.clone())).collect();
        let blocks = passing(&rows, (1..=5).collect());
        prop_assert_eq!(blocks.concat(), model.keys().copied().collect::<Vec<_>>());
        prop_assert_eq!(&rows[0].key, &keys::facets([0; 16]));
        for ((row, ids), next) in rows.iter().zip(&blocks).zip(rows.iter().skip(1).map(Some).chain([None])) {
            prop_assert!(!ids.is_empty() && ids.len() <= RECORDS_MAX);
            let is_within = |id: &Id| keys::facets(*id) >= row.key && next.is_none_or(|next| keys::facets(*id) < next.key);
            prop_assert!(ids.iter().all(is_within));
        }
        for code in (1..=5).chain(100..=106) {
            let having: BTreeSet<Id> = passing(&rows, vec![code]).concat().into_iter().collect();
            let expected = model.iter().filter(|(_, codes)| codes.contains(&code)).map(|(id, _)| *id);
            prop_assert_eq!(having, expected.collect::<BTreeSet<Id>>());
        }
    }
}

#[tokio::test]
async fn ids_that_ascend_fill_their_blocks() {
    let told: Vec<(u64, Vec<Code>)> = (0..1_000).map(|number| (number, vec![1])).collect();
    let rows = folded(&told, &[400]).await;
    let sizes: Vec<usize> = passing(&rows, vec![1]).iter().map(Vec::len).collect();
    assert_eq!(sizes, [192, 192, 192, 192, 192, 40]);
}

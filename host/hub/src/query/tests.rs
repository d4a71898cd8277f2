//! Lists of some thousand records by every filter, against a look at every head.

pub(crate) mod counting;
mod story;

use std::sync::Arc;

use mihwar_model::{Actor, Channel, ContactId, EnrichmentFailed, Event, EventBody, FeedbackId, Kind, Time};
use mihwar_store::{Batch, Edit, MemoryStore, Order, Row};

use super::feedback_list::matches;
use super::{FeedbackFilter, FeedbackPage, HISTORY_MAX, ScoreFilter, cursor_text, feedback_page};
use super::{history, whole_history};
use crate::core::Core;
use crate::rows::Head;
use crate::{head_row, keys, projection};
use counting::{Counting, Given};
use story::{RECORDS, START, language, name, record, story, tag};

type Id = [u8; 16];

struct House {
    core: Core,
    given: Arc<Given>,
    /// Of all records, newest first.
    heads: Vec<Head>,
    _folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let (folder, given) = (tempfile::tempdir().unwrap(), Arc::new(Given::default()));
        let store = Arc::new(Counting {
            inner: MemoryStore::new(),
            given: Arc::clone(&given),
        });
        let core = Core::for_tests(store, folder.path(), START);
        let journal = story().into_iter().map(|body| {
            let event = Event {
                at: START,
                actor: Actor::Hub,
                body,
            };
            event.to_bytes().unwrap()
        });
        let batch = Batch {
            journal: journal.collect(),
            ..Batch::default()
        };
        core.store.apply(batch).await.unwrap();
        projection::catch_up(&core).await.unwrap();
        let view = core.store.view().await.unwrap();
        let page = view
            .scan(keys::all(keys::HEAD), Order::Descending, 10_000)
            .await
            .unwrap();
        let decode = |row: &Row| {
            let id = FeedbackId::from_bytes(keys::last_id(&row.key).unwrap());
            head_row::decode(id, &row.value.bytes).unwrap()
        };
        let heads: Vec<Head> = page.rows.iter().map(decode).collect();
        assert_eq!(heads.len(), usize::try_from(RECORDS).unwrap());
        given.taken();
        Self {
            core,
            given,
            heads,
            _folder: folder,
        }
    }

    /// What a list must hold, newest first.
    fn expected(&self, filter: &FeedbackFilter) -> Vec<Id> {
        let from = filter.from.map_or([0; 16], keys::first_id_at);
        let to = filter.to.map_or([0xFF; 16], keys::first_id_at);
        let heads = self.heads.iter().filter(|head| matches(filter, head));
        let ids = heads.map(|head| head.feedback.to_bytes());
        ids.filter(|id| (from..to).contains(id)).collect()
    }

    async fn page(&self, filter: &FeedbackFilter, cursor: Option<&str>, limit: usize) -> FeedbackPage {
        feedback_page(&self.core, filter, cursor, limit).await.unwrap()
    }

    /// All pages from a cursor on, put together, and how many they are.
    async fn listed(&self, filter: &FeedbackFilter, cursor: Option<String>) -> (Vec<Id>, usize) {
        let (mut found, mut cursor, mut pages) = (Vec::new(), cursor, 0);
        loop {
            let page = self.page(filter, cursor.as_deref(), 7).await;
            assert!(page.items.len() <= 7);
            found.extend(page.items.iter().map(|item| item.head.feedback.to_bytes()));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                return (found, pages);
            }
        }
    }
}

fn with(change: impl FnOnce(&mut FeedbackFilter)) -> FeedbackFilter {
    let mut filter = FeedbackFilter::default();
    change(&mut filter);
    filter
}

fn scored(metric: &str, min: Option<f64>, max: Option<f64>) -> FeedbackFilter {
    let metric = metric.to_owned();
    with(|filter| filter.score = Some(ScoreFilter { metric, min, max }))
}

/// So many milliseconds after the start.
fn after(millis: i64) -> Option<Time> {
    Some(Time(START.0 + millis))
}

/// Filters of every sort, alone and together; each finds something.
fn filters() -> Vec<FeedbackFilter> {
    let channel = |text: &str| Some(Channel::new(tag(text)));
    let contact = |number: u8| Some(ContactId::from_bytes([number; 16]));
    vec![
        FeedbackFilter::default(),
        with(|filter| filter.channel = channel("كشك")),
        with(|filter| filter.channel = channel("form")),
        with(|filter| filter.instance = Some(name("branch"))),
        with(|filter| filter.kind = Some(Kind::Defect)),
        with(|filter| filter.kind = Some(Kind::Praise)),
        with(|filter| filter.destination = Some(name("legal"))),
        with(|filter| filter.destination = Some(name("service"))),
        with(|filter| filter.language = Some(language("ar"))),
        with(|filter| filter.language = Some(language("ar-OM"))),
        with(|filter| filter.language = Some(language("fa"))),
        with(|filter| filter.tag = Some(tag("شحن"))),
        with(|filter| filter.tag = Some(tag("عاجل"))),
        with(|filter| (filter.tag, filter.destination) = (Some(tag("نادر")), Some(name("service")))),
        with(|filter| filter.contact = contact(3)),
        with(|filter| (filter.contact, filter.kind) = (contact(5), Some(Kind::Complaint))),
        with(|filter| {
            (filter.channel, filter.language) = (channel("mail"), Some(language("ar")));
            (filter.from, filter.to) = (after(7_000), after(21_000));
        }),
        with(|filter| (filter.tag, filter.from) = (Some(tag("عاجل")), after(9_000))),
        with(|filter| (filter.tag, filter.to) = (Some(tag("شحن")), after(2_000))),
        with(|filter| (filter.from, filter.to) = (after(9_000), after(12_000))),
        with(|filter| (filter.kind, filter.occurred_to) = (Some(Kind::Complaint), after(900))),
        scored("nps", None, None),
        scored("nps", Some(9.0), None),
        scored("nps", Some(2.5), Some(3.0)),
        scored("رضا", None, Some(1.0)),
    ]
}

#[tokio::test]
async fn a_list_by_any_filter_is_what_a_look_at_every_head_finds() {
    let house = House::new().await;
    for filter in filters() {
        let expected = house.expected(&filter);
        assert!(!expected.is_empty(), "{filter:?}");
        let (found, _) = house.listed(&filter, None).await;
        assert_eq!(found, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_any_list_goes_on_in_any_other() {
    let house = House::new().await;
    let reached = house.page(&FeedbackFilter::default(), None, 1_000).await.next.unwrap();
    for filter in filters() {
        let expected = house.expected(&filter);
        let below = |id: Id| {
            expected
                .iter()
                .copied()
                .filter(|found| *found < id)
                .collect::<Vec<Id>>()
        };
        for number in [RECORDS, 1_234, 3, 0] {
            let id = record(number).to_bytes();
            let (found, _) = house.listed(&filter, Some(cursor_text(id))).await;
            assert_eq!(found, below(id), "{filter:?} below {number}");
        }
        let (found, _) = house.listed(&filter, Some(reached.clone())).await;
        assert_eq!(found, below(house.heads[999].feedback.to_bytes()), "{filter:?}");
    }
}

#[tokio::test]
async fn a_damaged_block_hides_nothing_from_a_list() {
    let house = House::new().await;
    let view = house.core.store.view().await.unwrap();
    let blocks = view.scan(keys::all(keys::FACETS), Order::Ascending, 100).await;
    drop(view);
    let blocks = blocks.unwrap().rows;
    let damaged = [0, 7, blocks.len() - 1].map(|at| Edit::Put(blocks[at].key.clone(), "فهرس تالف".into()));
    let batch = Batch {
        edits: damaged.into(),
        ..Batch::default()
    };
    house.core.store.apply(batch).await.unwrap();
    let within = keys::last_id(&blocks[8].key).unwrap();
    for filter in filters() {
        let expected = house.expected(&filter);
        let (found, _) = house.listed(&filter, None).await;
        assert_eq!(found, expected, "{filter:?}");
        // Also from the middle of one on.
        for id in [within, record(80).to_bytes(), record(RECORDS - 5).to_bytes()] {
            let (found, _) = house.listed(&filter, Some(cursor_text(id))).await;
            let below: Vec<Id> = expected.iter().copied().filter(|found| *found < id).collect();
            assert_eq!(found, below, "{filter:?}");
        }
    }
}

#[tokio::test]
async fn a_damaged_head_costs_a_list_itself_and_is_named() {
    let house = House::new().await;
    let lost = record(1_234);
    let batch = Batch {
        edits: vec![Edit::Put(keys::head(lost), "صف تالف".into())],
        ..Batch::default()
    };
    house.core.store.apply(batch).await.unwrap();
    for filter in [FeedbackFilter::default(), with(|filter| filter.tag = Some(tag("شحن")))] {
        let mut expected = house.expected(&filter);
        assert!(expected.contains(&lost.to_bytes()));
        expected.retain(|id| *id != lost.to_bytes());
        assert_eq!(house.listed(&filter, None).await.0, expected);
        let (mut cursor, mut damaged) = (None, Vec::new());
        loop {
            let page = house.page(&filter, cursor.as_deref(), 200).await;
            damaged.extend(page.damaged);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(damaged, [lost]);
    }
}

#[tokio::test]
async fn a_page_that_finds_nothing_within_its_bound_says_where_to_go_on() {
    let house = House::new().await;
    let nobody = with(|filter| filter.tag = Some(tag("لا-شيء")));
    let first = house.page(&nobody, None, 50).await;
    assert!(first.items.is_empty() && first.next.is_some());
    assert_eq!(first.scanned, 0);
    let (found, pages) = house.listed(&nobody, None).await;
    // 3 000 records, of whose facets a page looks at a thousand or a few blocks more.
    assert!(found.is_empty() && (2..=3).contains(&pages), "{pages}");
}

#[tokio::test]
async fn what_is_rare_is_found_by_a_look_at_few_rows() {
    let house = House::new().await;
    let rare = with(|filter| filter.channel = Some(Channel::new(tag("كشك"))));
    let page = house.page(&rare, None, 2).await;
    let (heads, blocks) = house.given.taken();
    assert_eq!((page.items.len(), heads), (2, 2));
    // The second lies 750 records from the end; blocks are read by two, four and so on.
    assert!(blocks <= 6, "{blocks}");
    assert_eq!(page.scanned, 2);

    let usual = with(|filter| filter.kind = Some(Kind::Praise));
    assert_eq!(house.page(&usual, None, 20).await.items.len(), 20);
    let (heads, blocks) = house.given.taken();
    assert!(heads <= 64 && blocks <= 2, "{heads} heads, {blocks} blocks");
}

#[tokio::test]
async fn whoever_is_to_see_all_of_a_long_story_sees_it() {
    let house = House::new().await;
    let failed = EnrichmentFailed {
        feedback: record(0),
        revision: 1,
        instance: name("language"),
        code: "timeout".into(),
    };
    let before = whole_history(&house.core, record(0)).await.unwrap().len();
    let event = house
        .core
        .event(Actor::Hub, EventBody::EnrichmentFailed(failed))
        .unwrap();
    let batch = Batch {
        journal: vec![event; HISTORY_MAX],
        ..Batch::default()
    };
    house.core.store.apply(batch).await.unwrap();
    assert_eq!(history(&house.core, record(0)).await.unwrap().len(), HISTORY_MAX);
    let whole = whole_history(&house.core, record(0)).await.unwrap();
    assert_eq!(whole.len(), before + HISTORY_MAX);
}

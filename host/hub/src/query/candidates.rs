//! Which records a list looks at, newest first: all of them, those under an entry of an index, or those whose facets say
//! that they may be wanted. Each way goes on where any other stopped: at an id.

use std::collections::VecDeque;

use mihwar_model::FeedbackId;
use mihwar_store::{Key, KeyRange, Order, Row, View};

use super::{FeedbackFilter, QueryError, cursor_id, cursor_text};
use crate::facets::{self, Passing, Wanted};
use crate::fault::Fault;
use crate::head_row;
use crate::keys::{self, Lookup};
use crate::rows::Head;

/// About how many records' facets are looked at for one page: some 2 000 blocks of up to 4 KB. A block in which nothing is
/// found is not read beyond its codes: all of them take about the time of [`super::LOOKED_AT_MAX`] heads. Few in tests, so
/// that a list of some thousand records has pages that end there.
const FACETS_LOOKED_AT_MAX: usize = if cfg!(test) { 1_000 } else { 400_000 };
/// Blocks of facets read in one go: at first, for what is in each block; then twice as many each time, for what is rare.
const BLOCKS_AT_FIRST: usize = 2;
const BLOCKS_MAX: usize = 128;

type Id = [u8; 16];
/// A record that is looked at; `None` when it was not received within the bounds.
pub(super) type Candidate = (Id, Result<Option<Head>, Damaged>);

/// That the head of a record cannot be read.
pub(super) struct Damaged;

/// A walk over the records that a filter may want.
pub(super) struct Candidates {
    walk: Walk,
    bounds: KeyRange,
    reached: Option<Id>,
    has_ended: bool,
}

enum Walk {
    /// All heads, as far as they are not looked at.
    Heads(Option<KeyRange>),
    /// The entries of an index.
    Index(Option<KeyRange>),
    Facets(FacetWalk),
}

impl Candidates {
    pub(super) fn new(filter: &FeedbackFilter, cursor: Option<&str>) -> Result<Self, QueryError> {
        let cursor = cursor.map(cursor_id).transpose()?;
        let bounds = keys::heads_between(filter.from, filter.to);
        let by_thread = || filter.thread.map(Lookup::Thread);
        let lookup = filter.contact.map(Lookup::Contact).or_else(by_thread);
        let walk = match (lookup, Wanted::of(filter)) {
            (Some(lookup), _) => {
                let after = |id| lookup.entry(FeedbackId::from_bytes(id));
                Walk::Index(Some(before(lookup.entries(), cursor.map(after).as_ref())))
            }
            (None, Some(wanted)) => Walk::Facets(FacetWalk::new(wanted, filter, cursor)),
            (None, None) => {
                let after = |id| keys::head(FeedbackId::from_bytes(id));
                Walk::Heads(Some(before(bounds.clone(), cursor.map(after).as_ref())))
            }
        };
        Ok(Self {
            walk,
            bounds,
            reached: cursor,
            has_ended: false,
        })
    }

    /// The next candidates, at most `most` of them, or `None` when there are no more for this page. All that came before
    /// must have been looked at. `lacking` is how many records the page still has room for.
    pub(super) async fn next(
        &mut self,
        view: &dyn View,
        lacking: usize,
        most: usize,
    ) -> Result<Option<Vec<Candidate>>, Fault> {
        let candidates = match &mut self.walk {
            Walk::Heads(rest) => {
                let rows = page(view, rest, most).await?;
                self.has_ended = rest.is_none();
                decoded(rows)
            }
            Walk::Index(rest) => {
                let rows = page(view, rest, most).await?;
                self.has_ended = rest.is_none();
                let ids = rows.iter().filter_map(|row| keys::last_id(&row.key)).collect();
                looked_up(view, ids, &self.bounds).await?
            }
            Walk::Facets(walk) => {
                let ids = walk.next(view, lacking, most).await?;
                self.has_ended = walk.has_ended();
                if ids.is_empty() {
                    self.reached = walk.reached.or(self.reached);
                }
                looked_up(view, ids, &self.bounds).await?
            }
        };
        Ok((!candidates.is_empty()).then_some(candidates))
    }

    /// Notes that a candidate has been looked at.
    pub(super) fn reach(&mut self, id: Id) {
        self.reached = Some(id);
    }

    /// Where the next page begins, after a page that is full: there may be one.
    pub(super) fn after_full(&self) -> Option<String> {
        self.reached.map(cursor_text)
    }

    /// Where the next page begins, after the last candidates have been looked at; `None` at the end.
    pub(super) fn after_all(&self) -> Option<String> {
        self.after_full().filter(|_| !self.has_ended)
    }
}

/// The part of a range below a key, if there is one.
fn before(range: KeyRange, key: Option<&Key>) -> KeyRange {
    match key {
        Some(key) => range.before(key),
        None => range,
    }
}

async fn page(view: &dyn View, rest: &mut Option<KeyRange>, most: usize) -> Result<Vec<Row>, Fault> {
    let Some(range) = rest.take() else {
        return Ok(Vec::new());
    };
    let page = view.scan(range, Order::Descending, most).await?;
    *rest = page.next;
    Ok(page.rows)
}

fn decoded(rows: Vec<Row>) -> Vec<Candidate> {
    let candidate = |row: Row| {
        let id = keys::last_id(&row.key)?;
        Some((id, read_head(id, &row.value.bytes).map(Some)))
    };
    rows.into_iter().filter_map(candidate).collect()
}

async fn looked_up(view: &dyn View, ids: Vec<Id>, bounds: &KeyRange) -> Result<Vec<Candidate>, Fault> {
    let lookups: Vec<Key> = ids.iter().map(|id| keys::head(FeedbackId::from_bytes(*id))).collect();
    let found = view.get_many(&lookups).await?;
    let mut candidates = Vec::with_capacity(ids.len());
    for ((id, key), row) in ids.into_iter().zip(&lookups).zip(found) {
        let row = row.filter(|_| bounds.contains(key));
        let head = row.map(|row| read_head(id, &row.bytes));
        candidates.push((id, head.transpose()));
    }
    Ok(candidates)
}

/// One damaged head must not hide the list that it stands in.
fn read_head(id: Id, row: &[u8]) -> Result<Head, Damaged> {
    let feedback = FeedbackId::from_bytes(id);
    head_row::decode(feedback, row).map_err(|error| {
        tracing::error!(%feedback, "left out of a list: {error}; run: mihwar ledger verify");
        Damaged
    })
}

/// A walk over the blocks of facets.
struct FacetWalk {
    wanted: Wanted,
    /// Blocks that are not read yet.
    rest: Option<KeyRange>,
    /// The lowest id that is wanted.
    from: Id,
    /// Ids from here on are not wanted.
    below: Option<Id>,
    /// What was found in blocks that were read and has not been handed out, newest first.
    passing: VecDeque<Id>,
    /// Where the last block that was read begins.
    reached: Option<Id>,
    looked_at: usize,
    at_once: usize,
}

impl FacetWalk {
    fn new(wanted: Wanted, filter: &FeedbackFilter, cursor: Option<Id>) -> Self {
        let below = [filter.to.map(keys::first_id_at), cursor].into_iter().flatten().min();
        Self {
            wanted,
            rest: Some(before(keys::all(keys::FACETS), below.map(keys::facets).as_ref())),
            from: filter.from.map_or([0; 16], keys::first_id_at),
            below,
            passing: VecDeque::new(),
            reached: None,
            looked_at: 0,
            at_once: BLOCKS_AT_FIRST,
        }
    }

    /// The next ids: reads blocks until there are as many as are lacking, the blocks end, or enough were looked at.
    async fn next(&mut self, view: &dyn View, lacking: usize, most: usize) -> Result<Vec<Id>, Fault> {
        while self.passing.len() < lacking.min(most) && self.looked_at < FACETS_LOOKED_AT_MAX {
            let rows = page(view, &mut self.rest, self.at_once).await?;
            if rows.is_empty() {
                break;
            }
            self.at_once = (self.at_once * 2).min(BLOCKS_MAX);
            self.read(view, &rows).await?;
        }
        let count = most.min(self.passing.len());
        Ok(self.passing.drain(..count).collect())
    }

    async fn read(&mut self, view: &dyn View, rows: &[Row]) -> Result<(), Fault> {
        for row in rows {
            let Some(first) = keys::last_id(&row.key) else {
                continue;
            };
            let found = match Passing::read(&row.value.bytes, &self.wanted) {
                Ok(found) => found,
                // It ends where the last one that was read begins.
                Err(error) => facets::everything(view, first, self.reached.or(self.below), error).await?,
            };
            self.looked_at += found.records;
            let (from, below) = (self.from, self.below);
            let is_within = |id: &Id| *id >= from && below.is_none_or(|below| *id < below);
            self.passing.extend(found.ids.into_iter().rev().filter(is_within));
            self.reached = Some(first);
            if first <= from {
                self.rest = None;
                break;
            }
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.rest.is_none() && self.passing.is_empty()
    }
}

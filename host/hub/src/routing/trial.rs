//! Another rule set, tried on records that are there: who would receive what, were it in force.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use mihwar_model::{Content, Event, EventBody, FeedbackId, InstanceName, Time};
use mihwar_store::{JournalEntry, Key, Order, Row, View};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{RuleSet, story};
use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::query::{self, QueryError};
use crate::rows::Head;
use crate::walk::aside;
use crate::{head_row, keys, projection};

/// Records looked at in one go.
const RECORDS_AT_ONCE: usize = if cfg!(test) { 5 } else { 256 };
/// Bytes of content in memory.
const CONTENT_BYTES_MAX: usize = 8 << 20;
/// Ways to move that are told one by one.
const MOVES_MAX: usize = 1_000;
/// Records that are named for each of them.
const EXAMPLES_MAX: usize = 5;
/// Entries of the ledger that a head names at most: of a record that has as many there may be more.
const ENTRIES_IN_HEAD: usize = 16;
/// Entries that are read although nobody asked for them, where the next that is asked for lies behind them.
const GAP_MAX: u64 = 64;

/// How far a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialProgress {
    /// Records looked at.
    pub records: u64,
    /// Milliseconds of the period that are done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// Records that would go elsewhere: all from the same departments to the same others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingMove {
    /// Departments that received them, sorted; empty for nobody.
    pub from: Vec<InstanceName>,
    /// Departments that would, sorted; empty for nobody.
    pub to: Vec<InstanceName>,
    /// How many.
    pub count: u64,
    /// Some of them, the oldest first.
    pub examples: Vec<FeedbackId>,
}

/// How often a rule spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTally {
    /// The rule's name.
    pub rule: String,
    /// Records that it matched. Where the first rule decides, those that came to it.
    pub matched: u64,
    /// Records on which it failed.
    pub failed: u64,
}

/// What a rule set would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingTrial {
    /// Records of the period.
    pub records: u64,
    /// Of these, as many would go to the departments that received them.
    pub same: u64,
    /// As many would go elsewhere.
    pub moved: u64,
    /// Where from and where to, the most frequent first.
    pub moves: Vec<RoutingMove>,
    /// Records in ways to move that are not told one by one, because there are more than a thousand.
    pub in_other_moves: u64,
    /// The rules, in their order.
    pub rules: Vec<RuleTally>,
    /// Records that no rule and no enricher chose anybody for.
    pub left_to_default: u64,
    /// Records that were not compared: what they said is gone.
    pub gone: u64,
    /// … they are kept and given to nobody.
    pub quarantined: u64,
    /// … they wait to be routed for the first time.
    pub waiting: u64,
    /// … what the hub has of them is damaged.
    pub damaged: u64,
}

impl Hub {
    /// Tries rules on the records that were received from `from` (left out: the first) and before `to` (left out: the
    /// last): what they would choose, compared with who received each record's newest revision. Nothing is written. Holds a
    /// few hundred records at a time, and waits for trials that others have begun.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn try_rules(
        &self,
        rules: Arc<RuleSet>,
        from: Option<Time>,
        to: Option<Time>,
        progress: mpsc::Sender<TrialProgress>,
    ) -> Result<RoutingTrial, QueryError> {
        let _turn = self.shared.trials.lock().await;
        let core = &self.shared.core;
        projection::catch_up_for_readers(core).await?;
        let config = self.shared.config();
        let asking = config.departments.iter().map(|department| &department.name);
        let known = config.instances.iter().map(|instance| &instance.name).chain(asking);
        let known: HashSet<InstanceName> = known.chain(rules.destinations()).cloned().collect();
        let mut tally = Tally::new(Arc::clone(&rules));
        let (mut begin, mut rest) = (from, Some(keys::heads_between(from, to)));
        let end = to.unwrap_or_else(|| core.clock.now());
        while let Some(range) = rest {
            let started = Instant::now();
            let view = core.store.view().await?;
            let page = view.scan(range, Order::Ascending, RECORDS_AT_ONCE).await?;
            rest = page.next;
            let last = page.rows.last().and_then(|row| keys::last_id(&row.key));
            tally = with_page(core, &*view, page.rows, &known, tally).await?;
            drop(view);
            if let Some(last) = last {
                let at = FeedbackId::from_bytes(last).made_at();
                let begin = *begin.get_or_insert(at);
                let millis = |until: Time| u64::try_from(until.0.saturating_sub(begin.0)).unwrap_or_default();
                // Whoever listens may lag behind; the work does not wait for it.
                progress
                    .try_send(TrialProgress {
                        records: tally.trial.records,
                        done: millis(at),
                        total: millis(end),
                    })
                    .ok();
            }
            core.give_way(started.elapsed(), false).await;
        }
        Ok(tally.finish())
    }
}

/// A record that rules can be tried on.
struct Tried {
    head: Head,
    content: Content,
    asked: Vec<(InstanceName, InstanceName)>,
    /// Who received it.
    received_by: Vec<InstanceName>,
}

/// What the ledger tells of a record.
#[derive(Default)]
struct Told(Vec<Event>);

impl Told {
    /// When a revision came in, and who received it; `None` when that is not decided.
    fn of_revision(&self, revision: u32) -> Option<(Option<Time>, Vec<InstanceName>)> {
        let (mut received, mut routed) = (None, None);
        for event in &self.0 {
            match &event.body {
                EventBody::Received(body) if body.revision == revision => received = Some(event.at),
                EventBody::Routed(body) if body.revision == revision => {
                    let departments = body.routes.iter().map(|route| route.destination.clone());
                    routed = Some(departments.collect());
                }
                _ => {}
            }
        }
        routed.map(|routed| (received, routed))
    }
}

/// Tries the rules on a page of records. Of those that cannot be compared it counts why.
async fn with_page(
    core: &Core,
    view: &dyn View,
    rows: Vec<Row>,
    known: &HashSet<InstanceName>,
    mut tally: Tally,
) -> Result<Tally, Fault> {
    let heads = tally.comparable(rows);
    let mut told = told(view, &heads).await?;
    let places: Vec<Key> = heads
        .iter()
        .map(|head| keys::content(head.feedback, head.revision))
        .collect();
    let contents = view.get_many(&places).await?;
    let contacts = heads.iter().map(|head| head.contact).collect();
    let contacts = core.contact_keys(view, contacts).await?;
    let (mut opened, mut bytes) = (Vec::new(), 0);
    for (mut head, content) in heads.into_iter().zip(contents) {
        let told = told.remove(&head.feedback).unwrap_or_default();
        let Some((received, received_by)) = told.of_revision(head.revision) else {
            tally.trial.waiting += 1;
            continue;
        };
        let found = match &content {
            Some(row) => {
                let (contact, feedback, revision) = (head.contact, head.feedback, head.revision);
                core.open_with(&contacts, contact, feedback, revision, &row.bytes).await
            }
            None => Ok(None),
        };
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => {
                tally.trial.gone += 1;
                continue;
            }
            Err(error) if error.is_unreadable() => {
                tally.trial.damaged += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        // Rules saw when this revision came in, and not the first.
        head.received_at = received.unwrap_or(head.received_at);
        bytes += found.bytes;
        opened.push(Tried {
            asked: story::asked(told.0.iter(), head.revision, |name| known.contains(name)),
            head,
            content: found.content,
            received_by,
        });
        if bytes >= CONTENT_BYTES_MAX {
            let full = std::mem::take(&mut opened);
            tally = aside(move || tally.with(full)).await?;
            bytes = 0;
        }
    }
    aside(move || tally.with(opened)).await
}

/// What the ledger tells of these records, as far as it changed their heads.
async fn told(view: &dyn View, heads: &[Head]) -> Result<HashMap<FeedbackId, Told>, Fault> {
    let mut wanted: Vec<(u64, FeedbackId)> = Vec::new();
    for head in heads {
        let mut sequences = head.entries.clone().into_sequences();
        if sequences.len() >= ENTRIES_IN_HEAD {
            sequences = query::sequences(view, head.feedback, usize::MAX).await?;
        }
        wanted.extend(sequences.into_iter().map(|sequence| (sequence, head.feedback)));
    }
    wanted.sort_unstable();
    let mut found: HashMap<FeedbackId, Told> = HashMap::new();
    for entry in entries(view, &wanted).await? {
        let Ok(place) = wanted.binary_search_by_key(&entry.sequence, |(sequence, _)| *sequence) else {
            continue;
        };
        // One that cannot be read leaves its record undecided here; `mihwar ledger verify` names it.
        if let (Some((_, feedback)), Ok(event)) = (wanted.get(place), Event::from_bytes(&entry.bytes)) {
            found.entry(*feedback).or_default().0.push(event);
        }
    }
    Ok(found)
}

/// Entries of the ledger, in their order, with some that lie between them.
async fn entries(view: &dyn View, wanted: &[(u64, FeedbackId)]) -> Result<Vec<JournalEntry>, Fault> {
    let runs = wanted.chunk_by(|(before, _), (after, _)| after - before <= GAP_MAX);
    let mut found = Vec::new();
    for run in runs {
        let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
            continue;
        };
        let mut from = *first;
        while from <= *last {
            let count = usize::try_from(last - from).unwrap_or(usize::MAX).saturating_add(1);
            let page = view.journal(from, count).await?;
            let Some(end) = page.last() else {
                break;
            };
            from = end.sequence + 1;
            found.extend(page);
        }
    }
    Ok(found)
}

/// From which departments to which.
type Way = (Vec<InstanceName>, Vec<InstanceName>);

/// A trial that goes on.
struct Tally {
    rules: Arc<RuleSet>,
    trial: RoutingTrial,
    /// How many go each way, and examples of them.
    moves: BTreeMap<Way, (u64, Vec<FeedbackId>)>,
}

impl Tally {
    fn new(rules: Arc<RuleSet>) -> Self {
        let tally = |name: &String| RuleTally {
            rule: name.clone(),
            matched: 0,
            failed: 0,
        };
        let trial = RoutingTrial {
            rules: rules.source.routes.iter().map(|route| tally(&route.name)).collect(),
            ..RoutingTrial::default()
        };
        Self {
            rules,
            trial,
            moves: BTreeMap::new(),
        }
    }

    /// The heads of records that may be compared; the others are counted.
    fn comparable(&mut self, rows: Vec<Row>) -> Vec<Head> {
        let counts = &mut self.trial;
        counts.records += rows.len() as u64;
        let mut heads = Vec::with_capacity(rows.len());
        for row in rows {
            let id = keys::last_id(&row.key).map(FeedbackId::from_bytes);
            match id.map(|id| head_row::decode(id, &row.value.bytes)) {
                Some(Ok(head)) if head.withdrawn || head.erased_at.is_some() => counts.gone += 1,
                Some(Ok(head)) if head.quarantine.is_some() => counts.quarantined += 1,
                Some(Ok(head)) => heads.push(head),
                Some(Err(_)) | None => counts.damaged += 1,
            }
        }
        heads
    }

    fn with(mut self, records: Vec<Tried>) -> Self {
        for record in records {
            self.take(record);
        }
        self
    }

    fn take(&mut self, record: Tried) {
        let Tried {
            head,
            content,
            asked,
            received_by,
        } = record;
        let decided = self.rules.decide(&head, &content, &asked);
        for index in &decided.matched {
            if let Some(tally) = self.trial.rules.get_mut(*index) {
                tally.matched += 1;
            }
        }
        for (index, _) in &decided.failed {
            if let Some(tally) = self.trial.rules.get_mut(*index) {
                tally.failed += 1;
            }
        }
        let to: Vec<_> = decided
            .decisions
            .into_iter()
            .map(|decision| decision.destination)
            .collect();
        if decided.matched.is_empty() && asked.is_empty() {
            self.trial.left_to_default += 1;
        }
        let (from, to) = (sorted(received_by), sorted(to));
        if from == to {
            self.trial.same += 1;
            return;
        }
        self.trial.moved += 1;
        let is_full = self.moves.len() >= MOVES_MAX;
        let way = (from, to);
        if is_full && !self.moves.contains_key(&way) {
            self.trial.in_other_moves += 1;
            return;
        }
        let (count, examples) = self.moves.entry(way).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(head.feedback);
        }
    }

    fn finish(self) -> RoutingTrial {
        let moves = self.moves.into_iter();
        let moves = moves.map(|((from, to), (count, examples))| RoutingMove {
            from,
            to,
            count,
            examples,
        });
        let mut moves: Vec<_> = moves.collect();
        moves.sort_by_key(|one| std::cmp::Reverse(one.count));
        RoutingTrial { moves, ..self.trial }
    }
}

fn sorted(mut names: Vec<InstanceName>) -> Vec<InstanceName> {
    names.sort_unstable();
    names.dedup();
    names
}

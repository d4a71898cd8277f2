//! Read models: folds over the ledger, kept up behind the writes. They can be made anew beside the ones in use: see
//! [`crate::rebuild`].

use std::sync::Arc;
use std::time::Duration;

use mihwar_store::{Edit, Guard, JournalEntry, Store, View};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::fault::Fault;
use crate::folding::fold;
use crate::keys;
use crate::rows;

/// How long a reader waits for the read models to see what was committed before it asked.
const READERS_WAIT: Duration = Duration::from_secs(2);
/// Behind by more events than this, read models share the time with intake by halves.
const LATE_EVENTS: u64 = 300_000;
/// Events folded in one transaction.
pub(crate) const EVENTS_MAX: usize = 1_000;

/// Where the read models stand: the sequence of the next event to fold, and the version of the row.
pub(crate) async fn position(view: &dyn View) -> Result<(u64, Option<u64>), Fault> {
    match view.get(&keys::position()).await? {
        Some(row) => Ok((
            rows::decode("the read models' position", &row.bytes)?,
            Some(row.version),
        )),
        None => Ok((0, None)),
    }
}

/// Where the read models stand, to be guarded: whoever writes them wants nobody to have been faster.
pub(crate) fn guard(version: Option<u64>) -> Guard {
    match version {
        Some(version) => Guard::At(keys::position(), version),
        None => Guard::Absent(keys::position()),
    }
}

/// That the ledger has a hole where an entry must be.
pub(crate) fn missing_entry(sequence: u64) -> Fault {
    Fault::Damaged {
        what: "the ledger",
        detail: format!("entry {sequence} is missing"),
    }
}

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advanced {
    /// Events that were folded.
    pub(crate) events: usize,
    /// Where the read models stand since; nothing where somebody else was faster.
    reached: Option<u64>,
    /// Events behind them that the ledger had when the step began.
    left: u64,
}

/// Folds what is new, up to `most` events and not beyond `until`: fewer, where the rows that they change are more than a
/// transaction takes.
pub(crate) async fn advance(store: &Arc<dyn Store>, until: u64, mut most: usize) -> Result<Advanced, Fault> {
    loop {
        match fold_some(store, until, most).await {
            // An event is small, but the rows that it changes are written whole: revisions of records from all over the
            // past change as many blocks of facets. Tried again as it is, this would never go on.
            Err(Fault::TooLarge(_)) if most > 1 => most = (most / 4).max(1),
            done => return done,
        }
    }
}

async fn fold_some(store: &Arc<dyn Store>, until: u64, most: usize) -> Result<Advanced, Fault> {
    let view = store.view().await?;
    let size = view.tree().size();
    let (from, version) = position(&*view).await?;
    let room = usize::try_from(until.min(size).saturating_sub(from))
        .unwrap_or(usize::MAX)
        .min(most);
    if room == 0 {
        return Ok(Advanced {
            events: 0,
            reached: Some(from),
            left: 0,
        });
    }
    let entries = view.journal(from, room).await?;
    if let Some(missing) = first_missing(from, &entries) {
        return Err(missing_entry(missing));
    }
    let events = entries.len();
    let next = from + events as u64;
    let mut batch = fold(&*view, &entries).await?;
    // The engine in memory copies its rows for a writer while a view looks at them.
    drop(view);
    batch.guards.push(guard(version));
    batch.edits.push(Edit::Put(keys::position(), rows::encode(&next)?));
    store.apply(batch).await?;
    Ok(Advanced {
        events,
        reached: Some(next),
        left: size.saturating_sub(next),
    })
}

/// The first entry that is missing from a page that must begin at `from` and have one at least.
fn first_missing(from: u64, page: &[JournalEntry]) -> Option<u64> {
    if page.is_empty() {
        return Some(from);
    }
    let mut expected = (from..).zip(page);
    expected.find_map(|(expected, entry)| (entry.sequence != expected).then_some(expected))
}

/// Keeps the read models up until told to stop.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    // However much there is to do: how far it came is written with each step.
    while !stop.is_cancelled() {
        let started = tokio::time::Instant::now();
        let pause = match step(&core, core.step_size(EVENTS_MAX)).await {
            Ok(Advanced { events: 0, .. }) => Duration::from_millis(500),
            Ok(Advanced { left, .. }) => {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = core.give_way(started.elapsed(), left > LATE_EVENTS) => {}
                }
                continue;
            }
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(error) => {
                tracing::error!("read models fall behind: {error}");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = core.wake.projector.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One step; somebody else having made the same step counts as progress.
async fn step(core: &Core, most: usize) -> Result<Advanced, Fault> {
    match advance(&core.store, u64::MAX, most).await {
        Err(Fault::Contended) => Ok(Advanced {
            events: 1,
            reached: None,
            left: 0,
        }),
        other => other,
    }
}

/// Folds until everything that is committed now is in the read models.
pub(crate) async fn catch_up(core: &Core) -> Result<(), Fault> {
    let view = core.store.view().await?;
    let size = view.tree().size();
    let (reached, _) = position(&*view).await?;
    drop(view);
    fold_up_to(core, reached, size).await
}

/// Folds until the first so many events are in the read models.
pub(crate) async fn catch_up_to(core: &Core, size: u64) -> Result<(), Fault> {
    fold_up_to(core, reached(core).await?, size).await
}

/// Where the read models stand now.
async fn reached(core: &Core) -> Result<u64, Fault> {
    let view = core.store.view().await?;
    let (reached, _) = position(&*view).await?;
    Ok(reached)
}

/// Folds from where the read models stand until the first so many events are in them.
async fn fold_up_to(core: &Core, mut from: u64, size: u64) -> Result<(), Fault> {
    let mut busy = 0_u32;
    while from < size {
        match step(core, EVENTS_MAX).await {
            Ok(Advanced { reached: Some(to), .. }) => from = to,
            Ok(_) => from = reached(core).await?,
            Err(Fault::Busy { retry_after }) if busy < 100 => {
                busy += 1;
                tokio::time::sleep(retry_after).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As [`catch_up`], but no longer than a reader should wait: under a flood of writes, or where nothing can be written, it
/// sees what is there.
pub(crate) async fn catch_up_for_readers(core: &Core) -> Result<(), Fault> {
    match tokio::time::timeout(READERS_WAIT, catch_up(core)).await {
        Ok(Err(Fault::NoSpace { .. } | Fault::Stopped(_) | Fault::Unknown)) | Err(_) => Ok(()),
        Ok(result) => result,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{
        ATTRIBUTES_MAX, Actor, Channel, ContactId, Enriched, Event, EventBody, FactValue, FeedbackId, InstanceName,
        Language, Received, Tag, Time,
    };
    use mihwar_store::{Batch, JournalEntry, MAX_BATCH_BYTES, MemoryStore};

    use super::{catch_up, first_missing};
    use crate::core::Core;
    use crate::enrichment::nothing;
    use crate::{head_row, keys};

    const START: Time = Time(1_790_000_000_000);

    fn record(number: u16) -> FeedbackId {
        let mut id = [7; 16];
        id[14..].copy_from_slice(&number.to_be_bytes());
        FeedbackId::from_bytes(id)
    }

    fn received(number: u16) -> EventBody {
        EventBody::Received(Received {
            feedback: record(number),
            revision: 1,
            contact: ContactId::from_bytes([3; 16]),
            instance: InstanceName::new("form").unwrap(),
            channel: Channel::new(Tag::new("form").unwrap()),
            kind: None,
            occurred_at: None,
            thread: None,
            language: None,
            scores: Vec::new(),
            tags: Vec::new(),
            attachments: Vec::new(),
            call: None,
            body_chars: 9,
            commitment: [1; 32],
            masked: None,
        })
    }

    /// What an enricher finds out about a record at most, or only its language.
    fn enriched(number: u16, language: Option<Language>) -> EventBody {
        let most = if language.is_none() { ATTRIBUTES_MAX } else { 0 };
        let text = |number: usize| format!("{number:x>64}");
        let attributes = (0..most).map(|number| (text(number), FactValue::Code(text(number))));
        EventBody::Enriched(Enriched {
            language,
            attributes: attributes.collect(),
            ..nothing(record(number), 1, InstanceName::new("reader").unwrap())
        })
    }

    #[tokio::test]
    async fn small_events_that_change_more_than_a_transaction_takes_are_folded_a_few_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(Arc::new(MemoryStore::new()), folder.path(), START);
        let arabic = Language::new("ar").unwrap();
        let told = |body| {
            let actor = Actor::Hub;
            Event { at: START, actor, body }.to_bytes().unwrap()
        };
        let all = 0..750_u16;
        let mut journal: Vec<Vec<u8>> = all.clone().map(|number| told(received(number))).collect();
        journal.extend(all.clone().map(|number| told(enriched(number, None))));
        journal.extend(all.clone().map(|number| told(enriched(number, Some(arabic.clone())))));
        for some in journal.chunks(400) {
            let journal = some.to_vec();
            let batch = Batch {
                journal,
                ..Batch::default()
            };
            core.store.apply(batch).await.unwrap();
        }
        catch_up(&core).await.unwrap();
        let view = core.store.view().await.unwrap();
        let mut bytes = 0;
        for number in all {
            let row = view.get(&keys::head(record(number))).await.unwrap().unwrap().bytes;
            let head = head_row::decode(record(number), &row).unwrap();
            assert_eq!(head.language.as_ref(), Some(&arabic));
            bytes += row.len();
        }
        assert!(bytes > MAX_BATCH_BYTES, "{bytes} bytes: all of them would fit");
    }

    #[test]
    fn a_hole_is_seen_wherever_it_is_in_a_page() {
        let page = |numbers: &[u64]| -> Vec<JournalEntry> {
            let entry = |sequence: &u64| JournalEntry {
                sequence: *sequence,
                bytes: "حدث".into(),
            };
            numbers.iter().map(entry).collect()
        };
        assert_eq!(first_missing(5, &page(&[5, 6, 7])), None);
        assert_eq!(first_missing(5, &page(&[6, 7])), Some(5));
        assert_eq!(first_missing(5, &page(&[5, 7])), Some(6));
        assert_eq!(first_missing(5, &page(&[])), Some(5));
    }
}

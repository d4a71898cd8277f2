//! One file of an import, page by page: its records and how far it came are one transaction.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::Actor;
use mihwar_sandbox::contract::importer::{ImportPage, ImportRequest, SourceFile};
use mihwar_sandbox::contract::types::PluginError;
use mihwar_sandbox::{CallError, CallFailure, Effects};
use mihwar_store::Edit;

use super::kept;
use super::pace::{Pace, Why};
use super::progress::{Share, Teller};
use super::refusals::Refusals;
use super::source::Source;
use crate::changes;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::intake::{self, Arrival, Intake, Rider};
use crate::keys;
use crate::lent;
use crate::rows::{self, ImportRow};

/// Pause when all call slots were taken; they were waited for already.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// Longest cursor. It shares a row of 100 kB with the refusals.
const CURSOR_BYTES_MAX: usize = 16_000;

/// How much of the reason why an item was passed over is kept, so that what became of it is kept behind it.
const REASON_BYTES_MAX: usize = 300;

/// The import of one file.
pub(super) struct FileImport {
    pub(super) shared: Arc<Shared>,
    pub(super) running: Arc<Running>,
    pub(super) actor: Actor,
    pub(super) job: [u8; 16],
    pub(super) source: Source,
    pub(super) teller: Arc<Teller>,
}

/// How far one file is.
struct Reading {
    row: ImportRow,
    refusals: Refusals,
    told: Share,
}

/// Why a page was not read, by what is to be done.
enum Stop {
    /// All call slots were taken.
    Busy,
    /// Come again, not before this pause.
    Wait(Duration, Why),
    /// Reading ended the call.
    Broke(Why),
    /// The plugin says that it cannot read on.
    End(Why),
}

impl FileImport {
    /// Reads the file to its end, from where an interrupted import was.
    pub(super) async fn run(&self, row: Option<ImportRow>) -> Result<ImportRow, Fault> {
        let core = &self.shared.core;
        let row = kept::opened(core, &self.source, row.unwrap_or_default())?;
        let mut reading = Reading {
            refusals: Refusals::read(core, &self.source, &row)?,
            row,
            told: Share::default(),
        };
        self.tell(&mut reading);
        if !reading.row.done {
            match File::open(&self.source.path) {
                Ok(file) => self.read(&Arc::new(file), &mut reading).await?,
                Err(error) => {
                    reading
                        .refusals
                        .end("file".into(), "unreadable".into(), error.to_string());
                    reading.row.refusals = reading.refusals.seal(core, &self.source)?;
                    reading.row.done = true;
                }
            }
        }
        self.tell(&mut reading);
        self.teller.finish_file();
        Ok(reading.row)
    }

    async fn read(&self, file: &Arc<File>, reading: &mut Reading) -> Result<(), Fault> {
        let retry = &self.running.config.retry;
        let mut pace = Pace::new();
        while !reading.row.done {
            match self.page(file, reading.row.cursor.clone(), pace.ask()).await {
                Ok((page, effects)) => self.keep(reading, pace.went_on(), page, &effects).await?,
                Err(Stop::Busy) => tokio::time::sleep(BUSY_PAUSE).await,
                Err(Stop::Wait(asked, why)) => match pace.asked_to_wait(retry.attempts()) {
                    Some(made) => {
                        let pause = retry.pause(made, self.shared.core.jitter());
                        tokio::time::sleep(pause.max(asked.min(retry.longest()))).await;
                    }
                    None => self.give_up(reading, why).await?,
                },
                Err(Stop::Broke(why)) => {
                    if let Err(why) = pace.broke(why) {
                        self.give_up(reading, why).await?;
                    }
                }
                Err(Stop::End(why)) => self.give_up(reading, why).await?,
            }
        }
        Ok(())
    }

    async fn page(
        &self,
        file: &Arc<File>,
        cursor: Option<String>,
        (max_items, skip): (u32, u32),
    ) -> Result<(ImportPage, Effects), Stop> {
        let core = &self.shared.core;
        let blobs = lent::ImportedFile {
            file: file.clone(),
            size: self.source.size,
        };
        let request = ImportRequest {
            file: SourceFile {
                name: self.source.name.clone(),
                size: self.source.size,
                modified_at: self.source.modified,
                content: lent::FILE_HANDLE.to_owned(),
            },
            cursor,
            max_items,
            skip,
        };
        let result = self
            .running
            .sandbox
            .read_file(request, lent::call(core, &self.running.name, Arc::new(blobs)))
            .await;
        self.running.note(core.clock.now(), "read", &result);
        match result {
            Ok(done) => Ok((done.value, done.effects)),
            Err(error) => Err(stop(&error)),
        }
    }

    /// Keeps a page: what it brings, what it refuses, and where it ended.
    async fn keep(
        &self,
        reading: &mut Reading,
        passed: Option<Why>,
        page: ImportPage,
        effects: &Effects,
    ) -> Result<(), Fault> {
        let (row, refusals) = (&mut reading.row, &mut reading.refusals);
        let unfit = unfit_cursor(row, &page);
        match (passed, unfit) {
            (Some(why), Some(_)) => {
                let reason = changes::cut(why.reason, REASON_BYTES_MAX) + "; it could not be passed over";
                refusals.end(place(row), why.code, reason);
            }
            (Some(why), None) => {
                let reason = changes::cut(why.reason, REASON_BYTES_MAX) + "; one item was passed over";
                refusals.add(place(row), why.code, reason);
            }
            (None, Some((code, reason))) => refusals.end(place(row), code.into(), reason.into()),
            (None, None) => {}
        }
        row.done = unfit.is_some() || !page.more;
        if unfit.is_none() {
            row.cursor = page.cursor;
        }
        row.position = row.position.max(page.position);
        for refusal in page.refusals {
            refusals.add(refusal.place, refusal.code, refusal.reason);
        }
        let taken = changes::arrivals(page.changes, effects);
        for (item, problems) in taken.refused {
            refusals.add(item, "invalid".into(), changes::list(&problems));
        }
        for report in taken.reports {
            let reason = "a file cannot report what became of an item: departments do, when they call or are asked";
            refusals.add(report.external_ref, "invalid".into(), reason.into());
        }
        let rider = Rider {
            edits: lent::state_edits(&self.shared.core, &self.running.name, effects)?,
            ..Rider::default()
        };
        self.commit(reading, &taken.arrivals, &rider).await
    }

    /// Leaves the rest of the file unread, and says so.
    async fn give_up(&self, reading: &mut Reading, why: Why) -> Result<(), Fault> {
        reading.refusals.end(place(&reading.row), why.code, why.reason);
        reading.row.done = true;
        self.commit(reading, &[], &Rider::default()).await
    }

    /// Writes the records of a page and the progress they make in one transaction. Which of them are new
    /// shows only while writing, so the progress row is made then.
    async fn commit(&self, reading: &mut Reading, arrivals: &[Arrival], rider: &Rider) -> Result<(), Fault> {
        let core = &self.shared.core;
        let key = keys::import(self.job, self.source.id);
        let come_to = |results: &[Option<Intake>]| -> Result<(ImportRow, Refusals), Fault> {
            let refusals = refused_late(reading.refusals.clone(), arrivals, results);
            let mut row = counted(reading.row.clone(), results);
            row.refusals = refusals.seal(core, &self.source)?;
            Ok((row, refusals))
        };
        let retry = &self.running.config.retry;
        let mut made = 0;
        let results = loop {
            let taken = intake::accept_with(core, &self.actor, &self.running.name, arrivals, rider, |results| {
                let row = kept::sealed(core, &self.source, come_to(results)?.0)?;
                Ok(Rider::of(Edit::Put(key.clone(), rows::encode(&row)?)))
            });
            match taken.await {
                // Nothing of the page was stored: it waits here until it can be masked.
                Err(held @ Fault::HeldBack { .. }) if made + 1 < retry.attempts() => {
                    made += 1;
                    tracing::warn!(instance = %self.running.name, made, "a page of an import waits: {held}");
                    tokio::time::sleep(retry.pause(made, core.jitter())).await;
                }
                taken => break taken?,
            }
        };
        let (row, refusals) = come_to(&results)?;
        reading.row = row;
        reading.refusals = refusals;
        self.tell(reading);
        Ok(())
    }

    fn tell(&self, reading: &mut Reading) {
        let bytes = if reading.row.done {
            self.source.size
        } else {
            reading.row.position.min(self.source.size)
        };
        let now = Share::of(&reading.row, &reading.refusals, bytes);
        self.teller.advance(&mut reading.told, now);
    }
}

/// A file's row with the records of a page counted in.
fn counted(mut row: ImportRow, results: &[Option<Intake>]) -> ImportRow {
    for result in results.iter().flatten() {
        match result {
            Intake::New { .. } => row.new += 1,
            Intake::Revised { .. } => row.revised += 1,
            Intake::Duplicate { .. } => row.duplicates += 1,
            Intake::Refused { .. } | Intake::Damaged { .. } => {}
        }
    }
    row
}

/// A file's refusals with what of a page the intake refused: what it needs of the store is damaged, or it could not be
/// masked.
fn refused_late(mut refusals: Refusals, arrivals: &[Arrival], results: &[Option<Intake>]) -> Refusals {
    for (item, problems) in intake::refused(arrivals, results) {
        let is_unmasked = problems.iter().any(|problem| problem.field == intake::NOT_MASKED);
        let code = if is_unmasked { "not-masked" } else { "damaged" };
        refusals.add(item.to_owned(), code.to_owned(), changes::list(problems));
    }
    refusals
}

/// Where in the file the next page begins, for a person.
fn place(row: &ImportRow) -> String {
    match &row.cursor {
        Some(cursor) => format!("position {}, after {cursor}", row.position),
        None => "the beginning".to_owned(),
    }
}

/// Code and reason why it cannot be gone on from where a page ended.
fn unfit_cursor(row: &ImportRow, page: &ImportPage) -> Option<(&'static str, &'static str)> {
    if page.more && page.cursor == row.cursor {
        return Some(("cursor-stuck", "the plugin asks to go on but its cursor does not move"));
    }
    let bytes = page.cursor.as_deref().map_or(0, str::len);
    (bytes > CURSOR_BYTES_MAX).then_some(("cursor-too-long", "the plugin's cursor is longer than 16 kB"))
}

fn stop(error: &CallError) -> Stop {
    let why = Why {
        code: error.code().to_owned(),
        reason: error.to_string(),
    };
    match &*error.failure {
        CallFailure::Busy { .. } => Stop::Busy,
        CallFailure::Plugin(PluginError::Transient(asked) | PluginError::RateLimited(asked)) => {
            Stop::Wait(asked.after_ms.map(Duration::from_millis).unwrap_or_default(), why)
        }
        CallFailure::Host(_) => Stop::Wait(Duration::ZERO, why),
        CallFailure::Plugin(_) | CallFailure::NotOffered(_) => Stop::End(why),
        CallFailure::Trap { .. }
        | CallFailure::TimeLimit { .. }
        | CallFailure::MemoryLimit { .. }
        | CallFailure::TableLimit { .. }
        | CallFailure::OutputTooLarge { .. } => Stop::Broke(why),
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{Channel, Draft, FeedbackId, FieldProblem, Tag};

    use super::{counted, refused_late};
    use crate::import::refusals::Refusals;
    use crate::intake::{Arrival, Intake};
    use crate::rows::ImportRow;

    #[test]
    fn what_the_intake_refuses_is_told_beside_what_it_keeps() {
        let item = |id: &str| {
            Arrival::from(Draft {
                external_id: Some(id.to_owned()),
                body: "لم يصل الرد".to_owned(),
                ..Draft::new(Channel::new(Tag::new("mail").unwrap()))
            })
        };
        let withdrawn = || Arrival::Withdrawal {
            external_id: "٠".to_owned(),
        };
        let damaged = |field: &str, message: &str| Intake::Damaged {
            problem: FieldProblem::new(field, message),
        };
        // A withdrawal has a result only if it could not be done.
        let arrivals = [item("١"), withdrawn(), item("٢"), withdrawn()];
        let results = [
            Some(Intake::New {
                feedback: FeedbackId::from_bytes([1; 16]),
                revision: 1,
            }),
            None,
            Some(damaged("author", "its key is damaged")),
            Some(damaged("external_id", "its row is damaged")),
        ];
        let refusals = refused_late(Refusals::default(), &arrivals, &results);
        let told = |item: &str, reason: &str| (item.to_owned(), "damaged".to_owned(), reason.to_owned());
        let kept = vec![
            told("٢", "author: its key is damaged"),
            told("٠", "external_id: its row is damaged"),
        ];
        assert_eq!((refusals.count, refusals.kept), (2, kept));
        assert_eq!(counted(ImportRow::default(), &results).new, 1);
    }
}

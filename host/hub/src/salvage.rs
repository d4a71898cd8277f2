//! A store whose log is damaged: what is whole, what is lost, and the way on without a backup. Done at an admin's word only.
//!
//! The ledger ends at the damage then. Checkpoints that were signed behind it are kept, as far as they can still be read: they
//! are why `mihwar ledger verify` goes on saying that history was cut.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mihwar_model::{ContactId, Event, EventBody, FeedbackId, Time};
use mihwar_store::{Key, LogExamined, StoreError, examine_log, salvage_log};
use serde::Serialize;

use crate::config::Config;
use crate::fault::Fault;
use crate::format::{self, STORE_FILE};
use crate::hub::OpenError;
use crate::keys;

/// How the name of the file ends that says what was done; else it is that of the log.
const NOTE_ENDING: &str = ".txt";
/// Records that are named one by one.
const RECORDS_MAX: usize = 1_000;

/// What a damaged log still has, and what is lost of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SalvageReport {
    /// Whether it was carried out; if not, nothing was changed.
    pub done: bool,
    /// What is wrong with the log.
    pub damage: String,
    /// Where the log was; nothing when it is gone.
    pub log: Option<PathBuf>,
    /// Where it lies when it was set aside; it is never removed.
    pub aside: PathBuf,
    /// Groups of batches before the damage. They are kept.
    pub groups_kept: u64,
    /// Entries of the ledger that are kept: those with numbers below this.
    pub entries_kept: u64,
    /// When the last of them was written, if it says so.
    pub kept_until: Option<Time>,
    /// Batches that are lost, at least.
    pub batches_lost: u64,
    /// Whether nothing behind the damage can be read: then nobody can tell how much is lost, if anything is.
    pub unknown: bool,
    /// Groups behind the damage that can be read. They are lost: they go on from what is missing.
    pub groups_lost: u64,
    /// Entries of the ledger in those; further ones were in what cannot be read.
    pub entries_lost: u64,
    /// When the last of them was written.
    pub lost_until: Option<Time>,
    /// Records that were received in those groups: their sources have to send them again.
    pub records: Vec<FeedbackId>,
    /// Further ones.
    pub records_untold: u64,
    /// Contacts that were erased in those groups. What the store before the damage has of them is there again: they have to
    /// be erased again.
    pub erased: Vec<ContactId>,
    /// Signed checkpoints that speak of more entries than there are now, by how many.
    pub checkpoints: Vec<u64>,
    /// The file that says all this, if it could be written.
    pub note: Option<PathBuf>,
}

impl SalvageReport {
    fn of(found: &LogExamined, done: bool) -> Self {
        let mut report = Self {
            done,
            damage: found.damage.clone().unwrap_or_default(),
            log: found.log.clone(),
            aside: found.aside.clone(),
            groups_kept: found.groups,
            entries_kept: found.whole.entries,
            kept_until: found.last_entry.as_deref().and_then(event).map(|event| event.at),
            batches_lost: found.batches_lost(),
            unknown: found.beyond.is_empty(),
            groups_lost: found.beyond.len() as u64,
            entries_lost: 0,
            lost_until: None,
            records: Vec::new(),
            records_untold: 0,
            erased: Vec::new(),
            checkpoints: Vec::new(),
            note: None,
        };
        for entry in found.beyond.iter().flat_map(|group| &group.entries) {
            report.entries_lost += 1;
            if let Some(event) = event(entry) {
                report.lost(event);
            }
        }
        let signed = signed_behind(found).filter_map(|(key, _)| keys::last_number(key));
        report.checkpoints = signed.filter(|size| *size > report.entries_kept).collect();
        report
    }

    fn lost(&mut self, event: Event) {
        self.lost_until = self.lost_until.max(Some(event.at));
        match event.body {
            EventBody::Received(received) if self.records.len() < RECORDS_MAX => self.records.push(received.feedback),
            EventBody::Received(_) => self.records_untold += 1,
            EventBody::ContactErased(erased) => self.erased.push(erased.contact),
            _ => {}
        }
    }

    /// The report in lines for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let will = |done: &'static str, planned: &'static str| if self.done { done } else { planned };
        let mut lines = vec![format!("The store's log is damaged: {}.", self.damage)];
        let until = |at: Option<Time>| at.map_or_else(String::new, |at| format!(", until {at}"));
        lines.push(format!(
            "Whole: {} groups of batches before the damage{} taken into the store; the ledger {} {} entries{}.",
            self.groups_kept,
            will(": they were", ", to be"),
            will("has", "will have"),
            self.entries_kept,
            until(self.kept_until),
        ));
        lines.push(self.told_lost(&until(self.lost_until)));
        if !self.records.is_empty() {
            let named: Vec<String> = self.records.iter().map(ToString::to_string).collect();
            let more = match self.records_untold {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            lines.push(format!(
                "Records received in those groups, which their sources have to send again: {}{more}.",
                named.join(", ")
            ));
        }
        lines.extend(self.told_erased());
        for size in &self.checkpoints {
            lines.push(format!(
                "A checkpoint was signed at {size} entries: the ledger is shorter than what was signed. Whoever has that \
                 checkpoint can prove that history was cut; it is kept, and mihwar ledger verify says so from now on."
            ));
        }
        lines.push(
            "What was delivered, withdrawn, erased or answered behind the damage is not known to the hub any more: deliveries \
             are made again under their old ids, withdrawals, erasures and revoked tokens have to be repeated."
                .to_owned(),
        );
        let aside = self.aside.display();
        lines.push(match &self.log {
            Some(_) => format!(
                "The damaged log {} {aside}. Keep it until what is lost was sent again: it is nowhere else. People whom it tells \
                 of can be read in it by whoever has the master key, also once they are erased.",
                will("lies at", "is to be set aside as")
            ),
            None => format!(
                "The log is gone. If you find it, keep it; it {} used any more.",
                will("cannot be", "could not be")
            ),
        });
        lines
    }

    fn told_erased(&self) -> Option<String> {
        if self.erased.is_empty() {
            return None;
        }
        let named: Vec<String> = self.erased.iter().map(ToString::to_string).collect();
        Some(format!(
            "Contacts erased in those groups: {}. What the store has of them from before can be read again: erase them once \
             more.",
            named.join(", ")
        ))
    }

    fn told_lost(&self, until: &str) -> String {
        let first = self.entries_kept;
        if self.unknown {
            return format!(
                "Lost: whatever came behind that, if anything did; nothing there can be read, so nobody can say how much. In the \
                 ledger that would be entries from number {first} on."
            );
        }
        format!(
            "Lost: {} batches. In the ledger, entries from number {first} on: {} in {} groups behind the damage that can be \
             read{until}, and those in what cannot be read. They cannot be taken, since they go on from what is missing.",
            self.batches_lost, self.entries_lost, self.groups_lost
        )
    }
}

fn event(entry: &[u8]) -> Option<Event> {
    Event::from_bytes(entry).ok()
}

/// Signed checkpoints in the groups that are lost.
fn signed_behind(found: &LogExamined) -> impl Iterator<Item = (&Key, &Vec<u8>)> {
    let rows = found.beyond.iter().flat_map(|group| &group.rows);
    rows.map(|row| (&row.0, &row.1))
        .filter(|(key, _)| keys::all(keys::CHECKPOINT).contains(key))
}

/// Looks at the log of a stopped hub's store and, if it is to be carried out, takes what is whole and sets the log aside. `None`,
/// and nothing changed, when no log is damaged.
///
/// # Errors
/// [`OpenError::NoHub`], [`OpenError::AlreadyServed`], a folder of a newer hub, or what the store says.
pub async fn salvage(config: &Config, carry_out: bool) -> Result<Option<SalvageReport>, OpenError> {
    let folder = config.data.clone();
    let work = tokio::task::spawn_blocking(move || in_folder(&folder, carry_out)).await;
    work.map_err(|error| Fault::Blob(error.to_string()))?
}

fn in_folder(folder: &Path, carry_out: bool) -> Result<Option<SalvageReport>, OpenError> {
    let path = folder.join(STORE_FILE);
    if !path.exists() {
        return Err(OpenError::NoHub {
            path: folder.to_owned(),
        });
    }
    // What a newer hub's log would mean is not known.
    format::refuse_newer(folder)?;
    let refused = |error| match error {
        StoreError::AlreadyOpen { .. } => OpenError::AlreadyServed {
            path: folder.to_owned(),
        },
        error => OpenError::Store(error),
    };
    if !carry_out {
        let found = examine_log(&path).map_err(refused)?;
        let damaged = found.filter(|found| found.damage.is_some());
        return Ok(damaged.map(|found| SalvageReport::of(&found, false)));
    }
    let Some(found) = salvage_log(&path, to_be_kept).map_err(refused)? else {
        return Ok(None);
    };
    let mut report = SalvageReport::of(&found, true);
    report.note = write_down(&report);
    Ok(Some(report))
}

/// What goes into the store beside what is whole. No increment may go on from a backup of a state that is lost: the hub is
/// another one from here on.
fn to_be_kept(found: &LogExamined) -> Vec<(Key, Option<Vec<u8>>)> {
    let signed = signed_behind(found).map(|(key, note)| (key.clone(), Some(note.clone())));
    signed.chain([(keys::lineage(), None)]).collect()
}

/// The damaged logs that were set aside in a data folder, by name. What was said before the damage, and behind it, lies in them.
///
/// # Errors
/// What the system says.
pub(crate) fn logs_aside_in(data: &Path) -> io::Result<Vec<PathBuf>> {
    let beginning = format!("{STORE_FILE}.wal.damaged-");
    let mut aside = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What was written down beside one names records alone.
        if name.starts_with(&beginning) && !name.ends_with(NOTE_ENDING) {
            aside.push(entry.path());
        }
    }
    aside.sort_unstable();
    Ok(aside)
}

/// Writes the report beside the log that was set aside.
fn write_down(report: &SalvageReport) -> Option<PathBuf> {
    let mut name = report.aside.clone().into_os_string();
    name.push(NOTE_ENDING);
    let path = PathBuf::from(name);
    let text = report.lines().join("\n\n") + "\n";
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = written.and_then(|()| fs::File::open(folder)?.sync_all());
    match written {
        Ok(()) => Some(path),
        Err(error) => {
            tracing::warn!(path = %path.display(), "what was done could not be written down: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests;

//! Import: files and folders through a channel's plugin, page by page. Resumable: how far each file came
//! is written in the transaction of its records, and forgotten when the whole import has ended.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use futures_util::StreamExt;
use mihwar_model::{Actor, InstanceName};
use mihwar_sandbox::contract::importer::{ImportPage, ImportRequest, SourceFile};
use mihwar_sandbox::contract::types::PluginError;
use mihwar_sandbox::{CallFailure, Capability, Effects};
use mihwar_store::{Batch, Edit, Order};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::changes;
use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::intake::{self, Intake, Rider};
use crate::keys;
use crate::lent;
use crate::rows::{self, ImportRow};

/// Files worked on at once: enough to keep both cores and the writer's group commit busy.
const CONCURRENT: usize = 64;
/// Items asked for in one page.
const ITEMS_MAX: u32 = 256;
/// Refusals of one file that are kept word for word; beyond it they are counted.
const REFUSALS_KEPT_MAX: usize = 200;

/// Why an import could not begin or go on.
#[derive(Debug, Error)]
pub enum ImportError {
    /// No such instance, or it reads no files.
    #[error("no instance \"{0}\" imports files; see: mihwar plugin list")]
    UnknownInstance(InstanceName),
    /// A path that is not there.
    #[error("{path}: {detail}", path = path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The hub could not keep what was read.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// How far an import is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProgress {
    /// Files in all.
    pub files_total: u64,
    /// Files read to their end.
    pub files_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// New records.
    pub new: u64,
    /// New revisions of known records.
    pub revised: u64,
    /// Known already.
    pub duplicates: u64,
    /// Parts that could not become records.
    pub refused: u64,
    /// Whether an interrupted import goes on.
    pub resumed: bool,
}

/// A part of a file that could not become a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRefusal {
    /// The file.
    pub file: String,
    /// Where in it.
    pub place: String,
    /// Short reason.
    pub code: String,
    /// What is wrong.
    pub reason: String,
}

/// What an import came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Files read.
    pub files: u64,
    /// Files that were finished by the interrupted import that this one went on with.
    pub resumed_files: u64,
    /// New records.
    pub new: u64,
    /// New revisions of known records.
    pub revised: u64,
    /// Known already.
    pub duplicates: u64,
    /// How many parts were refused.
    pub refused: u64,
    /// Each of them, up to a bound per file.
    pub refusals: Vec<ImportRefusal>,
}

/// A file to be read.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    /// Below what was asked to be imported.
    name: String,
    size: u64,
    modified: Option<i64>,
    id: [u8; 16],
}

pub(crate) async fn run(
    shared: &Arc<Shared>,
    actor: Actor,
    instance: &InstanceName,
    paths: Vec<PathBuf>,
    progress: mpsc::Sender<ImportProgress>,
) -> Result<ImportReport, ImportError> {
    let running = shared
        .instances()
        .get(instance)
        .filter(|running| running.can(Capability::Import));
    let running = running.ok_or_else(|| ImportError::UnknownInstance(instance.clone()))?;
    let core = shared.core.clone();
    let listed = tokio::task::spawn_blocking(move || list(&core, &paths)).await;
    let sources = listed.map_err(|error| ImportError::Fault(Fault::Blob(error.to_string())))??;
    let job = job_id(&shared.core, instance, &sources);
    let known = resume(&shared.core, job).await?;
    let mut total = ImportProgress {
        files_total: sources.len() as u64,
        bytes_total: sources.iter().map(|source| source.size).sum(),
        resumed: !known.is_empty(),
        ..ImportProgress::default()
    };
    let mut report = ImportReport::default();
    let mut files = futures_util::stream::iter(sources.into_iter().map(|source| {
        let (running, actor) = (running.clone(), actor.clone());
        let row = known.get(&source.id).cloned();
        async move {
            let resumed = row.as_ref().is_some_and(|row| row.done);
            let result = FileImport {
                shared,
                running,
                actor,
                job,
                source: source.clone(),
            }
            .run(row)
            .await;
            (source, resumed, result)
        }
    }))
    .buffer_unordered(CONCURRENT);
    while let Some((source, resumed, result)) = files.next().await {
        let row = result?;
        report.resumed_files += u64::from(resumed);
        add(&shared.core, &source, &row, &mut report)?;
        total.files_done += 1;
        total.bytes_done += source.size;
        (total.new, total.revised, total.duplicates, total.refused) =
            (report.new, report.revised, report.duplicates, report.refused);
        // A listener that went away or lags behind does not hold the import up.
        if total.files_done.is_multiple_of(16) || total.files_done == total.files_total {
            drop(progress.try_send(total.clone()));
        }
    }
    forget(&shared.core, job).await?;
    report
        .refusals
        .sort_by(|a, b| (&a.file, &a.place).cmp(&(&b.file, &b.place)));
    Ok(report)
}

fn list(core: &Core, paths: &[PathBuf]) -> Result<Vec<Source>, ImportError> {
    let mut sources = Vec::new();
    for path in paths {
        let root = path.canonicalize().map_err(|error| ImportError::Path {
            path: path.clone(),
            detail: error.to_string(),
        })?;
        walk(core, &root, &root, &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.dedup_by(|a, b| a.path == b.path);
    Ok(sources)
}

fn walk(core: &Core, root: &Path, path: &Path, sources: &mut Vec<Source>) -> Result<(), ImportError> {
    let fail = |error: std::io::Error| ImportError::Path {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // Hidden files and links out of the folder are not what was asked for.
            if !entry.file_name().as_encoded_bytes().starts_with(b".") && !entry.file_type().map_err(fail)?.is_symlink()
            {
                walk(core, root, &entry.path(), sources)?;
            }
        }
        return Ok(());
    }
    let below = path
        .strip_prefix(root)
        .ok()
        .filter(|below| !below.as_os_str().is_empty());
    let name = below.map_or_else(
        || path.file_name().map(PathBuf::from).unwrap_or_default(),
        Path::to_owned,
    );
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|time| i64::try_from(time.as_millis()).ok());
    let id = core.vault.name(&[
        b"import file",
        path.as_os_str().as_encoded_bytes(),
        &metadata.len().to_be_bytes(),
        &modified.unwrap_or_default().to_be_bytes(),
    ]);
    sources.push(Source {
        path: path.to_owned(),
        name: name.to_string_lossy().into_owned(),
        size: metadata.len(),
        modified,
        id,
    });
    Ok(())
}

/// The same files into the same instance are the same import.
fn job_id(core: &Core, instance: &InstanceName, sources: &[Source]) -> [u8; 16] {
    let ids: Vec<u8> = sources.iter().flat_map(|source| source.id).collect();
    core.vault.name(&[b"import", instance.as_str().as_bytes(), &ids])
}

async fn resume(core: &Core, job: [u8; 16]) -> Result<HashMap<[u8; 16], ImportRow>, Fault> {
    let view = core.store.view().await?;
    let (mut known, mut range) = (HashMap::new(), keys::import_job(job));
    loop {
        let page = view.scan(range, Order::Ascending, 1000).await?;
        for row in page.rows {
            if let Some(id) = keys::last_id(&row.key) {
                known.insert(id, rows::decode("an import's progress", &row.value.bytes)?);
            }
        }
        match page.next {
            Some(next) => range = next,
            None => return Ok(known),
        }
    }
}

async fn forget(core: &Core, job: [u8; 16]) -> Result<(), Fault> {
    loop {
        let page = core
            .store
            .view()
            .await?
            .scan(keys::import_job(job), Order::Ascending, 1000)
            .await?;
        if page.rows.is_empty() {
            return Ok(());
        }
        let edits = page.rows.into_iter().map(|row| Edit::Delete(row.key)).collect();
        core.apply_patiently(Batch {
            edits,
            ..Batch::default()
        })
        .await?;
    }
}

fn add(core: &Core, source: &Source, row: &ImportRow, report: &mut ImportReport) -> Result<(), Fault> {
    report.files += 1;
    report.new += row.new;
    report.revised += row.revised;
    report.duplicates += row.duplicates;
    let refusals = read_refusals(core, source, row)?;
    report.refused += refusals.count;
    let file = source.path.display().to_string();
    report
        .refusals
        .extend(refusals.kept.into_iter().map(|(place, code, reason)| ImportRefusal {
            file: file.clone(),
            place,
            code,
            reason,
        }));
    Ok(())
}

/// Refusals of one file: how many, and the first ones in words.
#[derive(Debug, Clone, Default, minicbor::Encode, minicbor::Decode)]
struct Refusals {
    #[n(0)]
    count: u64,
    #[n(1)]
    kept: Vec<(String, String, String)>,
}

impl Refusals {
    fn add(&mut self, place: String, code: String, reason: String) {
        self.count += 1;
        if self.kept.len() < REFUSALS_KEPT_MAX {
            self.kept.push((cut(place), cut(code), cut(reason)));
        }
    }
}

fn cut(text: String) -> String {
    if text.len() <= 400 {
        text
    } else {
        text.chars().take(200).collect()
    }
}

fn read_refusals(core: &Core, source: &Source, row: &ImportRow) -> Result<Refusals, Fault> {
    if row.refusals.is_empty() {
        return Ok(Refusals::default());
    }
    rows::decode("an import's refusals", &core.vault.open_own(&source.id, &row.refusals)?)
}

/// The import of one file.
struct FileImport<'a> {
    shared: &'a Arc<Shared>,
    running: Arc<Running>,
    actor: Actor,
    job: [u8; 16],
    source: Source,
}

impl FileImport<'_> {
    async fn run(&self, row: Option<ImportRow>) -> Result<ImportRow, Fault> {
        let mut row = row.unwrap_or(ImportRow {
            cursor: None,
            done: false,
            new: 0,
            revised: 0,
            duplicates: 0,
            refusals: Vec::new(),
            position: 0,
        });
        let mut refusals = read_refusals(&self.shared.core, &self.source, &row)?;
        let file = match File::open(&self.source.path) {
            Ok(file) => Arc::new(file),
            Err(error) => {
                refusals.add("file".into(), "unreadable".into(), error.to_string());
                row.done = true;
                self.seal(&mut row, &refusals)?;
                return Ok(row);
            }
        };
        while !row.done {
            match self.page(&file, row.cursor.clone()).await {
                Ok((page, effects)) => self.keep(&mut row, &mut refusals, page, &effects).await?,
                Err(Stop::Later(after)) => tokio::time::sleep(after).await,
                Err(Stop::Refused { code, reason }) => {
                    let place = row
                        .cursor
                        .as_deref()
                        .map_or_else(|| "file".to_owned(), |cursor| format!("after {cursor}"));
                    refusals.add(place, code, reason);
                    row.done = true;
                    self.commit(&mut row, &refusals, Vec::new(), Rider::default()).await?;
                }
            }
        }
        Ok(row)
    }

    async fn page(&self, file: &Arc<File>, cursor: Option<String>) -> Result<(ImportPage, Effects), Stop> {
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
            max_items: ITEMS_MAX,
        };
        let result = self
            .running
            .sandbox
            .read_file(request, lent::call(core, &self.running.name, Arc::new(blobs)))
            .await;
        self.running.note(core.clock.now(), "read", &result);
        match result {
            Ok(done) => Ok((done.value, done.effects)),
            Err(error) => Err(match &*error.failure {
                CallFailure::Busy { .. } => Stop::Later(std::time::Duration::from_millis(5)),
                CallFailure::Plugin(PluginError::Transient(retry) | PluginError::RateLimited(retry)) => {
                    Stop::Later(std::time::Duration::from_millis(retry.after_ms.unwrap_or(1000)))
                }
                failure => Stop::Refused {
                    code: failure.code().to_owned(),
                    reason: failure.to_string(),
                },
            }),
        }
    }

    async fn keep(
        &self,
        row: &mut ImportRow,
        refusals: &mut Refusals,
        page: ImportPage,
        effects: &Effects,
    ) -> Result<(), Fault> {
        let core = &self.shared.core;
        if page.more && page.cursor == row.cursor {
            let reason = "the plugin asks to go on but its cursor does not move".to_owned();
            refusals.add(format!("position {}", page.position), "cursor-stuck".into(), reason);
            row.done = true;
        } else {
            row.done = !page.more;
        }
        row.cursor = page.cursor;
        row.position = page.position;
        for refusal in page.refusals {
            refusals.add(refusal.place, refusal.code, refusal.reason);
        }
        let taken = changes::arrivals(core, &self.running, page.changes, effects).await?;
        let mut rider = Rider {
            edits: taken.edits,
            events: taken.events,
            ..Rider::default()
        };
        rider
            .edits
            .extend(lent::state_edits(core, &self.running.name, effects)?);
        for (item, problems) in taken.refused {
            refusals.add(
                item,
                "invalid".into(),
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            );
        }
        self.commit(row, refusals, taken.arrivals, rider).await?;
        changes::destroy(core, &taken.doomed).await;
        Ok(())
    }

    /// Writes the records of a page and the progress they make in one transaction. Which of them are new
    /// shows only while writing, so the progress row is made then.
    async fn commit(
        &self,
        row: &mut ImportRow,
        refusals: &Refusals,
        arrivals: Vec<intake::Arrival>,
        rider: Rider,
    ) -> Result<(), Fault> {
        let core = &self.shared.core;
        let mut refusals = refusals.clone();
        for arrival in &arrivals {
            let problems = arrival.draft.problems();
            if !problems.is_empty() {
                let reason = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                refusals.add(
                    arrival.draft.external_id.clone().unwrap_or_default(),
                    "invalid".into(),
                    reason,
                );
            }
        }
        self.seal(row, &refusals)?;
        let key = keys::import(self.job, self.source.id);
        let counted = |results: &[Intake]| {
            let count = |f: fn(&Intake) -> bool| results.iter().filter(|r| f(r)).count() as u64;
            (
                count(|r| matches!(r, Intake::New { .. })),
                count(|r| matches!(r, Intake::Revised { .. })),
                count(|r| matches!(r, Intake::Duplicate { .. })),
            )
        };
        let before = row.clone();
        let results = intake::accept_with(core, &self.actor, &self.running.name, &arrivals, &rider, |results| {
            let (new, revised, duplicates) = counted(results);
            let row = ImportRow {
                new: before.new + new,
                revised: before.revised + revised,
                duplicates: before.duplicates + duplicates,
                ..before.clone()
            };
            Ok(Some(Edit::Put(key.clone(), rows::encode(&row)?)))
        })
        .await?;
        let (new, revised, duplicates) = counted(&results);
        row.new += new;
        row.revised += revised;
        row.duplicates += duplicates;
        Ok(())
    }

    fn seal(&self, row: &mut ImportRow, refusals: &Refusals) -> Result<(), Fault> {
        row.refusals = match refusals.count {
            0 => Vec::new(),
            _ => self
                .shared
                .core
                .vault
                .seal_own(&self.source.id, &rows::encode(refusals)?)?,
        };
        Ok(())
    }
}

/// Why a page was not read.
enum Stop {
    Later(std::time::Duration),
    Refused { code: String, reason: String },
}

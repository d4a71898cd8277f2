//! Import: files and folders through a channel's plugin, page by page. Resumable: how far each file came
//! is written in the transaction of its records, and forgotten when the whole import has ended.

mod file;
mod kept;
mod pace;
mod progress;
mod refusals;
mod source;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use mihwar_model::{Actor, InstanceName};
use mihwar_sandbox::Capability;
use mihwar_store::{Batch, Edit, Order};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::keys;
use crate::rows::{self, ImportRow};

use file::FileImport;
pub use progress::ImportProgress;
use progress::Teller;
use refusals::Refusals;
use source::Source;

/// Files worked on at once: enough to keep both cores and the writer's group commit busy.
const CONCURRENT: usize = 64;

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
    let listed = tokio::task::spawn_blocking(move || source::list(&core, &paths)).await;
    let sources = listed.map_err(|error| ImportError::Fault(Fault::Blob(error.to_string())))??;
    let job = source::job(&shared.core, instance, &sources);
    let known = resume(&shared.core, job).await?;
    let start = ImportProgress {
        files_total: sources.len() as u64,
        bytes_total: sources.iter().map(|source| source.size).sum(),
        resumed: !known.is_empty(),
        ..ImportProgress::default()
    };
    let teller = Arc::new(Teller::new(progress, start));
    let mut report = ImportReport::default();
    let mut files = futures_util::stream::iter(sources.into_iter().map(|source| {
        let row = known.get(&source.id).cloned();
        let resumed = row.as_ref().is_some_and(|row| row.done);
        let file = FileImport {
            shared: shared.clone(),
            running: running.clone(),
            actor: actor.clone(),
            job,
            source: source.clone(),
            teller: teller.clone(),
        };
        async move {
            // A task of its own, so that plugins read on every core; it ends with the import.
            let task = AbortOnDropHandle::new(tokio::spawn(async move { file.run(row).await }));
            (source, resumed, task.await)
        }
    }))
    .buffer_unordered(CONCURRENT);
    while let Some((source, resumed, result)) = files.next().await {
        let row = result.map_err(|error| Fault::Blob(format!("{}: {error}", source.path.display())))??;
        report.resumed_files += u64::from(resumed);
        add(&shared.core, &source, &row, &mut report)?;
    }
    forget(&shared.core, job).await?;
    report
        .refusals
        .sort_by(|a, b| (&a.file, &a.place).cmp(&(&b.file, &b.place)));
    Ok(report)
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
    let refusals = Refusals::read(core, source, row)?;
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

//! `mihwar backup verify --deep`: a restore for trial.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use mihwar_hub::{
    BackupReport, Config, Doors, Hub, MasterKey, RestoreOptions, VerifyReport, restore_backup, restoring_folder,
};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::backup::{tell_report, work_through};
use super::{ledger, load_config};
use crate::args::Global;
use crate::output::{Outcome, json};

/// What a deep check found, for programs.
#[derive(Serialize)]
struct Deep {
    ok: bool,
    backup: BackupReport,
    hub: VerifyReport,
}

/// Restores backups beside the last file, checks everything there, and removes it.
pub(super) async fn verify(
    global: &Global,
    files: Vec<PathBuf>,
    master_key: Option<PathBuf>,
) -> anyhow::Result<Outcome> {
    let config = load_config(global, &[])?;
    // Kept in memory: it does not lie beside the backups, however this ends. Read once, as it may come through a pipe.
    let key = master_key.as_deref().map(MasterKey::read).transpose()?;
    let trial = Trial::beside(files.last())?;
    let stopped = stopped()?;
    let (backup, hub) = tokio::select! {
        checked = check(config, &trial, files, key, global.json) => checked?,
        () = stopped => anyhow::bail!("stopped before all was checked; the trial restore is removed"),
    };
    let ok = backup.ok && ledger::outcome(&hub) == Outcome::Done;
    if global.json {
        json(&Deep { ok, backup, hub })?;
    } else {
        tell_report(&backup)?;
        ledger::tell(&hub, false)?;
    }
    Ok(Outcome::of(ok))
}

/// Restores into the folder and checks everything there.
async fn check(
    config: Config,
    trial: &Trial,
    files: Vec<PathBuf>,
    key: Option<MasterKey>,
    as_json: bool,
) -> anyhow::Result<(BackupReport, VerifyReport)> {
    let (place, removed) = (trial.folder.clone(), Arc::clone(&trial.removed));
    let key = key.map(Arc::new);
    let handed = key.clone();
    let restoring = work_through(as_json, move |progress| {
        let mut beginning = Some(may_begin(&removed)?);
        let options = RestoreOptions {
            master_key: handed.as_deref(),
            ..RestoreOptions::default()
        };
        let mut begun = |done, total| {
            drop(beginning.take());
            progress(done, total);
        };
        Ok(restore_backup(&files, &place, options, &mut begun)?)
    });
    let backup = restoring.await?;
    let hub = verify_hub(config, &trial.folder, &backup.origin, key.as_deref()).await?;
    Ok((backup, hub))
}

/// Ends when the process is told to stop. Listens from here on.
pub(super) fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Opens the hub in a folder and checks everything in it.
async fn verify_hub(
    mut config: Config,
    folder: &Path,
    origin: &str,
    key: Option<&MasterKey>,
) -> anyhow::Result<VerifyReport> {
    folder.clone_into(&mut config.data);
    origin.clone_into(&mut config.ledger.origin);
    let hub = Hub::open_existing_with(config, Doors::real(), key).await?;
    // Nobody listens: the bar was that of the restore.
    let (progress, _) = mpsc::channel(1);
    let report = hub.verify(progress).await;
    let closed = hub.close().await;
    let report = report?;
    closed.context("the trial restore was not closed cleanly")?;
    Ok(report)
}

/// A folder for a trial; removed with all in it, and with what a restore that was stopped left beside it.
struct Trial {
    folder: PathBuf,
    /// Whether it was removed. A restore has this locked until it has made its folder: one that was stopped writes on until
    /// the process ends, but it makes no folder again that was taken from it.
    removed: Arc<Mutex<bool>>,
}

impl Trial {
    fn beside(file: Option<&PathBuf>) -> anyhow::Result<Self> {
        let mut name = file.context("no backup was named")?.as_os_str().to_owned();
        name.push(format!(".trial-{}", std::process::id()));
        Ok(Self {
            folder: PathBuf::from(name),
            removed: Arc::default(),
        })
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        *lock(&self.removed) = true;
        // In this order: a restore that is not finished cannot become the other one any more.
        for folder in [restoring_folder(&self.folder), self.folder.clone()] {
            if let Err(error) = remove(&folder) {
                tracing::warn!(folder = %folder.display(), "the trial restore could not be removed: {error}");
            }
        }
    }
}

/// Lets a restore begin, and keeps its folder from being removed while the answer is held.
///
/// # Errors
/// It was removed already.
fn may_begin(removed: &Mutex<bool>) -> anyhow::Result<MutexGuard<'_, bool>> {
    let removed = lock(removed);
    anyhow::ensure!(!*removed, "stopped before it began");
    Ok(removed)
}

fn lock(removed: &Mutex<bool>) -> MutexGuard<'_, bool> {
    removed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a folder with all in it, if it is there. It is moved aside first: whoever still writes to it finds it no more,
/// and fails.
fn remove(folder: &Path) -> io::Result<()> {
    let mut aside = folder.as_os_str().to_owned();
    aside.push(".removed");
    let aside = PathBuf::from(aside);
    match std::fs::rename(folder, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.and_then(|()| std::fs::remove_dir_all(&aside)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, DirBuilder};
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};

    use super::{Trial, may_begin, restoring_folder};

    fn trial(folder: &Path) -> Trial {
        let backup: PathBuf = folder.join("أمس.mbk");
        Trial::beside(Some(&backup)).unwrap()
    }

    #[test]
    fn nothing_of_a_trial_is_left_however_far_it_came() {
        let folder = tempfile::tempdir().unwrap();
        for finished in [false, true] {
            let trial = trial(folder.path());
            let place = if finished {
                trial.folder.clone()
            } else {
                restoring_folder(&trial.folder)
            };
            fs::create_dir_all(place.join("blobs/3f")).unwrap();
            fs::write(place.join("blobs/3f/ملف"), "x").unwrap();
            drop(trial);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    /// Writes files as a restore does, until it cannot any more.
    fn write_on(blobs: &Path, begun: &Sender<()>) -> io::Error {
        for number in 0_u64.. {
            let place = blobs.join(format!("{:02x}", number % 256));
            let written = match DirBuilder::new().create(&place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::write(place.join(format!("ملف-{number}")), "x"),
            };
            if let Err(error) = written {
                return error;
            }
            begun.send(()).ok();
        }
        panic!("it writes until its folder is gone")
    }

    #[test]
    fn a_restore_that_writes_on_makes_nothing_again_that_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let trial = trial(folder.path());
        let blobs = restoring_folder(&trial.folder).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        let (begin, begun) = channel();
        let writer = std::thread::spawn(move || write_on(&blobs, &begin));
        begun.iter().take(1_000).for_each(drop);
        drop(trial);
        assert_eq!(writer.join().unwrap().kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_restore_that_has_not_begun_learns_that_it_must_not() {
        let folder = tempfile::tempdir().unwrap();
        let trial = trial(folder.path());
        let removed = Arc::clone(&trial.removed);
        assert!(may_begin(&removed).is_ok());
        drop(trial);
        assert!(may_begin(&removed).is_err());
    }
}

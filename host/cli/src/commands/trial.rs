//! `mihwar backup verify --deep`: a restore for trial.

use std::io;
use std::path::{Path, PathBuf};

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
    // Kept in memory: it does not lie beside the backups, however this ends.
    let key = master_key.as_deref().map(MasterKey::read).transpose()?;
    let trial = Trial::beside(files.last())?;
    let stopped = stopped()?;
    let (backup, hub) = tokio::select! {
        checked = check(config, &trial.0, files, master_key, key.as_ref(), global.json) => checked?,
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
    folder: &Path,
    files: Vec<PathBuf>,
    master_key: Option<PathBuf>,
    key: Option<&MasterKey>,
    as_json: bool,
) -> anyhow::Result<(BackupReport, VerifyReport)> {
    let place = folder.to_owned();
    let restoring = work_through(as_json, move |progress| {
        let options = RestoreOptions {
            master_key: master_key.as_deref(),
            ..RestoreOptions::default()
        };
        Ok(restore_backup(&files, &place, options, progress)?)
    });
    let backup = restoring.await?;
    let hub = verify_hub(config, folder, &backup.origin, key).await?;
    Ok((backup, hub))
}

/// Ends when the process is told to stop. Listens from here on.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
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

/// How often a folder is removed that somebody still writes to.
const REMOVALS_MAX: u32 = 10;

/// A folder for a trial; removed with all in it, and with what a restore that was stopped left beside it.
struct Trial(PathBuf);

impl Trial {
    fn beside(file: Option<&PathBuf>) -> anyhow::Result<Self> {
        let mut name = file.context("no backup was named")?.as_os_str().to_owned();
        name.push(format!(".trial-{}", std::process::id()));
        Ok(Self(PathBuf::from(name)))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // In this order: a restore that is not finished cannot become the other one any more.
        for folder in [restoring_folder(&self.0), self.0.clone()] {
            if let Err(error) = remove(&folder) {
                tracing::warn!(folder = %folder.display(), "the trial restore could not be removed: {error}");
            }
        }
    }
}

/// Removes a folder with all in it, if it is there. A restore that was stopped writes on until the process ends.
fn remove(folder: &Path) -> io::Result<()> {
    let mut left = REMOVALS_MAX;
    loop {
        left -= 1;
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => return Ok(()),
            Err(error) if left == 0 => return Err(error),
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Trial, restoring_folder};

    #[test]
    fn nothing_of_a_trial_is_left_however_far_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let backup: PathBuf = folder.path().join("أمس.mbk");
        for finished in [false, true] {
            let trial = Trial::beside(Some(&backup)).unwrap();
            let place = if finished {
                trial.0.clone()
            } else {
                restoring_folder(&trial.0)
            };
            std::fs::create_dir_all(place.join("blobs/3f")).unwrap();
            std::fs::write(place.join("blobs/3f/ملف"), "x").unwrap();
            drop(trial);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}

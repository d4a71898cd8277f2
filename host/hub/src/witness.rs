//! The witness file: checkpoints that are kept outside of the data folder. Whoever can write the store, and so use the key that
//! signs, can write all of it anew so that it fits itself; what this file says of it they would have to change as well.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::hub::Shared;
use crate::ledger;

/// How long the file system may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Keeps the ledger's head in the file again and again, and at once.
pub(crate) async fn run(shared: Arc<Shared>, file: PathBuf, every: Duration, stop: CancellationToken) {
    loop {
        keep(&shared, &file).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Signs the present head and keeps it in the file. What stands against it is told to the log and to whoever asks how the
/// hub is: the hub goes on, but nobody should think that its ledger is witnessed.
pub(crate) async fn keep(shared: &Shared, file: &Path) {
    let failure = signed_and_kept(shared, file).await.err().map(|error| {
        let failure = format!("{}: {error}", file.display());
        metrics::counter!("mihwar_witness_failures_total").increment(1);
        tracing::warn!("the ledger's head is not kept outside of the data folder: {failure}");
        failure
    });
    *shared.unwitnessed.lock().unwrap_or_else(PoisonError::into_inner) = failure;
}

async fn signed_and_kept(shared: &Shared, file: &Path) -> Result<(), String> {
    let origin = shared.config().ledger.origin.clone();
    let note = ledger::checkpoint(&shared.core, &shared.signer, &origin).await;
    let note = note.map_err(|error| error.to_string())?;
    in_time(ANSWER_WAIT, shared.disk.keep(file, &note)).await
}

/// A disk of another machine that is gone answers never: neither the next attempt nor the end of the hub may wait for it.
async fn in_time(wait: Duration, kept: impl Future<Output = io::Result<()>>) -> Result<(), String> {
    match tokio::time::timeout(wait, kept).await {
        Ok(kept) => kept.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {wait:?}")),
    }
}

/// Adds a note at the end of a file, unless it is the last one there. Behind what was cut off an empty line comes first, so
/// that the note can be read.
pub(crate) fn append(file: &Path, note: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(file)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(note.len() as u64)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if tail == note.as_bytes() {
        return Ok(());
    }
    let gap = if tail.is_empty() || tail.ends_with(b"\n\n") {
        ""
    } else if tail.ends_with(b"\n") {
        "\n"
    } else {
        "\n\n"
    };
    file.write_all(format!("{gap}{note}").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Duration, append, in_time};

    const NOTES: [&str; 2] = [
        "محور/سجل\n3\nroot\n\n\u{2014} محور/سجل AAAA\n",
        "محور/سجل\n9\nroot\n\n\u{2014} محور/سجل BBBB\n",
    ];

    #[test]
    fn notes_stand_one_behind_the_other_and_the_last_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("شاهد.txt");
        for note in [NOTES[0], NOTES[0], NOTES[1], NOTES[1]] {
            append(&file, note).unwrap();
        }
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("{}\n{}", NOTES[0], NOTES[1]));
        let found: Vec<_> = mihwar_ledger::notes_in(&text)
            .into_iter()
            .map(|piece| piece.note)
            .collect();
        assert_eq!(found, NOTES.map(|note| Some(note.to_owned())));
    }

    #[test]
    fn behind_a_note_that_was_cut_off_the_next_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("شاهد.txt");
        let characters = NOTES[0].chars().count();
        for kept in 0..=characters {
            let torn: String = NOTES[0].chars().take(kept).collect();
            fs::write(&file, &torn).unwrap();
            append(&file, NOTES[1]).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            let found = mihwar_ledger::notes_in(&text).pop().and_then(|piece| piece.note);
            assert_eq!(found.as_deref(), Some(NOTES[1]), "{torn:?}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("not-mounted").join("witness.txt");
        assert!(append(&file, NOTES[0]).is_err());
        assert!(!folder.path().join("not-mounted").exists());
    }

    #[tokio::test]
    async fn a_disk_that_does_not_answer_is_a_failure() {
        let silent = in_time(Duration::from_millis(1), std::future::pending()).await;
        assert_eq!(silent, Err("no answer within 1ms".to_owned()));
        let kept = in_time(Duration::from_secs(60), std::future::ready(Ok(()))).await;
        assert_eq!(kept, Ok(()));
    }
}

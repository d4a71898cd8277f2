//! Inputs that take too long. Nothing can interrupt a parser that never ends, so the process is ended: but first the input is
//! kept, and it is said how to see it again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// Longest that one input may take: far more than any needs, also on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often somebody looks.
const PAUSE: Duration = Duration::from_millis(500);

/// An input that is being asked about.
struct Begun {
    target: &'static str,
    input: Vec<u8>,
    at: Instant,
}

impl Begun {
    fn is_overdue(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) > PATIENCE
    }
}

static BEGUN: Mutex<BTreeMap<u64, Begun>> = Mutex::new(BTreeMap::new());

fn begun() -> MutexGuard<'static, BTreeMap<u64, Begun>> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets an input be watched as long as this is held.
pub(crate) struct Watched(u64);

impl Watched {
    pub(crate) fn begin(target: &'static str, input: &[u8]) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        static WATCHER: Once = Once::new();
        WATCHER.call_once(|| drop(std::thread::spawn(watch)));
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let now = Begun {
            target,
            input: input.to_vec(),
            at: Instant::now(),
        };
        begun().insert(number, now);
        Self(number)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        begun().remove(&self.0);
    }
}

fn watch() {
    loop {
        std::thread::park_timeout(PAUSE);
        let all = begun();
        let now = Instant::now();
        if let Some(late) = all.values().find(|begun| begun.is_overdue(now)) {
            eprintln!("{}: FOUND: an input takes longer than {PATIENCE:?}", late.target);
            match keep(&folder(), late) {
                Ok(file) => eprintln!("  again: cargo xtask fuzz {} --input {}", late.target, file.display()),
                Err(error) => eprintln!("  the input could not be kept ({error}): {:?}", late.input),
            }
            std::process::abort();
        }
    }
}

/// Where findings are put when nobody says where.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fuzz")
}

fn keep(folder: &Path, late: &Begun) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}-without-end", late.target));
    std::fs::write(&file, &late.input)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::{Begun, PATIENCE, Watched, begun, keep};
    use std::time::{Duration, Instant};

    #[test]
    fn an_input_is_overdue_only_after_its_time_and_is_kept_as_it_is() {
        let late = Begun {
            target: "steps",
            input: "سؤال بلا نهاية".as_bytes().to_vec(),
            at: Instant::now(),
        };
        assert!(!late.is_overdue(late.at) && !late.is_overdue(late.at + PATIENCE));
        assert!(late.is_overdue(late.at + PATIENCE + Duration::from_millis(1)));
        let folder = tempfile::tempdir().unwrap();
        let file = keep(&folder.path().join("made"), &late).unwrap();
        assert_eq!(std::fs::read(file).unwrap(), late.input);
    }

    #[test]
    fn an_input_is_watched_as_long_as_it_is_asked_about() {
        let watched = Watched::begin("steps", b"1");
        let number = watched.0;
        assert_eq!(
            begun().get(&number).map(|begun| begun.input.clone()),
            Some(b"1".to_vec())
        );
        drop(watched);
        assert!(!begun().contains_key(&number));
    }
}

//! Damage anywhere in the file or in its log: it is found and named, or it is where nothing lies. Never a dead process, and never rows
//! that are wrong without [`RedbStore::check_integrity`] saying so.

use std::ops::Range;
use std::path::Path;

use mihwar_store::{Integrity, RedbStore, Store, StoreError};

use crate::disk::{Disk, Fault, Image, LOG, LOG_BYTES, STORE, open};
use crate::lives::live;
use crate::model::{Model, contents};
use crate::random::{Random, seeds, summary};
use crate::story::Story;

const PAGE: usize = 4_096;

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// One bit is turned over.
    Bit { at: usize, bit: u32 },
    /// A run of bytes is replaced.
    Run { at: usize, length: usize, seed: u64 },
    /// A page reads as zeros.
    ZeroPage { at: usize },
    /// The file ends here.
    CutOff { at: usize },
}

impl Damage {
    /// Half of all damage hits the first pages, where the engine's own things lie; the rest anywhere.
    fn any(random: &mut Random, length: usize) -> Self {
        let at = match random.below(4) {
            0 => random.below(320),
            1 => random.below(length.min(40 * PAGE)),
            _ => random.below(length),
        };
        match random.below(10) {
            0..=5 => Self::Bit {
                at,
                bit: u32::try_from(random.below(8)).unwrap(),
            },
            6 | 7 => Self::Run {
                at,
                length: 1 + random.below(64),
                seed: random.next(),
            },
            8 => Self::ZeroPage { at: at / PAGE * PAGE },
            _ => Self::CutOff { at },
        }
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bit { at, bit } => bytes[at] ^= 1 << bit,
            Self::Run { at, length, seed } => {
                let mut random = Random::new(seed);
                let end = (at + length).min(bytes.len());
                bytes[at..end]
                    .iter_mut()
                    .for_each(|byte| *byte = u8::try_from(random.below(256)).unwrap());
            }
            Self::ZeroPage { at } => {
                let end = (at + PAGE).min(bytes.len());
                bytes[at..end].fill(0);
            }
            // At least one byte stays: an empty disk is a new one, and an empty file is refused before.
            Self::CutOff { at } => bytes.truncate(at.max(1)),
        }
    }

    /// The one bit of the file that nothing covers: which of the two commit slots counts. A file that was not closed
    /// looks, with this bit turned, just as one whose last commit was cut off.
    fn hides_the_last_commit(self) -> bool {
        match self {
            Self::Bit { at, bit } => at == 9 && bit == 0,
            Self::Run { at, length, .. } => at <= 9 && at + length > 9,
            Self::ZeroPage { .. } | Self::CutOff { .. } => false,
        }
    }
}

impl Damage {
    /// Whether it changes any of these bytes of a log and leaves it as long as its store's file says that it is at least.
    fn touches(self, bytes: &Range<usize>) -> bool {
        let noted = PAGE + usize::try_from(LOG_BYTES).unwrap();
        let (start, length) = match self {
            Self::Bit { at, .. } => (at, 1),
            Self::Run { at, length, .. } => (at, length),
            Self::ZeroPage { at } => (at, PAGE),
            // The last frame of a pass may reach beyond that.
            Self::CutOff { at } => return at >= noted && bytes.contains(&at),
        };
        start < bytes.end && bytes.start < start + length
    }
}

/// Where the frame lies in a log that was written last.
fn last_frame(log: &[u8]) -> Range<usize> {
    let frames = (0..log.len()).step_by(PAGE).filter_map(|at| {
        let rest = log[at..].strip_prefix(b"mihwarL1")?;
        let (length, rest) = rest.split_first_chunk()?;
        let (before, _) = rest.split_first_chunk()?;
        let end = at + 116 + usize::try_from(u32::from_le_bytes(*length)).unwrap();
        // It is read with what fills its last page.
        Some((u64::from_le_bytes(*before), at..end.next_multiple_of(PAGE)))
    });
    frames
        .max_by_key(|(before, _)| *before)
        .map_or(0..0, |(_, frame)| frame)
}

#[derive(Default)]
struct Tally {
    done: u64,
    without_effect: u64,
    at_opening: u64,
    at_reading: u64,
    by_check_only: u64,
    last_commit_hidden: u64,
}

fn check(image: &Image) -> Result<Integrity, StoreError> {
    RedbStore::check_integrity_on(&Disk::of(image).files(), STORE)
}

async fn read(image: &Image) -> Result<Model, (bool, StoreError)> {
    let store = open(&Disk::of(image)).map_err(|error| (true, error))?;
    let view = store.view().await.map_err(|error| (false, error))?;
    contents(&*view).await.map_err(|error| (false, error))
}

fn named(error: &StoreError) -> bool {
    let text = error.to_string();
    matches!(
        error,
        StoreError::Corrupt { .. } | StoreError::Engine { .. } | StoreError::Stopped { .. } | StoreError::Format { .. }
    ) && text.len() > 20
}

impl Tally {
    /// `hidden`: how many batches may be there at least, where damage can look just like a last commit that was cut off.
    async fn judge(&mut self, image: &Image, states: &[Model], hidden: Option<usize>, moment: &str) {
        let wanted = states.last().unwrap();
        self.done += 1;
        let checked = check(image);
        match read(image).await {
            Ok(found) if found == *wanted => {
                // Where nothing lies, or in what the engine makes anew.
                self.without_effect += u64::from(checked.is_ok());
                self.by_check_only += u64::from(checked.is_err());
            }
            Ok(found) if checked.is_ok() && hidden.is_some_and(|least| states[least..].contains(&found)) => {
                self.last_commit_hidden += 1;
            }
            Ok(found) => {
                let Err(error) = checked else {
                    let state = states.iter().position(|state| *state == found);
                    let all = states.len() - 1;
                    panic!(
                        "{moment}: the check finds nothing, and the rows are those of {state:?} of {all} batches; \
                         at least {hidden:?} should be there: {checked:?}"
                    )
                };
                assert!(named(&error), "{moment}: {error}");
                self.by_check_only += 1;
            }
            Err((opening, error)) => {
                assert!(named(&error), "{moment}: {error}");
                assert!(checked.is_err(), "{moment}: {error}, and the check finds nothing");
                self.at_opening += u64::from(opening);
                self.at_reading += u64::from(!opening);
            }
        }
    }
}

#[tokio::test]
async fn damage_anywhere_in_the_file_is_found_and_named() {
    let mut tally = Tally::default();
    let mut log_damaged = 0;
    for seed in seeds(4) {
        let random = &mut Random::new(seed);
        let story = Story::new(seed, 40);
        for (how, image, applied) in files(&story).await {
            let states = &story.states[..=applied];
            let sound = check(&image).unwrap();
            assert_eq!(sound.rows, states[applied].rows.len() as u64);
            assert_eq!(sound.journal_entries, states[applied].journal.len() as u64);
            for number in 0..60 {
                let mut damaged = image.clone();
                let store = damaged.files.get_mut(Path::new(STORE)).unwrap();
                let damage = Damage::any(random, store.len());
                damage.apply(store);
                let moment = format!("seed {seed}, file {how}, damage {number}: {damage:?}");
                let hidden = damage.hides_the_last_commit().then_some(0);
                tally.judge(&damaged, states, hidden, &moment).await;
            }
            // The last frame that was written is like one that was never finished; no frame before it is.
            let Some(log) = image.files.get(Path::new(LOG)) else {
                continue;
            };
            let (last_group, last_frame) = (story.applied_before_the_wave_of(applied), last_frame(log));
            for number in 0..60 {
                let damage = Damage::any(random, log.len());
                let mut damaged = image.clone();
                damage.apply(damaged.files.get_mut(Path::new(LOG)).unwrap());
                let moment = format!("seed {seed}, log of the file {how}, damage {number}: {damage:?}");
                log_damaged += 1;
                let hidden = damage.touches(&last_frame).then_some(last_group);
                let moment = format!("{moment}, last frame {last_frame:?}");
                tally.judge(&damaged, states, hidden, &moment).await;
            }
        }
    }
    let Tally {
        done,
        without_effect,
        at_opening,
        at_reading,
        by_check_only,
        last_commit_hidden,
    } = tally;
    assert!(log_damaged > 0, "no store was left with a log");
    assert!(at_opening > 0 && at_reading > 0 && by_check_only > 0 && without_effect > 0);
    summary(
        "store, damaged files",
        &[
            ("files damaged", done),
            ("of these logs", log_damaged),
            ("found on opening", at_opening),
            ("on reading", at_reading),
            ("by the integrity check alone", by_check_only),
            ("without effect", without_effect),
            ("like a last commit cut off", last_commit_hidden),
            ("unnoticed", 0),
        ],
    );
}

/// A file that was closed cleanly and one that was left by a kill, with the number of batches in each.
async fn files(story: &Story) -> Vec<(&'static str, Image, usize)> {
    let disk = Disk::default();
    let told = live(&disk, story, 0).await;
    assert!(told.passed);
    let closed = ("closed cleanly", disk.after_kill(), told.acknowledged);
    let dying = Disk::default().with(Fault::DeadFrom(disk.operations().0 * 3 / 4));
    let told = live(&dying, story, 0).await;
    let applied = usize::try_from(read(&dying.after_kill()).await.unwrap().version).unwrap();
    assert!(applied >= told.acknowledged && applied > 0);
    vec![closed, ("killed", dying.after_kill(), applied)]
}

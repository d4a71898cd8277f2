//! Intake goes first. What comes after it (enrichment, routing, read models) shares the cores and the writer with it;
//! a burst is made durable at full speed, and worked off when it is over.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::hub::Hub;

/// How much longer than its last step work pauses that gives way to intake.
const PAUSE_FACTOR: u32 = 6;
/// As [`PAUSE_FACTOR`], in a press: whatever is worked off meanwhile costs those who wait for an answer.
const PRESS_PAUSE_FACTOR: u32 = 20;
/// As [`PAUSE_FACTOR`], of work that is late: it gets half of the time, and intake the other.
const LATE_PAUSE_FACTOR: u32 = 1;
/// It is a press when so many callers wait for an answer at once.
const PRESS_CALLERS: usize = 16;
/// In a press a step of such work is so much smaller: whoever waits for an answer waits for a step that has begun, too, since
/// both need the writer and the cores.
const PRESS_STEP_DIVISOR: usize = 8;
/// Longest pause of work that gives way to intake.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Counts the callers for whom something is being taken in. A page of an import or of a poll is one, however much it
/// brings: nobody waits for its items one by one.
#[derive(Debug, Default)]
pub(crate) struct RightOfWay(AtomicUsize);

impl RightOfWay {
    /// To be held while something is being taken in for so many callers.
    pub(crate) fn taken(&self, callers: usize) -> impl Drop + '_ {
        struct Taken<'a>(&'a AtomicUsize, usize);
        impl Drop for Taken<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(self.1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(callers, Ordering::Relaxed);
        Taken(&self.0, callers)
    }

    /// For how many callers something is being taken in.
    pub(crate) fn callers(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// How much a step of work that can wait should take on, of `most` at a quiet time, while so many stand in line.
    pub(crate) fn step_size(&self, most: usize, in_line: usize) -> usize {
        if self.callers().saturating_add(in_line) < PRESS_CALLERS {
            return most;
        }
        most.div_ceil(PRESS_STEP_DIVISOR)
    }

    /// Called between two steps of work that can wait: pauses while something is being taken in or so many more stand in
    /// line for it, for longer in a press, and not for long when this work is `late`.
    pub(crate) async fn give(&self, took: Duration, in_line: usize, late: bool) {
        let pause = pause(took, self.callers().saturating_add(in_line), late);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

impl Hub {
    /// Counts somebody as waiting to have records taken in, until the answer is dropped: work that follows intake gives way
    /// to them. For those who wait before the hub itself is asked.
    #[must_use]
    pub fn in_line(&self) -> impl Drop + '_ {
        self.shared.core.right_of_way.taken(1)
    }
}

/// How long work pauses whose last step took so long, while so many callers wait.
fn pause(took: Duration, callers: usize, late: bool) -> Duration {
    let factor = match (callers, late) {
        (0, _) => 0,
        (_, true) => LATE_PAUSE_FACTOR,
        (PRESS_CALLERS.., false) => PRESS_PAUSE_FACTOR,
        (_, false) => PAUSE_FACTOR,
    };
    (took * factor).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::{PAUSE_MAX, PRESS_CALLERS, RightOfWay, pause};
    use std::time::Duration;

    #[test]
    fn the_greater_the_press_the_longer_the_pause_unless_the_work_is_late() {
        let step = Duration::from_millis(10);
        let pauses = [0, 1, PRESS_CALLERS].map(|callers| [pause(step, callers, false), pause(step, callers, true)]);
        let [quiet, some, press] = pauses;
        assert_eq!(quiet, [Duration::ZERO; 2], "nobody to give way to");
        assert!(some[0] < press[0], "{pauses:?}");
        assert_eq!([some[1], press[1]], [step; 2], "half of the time");
        assert_eq!(pause(Duration::from_mins(1), 999, false), PAUSE_MAX);
    }

    #[test]
    fn steps_are_small_in_a_press_and_never_nothing() {
        let way = RightOfWay::default();
        assert_eq!([way.step_size(256, 0), way.step_size(1, 0)], [256, 1]);
        let _press = way.taken(PRESS_CALLERS - 1);
        assert_eq!(
            [way.step_size(256, 0), way.step_size(256, 1), way.step_size(1, 1)],
            [256, 32, 1]
        );
    }

    #[test]
    fn what_was_taken_in_is_in_nobodys_way() {
        let way = RightOfWay::default();
        let (one, others) = (way.taken(1), way.taken(40));
        assert_eq!(way.callers(), 41);
        drop(others);
        assert_eq!(way.callers(), 1);
        drop(one);
        assert_eq!(way.callers(), 0);
    }
}

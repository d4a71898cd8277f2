//! How many requests may be in work at once: as many as leave each of them quick.
//!
//! The yardstick is the hub itself: what a request takes when hardly another one is there. As long as requests take
//! more than twice that, fewer are let in; while they do not and there is a press, more are.

use std::time::Duration;

use tokio::time::Instant;

/// How long is watched before the number is changed.
const WINDOW: Duration = Duration::from_millis(100);
/// Fewer requests than this say nothing about how long they take.
const SAMPLES_MIN: u32 = 8;
/// With fewer beside it than this, a request is as quick as one can be.
const QUIET: usize = 4;
/// How many times as long as on a quiet hub a request may take on the average. The slowest in a hundred take about twice
/// the average, and the figure to keep is five times.
const SLOWER_MAX: u32 = 2;
/// What is quick whatever a quiet hub needs: below it nobody gains from waiting outside instead of inside.
const QUICK: Duration = Duration::from_millis(10);
/// Weight of what was known of the quiet hub against one request more.
const QUIET_MEMORY: u32 = 15;

/// The number, and what it is judged by.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    least: usize,
    most: usize,
    /// What a request takes on a quiet hub, averaged; kept as it is through any press.
    quiet: Option<Duration>,
    window: Window,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    took: Duration,
    count: u32,
    /// Whether somebody was turned away, or the last place was given.
    press: bool,
}

impl Window {
    const fn open(now: Instant) -> Self {
        Self {
            since: now,
            took: Duration::ZERO,
            count: 0,
            press: false,
        }
    }
}

impl Pace {
    /// Between `least` and `most`, of which the first is taken down to the second.
    pub(super) fn new(least: usize, most: usize, now: Instant) -> Self {
        let least = least.min(most);
        Self {
            limit: least,
            least,
            most,
            quiet: None,
            window: Window::open(now),
        }
    }

    /// How many may be in work now.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// More want in than may.
    pub(super) const fn press(&mut self) {
        self.window.press = true;
    }

    /// A request was worked on for `took`; `beside` others were when it came in.
    pub(super) fn done(&mut self, now: Instant, took: Duration, beside: usize) {
        if beside < QUIET {
            self.learn(took);
        }
        if beside + 1 >= self.limit {
            self.window.press = true;
        }
        self.window.took += took;
        self.window.count += 1;
        if self.window.count >= SAMPLES_MIN && now.duration_since(self.window.since) >= WINDOW {
            self.judge();
            self.window = Window::open(now);
        }
    }

    fn learn(&mut self, took: Duration) {
        self.quiet = Some(match self.quiet {
            // One hiccup of the disk is no new yardstick.
            Some(known) => (known * QUIET_MEMORY + took.min(known * 4)) / (QUIET_MEMORY + 1),
            None => took,
        });
    }

    fn judge(&mut self) {
        let mean = self.window.took / self.window.count.max(1);
        let target = (self.quiet.unwrap_or_default() * SLOWER_MAX).max(QUICK);
        if mean > target {
            // By Little's law the number that brings the mean to the target; in steps, since one window may mislead.
            let fitting = self.limit as u128 * target.as_nanos() / mean.as_nanos().max(1);
            let fitting = usize::try_from(fitting).unwrap_or(self.limit);
            self.limit = fitting.max(self.limit * 7 / 10).max(self.least);
        } else if self.window.press {
            self.limit = (self.limit + self.limit / 10 + 1).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, QUICK};
    use std::time::Duration;
    use tokio::time::Instant;

    const MS: Duration = Duration::from_millis(1);

    /// Some windows in which every request takes `took`, with so many beside it.
    fn windows(pace: &mut Pace, now: &mut Instant, count: u32, took: Duration, beside: usize) {
        for _ in 0..count * 10 {
            *now += MS * 10;
            pace.done(*now, took, beside);
        }
    }

    #[test]
    fn more_are_let_in_while_all_are_quick_and_there_is_a_press() {
        let mut now = Instant::now();
        let mut pace = Pace::new(96, 512, now);
        windows(&mut pace, &mut now, 50, QUICK / 2, 10);
        assert_eq!(pace.limit(), 96, "nobody asked for more");
        for _ in 0..50 {
            pace.press();
            windows(&mut pace, &mut now, 1, QUICK / 2, 10);
        }
        assert_eq!(pace.limit(), 512);
    }

    #[test]
    fn fewer_are_let_in_while_they_take_too_long_though_never_too_few() {
        let mut now = Instant::now();
        let mut pace = Pace::new(96, 512, now);
        for _ in 0..50 {
            pace.press();
            windows(&mut pace, &mut now, 1, QUICK / 2, 95);
        }
        windows(&mut pace, &mut now, 1, QUICK * 2, 500);
        let once = pace.limit();
        assert!((256..512).contains(&once), "{once}");
        windows(&mut pace, &mut now, 100, QUICK * 20, 500);
        assert_eq!(pace.limit(), 96);
    }

    #[test]
    fn what_counts_as_long_is_learnt_on_a_quiet_hub_and_not_in_a_press() {
        let mut now = Instant::now();
        let mut pace = Pace::new(96, 512, now);
        // A slow disk: 40 ms for one alone.
        windows(&mut pace, &mut now, 20, MS * 40, 0);
        for _ in 0..50 {
            pace.press();
            windows(&mut pace, &mut now, 1, MS * 75, 400);
        }
        assert_eq!(pace.limit(), 512, "less than twice as long is in order");
        windows(&mut pace, &mut now, 200, MS * 200, 400);
        assert_eq!(pace.limit(), 96, "an hour of press is no quiet hub");
    }

    #[test]
    fn a_number_that_is_set_stays() {
        let mut now = Instant::now();
        let mut pace = Pace::new(64, 1, now);
        windows(&mut pace, &mut now, 20, MS * 900, 0);
        assert_eq!(pace.limit(), 1);
    }
}

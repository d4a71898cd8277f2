//! Those who are turned away: when they should come back, and how fast they are answered.

use std::time::Duration;

use tokio::time::Instant;

/// Between two refusals once there are many. A refusal costs little, but thousands a second cost the hub the time in which
/// it would do the work of those it let in.
const SPACING: Duration = Duration::from_micros(500);
/// So far refusals may come closer together: a hundred at once are answered at once.
const BURST: Duration = Duration::from_millis(50);
/// Longest that a refusal waits for its turn.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Over how many seconds those who are turned away are spread: at least, and at most.
const SPREAD: (u64, u64) = (2, 30);
const SECOND: Duration = Duration::from_secs(1);

/// What is kept of those who came.
#[derive(Debug)]
pub(super) struct Away {
    second: Instant,
    admitted: u64,
    refused: u64,
    spread: u64,
    number: u32,
    /// When the next refusal is due.
    next: Instant,
}

/// How one of them is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later {
    /// Whole seconds, at least 1.
    pub(super) seconds: u64,
    /// How long the answer waits for its turn.
    pub(super) pause: Duration,
}

impl Away {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            second: now,
            admitted: 0,
            refused: 0,
            spread: SPREAD.0,
            number: 0,
            next: now,
        }
    }

    /// Somebody was let in.
    pub(super) fn admitted(&mut self, now: Instant) {
        self.roll(now);
        self.admitted += 1;
    }

    /// Somebody was not.
    pub(super) fn refused(&mut self, now: Instant) -> Later {
        self.roll(now);
        self.refused += 1;
        self.number = self.number.wrapping_add(1);
        // Multiples of the golden section lie evenly whatever their number: no two neighbours come back together.
        let place = u64::from(self.number.wrapping_mul(0x9E37_79B9));
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        self.next = (self.next.max(earliest) + SPACING).min(now + PAUSE_MAX);
        Later {
            seconds: 1 + ((place * self.spread) >> 32),
            pause: self.next.saturating_duration_since(now),
        }
    }

    /// Those of one second come back spread over as many as their work takes.
    fn roll(&mut self, now: Instant) {
        if now.duration_since(self.second) < SECOND {
            return;
        }
        let times = self.refused.div_ceil(self.admitted.max(1));
        self.spread = (1 + times).clamp(SPREAD.0, SPREAD.1);
        (self.second, self.admitted, self.refused) = (now, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Away, PAUSE_MAX, SECOND};
    use std::collections::BTreeMap;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn those_of_one_second_are_sent_back_evenly_over_the_time_that_their_work_takes() {
        let start = Instant::now();
        let mut away = Away::new(start);
        for _ in 0..100 {
            away.admitted(start);
        }
        for _ in 0..900 {
            away.refused(start);
        }
        let later = start + SECOND;
        let mut seconds = BTreeMap::<u64, u32>::new();
        for _ in 0..1000 {
            *seconds.entry(away.refused(later).seconds).or_default() += 1;
        }
        assert_eq!(
            seconds.keys().copied().collect::<Vec<_>>(),
            (1..=10).collect::<Vec<_>>()
        );
        assert!(seconds.values().all(|count| (90..=110).contains(count)), "{seconds:?}");
        // Nobody is let in: not for ever, and not at once.
        let last = later + SECOND;
        assert!((0..500).all(|_| (1..=30).contains(&away.refused(last).seconds)));
    }

    #[test]
    fn a_few_refusals_are_answered_at_once_and_a_flood_of_them_in_turn() {
        let now = Instant::now() + SECOND;
        let mut away = Away::new(now);
        away.next = now.checked_sub(SECOND).unwrap();
        let pauses: Vec<Duration> = (0..5000).map(|_| away.refused(now).pause).collect();
        assert!(pauses.iter().take(100).all(Duration::is_zero));
        assert!(
            pauses.is_sorted() && pauses[1099] == Duration::from_millis(500),
            "{:?}",
            pauses[1099]
        );
        assert_eq!(pauses.last(), Some(&PAUSE_MAX));
        assert_eq!(away.refused(now + SECOND * 2).pause, Duration::ZERO, "it is over");
    }
}

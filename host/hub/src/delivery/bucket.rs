//! How many deliveries a department takes in a while: a bucket that fills with the hub's clock and holds what a second brings.

use std::time::Duration;

use mihwar_model::Time;

use crate::config::Rate;

/// A bucket. It begins empty, so that a hub that starts again and again sends no more than one that runs.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// Microseconds in which one more fits.
    interval: i64,
    /// How many it holds.
    capacity: i64,
    /// When it will be full: microseconds since 1970.
    full_at: i64,
}

impl Bucket {
    pub(super) fn empty(rate: Rate, now: Time) -> Self {
        let per = i64::try_from(rate.per.as_micros()).unwrap_or(i64::MAX);
        let interval = (per / i64::from(rate.deliveries).max(1)).max(1);
        let capacity = (micros(Duration::from_secs(1)) / interval).max(1);
        let mut bucket = Self {
            interval,
            capacity,
            full_at: 0,
        };
        bucket.full_at = bucket.full_after(now);
        bucket
    }

    /// How many may go now.
    pub(super) fn room(&mut self, now: Time) -> usize {
        // A clock that was put back would have it wait for as long.
        self.full_at = self.full_at.min(self.full_after(now));
        let missing = self.full_at.saturating_sub(of(now)).max(0);
        let missing = missing.div_euclid(self.interval) + i64::from(missing % self.interval > 0);
        usize::try_from(self.capacity.saturating_sub(missing)).unwrap_or(0)
    }

    /// So many go.
    pub(super) fn take(&mut self, count: usize, now: Time) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.full_at = self
            .full_at
            .max(of(now))
            .saturating_add(self.interval.saturating_mul(count));
    }

    /// When there is room for one.
    pub(super) fn next(&self) -> Time {
        let at = self
            .full_at
            .saturating_sub(self.interval.saturating_mul(self.capacity - 1));
        Time(at.div_euclid(1_000) + i64::from(at.rem_euclid(1_000) > 0))
    }

    fn full_after(&self, now: Time) -> i64 {
        of(now).saturating_add(self.interval.saturating_mul(self.capacity))
    }
}

fn of(time: Time) -> i64 {
    time.0.saturating_mul(1_000)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use mihwar_model::Time;

    use super::Bucket;

    const START: Time = Time(1_790_000_000_000);

    fn bucket(rate: &str) -> Bucket {
        Bucket::empty(rate.parse().unwrap(), START)
    }

    #[test]
    fn it_fills_with_the_clock_and_holds_a_second() {
        let mut bucket = bucket("100/s");
        assert_eq!(bucket.room(START), 0, "a start is no burst");
        assert_eq!(bucket.next(), START.plus_millis(10));
        assert_eq!(bucket.room(START.plus_millis(9)), 0);
        assert_eq!(bucket.room(START.plus_millis(50)), 5);
        bucket.take(5, START.plus_millis(50));
        assert_eq!(bucket.room(START.plus_millis(59)), 0);
        assert_eq!(bucket.room(START.plus_millis(60)), 1);
        assert_eq!(
            bucket.room(START.plus_millis(3_600_000)),
            100,
            "never more than a second's worth"
        );
    }

    #[test]
    fn a_slow_rate_lets_one_go_at_a_time() {
        let mut bucket = bucket("10/min");
        let first = START.plus_millis(6_000);
        assert_eq!((bucket.room(START.plus_millis(5_999)), bucket.room(first)), (0, 1));
        bucket.take(1, first);
        assert_eq!((bucket.room(first), bucket.next()), (0, first.plus_millis(6_000)));
        assert_eq!(bucket.room(START.plus_millis(600_000)), 1);
    }

    #[test]
    fn whatever_is_asked_no_more_goes_than_the_rate_allows() {
        let mut bucket = bucket("1000000/s");
        let mut gone = 0;
        for step in 0..2_000_i64 {
            let now = START.plus_millis(step);
            let room = bucket.room(now);
            bucket.take(room, now);
            gone += room;
        }
        assert!((1_900_000..=2_000_000).contains(&gone), "{gone} in two seconds");
    }

    #[test]
    fn a_clock_that_is_put_back_costs_a_second_at_most() {
        let mut bucket = bucket("100/s");
        let back = START.plus_millis(-86_400_000);
        assert_eq!(bucket.room(back), 0);
        assert_eq!(bucket.room(back.plus_millis(1_000)), 100);
    }
}

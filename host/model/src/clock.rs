//! The door through which time enters.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Time(#[n(0)] pub i64);

impl Time {
    /// This time moved by `millis`, stopping at the ends of the range.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Days since 1970-01-01, rounded down; dates before it count as day 0.
    #[must_use]
    pub fn day(self) -> u32 {
        u32::try_from(self.0.div_euclid(86_400_000).max(0)).unwrap_or(u32::MAX)
    }

    /// RFC 3339 in UTC with milliseconds. Times that no calendar holds are shown as milliseconds.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| format!("{}ms", self.0), |t| format!("{t:.3}"))
    }

    /// Reads RFC 3339 (any offset).
    ///
    /// # Errors
    /// Says what does not parse.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

/// Tells the time. Everything that needs "now" is handed one of these.
pub trait Clock: Send + Sync + 'static {
    /// The present time. May step back: nothing may rely on it for order.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock for tests and simulation: it moves when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub const fn at(start: Time) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock; negative steps it back.
    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn rfc3339_round_trip_keeps_milliseconds() {
        let time = Time(1_790_000_000_123);
        assert_eq!(Time::parse_rfc3339(&time.to_rfc3339()), Ok(time));
        assert_eq!(
            Time::parse_rfc3339("2026-11-22T04:00:00+03:00"),
            Time::parse_rfc3339("2026-11-22T01:00:00Z")
        );
        assert!(Time::parse_rfc3339("yesterday").is_err());
    }

    #[test]
    fn dates_before_the_epoch_count_as_day_zero() {
        assert_eq!(Time(-5).day(), 0);
        assert_eq!(Time(86_400_000).day(), 1);
    }
}

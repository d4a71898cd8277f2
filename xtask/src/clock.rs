//! The wall clock and waiting, in one place. The hub itself gets its time as values.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a signature needs the time of signing, and xtask is no part of the hub"
)]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Time of day in UTC, `HH:MM:SS`.
pub(crate) fn time_of_day() -> String {
    let seconds = unix_seconds() % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

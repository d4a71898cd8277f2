//! `Retry-After`, in all the ways in which it comes, and what each asks for.

use crate::{PluginError, time};

const DAY_MS: u64 = 86_400_000;

/// What stands in `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The header is not there.
    Nothing,
    /// These words.
    Words(&'static str),
    /// An HTTP date so many milliseconds away.
    Date(i64),
}

/// Every way. The last of them is larger than any number of 64 bits in milliseconds.
pub(super) const WAYS: [Asked; 9] = [
    Asked::Nothing,
    Asked::Words("0"),
    Asked::Words("120"),
    Asked::Words("-5"),
    Asked::Words("soon"),
    Asked::Date(90_000),
    Asked::Date(-3_600_000),
    Asked::Words("31536000"),
    Asked::Words("18446744073709551615"),
];

impl Asked {
    /// The value of the header at this time.
    pub(super) fn header(self, now: i64) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Words(words) => Some(words.to_owned()),
            Self::Date(away) => Some(http_date(now.saturating_add(away))),
        }
    }

    /// For people.
    pub(super) fn described(self) -> String {
        match self {
            Self::Nothing => "without `Retry-After`".into(),
            Self::Words(words) => format!("with `Retry-After: {words}`"),
            Self::Date(away) if away < 0 => "with an HTTP date in `Retry-After` that is an hour old".into(),
            Self::Date(away) => format!("with an HTTP date in `Retry-After` that is {} s ahead", away / 1000),
        }
    }

    /// The shortest and the longest pause in milliseconds that obeys it, and whether one must be named.
    const fn bounds(self) -> (u64, u64, bool) {
        match self {
            // Seconds in the date are whole: the last one may have been cut.
            Self::Date(away) if away > 0 => (away.unsigned_abs() - 1000, away.unsigned_abs() * 10, true),
            Self::Words(words) => match words.as_bytes() {
                b"120" => (120_000, 1_200_000, true),
                // Who takes a year for a mistake may wait for an hour.
                b"31536000" => (3_600_000, u64::MAX, true),
                b"18446744073709551615" => (0, u64::MAX, false),
                _ => (0, DAY_MS, false),
            },
            Self::Nothing | Self::Date(_) => (0, DAY_MS, false),
        }
    }
}

/// What is wrong with an error that answers a request for a pause; `is_limit` for one that says that there were too many
/// requests.
pub(super) fn fault(asked: Asked, is_limit: bool, error: &PluginError) -> Option<String> {
    let after_ms = match error {
        PluginError::RateLimited(retry) => retry.after_ms,
        PluginError::Transient(retry) if !is_limit => retry.after_ms,
        other => return Some(format!("it was told as `{}`", class(other))),
    };
    let (least, most, must_be_named) = asked.bounds();
    match after_ms {
        None if must_be_named => Some("no time was told".into()),
        None => None,
        Some(after) if (least..=most).contains(&after) => None,
        Some(after) => Some(format!("the time that was told is {after} ms")),
    }
}

/// The name of an error's class, as the contract has it.
pub(super) const fn class(error: &PluginError) -> &'static str {
    match error {
        PluginError::Transient(_) => "transient",
        PluginError::RateLimited(_) => "rate-limited",
        PluginError::Permanent(_) => "permanent",
        PluginError::Unauthorized(_) => "unauthorized",
        PluginError::Misconfigured(_) => "misconfigured",
        PluginError::Unsupported(_) => "unsupported",
    }
}

/// A time as HTTP writes it, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(unix_millis: i64) -> String {
    static DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    static MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let written = time::to_rfc3339(unix_millis);
    let part = |from: usize, to: usize| written.get(from..to).unwrap_or_default();
    let days = unix_millis.div_euclid(86_400_000).rem_euclid(7);
    let day = usize::try_from(days).ok().and_then(|day| DAYS.get(day)).unwrap_or(&"");
    let month = part(5, 7)
        .parse::<usize>()
        .ok()
        .and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let month = month.unwrap_or(&"");
    format!("{day}, {} {month} {} {} GMT", part(8, 10), part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        for millis in [1_767_225_600_000, 951_782_400_000, 1_790_000_000_000] {
            assert_eq!(time::parse_http_date(&http_date(millis)), Some(millis));
        }
    }

    #[test]
    fn a_pause_is_obeyed_or_it_is_not() {
        let limited = |after| PluginError::rate_limited("http-429", "انتظر", after);
        let is_good = |asked, after| fault(asked, true, &limited(after)).is_none();
        assert!(is_good(Asked::Words("120"), Some(120_000)));
        for after in [None, Some(119_999), Some(120_000_000)] {
            assert!(!is_good(Asked::Words("120"), after), "{after:?}");
        }
        assert!(is_good(Asked::Date(90_000), Some(89_500)) && !is_good(Asked::Date(90_000), Some(1)));
        for asked in [
            Asked::Nothing,
            Asked::Words("-5"),
            Asked::Words("soon"),
            Asked::Date(-1),
        ] {
            assert!(is_good(asked, None) && is_good(asked, Some(60_000)), "{asked:?}");
            assert!(!is_good(asked, Some(u64::MAX)), "{asked:?}");
        }
        assert!(!is_good(Asked::Words("31536000"), Some(60_000)) && !is_good(Asked::Words("31536000"), None));
        assert!(is_good(Asked::Words("18446744073709551615"), Some(u64::MAX)));
        let transient = PluginError::transient_after("http-503", "انتظر", 120_000);
        assert!(fault(Asked::Words("120"), false, &transient).is_none());
        assert!(fault(Asked::Words("120"), true, &transient).is_some_and(|why| why.contains("transient")));
    }
}

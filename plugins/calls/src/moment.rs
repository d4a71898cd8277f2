//! Points in time and lengths of time, as call records write them.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

use crate::number::ascii_digits;

/// 1990-01-01 and 2100-01-01: what lies outside is a broken field, not a call.
const PLAUSIBLE_SECONDS: std::ops::Range<i64> = 631_152_000..4_102_444_800;

/// Milliseconds since 1970 of a time written in `format`; `zone` counts when the text names none.
pub(crate) fn instant(text: &str, format: &str, zone: &TimeZone) -> Result<i64, String> {
    let text = ascii_digits(text.trim());
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    let unreadable = |why: &dyn std::fmt::Display| format!("`{text}` is not a time in the form `{format}`: {why}");
    let timestamp = match format {
        "unix" | "unix-ms" => {
            let number: i64 = text.parse().map_err(|error| unreadable(&error))?;
            let made = if format == "unix" {
                Timestamp::from_second(number)
            } else {
                Timestamp::from_millisecond(number)
            };
            made.map_err(|error| unreadable(&error))?
        }
        _ => {
            let parsed = strtime::parse(format, &text).map_err(|error| unreadable(&error))?;
            if parsed.offset().is_some() {
                parsed.to_timestamp().map_err(|error| unreadable(&error))?
            } else {
                let civil = parsed.to_datetime().map_err(|error| unreadable(&error))?;
                in_zone(civil, zone).map_err(|error| unreadable(&error))?
            }
        }
    };
    if PLAUSIBLE_SECONDS.contains(&timestamp.as_second()) {
        Ok(timestamp.as_millisecond())
    } else {
        Err(format!("`{text}` lies outside the years 1990 to 2099"))
    }
}

/// An hour that a change of clocks repeats means the first one; one that it leaves out means the hour after.
fn in_zone(civil: DateTime, zone: &TimeZone) -> Result<Timestamp, jiff::Error> {
    zone.to_ambiguous_timestamp(civil).compatible()
}

/// Milliseconds of seconds, `MM:SS` or `HH:MM:SS`. Nothing for an empty field.
pub(crate) fn length(text: &str) -> Result<Option<u64>, String> {
    let text = ascii_digits(text.trim());
    if text.is_empty() {
        return Ok(None);
    }
    let unreadable = || format!("`{text}` is not a length: use seconds, `MM:SS` or `HH:MM:SS`");
    let mut seconds: u64 = 0;
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(unreadable());
    }
    for part in parts {
        // Fractions of a second are of no interest.
        let whole = part.split('.').next().unwrap_or(part);
        let number: u32 = whole.parse().map_err(|_| unreadable())?;
        seconds = seconds * 60 + u64::from(number);
    }
    Ok(Some(seconds * 1_000))
}

/// For people: date and time in the zone.
pub(crate) fn shown(millis: i64, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(millis) {
        Ok(timestamp) => {
            let local = timestamp.to_zoned(zone.clone());
            format!("\u{2066}{}\u{2069}", local.strftime("%Y-%m-%d %H:%M"))
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    #[test]
    fn times_count_in_their_zone() {
        let riyadh = zone("Asia/Riyadh");
        let at = |text, format| instant(text, format, &riyadh);
        assert_eq!(at("2026-01-05 10:15:00", "%Y-%m-%d %H:%M:%S"), Ok(1_767_597_300_000));
        assert_eq!(at("٠٥/٠١/٢٠٢٦ ١٠:١٥", "%d/%m/%Y %H:%M"), Ok(1_767_597_300_000));
        assert_eq!(
            at("2026-01-05T10:15:00+00:00", "%Y-%m-%dT%H:%M:%S%:z"),
            Ok(1_767_608_100_000)
        );
        assert_eq!(at("1767597300", "unix"), Ok(1_767_597_300_000));
        assert_eq!(at("1767597300000", "unix-ms"), Ok(1_767_597_300_000));
    }

    #[test]
    fn a_change_of_clocks_is_no_error() {
        let cairo = zone("Africa/Cairo");
        let left_out = instant("2026-04-24 00:30:00", "%Y-%m-%d %H:%M:%S", &cairo).unwrap();
        assert_eq!(shown(left_out, &cairo), "\u{2066}2026-04-24 01:30\u{2069}");
    }

    #[test]
    fn broken_fields_are_told_apart() {
        let utc = TimeZone::UTC;
        let at = |text| instant(text, "%Y-%m-%d %H:%M:%S", &utc).unwrap_err();
        assert!(at("أمس").contains("is not a time in the form"), "{}", at("أمس"));
        assert!(at("2026-13-05 10:15:00").contains("2026-13-05"));
        assert!(at("1970-01-01 00:00:00").contains("outside"));
        assert_eq!(at(" "), "is empty");
    }

    #[test]
    fn lengths() {
        assert_eq!(length("75"), Ok(Some(75_000)));
        assert_eq!(length("١:١٥"), Ok(Some(75_000)));
        assert_eq!(length("1:01:15"), Ok(Some(3_675_000)));
        assert_eq!(length("7.9"), Ok(Some(7_000)));
        assert_eq!(length(""), Ok(None));
        assert!(length("-5").is_err() && length("1:2:3:4").is_err() && length("9999999999999").is_err());
    }
}

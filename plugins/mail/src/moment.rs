//! When a mail was written.

use mail_parser::DateTime;

use crate::fields::Fields;

/// 1982-01-01: the year of RFC 822. Earlier dates come from broken clocks.
const EARLIEST_SECONDS: i64 = 378_691_200;
/// 2100-01-01.
const LATEST_SECONDS: i64 = 4_102_444_800;
/// A mail is not written later than it arrives; more than a wrong time zone can explain is a wrong clock.
const MOST_AHEAD_SECONDS: i64 = 36 * 3_600;

/// `Date` where it is plausible, else the time of arrival, else nothing. The same for the same bytes.
pub(crate) fn written_at(fields: &Fields<'_>) -> Option<i64> {
    let arrived = fields.received().and_then(plausible);
    let written = fields.date("date").and_then(plausible);
    let seconds = match (written, arrived) {
        (Some(written), Some(arrived)) if written > arrived + MOST_AHEAD_SECONDS => arrived,
        (Some(written), _) => written,
        (None, arrived) => arrived?,
    };
    Some(seconds * 1_000)
}

fn plausible(date: DateTime) -> Option<i64> {
    let seconds = date.to_timestamp();
    (EARLIEST_SECONDS..LATEST_SECONDS).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, millis: Option<i64>) {
        let mail = format!("{header}\n\n");
        assert_eq!(written_at(&Fields::split(mail.as_bytes()).0), millis, "{header}");
    }

    #[test]
    fn dates_are_believed_when_they_can_be_true() {
        const RECEIVED: &str = "Received: from a by b; Thu, 22 Aug 2002 12:00:00 +0000";
        check("Date: Thu, 22 Aug 2002 12:36:23 +0300", Some(1_030_008_983_000));
        check(
            &format!("Date: Thu, 22 Aug 2030 12:36:23 +0300\n{RECEIVED}"),
            Some(1_030_017_600_000),
        );
        check(
            &format!("Date: Thu, 01 Jan 1970 00:00:00 +0000\n{RECEIVED}"),
            Some(1_030_017_600_000),
        );
        check(&format!("Date: يوم الخميس\n{RECEIVED}"), Some(1_030_017_600_000));
        check("Date: never", None);
        check("Date: Thu, 99 Foo 2002 12:00:00 +0000", None);
    }
}

//! Dates of the demo records, without a calendar library.

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A wall-clock time, in seconds since 1970 as if it were UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    /// Midnight of a day.
    pub(super) fn day(year: i64, month: i64, day: i64) -> Self {
        Self(days_from_civil(year, month, day) * DAY)
    }

    /// Later by that many seconds.
    pub(super) fn plus(self, seconds: i64) -> Self {
        Self(self.0 + seconds)
    }

    /// Seconds since 1970, as a part of ids.
    pub(super) fn seconds(self) -> i64 {
        self.0
    }

    /// `Mon, 05 Oct 2026 14:03:00 +0300`.
    pub(super) fn mail(self, offset: &str) -> String {
        let (year, month, day) = self.civil();
        let (hour, minute, second) = self.clock();
        let (weekday, month) = (self.weekday(), name_of(month));
        format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} {offset}")
    }

    /// `Mon Oct  5 14:03:00 2026`, as the first line of a mail in an mbox has it.
    pub(super) fn mbox(self) -> String {
        let (year, month, day) = self.civil();
        let (hour, minute, second) = self.clock();
        let (weekday, month) = (self.weekday(), name_of(month));
        format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
    }

    /// `2026-10-05 14:03:00`.
    pub(super) fn cdr(self) -> String {
        let (year, month, day) = self.civil();
        let (hour, minute, second) = self.clock();
        format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }

    /// `2026-10-05T14:03:00+03:00`.
    pub(super) fn rfc3339(self) -> String {
        format!("{}+03:00", self.cdr().replace(' ', "T"))
    }

    fn weekday(self) -> &'static str {
        let at = usize::try_from(self.0.div_euclid(DAY).rem_euclid(7)).unwrap_or(0);
        WEEKDAYS.get(at).copied().unwrap_or("Thu")
    }

    fn clock(self) -> (i64, i64, i64) {
        let seconds = self.0.rem_euclid(DAY);
        (seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }

    /// Year, month and day; the algorithm is the usual one with years that begin in March.
    fn civil(self) -> (i64, i64, i64) {
        let days = self.0.div_euclid(DAY) + 719_468;
        let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_in_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
        let day_in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
        let shifted = (5 * day_in_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_in_era + era * 400 + i64::from(month <= 2);
        (year, month, day_in_year - (153 * shifted + 2) / 5 + 1)
    }
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_in_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_in_era * 365 + year_in_era / 4 - year_in_era / 100 + day_in_year - 719_468
}

fn name_of(month: i64) -> &'static str {
    usize::try_from(month - 1)
        .ok()
        .and_then(|at| MONTHS.get(at))
        .copied()
        .unwrap_or("Jan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let moment = Moment::day(2026, 10, 5).plus(14 * 3_600 + 180);
        assert_eq!(moment.mail("+0300"), "Mon, 05 Oct 2026 14:03:00 +0300");
        assert_eq!(moment.mbox(), "Mon Oct  5 14:03:00 2026");
        assert_eq!(moment.rfc3339(), "2026-10-05T14:03:00+03:00");
        assert_eq!(Moment::day(2024, 2, 29).plus(DAY).cdr(), "2024-03-01 00:00:00");
        assert_eq!(Moment::day(2000, 1, 1).plus(-1).cdr(), "1999-12-31 23:59:59");
    }
}

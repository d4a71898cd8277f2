//! Times of the calendar, in a department's own zone: hours at which nothing is handed over, and when a digest goes out.

use croner::Cron;
use jiff::civil::{Date, Time as TimeOfDay};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use mihwar_model::Time;

use crate::config::{Digest, Quiet};

/// Quiet times that follow on each other without a gap are looked through up to here: a week of whole days, twice.
const QUIET_TIMES_MAX: usize = 14;

/// When the quiet time ends that `now` lies in; nothing outside of quiet times. Where clocks are put forward or back, the
/// hours are those that the wall clock shows.
pub(super) fn quiet_until(quiet: &Quiet, zone: &TimeZone, now: Time) -> Option<Time> {
    let (mut at, mut until) = (now, None);
    for _ in 0..QUIET_TIMES_MAX {
        let Some(end) = end_of_quiet(quiet, zone, at).filter(|end| *end > at) else {
            break;
        };
        (at, until) = (end, Some(end));
    }
    until
}

fn end_of_quiet(quiet: &Quiet, zone: &TimeZone, at: Time) -> Option<Time> {
    let today = zoned(at, zone)?.date();
    // One that began yesterday may last into today.
    for begins in [today.yesterday().ok()?, today] {
        if !quiet.days.iter().any(|day| day.weekday() == begins.weekday()) {
            continue;
        }
        let (from, to) = (quiet.from.0, quiet.to.0);
        let ends = if to > from { begins } else { begins.tomorrow().ok()? };
        let (start, end) = (moment(begins, from, zone)?, moment(ends, to, zone)?);
        if start <= at && at < end {
            return Some(end);
        }
    }
    None
}

/// The moment at which the wall clock shows this: the first one where it shows it twice, the next one where it never does.
fn moment(date: Date, time: TimeOfDay, zone: &TimeZone) -> Option<Time> {
    let moment = zone.to_timestamp(date.to_datetime(time)).ok()?;
    Some(Time(moment.as_millisecond()))
}

fn zoned(at: Time, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()))
}

/// When a digest goes out.
#[derive(Debug, Clone)]
pub(super) struct Editions {
    cron: Cron,
    zone: TimeZone,
    /// The last one and the next one, as of some moment between them.
    around: Option<(Time, Time)>,
}

impl Editions {
    /// Nothing for a pattern that cannot be read, which the configuration does not let through.
    pub(super) fn new(digest: &Digest, zone: &TimeZone) -> Option<Self> {
        Some(Self {
            cron: digest.pattern().ok()?,
            zone: zone.clone(),
            around: None,
        })
    }

    /// The last one before `now`, or at it, and the next one after it.
    pub(super) fn around(&mut self, now: Time) -> Option<(Time, Time)> {
        if let Some((last, next)) = self.around.filter(|(last, next)| *last <= now && now < *next) {
            return Some((last, next));
        }
        let at = zoned(now, &self.zone)?;
        let time = |found: Zoned| Time(found.timestamp().as_millisecond());
        let last = self.cron.find_previous_occurrence(&at, true).ok().map(time)?;
        let next = self.cron.find_next_occurrence(&at, false).ok().map(time)?;
        self.around = Some((last, next));
        self.around
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use mihwar_model::Time;

    use super::{Editions, quiet_until};
    use crate::config::{Day, Digest, Quiet};

    fn at(text: &str) -> Time {
        Time::parse_rfc3339(text).unwrap()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn quiet(from: &str, to: &str, days: &[Day]) -> Quiet {
        Quiet {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            days: days.to_vec(),
        }
    }

    const EVERY: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

    #[test]
    fn a_quiet_night_is_that_of_the_departments_own_clock() {
        let (night, riyadh) = (quiet("22:00", "07:00", &EVERY), zone("Asia/Riyadh"));
        for (now, until) in [
            ("2026-11-22T18:59:59Z", None),
            ("2026-11-22T19:00:00Z", Some("2026-11-23T04:00:00Z")),
            ("2026-11-23T03:59:59Z", Some("2026-11-23T04:00:00Z")),
            ("2026-11-23T04:00:00Z", None),
        ] {
            assert_eq!(quiet_until(&night, &riyadh, at(now)), until.map(at), "{now}");
        }
        // By day, too, and on some days alone: it begins on those and may end on the next.
        let lunch = quiet("12:00", "13:00", &[Day::Sun]);
        assert_eq!(
            quiet_until(&lunch, &riyadh, at("2026-11-22T09:30:00Z")),
            Some(at("2026-11-22T10:00:00Z")),
            "a Sunday"
        );
        assert_eq!(quiet_until(&lunch, &riyadh, at("2026-11-23T09:30:00Z")), None);
    }

    #[test]
    fn nights_on_which_clocks_change_are_as_long_as_they_are() {
        let (night, berlin) = (quiet("22:00", "07:00", &EVERY), zone("Europe/Berlin"));
        // Put forward on 2026-03-29 and back on 2026-10-25: eight hours and ten.
        assert_eq!(
            quiet_until(&night, &berlin, at("2026-03-28T21:00:00Z")),
            Some(at("2026-03-29T05:00:00Z"))
        );
        assert_eq!(
            quiet_until(&night, &berlin, at("2026-10-24T20:00:00Z")),
            Some(at("2026-10-25T06:00:00Z"))
        );
        // 02:30 is never shown in spring, and twice in autumn.
        let short = quiet("01:00", "02:30", &EVERY);
        assert_eq!(
            quiet_until(&short, &berlin, at("2026-03-29T00:10:00Z")),
            Some(at("2026-03-29T01:30:00Z"))
        );
        assert_eq!(
            quiet_until(&short, &berlin, at("2026-10-25T00:10:00Z")),
            Some(at("2026-10-25T00:30:00Z"))
        );
    }

    #[test]
    fn whole_days_in_a_row_are_one_quiet_time() {
        let weekend = quiet("00:00", "00:00", &[Day::Fri, Day::Sat]);
        let riyadh = zone("Asia/Riyadh");
        let sunday = at("2026-11-21T21:00:00Z");
        assert_eq!(quiet_until(&weekend, &riyadh, at("2026-11-20T10:00:00Z")), Some(sunday));
        assert_eq!(quiet_until(&weekend, &riyadh, sunday), None);
    }

    #[test]
    fn a_digest_goes_out_by_the_departments_own_clock() {
        let digest = Digest {
            cron: "0 8 * * SUN".into(),
        };
        let mut editions = Editions::new(&digest, &zone("Asia/Riyadh")).unwrap();
        let (first, second) = (at("2026-11-22T05:00:00Z"), at("2026-11-29T05:00:00Z"));
        assert_eq!(editions.around(at("2026-11-25T12:00:00Z")), Some((first, second)));
        assert_eq!(editions.around(first), Some((first, second)), "it has begun");
        let before = Time(first.0 - 1);
        assert_eq!(
            editions.around(before).unwrap().1,
            first,
            "also when the clock is put back"
        );
        // In the night on which 02:30 does not exist it goes out all the same, once.
        let nightly = Digest {
            cron: "30 2 * * *".into(),
        };
        let mut editions = Editions::new(&nightly, &zone("Europe/Berlin")).unwrap();
        let (_, next) = editions.around(at("2026-03-28T12:00:00Z")).unwrap();
        assert!(
            next >= at("2026-03-29T01:00:00Z") && next <= at("2026-03-29T01:30:00Z"),
            "{next}"
        );
        let (last, after) = editions.around(at("2026-03-29T12:00:00Z")).unwrap();
        assert_eq!((last, after), (next, at("2026-03-30T00:30:00Z")));
    }
}

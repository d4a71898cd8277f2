//! Schedules, rates, times of day, and what could never deliver.

use std::time::Duration;

use super::{Breaker, ClockTime, Day, DeliveryConfig, Digest, Quiet, Rate, Retry};

#[test]
fn the_standard_schedule_is_the_published_one() {
    let retry = Retry::standard();
    assert_eq!(retry.attempts(), 10);
    // Hours, minutes and seconds since the first attempt, as the specification's table has them.
    let published = [5, 305, 2_105, 9_305, 27_305, 63_305, 113_705, 185_705, 272_105];
    let mut since = 0;
    for (made, published) in (1..).zip(published) {
        since += retry.pause(made, 0).as_secs();
        assert_eq!(since, published, "after attempt {made}");
    }
    assert_eq!(retry.longest(), Duration::from_secs(86_400));
}

#[test]
fn pauses_double_up_to_the_longest_and_differ() {
    let retry = Retry::doubling(Duration::from_secs(5), Duration::from_secs(3_600), 20);
    assert_eq!(retry.pause(1, 0), Duration::from_secs(5));
    assert_eq!(retry.pause(4, 0), Duration::from_secs(40));
    assert_eq!(retry.pause(60, 0), Duration::from_secs(3_600));
    assert_eq!(retry.pause(1, u16::MAX), Duration::from_secs(4));
    assert_eq!(Retry::standard().pause(40, 0), Duration::from_secs(86_400));
}

#[test]
fn rates_and_times_of_day_are_read_or_refused() {
    let rate: Rate = "30/min".parse().unwrap();
    assert_eq!((rate.deliveries, rate.per), (30, Duration::from_secs(60)));
    for wrong in ["", "30", "30/week", "0/s", "-1/s", "ثلاثون/s"] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
    }
    assert!("07:30".parse::<ClockTime>().unwrap() < "22:00".parse().unwrap());
    for wrong in ["24:00", "7", "07:60", "مساء", "-1:00"] {
        assert!(wrong.parse::<ClockTime>().is_err(), "{wrong}");
    }
}

fn config() -> DeliveryConfig {
    DeliveryConfig {
        retry: Retry::standard(),
        batch: 32,
        concurrency: 1,
        rate: None,
        quiet: None,
        breaker: Breaker::default(),
        digest: None,
    }
}

#[test]
fn what_could_never_deliver_is_refused() {
    assert_eq!(config().fault(), None);
    let quiet = |days: &[Day]| DeliveryConfig {
        quiet: Some(Quiet {
            from: "00:00".parse().unwrap(),
            to: "00:00".parse().unwrap(),
            days: days.to_vec(),
        }),
        ..config()
    };
    assert_eq!(quiet(&[Day::Fri, Day::Sat]).fault(), None, "a weekend");
    for days in [&Day::ALL[..], &[]] {
        assert_eq!(quiet(days).fault().unwrap().0, "quiet");
    }
    let digest = |cron: &str| DeliveryConfig {
        digest: Some(Digest { cron: cron.into() }),
        ..config()
    };
    assert_eq!(digest("0 8 * * SUN").fault(), None);
    for never in ["0 8 30 2 *", "كل أحد", ""] {
        assert_eq!(digest(never).fault().unwrap().0, "digest", "{never}");
    }
}

#[test]
fn an_outage_never_uses_up_the_last_attempt() {
    for (attempts, failures) in [(20, 5), (6, 5), (5, 4), (3, 2), (2, 1), (1, 1)] {
        let retry = Retry::doubling(Duration::from_secs(1), Duration::from_secs(8), attempts);
        let config = DeliveryConfig { retry, ..config() };
        assert_eq!(config.failures_max(), failures, "{attempts} attempts");
    }
}

//! How deliveries go to a department: when they are tried again, how many at once, how fast, and when not at all.

use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{self, Weekday};
use mihwar_sandbox::manifest::Span;
use serde::Deserialize;

/// Pauses after each attempt but the last, as the text of Standard Webhooks has them: ten attempts in just over three days.
const STANDARD: [u64; 9] = [
    5,
    5 * 60,
    30 * 60,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];
const HOUR: u64 = 3_600;
/// Longest pause that a schedule may have.
const PAUSE_MAX: Duration = Duration::from_secs(30 * 24 * HOUR);
/// Longest pause that a department may ask for, whatever its schedule.
const ASKED_MAX: Duration = Duration::from_secs(24 * HOUR);
/// Most pauses of a schedule.
const PAUSES_MAX: usize = 100;
/// Most batches in flight at once to one department.
const CONCURRENCY_MAX: usize = 64;
/// Most deliveries that a rate may name: a microsecond for each of a second.
const RATE_MAX: u32 = 1_000_000;

/// How often and when something that failed is tried again. Each pause is shortened by up to a fifth, so that many do not
/// come back at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    pauses: Pauses,
    attempts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pauses {
    /// Twice as long each time.
    Doubling { first: Duration, most: Duration },
    /// As they are listed.
    Listed(Vec<Duration>),
}

impl Retry {
    /// Pauses that double from `first` to `most`; `attempts` in all.
    #[must_use]
    pub const fn doubling(first: Duration, most: Duration, attempts: u32) -> Self {
        Self {
            pauses: Pauses::Doubling { first, most },
            attempts,
        }
    }

    /// One attempt at once, and one after each of these pauses.
    #[must_use]
    pub fn listed(pauses: Vec<Duration>) -> Self {
        let attempts = u32::try_from(pauses.len()).unwrap_or(u32::MAX).saturating_add(1);
        Self {
            pauses: Pauses::Listed(pauses),
            attempts,
        }
    }

    /// The schedule of Standard Webhooks.
    #[must_use]
    pub fn standard() -> Self {
        Self::listed(STANDARD.into_iter().map(Duration::from_secs).collect())
    }

    /// Attempts in all.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The first pause.
    #[must_use]
    pub fn first(&self) -> Duration {
        match &self.pauses {
            Pauses::Doubling { first, .. } => *first,
            Pauses::Listed(pauses) => pauses.first().copied().unwrap_or_default(),
        }
    }

    /// The longest pause of the schedule.
    #[must_use]
    pub fn longest(&self) -> Duration {
        match &self.pauses {
            Pauses::Doubling { most, .. } => *most,
            Pauses::Listed(pauses) => pauses.iter().max().copied().unwrap_or_default(),
        }
    }

    /// Nothing is put off for longer, whoever asks for it: a day, or the longest pause of the schedule if that is longer.
    #[must_use]
    pub fn put_off_most(&self) -> Duration {
        self.longest().max(ASKED_MAX)
    }

    /// The pause after `made` attempts, shortened by up to a fifth as `jitter` says.
    pub(crate) fn pause(&self, made: u32, jitter: u16) -> Duration {
        let before = made.saturating_sub(1);
        let whole = match &self.pauses {
            Pauses::Doubling { first, most } => first
                .saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX))
                .min(*most),
            Pauses::Listed(pauses) => {
                let place = usize::try_from(before).unwrap_or(usize::MAX);
                pauses.get(place).or(pauses.last()).copied().unwrap_or_default()
            }
        };
        whole - whole.mul_f64(0.2 * f64::from(jitter) / f64::from(u16::MAX))
    }
}

/// `retry`: pauses that double, or a list of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RetrySection {
    /// First pause; each further one is twice as long. Default 5 s.
    first: Option<Span>,
    /// Longest pause. Default 6 h.
    most: Option<Span>,
    /// Attempts in all. Default 20: about two days with the other defaults.
    attempts: Option<u32>,
    /// The pause after each attempt but the last, instead of the three above.
    schedule: Option<Vec<Span>>,
}

impl RetrySection {
    /// How stored requests and imports are tried again, and how deliveries are; or what is wrong.
    pub(super) fn checked(self) -> Result<(Retry, Retry), String> {
        let doubles = self.first.is_some() || self.most.is_some() || self.attempts.is_some();
        let usual = |section: &Self| {
            let first = section.first.map_or(Duration::from_secs(5), |span| span.0);
            let most = section.most.map_or(Duration::from_secs(6 * HOUR), |span| span.0);
            Retry::doubling(first, most, section.attempts.unwrap_or(20))
        };
        match &self.schedule {
            Some(_) if doubles => {
                Err("has a schedule, and first, most or attempts besides: use the one or the other".into())
            }
            Some(pauses) => {
                let pauses: Vec<Duration> = pauses.iter().map(|span| span.0).collect();
                if !(1..=PAUSES_MAX).contains(&pauses.len()) || pauses.iter().any(|pause| *pause > PAUSE_MAX) {
                    return Err(format!(
                        "schedule: list 1 to {PAUSES_MAX} pauses, none longer than 720h, such as [\"5s\", \"5m\", \"2h\"]"
                    ));
                }
                let listed = Retry::listed(pauses);
                Ok((listed.clone(), listed))
            }
            None if self.attempts == Some(0) => Err("attempts must be at least 1".into()),
            None if doubles => {
                let both = usual(&self);
                Ok((both.clone(), both))
            }
            None => Ok((usual(&self), Retry::standard())),
        }
    }
}

/// How many deliveries a department takes in a while: `100/s`, `30/min`, `500/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    /// So many deliveries.
    pub deliveries: u32,
    /// In so long.
    pub per: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no rate; write it like \"100/s\", \"30/min\" or \"500/h\"");
        let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => HOUR,
            _ => return Err(wrong()),
        };
        let deliveries = number.trim().parse::<u32>().map_err(|_| wrong())?;
        if !(1..=RATE_MAX).contains(&deliveries) {
            return Err(format!("use 1 to {RATE_MAX} deliveries"));
        }
        Ok(Self {
            deliveries,
            per: Duration::from_secs(seconds),
        })
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A time of day, to the minute: `22:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ClockTime(
    /// As the calendar has it.
    pub civil::Time,
);

impl FromStr for ClockTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no time of day; write it like \"22:00\"");
        let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<i8>().map_err(|_| wrong());
        let time = civil::Time::new(number(hour)?, number(minute)?, 0, 0);
        time.map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for ClockTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a day is a day")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    const ALL: [Self; 7] = [
        Self::Mon,
        Self::Tue,
        Self::Wed,
        Self::Thu,
        Self::Fri,
        Self::Sat,
        Self::Sun,
    ];

    /// The same day, as the calendar has it.
    pub(crate) const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// Hours at which nothing is handed over, in the instance's time zone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// From here on.
    pub from: ClockTime,
    /// Up to here; on the next day if it is not after `from`.
    pub to: ClockTime,
    /// The days on which it begins.
    #[serde(default = "every_day")]
    pub days: Vec<Day>,
}

fn every_day() -> Vec<Day> {
    Day::ALL.to_vec()
}

impl Quiet {
    fn fault(&self) -> Option<String> {
        if self.days.is_empty() {
            return Some("days: name at least one of mon, tue, wed, thu, fri, sat, sun, or leave it out".into());
        }
        let always = self.from == self.to && Day::ALL.iter().all(|day| self.days.contains(day));
        always.then(|| "is quiet all day on every day: nothing would ever be handed over".into())
    }
}

/// When a department that does not answer is left alone, and how often it is tried then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// So many calls in a row that came to nothing open it. Default 5; never more than one less than the attempts of a
    /// delivery, so that an outage uses none of them up.
    pub failures: u32,
    /// Pause before the first delivery that is tried then; each further one is twice as long. Default 5 s.
    pub first: Span,
    /// Longest of these pauses. Default 10 min.
    pub most: Span,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            first: Span(Duration::from_secs(5)),
            most: Span(Duration::from_secs(600)),
        }
    }
}

impl Breaker {
    fn fault(&self) -> Option<String> {
        if self.failures == 0 {
            return Some("failures must be at least 1".into());
        }
        let pauses = self.first.0.is_zero() || self.most < self.first;
        pauses.then(|| "first must be longer than nothing, and most no shorter than first".into())
    }
}

/// Deliveries are kept until a time of the calendar, and handed over together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// When, as a cron pattern of five fields in the instance's time zone: `0 8 * * SUN`.
    pub cron: String,
}

impl Digest {
    /// The pattern, read.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn pattern(&self) -> Result<Cron, String> {
        let text = &self.cron;
        let wrong = |why: String| format!("\"{text}\" is no cron pattern: {why}; write it like \"0 8 * * SUN\"");
        // With years there would be a last time, and no digest after it.
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed);
        let cron = parser.build().parse(text).map_err(|error| wrong(error.to_string()))?;
        let some_day = civil::date(2026, 1, 1).at(0, 0, 0, 0);
        match cron.find_next_occurrence(&some_day, true) {
            Ok(_) => Ok(cron),
            Err(_) => Err(wrong("there is no such time".into())),
        }
    }
}

/// How deliveries go to a department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// When one that failed is tried again.
    pub retry: Retry,
    /// Deliveries handed over in one call.
    pub batch: usize,
    /// Calls at once. What one contact said stays in its order all the same.
    pub concurrency: usize,
    /// How many at most.
    pub rate: Option<Rate>,
    /// Hours at which nothing is handed over.
    pub quiet: Option<Quiet>,
    /// When a department that does not answer is left alone.
    pub breaker: Breaker,
    /// Whether they are kept and handed over together.
    pub digest: Option<Digest>,
}

impl DeliveryConfig {
    /// What is wrong, with its key.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if !(1..=1000).contains(&self.batch) {
            return Some(("batch", "use 1 to 1000 deliveries".into()));
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return Some(("concurrency", format!("use 1 to {CONCURRENCY_MAX} calls at once")));
        }
        let quiet = self.quiet.as_ref().and_then(Quiet::fault);
        let digest = self.digest.as_ref().and_then(|digest| digest.pattern().err());
        let faults = [("quiet", quiet), ("breaker", self.breaker.fault()), ("digest", digest)];
        faults.into_iter().find_map(|(key, fault)| Some((key, fault?)))
    }

    /// Calls in a row that come to nothing before the department is left alone.
    pub(crate) fn failures_max(&self) -> u32 {
        self.breaker
            .failures
            .min(self.retry.attempts().saturating_sub(1))
            .max(1)
    }
}

#[cfg(test)]
mod tests;

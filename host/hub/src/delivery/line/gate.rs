//! Whether anything may be handed over now, and how much: pauses, quiet hours, what the department asked for, and its rate.

use jiff::tz::TimeZone;
use mihwar_model::Time;

use super::super::bucket::Bucket;
use super::super::calendar::{self, Editions};
use super::super::department::Department;
use super::super::standing::Standing;
use crate::config::{Digest, Rate};

/// Whether anything may be handed over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Not before this; without a time, not before somebody acts.
    Closed(Option<Time>),
    /// One delivery, to find out whether the department is back.
    Probe,
    /// So many.
    Open(usize),
}

/// On which terms a department takes deliveries: its configuration, as far as it is a matter of time.
#[derive(Debug, Default)]
pub(super) struct Terms {
    mark: [u8; 16],
    zone: Option<(String, TimeZone)>,
    bucket: Option<(Rate, Bucket)>,
    editions: Option<(String, Digest, Editions)>,
}

impl Terms {
    /// Takes the configuration over. Whether it is another one than before.
    pub(super) fn renew(&mut self, department: &dyn Department, mark: [u8; 16], now: Time) -> bool {
        let is_other = std::mem::replace(&mut self.mark, mark) != mark;
        let config = department.config();
        let name = &config.time_zone;
        if self.zone.as_ref().is_none_or(|(known, _)| known != name) {
            // The configuration lets no other zone through.
            let found = TimeZone::get(name).unwrap_or(TimeZone::UTC);
            self.zone = Some((name.clone(), found));
        }
        let wanted = config.delivery.digest.as_ref();
        let known = self.editions.as_ref().map(|(zone, digest, _)| (zone, digest));
        if known != wanted.map(|digest| (name, digest)) {
            let zone = self.zone.as_ref().map_or(TimeZone::UTC, |(_, zone)| zone.clone());
            self.editions = wanted.and_then(|digest| {
                let editions = Editions::new(digest, &zone)?;
                Some((name.clone(), digest.clone(), editions))
            });
        }
        let rate = config.delivery.rate;
        if self.bucket.as_ref().map(|(rate, _)| *rate) != rate {
            self.bucket = rate.map(|rate| (rate, Bucket::empty(rate, now)));
        }
        is_other
    }

    /// Whether anything may be handed over now.
    pub(super) fn gate(&mut self, department: &dyn Department, standing: &Standing, now: Time) -> Gate {
        let config = &department.config().delivery;
        if standing.paused.is_some() || department.is_paused() {
            return Gate::Closed(None);
        }
        let quiet = self.quiet_until(department, now);
        let held = standing.held(now, config.retry.put_off_most());
        if let Some(until) = quiet.into_iter().chain(held).max() {
            return Gate::Closed(Some(until));
        }
        if let Some(until) = standing.left_until(config, now) {
            return Gate::Closed(Some(until));
        }
        // A digest is one thing: it is tried as a whole.
        if standing.alone.is_some() && config.digest.is_none() {
            return Gate::Probe;
        }
        let Some((_, bucket)) = &mut self.bucket else {
            return Gate::Open(usize::MAX);
        };
        match bucket.room(now) {
            0 => Gate::Closed(Some(bucket.next())),
            room => Gate::Open(room),
        }
    }

    /// When the last digest began and the next one will, if there are any.
    pub(super) fn edition(&mut self, now: Time) -> Option<(Time, Time)> {
        let (.., editions) = self.editions.as_mut()?;
        editions.around(now)
    }

    /// So many go.
    pub(super) fn take(&mut self, count: usize, now: Time) {
        if let Some((_, bucket)) = &mut self.bucket {
            bucket.take(count, now);
        }
    }

    /// Until when the quiet time lasts that it is now, if it is one.
    fn quiet_until(&self, department: &dyn Department, now: Time) -> Option<Time> {
        let (_, zone) = self.zone.as_ref()?;
        let quiet = department.config().delivery.quiet.as_ref()?;
        calendar::quiet_until(quiet, zone, now)
    }
}

//! How a department stands with the hub: paused, left alone because it does not answer, asked to wait for, or open. It
//! stands in a row of its own, written with what a call came to, so that a start changes nothing.

use std::time::Duration;

use mihwar_model::Time;
use minicbor::{Decode, Encode};

use crate::config::{Breaker, DeliveryConfig};

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Standing {
    /// Which configuration, secrets included, it is of: of another one nothing of it holds.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) mark: [u8; 16],
    #[n(1)]
    pub(crate) paused: Option<Paused>,
    /// Calls in a row that came to nothing.
    #[n(2)]
    pub(super) failures: u32,
    #[n(3)]
    pub(crate) alone: Option<Alone>,
    /// The department asked that nobody comes before this.
    #[n(4)]
    pub(crate) held_until: Option<Time>,
}

/// It refuses everything as a whole: a person has to act.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Paused {
    #[n(0)]
    pub(crate) since: Time,
    #[n(1)]
    pub(crate) code: String,
    /// What its plugin said, sealed by the hub's own key.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) reason: Vec<u8>,
}

/// It does not answer: it is left alone but for one delivery now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Alone {
    #[n(0)]
    pub(crate) since: Time,
    /// How often it was tried since.
    #[n(1)]
    pub(super) probes: u32,
    #[n(2)]
    pub(crate) next: Time,
}

impl Standing {
    /// Open, under a configuration.
    pub(super) fn under(mark: [u8; 16]) -> Self {
        Self {
            mark,
            ..Self::default()
        }
    }

    /// A call came to nothing that had begun after `seen` others had. Whether the department is left alone from now on.
    pub(super) fn failed(&mut self, config: &DeliveryConfig, seen: u32, now: Time) -> bool {
        // Calls side by side meet one outage and tell of it once.
        if self.failures != seen {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        match &mut self.alone {
            Some(alone) => {
                alone.probes = alone.probes.saturating_add(1);
                alone.next = after(now, pause(&config.breaker, alone.probes));
                false
            }
            None if self.failures >= config.failures_max() => {
                self.alone = Some(Alone {
                    since: now,
                    probes: 0,
                    next: after(now, pause(&config.breaker, 0)),
                });
                true
            }
            None => false,
        }
    }

    /// A call got an answer. Whether the department had been left alone.
    pub(super) fn worked(&mut self) -> bool {
        self.failures = 0;
        self.alone.take().is_some()
    }

    /// Nobody comes before this, unless that was said already for later: see [`Standing::held`].
    pub(super) fn hold(&mut self, until: Time, now: Time, longest: Duration) {
        self.held_until = self.held(now, longest).max(Some(until));
    }

    /// Takes back whatever keeps deliveries from going out. Whether there was anything.
    pub(super) fn resume(&mut self) -> bool {
        let before = std::mem::replace(self, Self::under(self.mark));
        before.paused.is_some() || before.alone.is_some() || before.held_until.is_some()
    }

    /// Until when the department asked to be let alone, if that is still to come. A clock that was put back cannot make it
    /// longer than `longest`.
    pub(super) fn held(&self, now: Time, longest: Duration) -> Option<Time> {
        self.held_until
            .filter(|until| *until > now && *until <= after(now, longest))
    }

    /// When it is tried next, if it is left alone and that is still to come.
    pub(super) fn left_until(&self, config: &DeliveryConfig, now: Time) -> Option<Time> {
        let next = self.alone?.next;
        (next > now && next <= after(now, config.breaker.most.0)).then_some(next)
    }
}

/// The moment so long after another.
pub(super) fn after(now: Time, pause: Duration) -> Time {
    now.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

fn pause(breaker: &Breaker, probes: u32) -> Duration {
    let factor = 1_u32.checked_shl(probes).unwrap_or(u32::MAX);
    breaker.first.0.saturating_mul(factor).min(breaker.most.0)
}

#[cfg(test)]
mod tests {
    use mihwar_model::Time;

    use super::{Paused, Standing};
    use crate::config::{Config, DeliveryConfig};

    const NOW: Time = Time(1_790_000_000_000);

    fn config(more: &str) -> DeliveryConfig {
        let text = format!("[[plugin]]\nid = \"p\"\n[[instance]]\nname = \"billing\"\nplugin = \"p\"\n{more}");
        let config = Config::parse("mihwar.toml".as_ref(), &text, Vec::new()).unwrap();
        config.instances[0].delivery.clone()
    }

    #[test]
    fn a_department_that_does_not_answer_is_left_alone_longer_and_longer() {
        let config = config("breaker = { failures = 3, first = \"10s\", most = \"1m\" }");
        let mut standing = Standing::under([1; 16]);
        for failures in 0..3 {
            assert_eq!(standing.left_until(&config, NOW), None);
            assert_eq!(standing.failed(&config, failures, NOW), failures == 2);
        }
        let mut pauses = Vec::new();
        for failures in 3..8 {
            let next = standing.left_until(&config, NOW).unwrap();
            pauses.push((next.0 - NOW.0) / 1_000);
            assert_eq!(standing.left_until(&config, next), None, "it is tried");
            standing.failed(&config, failures, NOW);
        }
        assert_eq!(pauses, [10, 20, 40, 60, 60]);
        assert!(
            standing.left_until(&config, NOW.plus_millis(-86_400_000)).is_none(),
            "by a clock that was put back"
        );
        assert!(standing.worked() && standing.alone.is_none());
        assert!(!standing.failed(&config, 0, NOW), "counted from the beginning");
    }

    #[test]
    fn calls_side_by_side_meet_one_outage() {
        let config = config("breaker = { failures = 2 }");
        let mut standing = Standing::default();
        for _ in 0..8 {
            standing.failed(&config, 0, NOW);
        }
        assert_eq!((standing.failures, standing.alone), (1, None));
        assert!(standing.failed(&config, 1, NOW));
    }

    #[test]
    fn what_a_department_asks_for_holds_until_then_and_is_taken_back_by_hand() {
        let hour = std::time::Duration::from_secs(3_600);
        let mut standing = Standing::default();
        assert!(!standing.resume());
        // What was said while the clock was ahead by days does not outlive that.
        standing.hold(NOW.plus_millis(864_000_000), NOW.plus_millis(860_400_000), hour);
        assert_eq!(standing.held(NOW, hour), None);
        standing.hold(NOW.plus_millis(60_000), NOW, hour);
        standing.hold(NOW.plus_millis(5_000), NOW, hour);
        assert_eq!(standing.held(NOW, hour), Some(NOW.plus_millis(60_000)));
        assert_eq!(standing.held(NOW.plus_millis(60_000), hour), None);
        assert_eq!(standing.held(NOW.plus_millis(-86_400_000), hour), None);
        standing.paused = Some(Paused {
            since: NOW,
            code: "http-410".into(),
            reason: "مقفل".into(),
        });
        assert!(standing.resume());
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn its_row_says_all_of_it() {
        let mut standing = Standing::under([9; 16]);
        standing.failed(&config(""), 0, NOW);
        standing.hold(NOW, NOW, std::time::Duration::from_secs(60));
        let bytes = minicbor::to_vec(&standing).unwrap();
        assert_eq!(minicbor::decode::<Standing>(&bytes).unwrap(), standing);
    }
}

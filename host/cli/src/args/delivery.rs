//! `mihwar delivery`.

use clap::{Args, Subcommand};
use mihwar_model::Time;
use mihwar_server::wire::DeliveryReplay;

use super::metric::moment;

/// `mihwar delivery`
#[derive(Debug, Subcommand)]
pub(crate) enum Delivery {
    /// List deliveries, newest first. `--state dead` lists the dead letters.
    List {
        /// The department.
        #[arg(long)]
        department: Option<String>,
        /// waiting, retrying, delivered, skipped or dead.
        #[arg(long)]
        state: Option<String>,
        /// Of this piece of feedback.
        #[arg(long, value_name = "ID")]
        feedback: Option<String>,
        /// Raw requests that could not become feedback, instead.
        #[arg(long, conflicts_with_all = ["department", "state", "feedback"])]
        inbound: bool,
        /// How many to show.
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// Show one delivery: what happened to it, and of a dead letter what was asked and answered.
    Show {
        /// Its id.
        id: String,
    },
    /// How deliveries stand, department by department: whether they go, what waits and since when, how many fail.
    Status {
        /// Only those that are open, paused, failing, held, quiet, asking or missing.
        #[arg(long)]
        state: Option<String>,
        /// How many to show.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Send dead letters on their way again, under the ids they had: one, all, or those for which everything holds that is given.
    Replay(Replay),
    /// Let deliveries to a department go on that is paused, does not answer, or asked to be let alone.
    Resume {
        /// The department.
        department: String,
    },
    /// Have a department's plugin look whether it reaches the other system. If it does, deliveries go on.
    Check {
        /// The department.
        department: String,
    },
    /// How far a department that asks has come in its feed, cursor by cursor; or remove one of them.
    Feed {
        /// The department.
        department: String,
        /// Remove this cursor: what it had not acknowledged waits as before, and main begins with that.
        #[arg(long, value_name = "CURSOR")]
        remove: Option<String>,
    },
    /// Give a department what the rules in force would have sent it, as if it had been there before.
    Backfill {
        /// The department.
        department: String,
        /// Records received so long ago and later (7d, 12h), or since a day (in UTC) or a moment (RFC 3339).
        #[arg(long, value_name = "WHEN", value_parser = when)]
        since: Moment,
        /// … and before this.
        #[arg(long, value_name = "WHEN", value_parser = when)]
        until: Option<Moment>,
    },
}

/// Which deliveries are sent again.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(crate) struct Replay {
    /// This one.
    #[arg(group = "which", conflicts_with_all = ["department", "all", "code", "rule", "from", "to", "state"])]
    pub(crate) id: Option<String>,
    /// All there are.
    #[arg(long, group = "which", conflicts_with_all = ["department", "code", "rule", "from", "to", "state"])]
    pub(crate) all: bool,
    /// Those of this department.
    #[arg(long, group = "which")]
    pub(crate) department: Option<String>,
    /// Those whose last failure has this code, such as http-422.
    #[arg(long, group = "which")]
    pub(crate) code: Option<String>,
    /// Those that this rule chose a department for.
    #[arg(long, group = "which")]
    pub(crate) rule: Option<String>,
    /// Those that became dead letters so long ago or later (6h, 7d), or since a day (in UTC) or a moment (RFC 3339).
    #[arg(long, group = "which", value_name = "WHEN", value_parser = when)]
    pub(crate) from: Option<Moment>,
    /// … and before this.
    #[arg(long, group = "which", value_name = "WHEN", value_parser = when)]
    pub(crate) to: Option<Moment>,
    /// dead, or retrying: those that wait for their next attempt need not wait any longer.
    #[arg(long, group = "which")]
    pub(crate) state: Option<String>,
    /// Raw requests that could not become feedback, instead.
    #[arg(long, conflicts_with_all = ["department", "code", "rule", "from", "to", "state"])]
    pub(crate) inbound: bool,
}

impl Replay {
    /// As the API wants it.
    pub(crate) fn wanted(self, now: Time) -> DeliveryReplay {
        let text = |moment: Moment| moment.time(now).to_rfc3339();
        DeliveryReplay {
            id: self.id,
            all: self.all.then_some(true),
            department: self.department,
            code: self.code,
            rule: self.rule,
            from: self.from.map(text),
            to: self.to.map(text),
            state: self.state,
        }
    }
}

/// A moment, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So many milliseconds ago.
    Ago(i64),
    /// This one.
    At(Time),
}

impl Moment {
    /// Which one it is.
    pub(crate) const fn time(self, now: Time) -> Time {
        match self {
            Self::Ago(millis) => Time(now.0.saturating_sub(millis)),
            Self::At(time) => time,
        }
    }
}

/// So long ago, or a day, or a moment.
fn when(text: &str) -> Result<Moment, String> {
    const UNITS: [(char, i64); 4] = [('m', 60_000), ('h', 3_600_000), ('d', 86_400_000), ('w', 604_800_000)];
    let ago = UNITS.into_iter().find_map(|(unit, millis)| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Moment::Ago(i64::from(number).saturating_mul(millis)))
    });
    match ago {
        Some(ago) => Ok(ago),
        None => moment(text)
            .map(Moment::At)
            .map_err(|message| format!("{message}; or so long ago, such as 30m, 12h, 7d or 2w")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use mihwar_model::Time;

    use super::{Delivery, Moment, when};
    use crate::args::{Args, Command};

    fn delivery(words: &[&str]) -> Option<Delivery> {
        let words = [&["mihwar", "delivery"][..], words].concat();
        match Args::try_parse_from(words).ok()?.command {
            Command::Delivery(command) => Some(command),
            _ => None,
        }
    }

    #[test]
    fn which_are_sent_again_is_said_in_one_way() {
        for wrong in [
            &["replay"][..],
            &["replay", "0199", "--all"],
            &["replay", "0199", "--code", "http-422"],
            &["replay", "--all", "--rule", "شكاوى"],
            &["replay", "--inbound"],
            &["replay", "--inbound", "--state", "retrying"],
            &["backfill", "billing"],
            &["resume"],
            &["feed"],
            &["feed", "branches", "--remove"],
        ] {
            assert!(delivery(wrong).is_none(), "{wrong:?}");
        }
        let words = [
            "replay",
            "--department",
            "billing",
            "--rule",
            "شكاوى",
            "--from",
            "1h",
            "--to",
            "2026-01-31",
        ];
        let Some(Delivery::Replay(replay)) = delivery(&words) else {
            panic!("{words:?}");
        };
        let wanted = replay.wanted(Time::parse_rfc3339("2026-11-22T09:30:00Z").unwrap());
        assert_eq!(wanted.from.as_deref(), Some("2026-11-22T08:30:00.000Z"));
        assert_eq!((wanted.rule.as_deref(), wanted.all), (Some("شكاوى"), None));
        assert!(matches!(delivery(&["replay", "0199", "--inbound"]), Some(Delivery::Replay(replay)) if replay.inbound));
        let since = delivery(&["backfill", "billing", "--since", "7d"]);
        assert!(matches!(
            since,
            Some(Delivery::Backfill {
                since: Moment::Ago(604_800_000),
                ..
            })
        ));
    }

    #[test]
    fn moments_are_said_by_how_long_ago_they_were_or_by_the_calendar() {
        let now = Time(1_790_000_000_000);
        let ago = |text: &str| now.0 - when(text).unwrap().time(now).0;
        assert_eq!(
            (ago("30m"), ago("12h"), ago("7d")),
            (1_800_000, 43_200_000, 604_800_000)
        );
        assert_eq!(ago("2w"), 2 * ago("7d"));
        assert_eq!(
            when("2026-01-31").unwrap().time(now).to_rfc3339(),
            "2026-01-31T00:00:00.000Z"
        );
        for wrong in ["7", "d", "-7d", "7y", "أسبوع", "٧d", ""] {
            assert!(when(wrong).unwrap_err().contains("7d"), "{wrong}");
        }
        assert_eq!(when("0m").unwrap(), Moment::Ago(0));
    }
}

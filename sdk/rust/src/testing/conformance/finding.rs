//! What a department does wrong, in plain sentences.

use std::collections::BTreeMap;
use std::fmt;

/// What the contract asks of a department.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// When nothing goes wrong, every item is delivered.
    Works,
    /// No call ends in a panic.
    NoPanic,
    /// A call ends before its time is over.
    InTime,
    /// Each item gets one verdict.
    OneVerdict,
    /// A reference and an address are such that the hub can keep them.
    Reference,
    /// A failure that passes is told as one.
    Retryable,
    /// Who asks for a pause gets it.
    Pause,
    /// A credential that is refused pauses the instance.
    Credential,
    /// A system that is gone pauses the instance.
    Gone,
    /// What is wrong with one item costs the others nothing.
    OneItem,
    /// What is told as delivered is there.
    IsThere,
    /// What was delivered is there once.
    Once,
    /// What waits is delivered when the other system works again.
    Arrives,
    /// A new version takes the place of the old one, or stands beside it.
    Current,
    /// What is told as erased is gone.
    Erased,
    /// No request leaves for where no grant allows it.
    Granted,
    /// No secret stands in a message, a log or a metric.
    Secret,
    /// Nothing that customers said stands there.
    Quoted,
    /// A report says what the other system told.
    Report,
    /// A report that comes again is the same report.
    ReportedOnce,
    /// The newest report counts, in whatever order they come.
    Newest,
    /// Nobody is believed without a signature.
    Forged,
    /// What is not the hub's is passed over.
    Foreign,
    /// A request that cannot be read is told as such.
    Unreadable,
}

impl Rule {
    /// Short and stable, for people who look for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::NoPanic => "no-panic",
            Self::InTime => "in-time",
            Self::OneVerdict => "one-verdict",
            Self::Reference => "reference",
            Self::Retryable => "retryable",
            Self::Pause => "pause",
            Self::Credential => "credential",
            Self::Gone => "gone",
            Self::OneItem => "one-item",
            Self::IsThere => "is-there",
            Self::Once => "once",
            Self::Arrives => "arrives",
            Self::Current => "current",
            Self::Erased => "erased",
            Self::Granted => "granted",
            Self::Secret => "secret",
            Self::Quoted => "quoted",
            Self::Report => "report",
            Self::ReportedOnce => "reported-once",
            Self::Newest => "newest",
            Self::Forged => "forged",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
        }
    }

    /// What is expected, and how to get there.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Works => {
                "when nothing goes wrong, every item is delivered. If the plugin is right, the model of the other system or the \
                 settings are not"
            }
            Self::NoPanic => {
                "an error, as the verdict of the item or of the call: the hub ends a call that panics, and keeps nothing of it"
            }
            Self::InTime => {
                "a call ends before its time is over, or the hub ends it and keeps nothing of it. Give each request a \
                 `timeout_ms` below `host.remaining_ms()`, and leave the rest of a batch without a verdict when the time is short"
            }
            Self::OneVerdict => {
                "one verdict for each delivery of the batch, under its own id, and none for anything else"
            }
            Self::Reference => {
                "a reference of 1 to 2048 bytes by which the item is found again, or none; an address with https:// or http:// \
                 and no blanks, or none. \
                 `Delivered::told` leaves out what the hub would not keep"
            }
            Self::IsThere => "what is told as delivered is there: wait for the answer, and read it",
            Self::Once => {
                "one thing, however often the same delivery comes: an answer gets lost, or the hub stops before it has written \
                 the answer and the state down. Send the delivery's id as a key, or ask the other system for the item first"
            }
            Self::Arrives => {
                "what failed for now is delivered when it comes again and the other system works. An item that is to be erased \
                 may be a dead letter instead"
            }
            Self::Current => "after the delivery of a new version, what is there says it",
            Self::Erased => {
                "nothing of the item is left there, or the error says that it is: a copy of what somebody wanted to be \
                 forgotten is not to be passed over. Without a reference, look for the item"
            }
            Self::Granted | Self::Secret | Self::Quoted => self.expected_of_what_leaves(),
            Self::Retryable | Self::Pause | Self::Credential | Self::Gone | Self::OneItem => self.expected_of_errors(),
            Self::Report | Self::ReportedOnce | Self::Newest | Self::Forged | Self::Foreign | Self::Unreadable => {
                self.expected_of_reports()
            }
        }
    }

    const fn expected_of_what_leaves(self) -> &'static str {
        match self {
            Self::Granted => {
                "requests and connections go to what is granted alone. Do not follow what an answer says by yourself, and take \
                 references for what anybody could have written: encode them"
            }
            Self::Secret => "no secret in any message: say which one by its name",
            _ => {
                "nothing that customers said stands in an error, a log or a metric: the other system quotes it, so do not quote \
                 the other system. Tell its status, and names of fields"
            }
        }
    }

    const fn expected_of_errors(self) -> &'static str {
        match self {
            Self::Retryable => {
                "a failure that passes is `transient` or `rate-limited`, or the item has no verdict: so it is tried again. \
                 `permanent` makes a dead letter, `unauthorized` and `misconfigured` pause the instance"
            }
            Self::Pause => {
                "who asks for a pause gets it: `rate-limited` for a limit, which costs the item no attempt, with the time that \
                 `Retry-After` names (`response.retry_after_ms(host.now())`) and no other; where it names none that can be read, \
                 none or a time of the plugin's own of at most a day"
            }
            Self::Credential => {
                "`unauthorized`: the instance pauses, and the admin is told. Nothing else brings a new credential"
            }
            Self::Gone => {
                "`unauthorized` or `misconfigured`, when nothing is there any more for any item: the instance pauses, and the \
                 admin is told, instead of one dead letter for each item"
            }
            _ => {
                "`permanent` for the item that was refused, and for it alone: the others are delivered, or tried again, and the \
                 instance does not pause"
            }
        }
    }

    const fn expected_of_reports(self) -> &'static str {
        match self {
            Self::Report => "one report, with the reference that the delivery returned and the state that was told",
            Self::ReportedOnce => {
                "the same state and the same time: the hub knows it again by these. Take the time from the other system, not \
                 from the clock and not from when the request came"
            }
            Self::Newest => {
                "the newest state counts, in whatever order the requests come: each report has the time of its own change"
            }
            Self::Forged => "no change: who signed nothing, or something else, is not believed",
            Self::Foreign => {
                "no change, and no error: pass over what is not the hub's, by a mark on what the plugin creates"
            }
            _ => "`permanent`, or nothing at all: what cannot be read now cannot be read later",
        }
    }
}

/// One thing that a department does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Against which rule.
    pub rule: Rule,
    /// What was played.
    pub scene: String,
    /// In which call, and about which item.
    pub call: String,
    /// What the plugin did.
    pub done: String,
    /// What passed between the plugin and the other system in that call, in order.
    pub passed: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.rule.name(), self.done)?;
        writeln!(f, "  expected: {}", self.rule.expected())?;
        writeln!(f, "  played:   {}", self.scene)?;
        writeln!(f, "  in:       {}", self.call)?;
        for (at, line) in self.passed.iter().enumerate() {
            let title = if at == 0 { "  passed:  " } else { "           " };
            writeln!(f, "{title} {}. {line}", at + 1)?;
        }
        Ok(())
    }
}

/// All that was found, the first against each rule in full.
pub(super) fn told(findings: &[Finding]) -> String {
    let mut by_rule: BTreeMap<Rule, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        by_rule.entry(finding.rule).or_default().push(finding);
    }
    let rules = match by_rule.len() {
        1 => "one rule".to_owned(),
        count => format!("{count} rules"),
    };
    let mut text = format!("the department breaks {rules} of the contract:\n\n");
    for found in by_rule.values() {
        let Some(first) = found.first() else { continue };
        text.push_str(&first.to_string());
        match found.len() - 1 {
            0 => {}
            1 => text.push_str("  and once more\n"),
            more => text.push_str(&format!("  and {more} times more\n")),
        }
        text.push('\n');
    }
    text
}

//! How long records are kept, and who is excepted.

use mihwar_model::{Channel, ContactId, Kind, Tag};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::Problems;
use crate::rows::Head;

const DAY_MS: i64 = 86_400_000;

/// `[[retention]]`: how long records of a kind, of a channel, or all others are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// Stands in the ledger as the reason.
    pub name: Tag,
    /// Only records of this kind; left out: of any, and of none.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Only records of this sort of channel; left out: of any.
    #[serde(default)]
    pub channel: Option<Channel>,
    /// Days from when the hub received a record until its content is destroyed; at least 1.
    pub days: u32,
}

impl RetentionRule {
    /// Whether it speaks of such a record.
    pub(crate) fn fits(&self, head: &Head) -> bool {
        self.kind.is_none_or(|kind| head.kind == Some(kind))
            && self.channel.as_ref().is_none_or(|channel| head.channel == *channel)
    }

    /// How long a record is kept, in milliseconds.
    pub(crate) fn millis(&self) -> i64 {
        i64::from(self.days) * DAY_MS
    }
}

/// `[[hold]]`: a legal hold. Nothing of this contact is erased as long as it stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The hub's id of the contact: a name or a number of a person does not belong into this file.
    #[serde(deserialize_with = "hub_id")]
    pub contact: ContactId,
    /// Why; whoever wants to erase reads it.
    pub reason: String,
}

fn hub_id<'de, D: Deserializer<'de>>(from: D) -> Result<ContactId, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| {
        let message = "is no contact's id of this hub, such as 0192f0c1-7a5e-7c3d-9b1e-0a1b2c3d4e5f; `mihwar feedback list --json` \
                       shows the contact of each record";
        D::Error::custom(format_args!("`{text}` in [[hold]] {message}"))
    })
}

/// Notes what is wrong with the rules.
pub(super) fn check(rules: &[RetentionRule], problems: &mut Problems<'_>) {
    for (index, rule) in rules.iter().enumerate() {
        if rule.days == 0 {
            let message = "must be at least 1: with none, everything would be erased as it comes";
            problems.add_at("retention", index, "days", message.to_owned());
        }
        if rules.iter().take(index).any(|earlier| earlier.name == rule.name) {
            problems.add_at("retention", index, "name", format!("\"{}\" is there twice", rule.name));
        }
    }
}

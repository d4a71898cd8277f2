//! What an admin can set for one mail channel.

use mihwar_sdk::ConfigProblem;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::charset::Fallback;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Settings of a mail channel. All of them have defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Largest single mail in bytes, attachments included. A larger one is refused; the mails beside it are kept.
    /// 1 KiB to 128 MiB.
    #[schemars(range(min = 1_024, max = 134_217_728))]
    pub max_message_bytes: u64,
    /// Longest text of a record in bytes. A longer text is cut there, and the whole of it becomes an attachment.
    /// 1 KiB to 4 MiB.
    #[schemars(range(min = 1_024, max = 4_194_304))]
    pub max_body_bytes: u64,
    /// Most attachments that one record keeps; the rest of a mail with more is left out, and the record tagged
    /// `attachment-left-out`. At most 255: a text that was cut adds one, and the hub keeps 256.
    #[schemars(range(max = 255))]
    pub max_attachments: u32,
    /// Whether to keep the HTML form of a mail (up to 256 KiB) beside its plain text, for display.
    pub keep_html: bool,
    /// Character set for texts that name none, an unknown one or a wrong one, such as `windows-1256`. `auto` takes
    /// Windows-1256 when most letters lie beyond ASCII, and otherwise Windows-1252.
    pub fallback_charset: String,
    /// Whether the address in `Reply-To` is kept as a handle of the author. The hub knows a person again by the first
    /// handle alone: that is the sender's address, and the one in `Reply-To` only when nobody reads mail to the
    /// sender's (`noreply@…`, `notifications@…`). Never done for mail from lists, nor when the mail also went to that
    /// address.
    pub reply_to_identifies: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message_bytes: 32 * MIB,
            max_body_bytes: MIB,
            max_attachments: 200,
            keep_html: true,
            fallback_charset: "auto".to_owned(),
            reply_to_identifies: true,
        }
    }
}

impl Settings {
    /// What is wrong with the settings, key by key.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut range = |path: &str, value: u64, low: u64, high: u64| {
            if !(low..=high).contains(&value) {
                problems.push(ConfigProblem::new(
                    path,
                    format!("must lie between {low} and {high}, is {value}"),
                ));
            }
        };
        range("max_message_bytes", self.max_message_bytes, KIB, 128 * MIB);
        range("max_body_bytes", self.max_body_bytes, KIB, 4 * MIB);
        range("max_attachments", u64::from(self.max_attachments), 0, 255);
        if Fallback::from_setting(&self.fallback_charset).is_none() {
            problems.push(ConfigProblem::new(
                "fallback_charset",
                format!(
                    "unknown character set `{}`; use `auto` or a name such as `windows-1256`",
                    self.fallback_charset
                ),
            ));
        }
        problems
    }

    /// The fallback; `auto` when the setting is not usable.
    pub(crate) fn fallback(&self) -> Fallback {
        Fallback::from_setting(&self.fallback_charset).unwrap_or(Fallback::Guess)
    }
}

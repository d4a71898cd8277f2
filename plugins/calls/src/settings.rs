//! What an admin can set for one channel of call records.

use jiff::tz::TimeZone;
use mihwar_sdk::ConfigProblem;
use schemars::JsonSchema;
use serde::Deserialize;

/// How the files are laid out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The 18 columns that Asterisk writes with `loguniqueid` and `loguserfield`, with or without a line of names.
    #[default]
    AsteriskCdr,
    /// Any CSV file; `columns` tells which column holds what.
    Mapped,
}

/// The language of the sentences that the channel writes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
pub enum Language {
    /// Arabic.
    #[serde(rename = "ar")]
    Arabic,
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
}

/// Which column holds what: its name in the first line, or `#` and its number (`#1` is the first) in a file without
/// names.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The call's own id. Needed.
    pub id: String,
    /// The number that called. Needed.
    pub caller: String,
    /// When the call began, as in `time_format`. Needed.
    pub started: String,
    /// The name of the caller.
    pub caller_name: Option<String>,
    /// The number that was called.
    pub callee: Option<String>,
    /// How long the call took: seconds, `MM:SS` or `HH:MM:SS`.
    pub duration: Option<String>,
    /// What became of the call; see `answered_values`. Without it, a call of more than 0 seconds was answered.
    pub answered: Option<String>,
    /// The queue that the caller waited in.
    pub queue: Option<String>,
    /// Who answered.
    pub agent: Option<String>,
    /// Text that the agent wrote down.
    pub note: Option<String>,
}

/// Settings of a channel of call records.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How the files are laid out.
    pub format: Format,
    /// What stands between two columns: one ASCII character, such as `,` or `;`.
    pub separator: String,
    /// For `format = "mapped"`.
    pub columns: Columns,
    /// For `format = "mapped"`: how times are written, in the letters of `strftime` (`%d/%m/%Y %H:%M`), or `unix` or
    /// `unix-ms`. Arabic-Indic digits are understood.
    pub time_format: String,
    /// The zone of times that name none, such as `Asia/Riyadh`. Empty: the zone of the instance.
    pub time_zone: String,
    /// For `format = "mapped"`: what stands in the column `answered` when somebody took the call. Compared without
    /// case.
    pub answered_values: Vec<String>,
    /// For `format = "mapped"`: what stands in the column `answered` when the caller hung up in the queue.
    pub abandoned_values: Vec<String>,
    /// For `format = "asterisk-cdr"`: dial plan contexts of outgoing calls. Those never ask for a call-back.
    pub outbound_contexts: Vec<String>,
    /// Country code, such as `966`, that turns national numbers into international ones. Empty: they stay national.
    pub default_country_code: String,
    /// What is dialled before a national number and left out behind the country code.
    pub trunk_prefix: String,
    /// The language of the sentences that ask for a call-back.
    pub language: Language,
}

impl Default for Settings {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Self {
            format: Format::default(),
            separator: ",".to_owned(),
            columns: Columns::default(),
            time_format: "%Y-%m-%d %H:%M:%S".to_owned(),
            time_zone: String::new(),
            answered_values: words(&["answered", "yes", "true", "1", "نعم", "تم الرد", "مجابة"]),
            abandoned_values: words(&["abandoned", "abandon", "متروكة"]),
            outbound_contexts: Vec::new(),
            default_country_code: String::new(),
            trunk_prefix: "0".to_owned(),
            language: Language::default(),
        }
    }
}

impl Settings {
    /// The separator as a byte; a comma when the setting is not usable.
    pub(crate) fn separator_byte(&self) -> u8 {
        match self.separator.as_bytes() {
            [byte] if is_separator(*byte) => *byte,
            b"\\t" | b"tab" => b'\t',
            _ => b',',
        }
    }

    /// What is wrong with the settings, key by key.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, message: String| problems.push(ConfigProblem::new(path, message));
        let separator_is_usable = match self.separator.as_bytes() {
            [byte] => is_separator(*byte),
            other => matches!(other, b"\\t" | b"tab"),
        };
        if !separator_is_usable {
            wrong(
                "separator",
                format!(
                    "must be one ASCII character such as `,` or `;`, or `tab`; is `{}`",
                    self.separator
                ),
            );
        }
        if !self.time_zone.is_empty() && TimeZone::get(&self.time_zone).is_err() {
            wrong(
                "time_zone",
                format!(
                    "unknown time zone `{}`; use a name such as `Asia/Riyadh`",
                    self.time_zone
                ),
            );
        }
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(&self.default_country_code) || self.default_country_code.len() > 3 {
            wrong(
                "default_country_code",
                "must be 1 to 3 digits without `+`, such as `966`".to_owned(),
            );
        }
        if !digits(&self.trunk_prefix) {
            wrong("trunk_prefix", "must hold digits only".to_owned());
        }
        if self.format == Format::Mapped {
            let columns = &self.columns;
            for (key, value) in [
                ("id", &columns.id),
                ("caller", &columns.caller),
                ("started", &columns.started),
            ] {
                if value.is_empty() {
                    wrong(
                        &format!("columns.{key}"),
                        "is needed for `format = \"mapped\"`".to_owned(),
                    );
                }
            }
        }
        problems
    }
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r' | b'\\')
}

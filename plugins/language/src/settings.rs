//! What an admin can set.

use mihwar_sdk::ConfigProblem;
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of the language enricher. All of them have defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A text with fewer letters stays unknown. 1 to 200.
    #[schemars(range(min = 1, max = 200))]
    pub min_letters: u32,
    /// A language that is less certain stays unknown. 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_confidence: f64,
    /// Whether to set the language of records whose channel has already named one.
    pub replace_existing: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_letters: 12,
            min_confidence: 0.3,
            replace_existing: false,
        }
    }
}

impl Settings {
    /// What is wrong with the settings, key by key.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if !(1..=200).contains(&self.min_letters) {
            problems.push(ConfigProblem::new(
                "min_letters",
                format!("must lie between 1 and 200, is {}", self.min_letters),
            ));
        }
        if !(0.0..=1.0).contains(&self.min_confidence) {
            let message = format!("must lie between 0 and 1, is {}", self.min_confidence);
            problems.push(ConfigProblem::new("min_confidence", message));
        }
        problems
    }
}

//! What an admin can set.

use mihwar_sdk::ConfigProblem;
use schemars::JsonSchema;
use serde::Deserialize;

/// Most digits that may stay to be seen.
const VISIBLE_MAX: u8 = 4;
/// Fewest letters and digits of something that is never masked: a shorter one would fit too much.
const ALLOWED_MIN: usize = 4;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Numbers of payment cards.
    CardNumber,
    /// International bank account numbers.
    Iban,
    /// Saudi national ids and residence permits (iqama).
    NationalId,
    /// Addresses for electronic mail.
    Email,
    /// Telephone numbers.
    Phone,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 5] = [Self::CardNumber, Self::Iban, Self::NationalId, Self::Email, Self::Phone];

    /// The label that stands in the place of what was masked.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::CardNumber => "card-number",
            Self::Iban => "iban",
            Self::NationalId => "national-id",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }
}

/// Settings of the redactor. All of them have defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is masked: `card-number`, `iban`, `national-id`, `email`, `phone`. All, unless you say otherwise.
    pub kinds: Vec<Kind>,
    /// How many of the last digits stay to be seen.
    pub visible: Visible,
    /// What is never masked: addresses and numbers of your own, however they are written. `@example.org` allows every
    /// address there.
    pub allow: Vec<String>,
}

/// How many of the last digits stay to be seen, 0 to 4 of each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Visible {
    /// Of a card.
    #[schemars(range(min = 0, max = 4))]
    pub card_number: u8,
    /// Of an account.
    #[schemars(range(min = 0, max = 4))]
    pub iban: u8,
    /// Of a national id or a residence permit.
    #[schemars(range(min = 0, max = 4))]
    pub national_id: u8,
    /// Of a telephone.
    #[schemars(range(min = 0, max = 4))]
    pub phone: u8,
}

impl Default for Visible {
    fn default() -> Self {
        Self {
            card_number: 4,
            iban: 4,
            national_id: 0,
            phone: 0,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kinds: Kind::ALL.to_vec(),
            visible: Visible::default(),
            allow: Vec::new(),
        }
    }
}

impl Settings {
    /// What is wrong with the settings, key by key.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.kinds.is_empty() {
            problems.push(ConfigProblem::new(
                "kinds",
                "name at least one kind, or nothing is masked; leave the key out for all of them",
            ));
        }
        let visible = &self.visible;
        for (key, digits) in [
            ("visible.card_number", visible.card_number),
            ("visible.iban", visible.iban),
            ("visible.national_id", visible.national_id),
            ("visible.phone", visible.phone),
        ] {
            if digits > VISIBLE_MAX {
                let message = format!("must lie between 0 and {VISIBLE_MAX}, is {digits}");
                problems.push(ConfigProblem::new(key, message));
            }
        }
        for (place, allowed) in self.allow.iter().enumerate() {
            let letters = allowed.chars().filter(|letter| letter.is_alphanumeric()).count();
            if letters < ALLOWED_MIN {
                let message = format!("`{allowed}` has fewer than {ALLOWED_MIN} letters and digits: write all of it");
                problems.push(ConfigProblem::new(format!("allow[{place}]"), message));
            }
        }
        problems
    }

    /// How many of the last digits of a kind stay to be seen.
    pub(crate) fn visible(&self, kind: Kind) -> usize {
        usize::from(match kind {
            Kind::CardNumber => self.visible.card_number,
            Kind::Iban => self.visible.iban,
            Kind::NationalId => self.visible.national_id,
            Kind::Phone => self.visible.phone,
            Kind::Email => 0,
        })
    }
}

//! Rules as they are written, and as they are once their lists are read.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use mihwar_model::InstanceName;
use serde::Deserialize;

/// `[routing]`: what holds for all rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct RoutingSection {
    /// Who receives what no rule chose, so that nothing falls through.
    pub(crate) default: Vec<InstanceName>,
    /// `all` rules that match add their departments, or only the `first`.
    pub(crate) matching: Matching,
    /// What rules see of the contact. Default: nothing.
    pub(crate) contact_fields: Vec<ContactField>,
    /// Lists that rules ask: entries, or `{ file = "PATH" }`.
    pub(crate) lists: BTreeMap<String, toml::Value>,
}

/// See [`RulesSource::matching`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Matching {
    /// Every rule that matches adds its departments.
    #[default]
    All,
    /// The first rule that matches decides.
    First,
}

impl Matching {
    /// As it stands in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::First => "first",
        }
    }
}

impl FromStr for Matching {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "first" => Ok(Self::First),
            _ => Err("use all or first"),
        }
    }
}

/// What rules may see of whoever said something, once it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactField {
    /// The hub's id: a pseudonym.
    Id,
    /// The name for display.
    Name,
    /// The handles, each as `scheme:handle`.
    Identifiers,
    /// Of handles with an `@`, what stands behind it, in lower case.
    Domains,
    /// BCP 47.
    Locale,
}

impl ContactField {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Id, Self::Name, Self::Identifiers, Self::Domains, Self::Locale];

    /// As it stands in rules and in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Identifiers => "identifiers",
            Self::Domains => "domains",
            Self::Locale => "locale",
        }
    }
}

impl fmt::Display for ContactField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContactField {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|field| field.as_str() == text);
        found.ok_or("use id, name, identifiers, domains or locale")
    }
}

/// `[[route]]`: one rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSource {
    /// Its name, as it stands beside every decision.
    pub name: String,
    /// CEL over `record`, `contact`, `department` and `lists`, of at most 4000 characters.
    pub when: String,
    /// Departments.
    pub to: Vec<InstanceName>,
}

/// A whole rule set as it was written, with the entries of its lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesSource {
    /// Who receives what no rule chose.
    pub default: Vec<InstanceName>,
    /// Whether every rule that matches adds its departments, or the first decides.
    pub matching: Matching,
    /// What rules see of the contact.
    pub contact_fields: Vec<ContactField>,
    /// Lists by name. Rules write `_` for `-`: `lists.vip_plans` is `vip-plans`.
    pub lists: BTreeMap<String, Vec<String>>,
    /// The rules, in their order.
    pub routes: Vec<RouteSource>,
}

/// A rule, or something else of a rule set, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// Which rule, from 0.
    pub route: usize,
    /// Names the rule, the place in it and what would be right.
    pub message: String,
}

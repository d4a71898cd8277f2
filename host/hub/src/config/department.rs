//! `[[department]]`: departments that ask for what is for them. They need no plugin.

use std::collections::BTreeSet;

use mihwar_model::InstanceName;
use serde::Deserialize;

use super::{InstanceConfig, Problems};
use crate::convert::{FIELD_NAMES, GrantedFields};

/// `[[department]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepartmentConfig {
    /// Its name: a rule may send to it, and a token may be for it. No instance has it.
    pub name: InstanceName,
    /// What it may see.
    #[serde(default)]
    pub grant: DepartmentGrant,
}

/// What a department that asks may see. Nothing is allowed by default but facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DepartmentGrant {
    /// Personal fields, by the names that an instance's `grant.fields` has.
    pub fields: Vec<String>,
}

/// Notes what is wrong with them.
pub(super) fn check(departments: &[DepartmentConfig], instances: &[InstanceConfig], problems: &mut Problems<'_>) {
    let taken: BTreeSet<_> = instances.iter().map(|instance| &instance.name).collect();
    for (index, department) in departments.iter().enumerate() {
        let name = &department.name;
        if taken.contains(name) {
            let message = format!("\"{name}\" is the name of an [[instance]]; a department has a plugin, or asks");
            problems.add_at("department", index, "name", message);
        }
        if let Err(unknown) = GrantedFields::read(&department.grant.fields) {
            let message = format!("\"{unknown}\" is no field; the fields are: {}", FIELD_NAMES.join(", "));
            problems.add_at("department", index, "grant.fields", message);
        }
    }
    problems.unique(
        "department",
        "name",
        departments.iter().map(|department| &department.name),
    );
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("mihwar.toml".as_ref(), text, Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rule_may_send_to_a_department_that_asks() {
        let config = parse(
            "[[department]]\nname = \"branches\"\ngrant.fields = [\"body\"]\n[[department]]\nname = \"board\"\n\
             [routing]\ndefault = [\"board\"]\n[[route]]\nname = \"فروع\"\nwhen = \"record.kind == 'praise'\"\nto = [\"branches\"]\n",
        )
        .unwrap();
        let names: Vec<&str> = config.departments.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["branches", "board"]);
        assert_eq!(config.departments[0].grant.fields, ["body"]);
        assert!(config.departments[1].grant.fields.is_empty());
    }

    #[test]
    fn a_department_has_a_name_of_its_own_and_fields_that_there_are() {
        let error = parse(
            "[[plugin]]\nid = \"p\"\n[[instance]]\nname = \"billing\"\nplugin = \"p\"\n\
             [[department]]\nname = \"billing\"\n\
             [[department]]\nname = \"board\"\ngrant.fields = [\"النص\"]\n\
             [[department]]\nname = \"board\"\n",
        )
        .unwrap_err();
        for expected in [
            "mihwar.toml:7: department[0].name: \"billing\" is the name of an [[instance]]",
            "mihwar.toml:10: department[1].grant.fields: \"النص\" is no field; the fields are: subject, body",
            "mihwar.toml:12: department[2].name: \"board\" is there twice",
        ] {
            assert!(error.contains(expected), "{expected} not in\n{error}");
        }
        let unknown = parse("[[department]]\nname = \"board\"\npull = true\n").unwrap_err();
        assert!(unknown.contains("mihwar.toml:3: pull: unknown field"), "{unknown}");
    }
}

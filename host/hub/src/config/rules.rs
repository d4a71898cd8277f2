//! `[routing]` and `[[route]]`: the rules, also those of another file than the configuration's own.

use std::collections::BTreeSet;
use std::path::Path;

use mihwar_model::InstanceName;

use super::file::File;
use super::{Config, ConfigError, ConfigProblem, Problems, list, place};
use crate::routing::{RouteSource, RoutingSection, RuleSet, RulesSource, resolve_lists};

/// Compiles the rules, and notes what is wrong with them.
pub(super) fn check(
    routing: RoutingSection,
    routes: Vec<RouteSource>,
    base: &Path,
    known: &BTreeSet<InstanceName>,
    problems: &mut Problems<'_>,
) -> RuleSet {
    for (index, route) in routes.iter().enumerate() {
        for name in route.to.iter().filter(|name| !known.contains(*name)) {
            let message = format!(
                "there is no [[instance]] named \"{name}\", and no [[department]]; the names are: {}",
                list(known)
            );
            problems.add_at("route", index, "to", message);
        }
    }
    for name in routing.default.iter().filter(|name| !known.contains(*name)) {
        problems.add(
            &["routing", "default"],
            format!("there is no [[instance]] named \"{name}\", and no [[department]]"),
        );
    }
    let (lists, faults) = resolve_lists(&routing.lists, base);
    for (name, message) in faults {
        problems.add(&["routing", "lists", name.as_str()], message);
    }
    let (rules, faults) = RuleSet::read(RulesSource {
        default: routing.default,
        matching: routing.matching,
        contact_fields: routing.contact_fields,
        lists,
        routes,
    });
    for fault in faults {
        problems.add_at("route", fault.route, "when", fault.message);
    }
    rules
}

impl Config {
    /// The rules of another file, which holds `[routing]` and `[[route]]` and may hold everything else that a configuration
    /// does. Its departments are its own or, where it has none, those of this configuration.
    ///
    /// # Errors
    /// Every problem of these rules, with file, line and key.
    pub fn rules_of(&self, path: &Path) -> Result<RuleSet, ConfigError> {
        let source = path.display().to_string();
        let one = |line, key: String, message: String| ConfigError {
            problems: vec![ConfigProblem {
                source: source.clone(),
                line,
                key,
                message,
            }],
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| one(None, String::new(), format!("cannot be read: {error}")))?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let start = error.span().map(|span| span.start);
            let line = start.map(|start| place::line_of(&text, start));
            let key = start.and_then(|start| place::key_at(&text, start));
            one(line, key.unwrap_or_default(), error.message().to_owned())
        })?;
        let mut problems = Problems {
            source: source.clone(),
            text: &text,
            found: Vec::new(),
        };
        let mut known: BTreeSet<_> = file.instance.iter().map(|instance| instance.name.clone()).collect();
        known.extend(file.department.iter().map(|department| department.name.clone()));
        if known.is_empty() {
            known.extend(self.instances.iter().map(|instance| instance.name.clone()));
            known.extend(self.departments.iter().map(|department| department.name.clone()));
        }
        let base = path.parent().unwrap_or(Path::new("."));
        let rules = check(file.routing, file.route, base, &known, &mut problems);
        if problems.found.is_empty() {
            Ok(rules)
        } else {
            Err(ConfigError {
                problems: problems.found,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const DEPARTMENTS: &str = "[[plugin]]\nid = \"p\"\n[[instance]]\nname = \"service\"\nplugin = \"p\"\n";

    fn parse(rules: &str, folder: &std::path::Path) -> Result<Config, String> {
        let text = format!("{DEPARTMENTS}{rules}");
        Config::parse(&folder.join("mihwar.toml"), &text, Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_in_a_rule_is_told_with_file_line_rule_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let rule = "[[route]]\nname = \"شكاوى\"\nto = [\"service\"]\nwhen = ";
        for (when, said) in [
            (
                "\"record.kind == 'praise' && record.chanel == 'form'\"",
                "mihwar.toml:9: route[0].when: rule \"شكاوى\" at 1:34: record has no field `chanel` (did you mean `channel`?)",
            ),
            (
                "\"\"\"\nrecord.kind == 'praise'\n  && record.body > 3\n\"\"\"",
                "at 2:18: record.body is a string",
            ),
            ("\"record.language in lists.rtl\"", "there is no list `rtl`"),
            ("\"contact.name == 'هدى'\"", "contact.name is not granted to rules"),
        ] {
            let error = parse(&format!("{rule}{when}\n"), folder.path()).unwrap_err();
            assert!(error.contains(said), "{said} not in\n{error}");
        }
    }

    #[test]
    fn lists_of_files_are_read_with_the_configuration_and_again_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let rules = "[routing.lists]\nvip-plans = { file = \"plans.txt\" }\n[[route]]\nname = \"كبار\"\nto = [\"service\"]\n\
                     when = \"record.given.plan in lists.vip_plans\"\n";
        let missing = parse(rules, folder.path()).unwrap_err();
        assert!(
            missing.contains("mihwar.toml:7: routing.lists.vip-plans: its file"),
            "{missing}"
        );
        std::fs::write(folder.path().join("plans.txt"), "gold\n").unwrap();
        let before = parse(rules, folder.path()).unwrap();
        std::fs::write(folder.path().join("plans.txt"), "gold\nذهبي\n").unwrap();
        let after = parse(rules, folder.path()).unwrap();
        assert_eq!(after.rules.source().lists["vip-plans"], ["gold", "ذهبي"]);
        assert_ne!(before.rules.fingerprint(), after.rules.fingerprint());
    }

    #[test]
    fn rules_of_another_file_are_for_the_departments_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let config = parse("", folder.path()).unwrap();
        let path = folder.path().join("جديد.toml");
        std::fs::write(&path, "[routing]\ndefault = [\"service\"]\n").unwrap();
        let rules = config.rules_of(&path).unwrap();
        assert_eq!(rules.source().default.len(), 1);
        std::fs::write(&path, "[routing]\ndefault = [\"legal\"]\n").unwrap();
        let error = config.rules_of(&path).unwrap_err().to_string();
        assert!(
            error.contains("جديد.toml:2: routing.default: there is no [[instance]] named \"legal\""),
            "{error}"
        );
        let own = "[[plugin]]\nid = \"p\"\n[[instance]]\nname = \"legal\"\nplugin = \"p\"\n[routing]\ndefault = [\"legal\"]\n";
        std::fs::write(&path, own).unwrap();
        assert!(config.rules_of(&path).is_ok());
        std::fs::write(&path, "[[rout]]\n").unwrap();
        let error = config.rules_of(&path).unwrap_err().to_string();
        assert!(error.contains("جديد.toml:1:") && error.contains("rout"), "{error}");
    }
}

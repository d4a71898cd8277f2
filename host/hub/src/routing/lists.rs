//! Named lists: written in the configuration, or in files with one entry a line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use mihwar_model::{FieldProblem, InstanceName};
use toml::Value;

use super::source::RulesSource;

/// Entries of one list. Every rule may look through all of them for every record.
const ENTRIES_MAX: usize = 10_000;
/// Characters of an entry.
const ENTRY_CHARS_MAX: usize = 256;
/// Bytes of a list's file that are read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Lists by name, and what is wrong with those that cannot be used: name and message.
pub(crate) type Resolved = (BTreeMap<String, Vec<String>>, Vec<(String, String)>);

/// The entries of all lists; files are relative to `base`.
pub(crate) fn resolve(written: &BTreeMap<String, Value>, base: &Path) -> Resolved {
    let (mut lists, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, value) in written {
        let read = checked_name(name).and_then(|()| entries(value, base));
        let read = read.and_then(|entries| fault(&entries).map_or(Ok(entries), Err));
        match read {
            Ok(entries) => drop(lists.insert(name.clone(), entries)),
            Err(message) => faults.push((name.clone(), message)),
        }
    }
    (lists, faults)
}

/// The name by which rules ask for a list.
pub(super) fn name_in_rules(name: &str) -> String {
    name.replace('-', "_")
}

impl RulesSource {
    /// What is wrong with the lists of a rule set that did not come from a configuration: `lists.NAME`, and why.
    #[must_use]
    pub fn list_problems(&self) -> Vec<FieldProblem> {
        let faults = self.lists.iter().filter_map(|(name, entries)| {
            let fault = checked_name(name).err().or_else(|| fault(entries))?;
            Some(FieldProblem::new(format!("lists.{name}"), fault))
        });
        faults.collect()
    }
}

/// Refuses a name that rules could not write.
fn checked_name(name: &str) -> Result<(), String> {
    InstanceName::new(name).map(drop).map_err(|error| error.to_string())
}

/// What is more, or longer, than rules may ask through.
fn fault(entries: &[String]) -> Option<String> {
    if entries.len() > ENTRIES_MAX {
        return Some(format!(
            "has {} entries, and at most {ENTRIES_MAX} are taken",
            entries.len()
        ));
    }
    let long = entries.iter().find(|entry| entry.chars().count() > ENTRY_CHARS_MAX)?;
    let beginning: String = long.chars().take(40).collect();
    Some(format!(
        "the entry that begins \"{beginning}\" has more than {ENTRY_CHARS_MAX} characters"
    ))
}

fn entries(value: &Value, base: &Path) -> Result<Vec<String>, String> {
    let wanted = "is no list of text; write it like [\"gold\", \"silver\"] or { file = \"PATH\" }";
    match value {
        Value::Array(entries) => {
            let entries = entries.iter().map(|entry| entry.as_str().map(ToOwned::to_owned));
            entries.collect::<Option<_>>().ok_or_else(|| wanted.to_owned())
        }
        Value::Table(table) if table.len() == 1 => {
            let file = table.get("file").and_then(Value::as_str).ok_or(wanted)?;
            of_file(&base.join(file))
        }
        _ => Err(wanted.to_owned()),
    }
}

/// One entry a line. Empty lines, and those that begin with `#`, are none.
fn of_file(path: &Path) -> Result<Vec<String>, String> {
    let told = |error: std::io::Error| format!("its file {} cannot be read: {error}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(told)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(told)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!(
            "its file {} has more than {FILE_BYTES_MAX} bytes",
            path.display()
        ));
    }
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(entries.map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ENTRIES_MAX, resolve};

    fn resolved(text: &str, base: &Path) -> super::Resolved {
        let written = toml::from_str(text).unwrap();
        resolve(&written, base)
    }

    #[test]
    fn a_list_stands_in_the_configuration_or_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = "\u{feff}# من خدمة العملاء\n gold \r\n\nذهبي\n";
        std::fs::write(folder.path().join("plans.txt"), text).unwrap();
        let written = "vip-plans = { file = \"plans.txt\" }\ntrusted = [\"شريك\", \"partner\"]";
        let (lists, faults) = resolved(written, folder.path());
        assert_eq!(faults, []);
        assert_eq!(lists["vip-plans"], ["gold", "ذهبي"]);
        assert_eq!(lists["trusted"], ["شريك", "partner"]);
    }

    #[test]
    fn what_is_no_list_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let long = "ط".repeat(257);
        let many = vec!["\"a\""; ENTRIES_MAX + 1].join(",");
        for (written, said) in [
            ("plans = 3".to_owned(), "is no list of text"),
            ("plans = [1]".to_owned(), "is no list of text"),
            ("plans = { path = \"a\" }".to_owned(), "is no list of text"),
            (
                "plans = { file = \"nowhere.txt\" }".to_owned(),
                "nowhere.txt cannot be read",
            ),
            (format!("plans = [\"{long}\"]"), "more than 256 characters"),
            (format!("plans = [{many}]"), "at most 10000"),
            ("VIP_plans = []".to_owned(), "lower-case letters"),
        ] {
            let (lists, faults) = resolved(&written, folder.path());
            assert!(lists.is_empty(), "{said}");
            assert!(faults[0].1.contains(said), "{said}: {faults:?}");
        }
    }
}

//! What a site holds, item by item, so that a change anywhere in it is seen: as its commands tell it, and as its files are.
#![expect(clippy::unwrap_used, reason = "a test that cannot look reports by panic")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Site;

/// More items than a test makes.
const ALL: &str = "1000000";

/// Everything that commands tell of a hub, running or not: records with their texts, deliveries with their states, dead
/// requests, tokens, the head of the ledger.
///
/// # Panics
/// When a command fails.
#[must_use]
pub fn picture(site: &Site) -> Value {
    json!({
        "feedback": site.json_lines(&["feedback", "export"]),
        "deliveries": site.json_lines(&["delivery", "list", "--limit", ALL]),
        "dead requests": site.json_lines(&["delivery", "list", "--inbound", "--limit", ALL]),
        "tokens": site.json(&["token", "list"]),
        "ledger": site.json(&["ledger", "head"]),
    })
}

/// That two pictures are the same.
///
/// # Panics
/// When they are not; says where they differ first.
pub fn assert_same_picture(found: &Value, wanted: &Value, moment: &str) {
    for (part, wanted) in wanted.as_object().unwrap() {
        let found = &found[part];
        if let (Some(found), Some(wanted)) = (found.as_array(), wanted.as_array()) {
            for (number, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                assert!(
                    found == wanted,
                    "{moment}: number {number} of {part} is\n{found:#}\nand not\n{wanted:#}"
                );
            }
            assert_eq!(found.len(), wanted.len(), "{moment}: {part}");
        }
        assert!(found == wanted, "{moment}: {part} is\n{found:#}\nand not\n{wanted:#}");
    }
}

/// Every file and folder below a path: its mode, when it was changed, and its bytes as a hash.
///
/// # Panics
/// When something cannot be read.
#[must_use]
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut rest = vec![folder.to_owned()];
    while let Some(path) = rest.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        let content = if about.is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if about.is_file() {
            use sha2::Digest;
            let hash = sha2::Sha256::digest(fs::read(&path).unwrap());
            hash.iter().map(|byte| format!("{byte:02x}")).collect()
        } else {
            "no file".to_owned()
        };
        let told = format!("{:o} {}.{} {content}", about.mode(), about.mtime(), about.mtime_nsec());
        found.insert(path, told);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{assert_same_picture, json};

    #[test]
    fn a_picture_is_compared_item_by_item() {
        let one = json!({ "feedback": [{ "id": 1, "body": "شكوى" }], "ledger": "a" });
        assert_same_picture(&one, &one.clone(), "now");
        for other in [
            json!({ "feedback": [{ "id": 2, "body": "شكوى" }], "ledger": "a" }),
            json!({ "feedback": [], "ledger": "a" }),
            json!({ "feedback": [{ "id": 1, "body": "شكوى" }], "ledger": "b" }),
            json!({ "ledger": "a" }),
        ] {
            let differs = std::panic::catch_unwind(|| assert_same_picture(&other, &one, "now"));
            assert!(differs.is_err(), "{other}");
        }
    }
}

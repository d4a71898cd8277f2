//! The house rules that a machine can check. Each failure names the place and what would be right.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mihwar_tests::workspace;

/// Longest file, without the unit tests at its end. Function length is clippy's business (clippy.toml).
const FILE_LINES_MAX: usize = 600;

/// Rooms from the bottom up. A room uses only rooms that stand before it.
const ROOMS: [&str; 7] = ["model", "ledger", "store", "sandbox", "hub", "server", "cli"];
/// Rooms on one floor, which do not see each other.
const SIDE_BY_SIDE: [(&str, &str); 2] = [("store", "sandbox"), ("ledger", "model")];

/// Words of channels and products, which belong into plugins.
const PRODUCTS: [&str; 12] = [
    "email", "e-mail", "smtp", "imap", "jira", "slack", "github", "zendesk", "telegram", "whatsapp", "twitter",
    "asterisk",
];
/// Where such words may stand in `host/`, and why.
const PRODUCTS_ALLOWED: [(&str, &str); 1] = [(
    "host/hub/src/channel_kinds.rs",
    "names the variants of the contract's channel-kind, and nothing else does",
)];

/// Most places outside of tests that may end the process on a fault. Clippy denies every one that does not say
/// `#[expect(clippy::…, reason = "…")]`; this keeps those few.
const PANICS_MAX: usize = 5;

#[test]
fn files_are_short() {
    let long: Vec<_> = rust_files(&["host", "sdk", "plugins", "tests", "xtask"])
        .into_iter()
        .map(|file| (shown(&file), without_unit_tests(&read(&file)).lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(
        long.is_empty(),
        "split these, they have more than {FILE_LINES_MAX} lines: {long:?}"
    );
}

#[test]
fn rooms_depend_downwards_only() {
    let folders = folders(&workspace().join("host"));
    for folder in &folders {
        let name = file_name(folder);
        let floor = ROOMS.iter().position(|room| *room == name);
        assert!(floor.is_some(), "host/{name} is in no known place: add it to ROOMS");
        for used in mihwar_dependencies(&read(&folder.join("Cargo.toml"))) {
            let below = ROOMS.iter().position(|room| *room == used);
            assert!(
                below.is_some() && below < floor,
                "host/{name} uses {used}, which does not lie below it"
            );
            let aside = |a: &str, b: &str| SIDE_BY_SIDE.contains(&(a, b)) || SIDE_BY_SIDE.contains(&(b, a));
            assert!(!aside(&name, &used), "host/{name} uses {used}, which lies beside it");
        }
    }
    assert_eq!(folders.len(), ROOMS.len(), "ROOMS names a room that is not there");
}

#[test]
fn plugins_know_only_the_sdk() {
    for folder in folders(&workspace().join("plugins")) {
        let used = mihwar_dependencies(&read(&folder.join("Cargo.toml")));
        assert_eq!(
            used,
            ["sdk"],
            "{} must use the SDK and no room of the host",
            shown(&folder)
        );
        assert!(
            folder.join("plugin.toml").is_file(),
            "{} has no plugin.toml",
            shown(&folder)
        );
    }
    assert!(mihwar_dependencies(&read(&workspace().join("sdk/rust/Cargo.toml"))).is_empty());
}

#[test]
fn the_host_names_no_channel_and_no_product() {
    let mut found = Vec::new();
    for file in files(&["host"], &["rs", "html", "css", "js", "toml", "svg"]) {
        let place = shown(&file);
        if is_test(&place) || PRODUCTS_ALLOWED.iter().any(|(allowed, _)| *allowed == place) {
            continue;
        }
        for (number, line) in (1..).zip(without_unit_tests(&read(&file)).lines()) {
            let line = line.to_lowercase();
            let named = PRODUCTS.iter().filter(|word| holds_word(&line, word));
            found.extend(named.map(|word| format!("{place}:{number}: {word}")));
        }
    }
    assert!(found.is_empty(), "these belong into a plugin: {found:#?}");
    for (file, why) in PRODUCTS_ALLOWED {
        assert!(
            workspace().join(file).is_file(),
            "{file} is gone; so is its exception ({why})"
        );
    }
}

#[test]
fn every_crate_begins_with_a_sentence() {
    let mut crates = folders(&workspace().join("host"));
    crates.extend(folders(&workspace().join("plugins")));
    crates.extend(["sdk/rust", "tests", "xtask"].map(|folder| workspace().join(folder)));
    for folder in crates {
        let root = ["src/lib.rs", "src/main.rs"]
            .map(|file| folder.join(file))
            .into_iter()
            .find(|file| file.is_file());
        let text = root.map(|file| read(&file)).unwrap_or_default();
        let opening: Vec<_> = text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .collect();
        let paragraph: Vec<_> = opening.into_iter().take_while(|line| !line.is_empty()).collect();
        let sentence = paragraph.join(" ");
        let place = shown(&folder);
        assert!(
            sentence.ends_with(['.', ':']) && sentence.len() > 20,
            "{place} does not begin with a sentence: `{sentence}`"
        );
    }
}

#[test]
fn examples_in_comments_are_run() {
    // Looking for them takes seconds for each crate; where there are none, its manifest says so.
    for folder in ["host", "plugins", "tests/guests"].map(|folder| workspace().join(folder)) {
        for krate in folders(&folder) {
            let sources = rust_files(&[&shown(&krate.join("src"))]);
            let example = sources.into_iter().find(|file| has_example(&read(file)));
            let is_off = read(&krate.join("Cargo.toml")).contains("doctest = false");
            assert!(
                example.is_none() || !is_off,
                "{} has an example that `doctest = false` keeps from being run",
                shown(&example.unwrap_or_default())
            );
        }
    }
}

#[test]
fn panics_on_purpose_are_few() {
    let mut found = Vec::new();
    for file in rust_files(&["host", "plugins", "xtask"]) {
        let place = shown(&file);
        if is_test(&place) {
            continue;
        }
        for (number, line) in (1..).zip(without_unit_tests(&read(&file)).lines()) {
            let silenced = ["clippy::unwrap_used", "clippy::expect_used", "clippy::panic"];
            if silenced.iter().any(|lint| line.contains(lint)) {
                found.push(format!("{place}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(
        found.len() <= PANICS_MAX,
        "return an error that says what to do instead: {found:#?}"
    );
}

#[test]
fn the_licence_is_there_and_every_crate_names_it() {
    let licence = read(&workspace().join("LICENSE"));
    assert!(licence.contains("Apache License") && licence.contains("Version 2.0, January 2004"));
    assert!(licence.contains("END OF TERMS AND CONDITIONS"), "the licence is cut");
    let manifests = files(&["host", "sdk", "plugins", "tests", "xtask"], &["toml"]);
    for manifest in manifests.iter().filter(|file| file_name(file) == "Cargo.toml") {
        let text = read(manifest);
        let inherits = text.contains("license.workspace = true") || text.contains("license = \"Apache-2.0\"");
        assert!(
            inherits || !text.contains("[package]"),
            "{} names no licence",
            shown(manifest)
        );
    }
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let mut broken = Vec::new();
    for file in files(&["."], &["md"]) {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        for target in links(&read(&file)) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !folder.join(path).exists() {
                broken.push(format!("{}: {target}", shown(&file)));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Put together here, so that this file does not hold them itself.
    let paths = ["work", "root", "tmp"].map(|folder| format!("/{folder}/"));
    let kinds = [
        "rs", "toml", "md", "html", "css", "js", "svg", "wit", "json", "lock", "csv", "ndjson", "txt", "run", "yml",
        "eml", "mbox", "lang", "sh",
    ];
    let mut found = Vec::new();
    for file in files(&["."], &kinds).into_iter().chain([workspace().join(".ci/run")]) {
        for (number, line) in (1..).zip(read(&file).lines()) {
            if paths.iter().any(|path| holds_path(line, path)) {
                found.push(format!("{}:{number}", shown(&file)));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Names of the rooms and kits that a manifest's own dependencies name, without those of its tests.
fn mihwar_dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let name = line
            .strip_prefix("mihwar-")
            .map(|rest| rest.split(['.', ' ', '=']).next().unwrap_or(rest));
        if let (Some(name), true) = (name, section.ends_with("dependencies]") && !section.contains("dev-")) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The part before the unit tests at the end of a file.
fn without_unit_tests(text: &str) -> &str {
    let end = text
        .find("\n#[cfg(test)]\nmod tests {")
        .or_else(|| text.find("\n#[cfg(test)]\npub(crate) mod tests {"));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn is_test(place: &str) -> bool {
    let ends = ["/tests.rs", "_tests.rs", "/testing.rs"];
    ["/tests/", "/benches/", "/testing/"]
        .iter()
        .any(|part| place.contains(part))
        || ends.iter().any(|end| place.ends_with(end))
}

/// Whether a word stands in a line, not within a longer one.
fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphabetic) && !after.is_some_and(char::is_alphabetic)
    })
}

/// Whether a line holds an absolute path that begins so; `a/tmp/b` is none.
fn holds_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|letter| letter.is_alphanumeric() || "_-./}".contains(letter))
    })
}

/// Whether a documenting comment holds a block of code.
fn has_example(text: &str) -> bool {
    let comments = text.lines().map(str::trim_start);
    let mut documenting = comments.filter_map(|line| line.strip_prefix("///").or_else(|| line.strip_prefix("//!")));
    documenting.any(|line| line.trim_start().starts_with("```"))
}

/// Relative targets of a Markdown text's links, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut targets = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let found = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split([')', ' ']).next());
            let images = line.split("src=\"").skip(1).chain(line.split("srcset=\"").skip(1));
            let images = images.filter_map(|rest| rest.split('"').next());
            targets.extend(found.chain(images).map(str::to_owned));
        }
    }
    targets.retain(|target| !target.contains("://") && !target.starts_with("mailto:"));
    targets
}

fn rust_files(roots: &[&str]) -> Vec<PathBuf> {
    files(roots, &["rs"])
}

/// Files with one of the ends below the roots, without what is built, fetched or hidden.
fn files(roots: &[&str], ends: &[&str]) -> Vec<PathBuf> {
    let mut open: Vec<_> = roots.iter().map(|root| workspace().join(root)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !["target", "data", "node_modules"].contains(&name.as_str()) && !name.starts_with('.') {
                    open.push(path);
                }
            } else if ends.iter().any(|end| name.ends_with(&format!(".{end}"))) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file with {ends:?} below {roots:?}");
    found
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut folders = BTreeMap::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.path().join("Cargo.toml").is_file() {
            folders.insert(entry.file_name(), entry.path());
        }
    }
    assert!(!folders.is_empty(), "{} holds no crate", root.display());
    folders.into_values().collect()
}

fn read(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    assert!(!bytes.is_empty() || file.is_file(), "{} cannot be read", file.display());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The path below the root, with `/`.
fn shown(path: &Path) -> String {
    let path = path.strip_prefix(workspace()).unwrap_or(path);
    path.to_string_lossy().trim_start_matches("./").to_owned()
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert!(holds_word("a jira, b", "jira") && holds_word("x_email_y", "email") && !holds_word("simapx", "imap"));
    assert_eq!(
        mihwar_dependencies("[dependencies]\nmihwar-model.workspace = true\n[dev-dependencies]\nmihwar-hub = 1\n"),
        ["model"]
    );
    assert_eq!(
        links("[a](b.md#c) [d](https://x)\n```\n[e](f)\n```\n<img src=\"g.svg\">"),
        ["b.md#c", "g.svg"]
    );
    assert!(has_example("  /// ```\n/// 1;") && !has_example("// ```") && !has_example("/// a ``` b"));
    assert_eq!(without_unit_tests("a\n#[cfg(test)]\nmod tests {\n}"), "a");
    let path = format!("/{}/", "tmp");
    assert!(holds_path(&format!("see {path}x"), &path) && !holds_path(&format!("a{path}b"), &path));
    assert!(holds_path(&format!("see `{path}x`"), &path) && !holds_path(&format!("`a{path}b`"), &path));
    assert!(is_test("host/hub/src/config/tests.rs") && !is_test("host/hub/src/hub.rs"));
}

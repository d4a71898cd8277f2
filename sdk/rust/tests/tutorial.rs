//! The tutorial of `docs/plugin-authors.md`, taken from the page, built and tested exactly as written.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A complete channel is promised to be shorter than this.
const LINES_MAX: usize = 150;

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// The files of the page: blocks with `file=NAME` on their fence, those of one file one after the other.
fn files(page: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        if let Some(name) = &open {
            if line == "```" {
                open = None;
            } else {
                let file = files.entry(name.clone()).or_default();
                file.push_str(line);
                file.push('\n');
            }
        } else if let Some((_, name)) = line.strip_prefix("```").and_then(|info| info.split_once(" file=")) {
            if let Some(file) = files.get_mut(name) {
                file.push('\n');
            }
            open = Some(name.to_owned());
        }
    }
    files
}

/// The page's folder `reviews`, beside a folder `mihwar` that is this repository.
fn project() -> PathBuf {
    let root = repository();
    let desk = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tutorial");
    let project = desk.join("reviews");
    fs::create_dir_all(project.join("src")).unwrap();
    let beside = desk.join("mihwar");
    if fs::symlink_metadata(&beside).is_ok() {
        fs::remove_file(&beside).unwrap();
    }
    std::os::unix::fs::symlink(&root, &beside).unwrap();
    // The same versions as the hub's, so that nothing has to be looked up.
    fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    project
}

fn cargo(project: &Path, arguments: &[&str]) {
    let run = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(project)
        .env("CARGO_TARGET_DIR", project.join("target"))
        // Nobody will debug or hurry what is built here once.
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "cargo {}:\n{out}\n{err}", arguments.join(" "));
}

fn has_wasm_target() -> bool {
    let rustc = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "wasm32-wasip2"])
        .output()
        .unwrap();
    Path::new(String::from_utf8_lossy(&rustc.stdout).trim()).is_dir()
}

#[test]
fn the_tutorial_is_complete_short_and_passes_its_own_tests() {
    let page = fs::read_to_string(repository().join("docs/plugin-authors.md")).unwrap();
    let files = files(&page);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["Cargo.toml", "plugin.toml", "src/lib.rs", "src/tests.rs"]);
    let lines: usize = files
        .values()
        .map(|file| file.lines().filter(|line| !line.trim().is_empty()).count())
        .sum();
    assert!(lines < LINES_MAX, "the tutorial's plugin has {lines} lines");

    let project = project();
    for (name, content) in &files {
        fs::write(project.join(name), content).unwrap();
    }
    cargo(&project, &["test", "--quiet"]);
    if !has_wasm_target() {
        eprintln!(
            "the target wasm32-wasip2 is missing: the component was not built; `rustup target add wasm32-wasip2`"
        );
        return;
    }
    cargo(
        &project,
        &["build", "--quiet", "--release", "--target", "wasm32-wasip2"],
    );
    let component = fs::read(project.join("target/wasm32-wasip2/release/plugin_reviews.wasm")).unwrap();
    let holds = |text: &str| component.windows(text.len()).any(|window| window == text.as_bytes());
    assert_eq!(
        component.get(..8),
        Some(b"\0asm\x0d\0\x01\0".as_slice()),
        "a component, not a module"
    );
    assert!(
        holds("mihwar:manifest") && holds(&files["plugin.toml"]),
        "the manifest is inside"
    );
    assert!(holds("mihwar:plugin/importer@0.1.0") && !holds("mihwar:plugin/puller@0.1.0"));
}

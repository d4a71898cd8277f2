//! Writes config/demo from the texts in xtask/demo: the same texts always give the same files.

mod calls;
mod dates;
mod forms;
mod mails;
mod mime;
mod texts;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::demo::dates::Moment;
use crate::shell::{Workspace, say};

/// `cargo xtask demo-records`.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    let texts = workspace.path("xtask/demo");
    let to = workspace.path("config/demo");
    for folder in ["mail", "calls", "form"] {
        let folder = to.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let files = files(&texts)?;
    for (name, bytes) in &files {
        let file = to.join(name);
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    say(format!("{} files in config/demo", files.len()));
    Ok(())
}

/// Name below config/demo and content of each file.
fn files(texts: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let people = texts::people(texts)?;
    let read = |name: &str| texts::conversations(&texts.join(name), &people);
    let table = |name: &str, columns| texts::table(&texts.join(name), columns);

    let current = [read("mail.ar.txt")?, read("mail.en.txt")?];
    let older = [read("mail-archive.ar.txt")?, read("mail-archive.en.txt")?];
    let mut inbox = mails::conversations(&people, &current, "m", Moment::day(2026, 10, 1))?;
    inbox.extend(mails::automatic(Moment::day(2026, 10, 20)));
    let archive = mails::conversations(&people, &older, "a", Moment::day(2025, 11, 2))?;

    let mut files: Vec<_> = inbox
        .into_iter()
        .map(|mail| (format!("mail/{}.eml", mail.name), mail.bytes))
        .collect();
    files.push(("mail/archive-2025.mbox".to_owned(), mails::mbox(&archive)));
    let calls = calls::file(&people, &table("call-notes.txt", 3)?)?;
    files.push(("calls/cdr-2026.csv".to_owned(), calls.into_bytes()));
    let forms = [
        table("form.ar.txt", 4)?,
        table("form.en.txt", 4)?,
        table("bare-scores.txt", 3)?,
    ];
    files.push((
        "form/submissions.ndjson".to_owned(),
        forms::file(&people, &forms)?.into_bytes(),
    ));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    #[test]
    fn the_committed_records_are_those_of_the_texts() {
        for (name, bytes) in files(&root().join("xtask/demo")).unwrap() {
            let committed = fs::read(root().join("config/demo").join(&name)).unwrap_or_default();
            assert!(committed == bytes, "{name} is stale: run `cargo xtask demo-records`");
        }
    }

    #[test]
    fn there_are_a_few_hundred_records_half_of_them_arabic() {
        let files = files(&root().join("xtask/demo")).unwrap();
        let forms = files.iter().find(|(name, _)| name.ends_with(".ndjson")).unwrap();
        let forms = String::from_utf8(forms.1.clone()).unwrap();
        let mails = files.iter().filter(|(name, _)| name.ends_with(".eml")).count();
        assert_eq!((mails, forms.lines().count()), (97, 100));
        let arabic = forms
            .lines()
            .filter(|line| mime::is_arabic(line.split("message").nth(1).unwrap_or("")))
            .count();
        assert_eq!(arabic, 45);
    }
}

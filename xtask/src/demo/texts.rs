//! Reads the authored texts in `xtask/demo`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Somebody invented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// In the person's own script.
    pub(super) name: String,
    /// Mail address.
    pub(super) address: String,
    /// Telephone number with its country code.
    pub(super) telephone: String,
}

/// Everybody, by a short key.
pub(super) type People = BTreeMap<String, Person>;

/// A conversation by mail: the first mail and what followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    /// Key of the person who wrote.
    pub(super) author: String,
    /// Subject of the first mail.
    pub(super) subject: String,
    /// The first mail and what followed, in order.
    pub(super) turns: Vec<Turn>,
}

/// One mail of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// Whether the company wrote it.
    pub(super) by_agent: bool,
    /// What it says.
    pub(super) text: String,
}

/// One line of a table: its columns, trimmed.
pub(super) type Row = Vec<String>;

/// Reads `people.txt`.
pub(super) fn people(folder: &Path) -> Result<People> {
    let mut people = People::new();
    for row in table(&folder.join("people.txt"), 4)? {
        let [key, name, address, telephone] = row
            .try_into()
            .map_err(|_| anyhow::anyhow!("a person has four columns"))?;
        people.insert(
            key,
            Person {
                name,
                address,
                telephone,
            },
        );
    }
    Ok(people)
}

/// Reads a table with `|` between its columns; lines that begin with `#` are for readers of the file.
pub(super) fn table(file: &Path, columns: usize) -> Result<Vec<Row>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut rows = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let row: Row = line
            .splitn(columns, '|')
            .map(|column| column.trim().to_owned())
            .collect();
        if row.len() != columns {
            bail!("{} line {}: {columns} columns are needed", file.display(), number + 1);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Reads a file of mails.
pub(super) fn conversations(file: &Path, people: &People) -> Result<Vec<Conversation>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut all: Vec<Conversation> = Vec::new();
    for block in text.split("\n@ ").skip(1) {
        let (head, body) = block.split_once('\n').context("a block has no text")?;
        let body = body.trim();
        let words: Vec<&str> = head.split_whitespace().collect();
        let place = || format!("{}: `@ {head}`", file.display());
        match (words.as_slice(), all.last_mut()) {
            (["reply" | "agent"], Some(conversation)) => {
                conversation.turns.push(Turn {
                    by_agent: head == "agent",
                    text: body.to_owned(),
                });
            }
            ([_theme, author], _) if people.contains_key(*author) => {
                let (subject, text) = body
                    .split_once("\n\n")
                    .with_context(|| format!("{} has no text", place()))?;
                let turns = vec![Turn {
                    by_agent: false,
                    text: text.trim().to_owned(),
                }];
                all.push(Conversation {
                    author: (*author).to_owned(),
                    subject: subject.to_owned(),
                    turns,
                });
            }
            _ => bail!("{} names nobody in people.txt", place()),
        }
    }
    Ok(all)
}

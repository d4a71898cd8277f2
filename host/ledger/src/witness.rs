//! Files in which checkpoints are kept one after the other, outside the hub: how they are read.

use crate::note::SIGNATURE_MARK;

/// A piece of a file with checkpoints: lines without an empty one between them, with the signatures that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first line, from 1.
    pub line: usize,
    /// The signed note, as it was published; `None` for lines that no signatures follow.
    pub note: Option<String>,
}

/// Lines that stand together.
struct Group<'t> {
    line: usize,
    lines: Vec<&'t str>,
}

impl Group<'_> {
    fn is_signatures(&self) -> bool {
        self.lines.iter().all(|line| line.starts_with(SIGNATURE_MARK))
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Takes a text apart into the signed notes in it and what stands between them. Nothing is verified. Notes whose own text
/// holds empty lines are not found; checkpoints hold none. Line ends may be those of mail.
#[must_use]
pub fn notes_in(text: &str) -> Vec<Piece> {
    let mut groups = groups(text).into_iter().peekable();
    let mut pieces = Vec::new();
    while let Some(group) = groups.next() {
        let signatures = groups.next_if(|next| !group.is_signatures() && next.is_signatures());
        pieces.push(Piece {
            line: group.line,
            note: signatures.map(|signatures| format!("{}\n\n{}\n", group.text(), signatures.text())),
        });
    }
    pieces
}

fn groups(text: &str) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            goes_on = false;
            continue;
        }
        match groups.last_mut() {
            Some(group) if goes_on => group.lines.push(line),
            _ => groups.push(Group {
                line: number + 1,
                lines: vec![line],
            }),
        }
        goes_on = true;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{Piece, notes_in};

    const NOTE: &str = "محور.example/ledger\n7\nroot\n\n\u{2014} محور.example/ledger AAAA\n\u{2014} witness BBBB\n";

    fn note(line: usize) -> Piece {
        Piece {
            line,
            note: Some(NOTE.to_owned()),
        }
    }

    fn other(line: usize) -> Piece {
        Piece { line, note: None }
    }

    #[test]
    fn notes_are_found_one_after_the_other_with_all_their_signatures() {
        assert!(notes_in("").is_empty());
        assert_eq!(notes_in(NOTE), [note(1)]);
        assert_eq!(
            notes_in(&format!("{NOTE}\n{NOTE}\n\n{NOTE}")),
            [note(1), note(8), note(16)]
        );
        assert_eq!(notes_in(&NOTE.replace('\n', "\r\n")), [note(1)]);
        assert_eq!(notes_in(NOTE.trim_end()), [note(1)]);
    }

    #[test]
    fn what_is_no_note_is_told_by_its_line() {
        let head = format!("{NOTE}\nverifier key: a+b+c\n");
        assert_eq!(notes_in(&head), [note(1), other(8)]);
        // A note that was cut off, and the next one.
        let torn = format!("محور.example/ledger\n6\n\n{NOTE}");
        assert_eq!(notes_in(&torn), [other(1), note(4)]);
        assert_eq!(
            notes_in("\u{2014} witness BBBB\n\n\u{2014} witness BBBB\n"),
            [other(1), other(3)]
        );
    }
}

//! The columns of a table, the same in CSV and Parquet, in this order. Programs rely on their names and order: a further
//! column goes to the end. `docs/departments.md` explains them.
//!
//! Two things of a record are in NDJSON alone: `content.body_html`, the body once more and unsafe to show, and `content.raw`,
//! the source's own payload.

use std::borrow::Cow;

use mihwar_model::Time;
use mihwar_server::wire::{AuthorWire, ContentView, FeedbackView, ScoreWire};
use serde::Serialize;

/// Goes up when a column changes its meaning; stands in Parquet files as `mihwar.columns`.
pub(super) const VERSION: &str = "1";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Text in which many records are alike.
    Name,
    Integer,
    Number,
    Truth,
    Time,
    /// Several names without spaces.
    Names,
    Scores,
}

/// What a record has in a column.
pub(super) enum Cell<'r> {
    Nothing,
    Text(Cow<'r, str>),
    Integer(i64),
    Number(f64),
    Truth(bool),
    Time(Time),
    Names(&'r [String]),
    Scores(&'r [ScoreWire]),
}

type Read = for<'r> fn(&'r FeedbackView) -> Cell<'r>;

pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) read: Read,
}

const fn column(name: &'static str, kind: Kind, read: Read) -> Column {
    Column { name, kind, read }
}

pub(super) const COLUMNS: &[Column] = &[
    column("id", Kind::Text, |r| text(&r.id)),
    column("revision", Kind::Integer, |r| Cell::Integer(r.revision.into())),
    column("contact", Kind::Name, |r| text(&r.contact)),
    column("instance", Kind::Name, |r| text(&r.instance)),
    column("channel", Kind::Name, |r| text(&r.channel)),
    column("kind", Kind::Name, |r| maybe(r.kind.as_deref())),
    column("occurred_at", Kind::Time, |r| time(r.occurred_at)),
    column("received_at", Kind::Time, |r| Cell::Time(r.received_at)),
    column("thread", Kind::Text, |r| maybe(r.thread.as_deref())),
    column("language", Kind::Name, |r| maybe(r.language.as_deref())),
    column("sentiment", Kind::Number, |r| number(r.sentiment)),
    column("score_nps", Kind::Number, |r| score(r, "nps")),
    column("score_csat", Kind::Number, |r| score(r, "csat")),
    column("score_ces", Kind::Number, |r| score(r, "ces")),
    column("score_stars", Kind::Number, |r| score(r, "stars")),
    column("scores", Kind::Scores, |r| Cell::Scores(&r.scores)),
    column("tags", Kind::Names, |r| Cell::Names(&r.tags)),
    column("attributes", Kind::Text, |r| {
        json(&r.attributes, r.attributes.is_empty())
    }),
    column("destinations", Kind::Names, |r| Cell::Names(&r.destinations)),
    column("withdrawn", Kind::Truth, |r| Cell::Truth(r.withdrawn)),
    column("erased_at", Kind::Time, |r| time(r.erased_at)),
    column("quarantine", Kind::Name, |r| maybe(r.quarantine.as_deref())),
    column("has_content", Kind::Truth, |r| Cell::Truth(r.content.is_some())),
    column("body_chars", Kind::Integer, |r| Cell::Integer(r.body_chars.into())),
    column("external_id", Kind::Text, |r| {
        content(r, |c| maybe(c.external_id.as_deref()))
    }),
    column("source_revision", Kind::Text, |r| {
        content(r, |c| maybe(c.source_revision.as_deref()))
    }),
    column("author_name", Kind::Text, |r| author(r, |a| maybe(a.name.as_deref()))),
    column("author_identifiers", Kind::Text, |r| {
        author(r, |a| json(&a.identifiers, a.identifiers.is_empty()))
    }),
    column("author_locale", Kind::Name, |r| {
        author(r, |a| maybe(a.locale.as_deref()))
    }),
    column("source_thread", Kind::Text, |r| {
        content(r, |c| maybe(c.thread.as_deref()))
    }),
    column("in_reply_to", Kind::Text, |r| {
        content(r, |c| maybe(c.in_reply_to.as_deref()))
    }),
    column("subject", Kind::Text, |r| content(r, |c| maybe(c.subject.as_deref()))),
    column("body", Kind::Text, |r| content(r, |c| text(&c.body))),
    column("attachments", Kind::Text, |r| {
        content(r, |c| json(&c.attachments, c.attachments.is_empty()))
    }),
    column("details", Kind::Text, |r| {
        content(r, |c| c.details.as_ref().map_or(Cell::Nothing, |d| json(d, false)))
    }),
    column("source_attributes", Kind::Text, |r| {
        content(r, |c| json(&c.attributes, c.attributes.is_empty()))
    }),
];

fn content<'r>(record: &'r FeedbackView, read: fn(&'r ContentView) -> Cell<'r>) -> Cell<'r> {
    record.content.as_ref().map_or(Cell::Nothing, read)
}

fn author<'r>(record: &'r FeedbackView, read: fn(&'r AuthorWire) -> Cell<'r>) -> Cell<'r> {
    let author = record.content.as_ref().and_then(|content| content.author.as_ref());
    author.map_or(Cell::Nothing, read)
}

const fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn maybe(given: Option<&str>) -> Cell<'_> {
    given.map_or(Cell::Nothing, text)
}

fn number(number: Option<f64>) -> Cell<'static> {
    number.map_or(Cell::Nothing, Cell::Number)
}

fn time(time: Option<Time>) -> Cell<'static> {
    time.map_or(Cell::Nothing, Cell::Time)
}

/// The value of one metric; a record has each metric once.
fn score(record: &FeedbackView, metric: &str) -> Cell<'static> {
    let score = record.scores.iter().find(|score| score.metric == metric);
    score.map_or(Cell::Nothing, |score| Cell::Number(score.value))
}

/// What has an inner form stands as JSON, just as in NDJSON.
fn json(value: &impl Serialize, is_empty: bool) -> Cell<'static> {
    if is_empty {
        return Cell::Nothing;
    }
    // These come from JSON: names are text, numbers finite. So there is no value that has no form.
    serde_json::to_string(value).map_or(Cell::Nothing, |json| Cell::Text(Cow::Owned(json)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{COLUMNS, Kind};

    #[test]
    fn every_column_has_one_name_and_is_explained() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/departments.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
        for name in names {
            assert!(
                docs.contains(&format!("`{name}`")),
                "docs/departments.md says nothing of {name}"
            );
        }
    }

    #[test]
    fn columns_that_programs_count_on_stay_where_they_are() {
        let place = |name: &str| COLUMNS.iter().position(|column| column.name == name);
        assert_eq!(
            (place("id"), place("received_at"), place("body")),
            (Some(0), Some(7), Some(32))
        );
        assert_eq!(COLUMNS.len(), 36);
        assert_eq!(COLUMNS.iter().filter(|column| column.kind == Kind::Time).count(), 3);
    }
}

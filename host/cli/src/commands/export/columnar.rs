//! A table as Parquet, which programs for analysis read.
//!
//! Columns are typed: text is UTF-8, times are milliseconds in UTC, tags and departments are lists of text, scores a list of
//! structures; what has an inner form is JSON text, as in NDJSON. Each column but the lists may be null; a list may be empty.
//!
//! Records wait in memory until they make a row group of [`GROUP_BYTES_MAX`]; then it is compressed (Zstandard) and written
//! column by column. What stays of it until the end is some kilobytes for the footer.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use mihwar_model::Time;
use mihwar_server::wire::{FeedbackView, ScoreWire};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::columns::{COLUMNS, Cell, Kind, VERSION};

/// Bytes of values that make a row group: enough for readers to work in big steps, little enough for any machine.
const GROUP_BYTES_MAX: usize = 32 << 20;
/// Records of a row group, however short.
const GROUP_RECORDS_MAX: usize = 100_000;
/// What a value takes beside its bytes: its end, its levels.
const VALUE_BYTES: usize = 16;
/// A text takes more while its column is written; in a column of lists a record may have many.
const LISTED_BYTES: usize = 64;

/// A table that is being written.
pub(super) struct Columnar<W: Write + Send> {
    file: SerializedFileWriter<W>,
    leaves: Vec<Leaf>,
    /// Records that wait.
    records: usize,
    /// Bytes that they take.
    bytes: usize,
    group_bytes_max: usize,
}

impl<W: Write + Send> Columnar<W> {
    pub(super) fn begin(out: W) -> anyhow::Result<Self> {
        Self::with_groups_of(out, GROUP_BYTES_MAX)
    }

    fn with_groups_of(out: W, group_bytes_max: usize) -> anyhow::Result<Self> {
        let schema = parse_message_type(&schema()).context("the columns of the table")?;
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties()))?;
        Ok(Self {
            file,
            leaves: COLUMNS.iter().flat_map(|column| leaves(column.kind)).collect(),
            records: 0,
            bytes: 0,
            group_bytes_max,
        })
    }

    pub(super) fn write(&mut self, record: &FeedbackView) -> anyhow::Result<()> {
        let mut leaves = self.leaves.iter_mut();
        for column in COLUMNS {
            self.bytes += put((column.read)(record), &mut leaves);
        }
        self.records += 1;
        if self.bytes >= self.group_bytes_max || self.records >= GROUP_RECORDS_MAX {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what waits, and the footer without which the file is none.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.write_group()?;
        self.file.close()?;
        Ok(())
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for leaf in &mut self.leaves {
            let mut column = group
                .next_column()?
                .context("the table has fewer columns than it should")?;
            leaf.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        (self.records, self.bytes) = (0, 0);
        Ok(())
    }
}

/// A column in which values stand one after the other, each with its place in the record.
struct Leaf {
    values: Values,
    /// For each place: 1 where there is a value.
    defined: Vec<i16>,
    /// For each place of a list: 1 where it goes on with the record's list.
    going_on: Option<Vec<i16>>,
}

enum Values {
    /// All texts, and where each ends.
    Text(Vec<u8>, Vec<usize>),
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Truths(Vec<bool>),
}

/// The leaves of a column.
fn leaves(kind: Kind) -> Vec<Leaf> {
    let leaf = |values, is_list: bool| Leaf {
        values,
        defined: Vec::new(),
        going_on: is_list.then(Vec::new),
    };
    let text = || Values::Text(Vec::new(), Vec::new());
    let numbers = || Values::Numbers(Vec::new());
    match kind {
        Kind::Text | Kind::Name => vec![leaf(text(), false)],
        Kind::Integer | Kind::Time => vec![leaf(Values::Integers(Vec::new()), false)],
        Kind::Number => vec![leaf(numbers(), false)],
        Kind::Truth => vec![leaf(Values::Truths(Vec::new()), false)],
        Kind::Names => vec![leaf(text(), true)],
        Kind::Scores => vec![
            leaf(text(), true),
            leaf(numbers(), true),
            leaf(numbers(), true),
            leaf(numbers(), true),
        ],
    }
}

/// The columns in Parquet's own notation.
fn schema() -> String {
    let mut text = "message feedback {\n".to_owned();
    for column in COLUMNS {
        let name = column.name;
        let line = match column.kind {
            Kind::Text | Kind::Name => format!("OPTIONAL BYTE_ARRAY {name} (STRING);"),
            Kind::Integer => format!("OPTIONAL INT64 {name};"),
            Kind::Number => format!("OPTIONAL DOUBLE {name};"),
            Kind::Truth => format!("OPTIONAL BOOLEAN {name};"),
            Kind::Time => format!("OPTIONAL INT64 {name} (TIMESTAMP(MILLIS,true));"),
            Kind::Names => listed(name, "REQUIRED BYTE_ARRAY element (STRING);"),
            Kind::Scores => listed(
                name,
                "REQUIRED GROUP element { REQUIRED BYTE_ARRAY metric (STRING); REQUIRED DOUBLE value; REQUIRED DOUBLE min; \
                 REQUIRED DOUBLE max; }",
            ),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text.push('}');
    text
}

/// A list in the form that all readers know: three levels, and these names.
fn listed(name: &str, element: &str) -> String {
    format!("REQUIRED GROUP {name} (LIST) {{ REPEATED GROUP list {{ {element} }} }}")
}

fn properties() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // Of whole row groups, so that readers pass over those of other times; of every page they would only cost room.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "mihwar.columns".to_owned(),
            VERSION.to_owned(),
        )]));
    for column in COLUMNS.iter().filter(|column| column.kind == Kind::Text) {
        // No two are alike: a dictionary of them would be made and thrown away.
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(column.name), false);
    }
    builder.build()
}

/// Puts what a record has in a column into the leaves of that column; answers how many bytes that takes.
fn put<'l>(cell: Cell<'_>, leaves: &mut impl Iterator<Item = &'l mut Leaf>) -> usize {
    match cell {
        Cell::Names(names) => {
            let names = names.iter().map(|name| text(name));
            leaves.next().map_or(0, |leaf| leaf.put_list(names))
        }
        Cell::Scores(scores) => {
            let metrics = scores.iter().map(|score| text(&score.metric));
            let mut bytes = leaves.next().map_or(0, |leaf| leaf.put_list(metrics));
            // A scale may be left out on the way in; on the way out it is always there.
            let numbers: [fn(&ScoreWire) -> f64; 3] = [
                |score| score.value,
                |score| score.min.unwrap_or(f64::NAN),
                |score| score.max.unwrap_or(f64::NAN),
            ];
            for number in numbers {
                let numbers = scores.iter().map(|score| Cell::Number(number(score)));
                bytes += leaves.next().map_or(0, |leaf| leaf.put_list(numbers));
            }
            bytes
        }
        single => leaves.next().map_or(0, |leaf| leaf.put_one(&single)),
    }
}

const fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

impl Leaf {
    fn put_list<'v>(&mut self, values: impl Iterator<Item = Cell<'v>>) -> usize {
        let (mut bytes, mut is_first) = (0, true);
        for value in values {
            self.goes_on(!is_first);
            bytes += LISTED_BYTES + self.put_one(&value);
            is_first = false;
        }
        if is_first {
            self.goes_on(false);
            bytes += self.put_one(&Cell::Nothing);
        }
        bytes
    }

    fn goes_on(&mut self, goes_on: bool) {
        if let Some(places) = &mut self.going_on {
            places.push(goes_on.into());
        }
    }

    fn put_one(&mut self, cell: &Cell<'_>) -> usize {
        let is_there = match (&mut self.values, cell) {
            (Values::Text(all, ends), Cell::Text(text)) => {
                all.extend_from_slice(text.as_bytes());
                ends.push(all.len());
                self.defined.push(1);
                return VALUE_BYTES + text.len();
            }
            (Values::Integers(all), Cell::Integer(number) | Cell::Time(Time(number))) => {
                all.push(*number);
                true
            }
            (Values::Numbers(all), Cell::Number(number)) => {
                all.push(*number);
                true
            }
            (Values::Truths(all), Cell::Truth(truth)) => {
                all.push(*truth);
                true
            }
            _ => false,
        };
        self.defined.push(is_there.into());
        VALUE_BYTES
    }

    /// Writes all that waits, and begins anew.
    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> anyhow::Result<()> {
        let defined = std::mem::take(&mut self.defined);
        let going_on = self.going_on.as_mut().map(std::mem::take);
        let (defined, going_on) = (Some(defined.as_slice()), going_on.as_deref());
        match &mut self.values {
            Values::Text(all, ends) => {
                let texts = texts(std::mem::take(all), std::mem::take(ends));
                column
                    .typed::<ByteArrayType>()
                    .write_batch(texts.as_slice(), defined, going_on)?;
            }
            Values::Integers(all) => {
                let all = std::mem::take(all);
                column
                    .typed::<Int64Type>()
                    .write_batch(all.as_slice(), defined, going_on)?;
            }
            Values::Numbers(all) => {
                let all = std::mem::take(all);
                column
                    .typed::<DoubleType>()
                    .write_batch(all.as_slice(), defined, going_on)?;
            }
            Values::Truths(all) => {
                let all = std::mem::take(all);
                column
                    .typed::<BoolType>()
                    .write_batch(all.as_slice(), defined, going_on)?;
            }
        }
        Ok(())
    }
}

/// The texts, each a part of the same bytes.
fn texts(bytes: Vec<u8>, ends: Vec<usize>) -> Vec<ByteArray> {
    let all = Bytes::from(bytes);
    let mut start = 0;
    let mut texts = Vec::with_capacity(ends.len());
    for end in ends {
        texts.push(ByteArray::from(all.slice(start..end)));
        start = end;
    }
    texts
}

#[cfg(test)]
mod tests;

//! What is written is read back by the same crate's reader.

use std::collections::BTreeMap;

use bytes::Bytes;
use mihwar_server::wire::{ContentView, FeedbackView, ScoreWire};
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::super::columns::COLUMNS;
use super::super::tests::record;
use super::Columnar;

fn written(records: &[FeedbackView], group_bytes_max: usize) -> SerializedFileReader<Bytes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("شكاوى.parquet");
    let mut table = Columnar::with_groups_of(std::fs::File::create(&path).unwrap(), group_bytes_max).unwrap();
    records.iter().for_each(|record| table.write(record).unwrap());
    table.end().unwrap();
    SerializedFileReader::new(Bytes::from(std::fs::read(&path).unwrap())).unwrap()
}

fn rows(file: &SerializedFileReader<Bytes>) -> Vec<BTreeMap<String, Field>> {
    let rows = file.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().into_columns().into_iter().collect())
        .collect()
}

fn numbered(number: u32) -> FeedbackView {
    let mut given = record();
    given.id = format!("{number:032x}");
    // Lists of any length, also none, beside each other.
    given.tags = (0..number % 4).map(|tag| format!("وسم-{tag}")).collect();
    given.content = (!number.is_multiple_of(5)).then(|| ContentView {
        body: format!("شكوى رقم {number}, \"هنا\"\r\nوسطر"),
        subject: number.is_multiple_of(2).then(|| "=1+1".to_owned()),
        ..ContentView::default()
    });
    given
}

#[test]
fn columns_have_types_that_others_know() {
    let file = written(&[], 1 << 20);
    let schema = file.metadata().file_metadata().schema_descr_ptr();
    let leaf = |path: &str| {
        let mut columns = schema.columns().iter();
        columns.find(|column| column.path().string() == path).unwrap().clone()
    };
    let at = leaf("received_at");
    assert_eq!(at.physical_type(), Type::INT64);
    assert_eq!(at.converted_type(), ConvertedType::TIMESTAMP_MILLIS);
    assert_eq!(leaf("body").logical_type_ref(), Some(&LogicalType::String));
    assert_eq!(leaf("score_nps").physical_type(), Type::DOUBLE);
    assert_eq!(leaf("withdrawn").physical_type(), Type::BOOLEAN);
    assert_eq!(leaf("revision").physical_type(), Type::INT64);
    for (path, levels) in [
        ("tags.list.element", (1, 1)),
        ("scores.list.element.value", (1, 1)),
        ("id", (1, 0)),
    ] {
        let column = leaf(path);
        assert_eq!((column.max_def_level(), column.max_rep_level()), levels, "{path}");
    }
    let names: Vec<_> = schema
        .root_schema()
        .get_fields()
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    let expected: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(names, expected);
    assert!(rows(&file).is_empty());
    let keys = file.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(
        keys.iter()
            .any(|pair| pair.key == "mihwar.columns" && pair.value.as_deref() == Some("1"))
    );
}

#[test]
fn every_column_is_written() {
    let file = written(&[record()], 1 << 20);
    let row = rows(&file).remove(0);
    for column in COLUMNS {
        // The rest of the well-known scores, and the end of a record that did not end.
        let is_empty = ["score_csat", "score_ces", "score_stars", "erased_at", "quarantine"].contains(&column.name);
        assert_eq!(row[column.name] == Field::Null, is_empty, "{}", column.name);
    }
    assert_eq!(row["occurred_at"], Field::TimestampMillis(1_795_329_000_000));
    assert_eq!(row["score_nps"], Field::Double(3.0));
    assert_eq!(row["withdrawn"], Field::Bool(false));
    assert_eq!(row["attributes"], Field::Str("{\"region\":\"riyadh\"}".to_owned()));
    let Field::ListInternal(tags) = &row["tags"] else {
        panic!("{:?}", row["tags"]);
    };
    assert_eq!(
        tags.elements(),
        [Field::Str("شحن".to_owned()), Field::Str("delay".to_owned())]
    );
    assert!(row["scores"].to_string().contains("nps"), "{}", row["scores"]);
}

#[test]
fn records_come_back_in_their_order_over_any_number_of_row_groups() {
    let records: Vec<_> = (0..500).map(numbered).collect();
    for (group_bytes_max, groups) in [(1, 500), (64 << 20, 1)] {
        let file = written(&records, group_bytes_max);
        assert_eq!(file.num_row_groups(), groups);
        let rows = rows(&file);
        assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            assert_eq!(row["id"], Field::Str(record.id.clone()));
            let content = record.content.as_ref();
            // As it was said: only a spreadsheet takes a text for a formula.
            let expected = |text: Option<&str>| text.map_or(Field::Null, |text| Field::Str(text.to_owned()));
            assert_eq!(row["body"], expected(content.map(|content| content.body.as_str())));
            assert_eq!(
                row["subject"],
                expected(content.and_then(|content| content.subject.as_deref()))
            );
            assert_eq!(row["has_content"], Field::Bool(content.is_some()));
            let Field::ListInternal(tags) = &row["tags"] else {
                panic!("{:?}", row["tags"]);
            };
            let expected: Vec<_> = record.tags.iter().cloned().map(Field::Str).collect();
            assert_eq!(tags.elements(), expected);
        }
    }
}

#[test]
fn lists_of_scores_stay_with_their_record() {
    let mut records = vec![record(), record(), record()];
    records[0].scores.clear();
    records[1].scores.push(ScoreWire {
        metric: "رضا".to_owned(),
        value: 4.5,
        min: Some(1.0),
        max: Some(5.0),
    });
    let file = written(&records, 1 << 20);
    let lengths: Vec<_> = rows(&file)
        .iter()
        .map(|row| match &row["scores"] {
            Field::ListInternal(scores) => scores.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [0, 2, 1]);
}

#[test]
fn a_row_group_is_bounded_by_bytes() {
    let mut long = record();
    if let Some(content) = &mut long.content {
        content.body = "نص طويل ".repeat(10_000);
    }
    let records = vec![long; 20];
    let file = written(&records, 1 << 20);
    // Each has some 140 000 bytes: with the eighth there is more than a group is to have.
    assert_eq!(file.num_row_groups(), 3);
    assert_eq!(rows(&file).len(), 20);
}

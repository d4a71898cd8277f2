//! The same records as rows, and the statements that take them in.

use std::ops::Range;

use serde_json::value::RawValue;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use crate::store::records::Record;

const TENANT: &str = "organisation-1";
const INSTANCE: &str = "api";
const FIELD: &str = "comment";
const METRIC: &str = "nps";

/// One statement is one transaction and one round trip: PostgreSQL's fastest form, faster than BEGIN … COMMIT.
/// Record and outbox entry are there together or not at all; a repeat writes neither.
pub(super) const ONE: &str = "WITH fresh AS (INSERT INTO feedback
    (id, tenant, instance, submission, field, channel, kind, occurred_at, contact, author_name, identifiers, subject, body,
     language, metric, score, scores, attributes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
    ON CONFLICT (tenant, submission, field) DO NOTHING RETURNING id, tenant)
    INSERT INTO outbox (feedback, tenant, event) SELECT id, tenant, 'received' FROM fresh RETURNING feedback";

/// The same for many rows, a column to an array.
pub(super) const MANY: &str = "WITH fresh AS (INSERT INTO feedback
    (id, tenant, instance, submission, field, channel, kind, occurred_at, contact, author_name, identifiers, subject, body,
     language, metric, score, scores, attributes)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
     $9::text[], $10::text[], $11::jsonb[], $12::text[], $13::text[], $14::text[], $15::text[], $16::float8[], $17::jsonb[],
     $18::jsonb[])
    ON CONFLICT (tenant, submission, field) DO NOTHING RETURNING id, tenant)
    INSERT INTO outbox (feedback, tenant, event) SELECT id, tenant, 'received' FROM fresh RETURNING feedback";

/// Values of a statement's parameters, in order.
pub(super) type Values = Vec<Box<dyn ToSql + Sync + Send>>;

/// The record of a number, for [`ONE`].
pub(super) fn one(number: u64) -> Values {
    let record = Record::of(number);
    vec![
        Box::new(id(number)),
        Box::new(TENANT),
        Box::new(INSTANCE),
        Box::new(record.external_id.clone()),
        Box::new(FIELD),
        Box::new(record.channel),
        Box::new(record.kind),
        Box::new(time(&record)),
        Box::new(contact(&record)),
        Box::new(record.author.clone()),
        Box::new(json(record.identifiers())),
        Box::new(record.subject.clone()),
        Box::new(record.body),
        Box::new(record.language),
        Box::new(METRIC),
        Box::new(record.nps as f64),
        Box::new(json(record.scores())),
        Box::new(json(record.attributes())),
    ]
}

/// The records of these numbers, for [`MANY`].
pub(super) fn many(numbers: Range<u64>) -> Values {
    let records: Vec<_> = numbers.clone().map(Record::of).collect();
    let same = |word: &'static str| Box::new(vec![word; records.len()]);
    vec![
        Box::new(numbers.map(id).collect::<Vec<_>>()),
        same(TENANT),
        same(INSTANCE),
        column(&records, |record| record.external_id.clone()),
        same(FIELD),
        column(&records, |record| record.channel),
        column(&records, |record| record.kind),
        column(&records, time),
        column(&records, contact),
        column(&records, |record| record.author.clone()),
        column(&records, |record| json(record.identifiers())),
        column(&records, |record| record.subject.clone()),
        column(&records, |record| record.body),
        column(&records, |record| record.language),
        same(METRIC),
        column(&records, |record| record.nps as f64),
        column(&records, |record| json(record.scores())),
        column(&records, |record| json(record.attributes())),
    ]
}

fn column<T>(records: &[Record], value: impl Fn(&Record) -> T) -> Box<dyn ToSql + Sync + Send>
where
    Vec<T>: ToSql + Sync + Send + 'static,
{
    Box::new(records.iter().map(value).collect::<Vec<_>>())
}

/// A version 7 id: they ascend as an application's would, so that the primary key grows at its end.
fn id(number: u64) -> Uuid {
    let first_millisecond = 1_795_000_000_000_u64;
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let high = ((first_millisecond + number / 16) << 16) | 0x7000 | (number % 16);
    let low = (scattered >> 2) | (1 << 63);
    Uuid::from_u64_pair(high, low)
}

fn time(record: &Record) -> jiff::Timestamp {
    record.occurred_at.parse().expect("RFC 3339")
}

fn contact(record: &Record) -> String {
    format!("crm:{}", record.person)
}

fn json(text: String) -> Json<Box<RawValue>> {
    Json(RawValue::from_string(text).expect("JSON"))
}

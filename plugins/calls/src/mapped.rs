//! Any CSV file whose columns the settings name.

use jiff::tz::TimeZone;
use mihwar_sdk::Identifier;

use crate::{
    Settings,
    call::{Call, Outcome, unfit_id},
    moment,
    number::{Number, ascii_digits},
    row::{Bad, Row},
    settings::Columns,
};

/// Where in a line each thing stands.
#[derive(Debug, Default)]
pub(crate) struct Places {
    id: Option<usize>,
    caller: Option<usize>,
    started: Option<usize>,
    caller_name: Option<usize>,
    callee: Option<usize>,
    duration: Option<usize>,
    answered: Option<usize>,
    queue: Option<usize>,
    agent: Option<usize>,
    note: Option<usize>,
}

/// Whether the first line of the file holds names: not when all columns are given by number.
pub(crate) fn has_header(columns: &Columns) -> bool {
    given(columns).iter().any(|(_, name)| number_of(name).is_none())
}

fn given(columns: &Columns) -> Vec<(&'static str, &str)> {
    let optional = [
        ("caller_name", &columns.caller_name),
        ("callee", &columns.callee),
        ("duration", &columns.duration),
        ("answered", &columns.answered),
        ("queue", &columns.queue),
        ("agent", &columns.agent),
        ("note", &columns.note),
    ];
    let needed = [
        ("id", &columns.id),
        ("caller", &columns.caller),
        ("started", &columns.started),
    ];
    let needed = needed.into_iter().map(|(key, name)| (key, name.as_str()));
    let optional = optional
        .into_iter()
        .filter_map(|(key, name)| Some((key, name.as_deref()?)));
    needed.chain(optional).collect()
}

fn number_of(name: &str) -> Option<usize> {
    name.strip_prefix('#')?.parse::<usize>().ok()?.checked_sub(1)
}

impl Places {
    /// Finds the columns in the first line. The error names the setting and what the file has instead.
    pub(crate) fn find(columns: &Columns, first_line: &[String]) -> Result<Self, String> {
        let mut places = Self::default();
        for (key, name) in given(columns) {
            let by_name = || {
                first_line
                    .iter()
                    .position(|field| field.trim().to_lowercase() == name.trim().to_lowercase())
            };
            let at = number_of(name)
                .filter(|at| *at < first_line.len())
                .or_else(by_name)
                .ok_or_else(|| {
                    format!(
                        "`columns.{key}` is `{name}`, but the file has the columns {}",
                        first_line.join(", ")
                    )
                })?;
            let place = match key {
                "id" => &mut places.id,
                "caller" => &mut places.caller,
                "started" => &mut places.started,
                "caller_name" => &mut places.caller_name,
                "callee" => &mut places.callee,
                "duration" => &mut places.duration,
                "answered" => &mut places.answered,
                "queue" => &mut places.queue,
                "agent" => &mut places.agent,
                _ => &mut places.note,
            };
            *place = Some(at);
        }
        Ok(places)
    }
}

/// Reads one line.
pub(crate) fn read(row: &Row<'_>, places: &Places, settings: &Settings, zone: &TimeZone) -> Result<Call, Bad> {
    let columns = &settings.columns;
    let field = |place: Option<usize>| row.at(place).trim();
    let some = |place: Option<usize>| Some(field(place).to_owned()).filter(|text| !text.is_empty());
    let id = ascii_digits(field(places.id));
    if let Some(unfit) = unfit_id(&id, &columns.id, "") {
        return Err(unfit);
    }
    let started_at = moment::instant(field(places.started), &settings.time_format, zone)
        .map_err(|why| Bad::field("bad-time", &columns.started, why))?;
    let duration_ms = moment::length(field(places.duration))
        .map_err(|why| Bad::field("bad-length", columns.duration.as_deref().unwrap_or_default(), why))?;
    let is_one_of = |list: &[String]| {
        let found = ascii_digits(field(places.answered)).to_lowercase();
        list.iter().any(|value| value.trim().to_lowercase() == found)
    };
    let was_answered = match places.answered {
        Some(_) => is_one_of(&settings.answered_values),
        None => duration_ms.is_some_and(|length| length > 0),
    };
    let outcome = if was_answered {
        Outcome::Answered
    } else if places.answered.is_some() && is_one_of(&settings.abandoned_values) {
        Outcome::Abandoned
    } else {
        Outcome::Missed
    };
    Ok(Call {
        id,
        caller: Number::read(field(places.caller), settings),
        caller_name: some(places.caller_name),
        callee: field(places.callee).to_owned(),
        started_at,
        duration_ms,
        outcome,
        is_outbound: false,
        queue: some(places.queue),
        agent: some(places.agent).map(|id| Identifier {
            scheme: "agent".to_owned(),
            id,
        }),
        note: some(places.note).unwrap_or_default(),
    })
}

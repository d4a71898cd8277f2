//! The network of a simulated hub: departments that fail in every way, and the system behind the channel that is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use mihwar_sandbox::contract::http::{HttpError, TransportFailure};
use mihwar_sandbox::{Incoming, Outgoing};
use serde_json::{Value, json};

use crate::script::NoteChange;
use crate::world::World;

/// Shortest pause after a failure that names none: the configured one less the most that luck may take off it.
const PAUSE_LEAST: i64 = 800;
/// The longest pause that the departments' instances take, whatever they are asked for.
const PAUSE_MOST: i64 = 8_000;

/// Systems beside the hub. What they know outlives it.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// What each department was handed, by the key that came with it.
    pub(crate) handed: BTreeMap<(String, String), Handed>,
    /// Pages that the channel has taken: it asked for the one behind them.
    pub(crate) pages_taken: usize,
    works: u64,
}

/// What came under one idempotency key.
#[derive(Debug, Default, Clone)]
pub(crate) struct Handed {
    pub(crate) attempts: u64,
    /// The feedback that it was about.
    pub(crate) feedback: String,
    /// The department's one piece of work for it: its number and the text it went by.
    pub(crate) work: Option<(u64, String)>,
    /// The hub's clock before which it must not come again.
    not_before: Option<i64>,
}

impl Neighbours {
    /// The hub ended: what it was asked to wait for may not have become durable.
    pub(crate) fn forget_pauses(&mut self) {
        self.handed.values_mut().for_each(|handed| handed.not_before = None);
    }

    /// The hub's clock stepped. Put back, it makes pauses longer than any that the hub allows, and those end at once:
    /// better a little early than as late as the clock was put back.
    pub(crate) fn clock_stepped(&mut self, by: i64) {
        if by < 0 {
            self.forget_pauses();
        }
    }
}

/// How a department takes a request.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Well,
    Slow,
    Fails,
    FailsFor(u64),
    TooMany(u64),
    Refuses,
    Forbids,
    Unreachable,
    /// Says nothing; the work may be done.
    Silent {
        works: bool,
    },
    /// Breaks off; the work may be done.
    BreaksOff {
        works: bool,
    },
}

impl Mood {
    fn draw(world: &World) -> Self {
        if !world.mishap("network", 450) {
            return Self::Well;
        }
        world.luck("network", |luck| {
            let seconds = luck.between(1, 12);
            let works = luck.chance(500);
            match luck.between(0, 30) {
                0..=3 => Self::Slow,
                4..=8 => Self::Fails,
                9..=11 => Self::FailsFor(seconds),
                12..=15 => Self::TooMany(seconds),
                16 => Self::Refuses,
                17 => Self::Forbids,
                18..=20 => Self::Unreachable,
                21..=24 => Self::Silent { works },
                _ => Self::BreaksOff { works },
            }
        })
    }

    /// Whether the department's work is done.
    const fn works(self) -> bool {
        match self {
            Self::Well | Self::Slow => true,
            Self::Silent { works } | Self::BreaksOff { works } => works,
            _ => false,
        }
    }

    /// How long the hub has to stay away, if that is a matter of time.
    fn pause(self) -> Option<i64> {
        let asked = |seconds: u64| i64::try_from(seconds * 1_000).unwrap().min(PAUSE_MOST);
        match self {
            Self::Well | Self::Slow | Self::Refuses | Self::Forbids => None,
            Self::FailsFor(seconds) | Self::TooMany(seconds) => Some(asked(seconds)),
            Self::Fails | Self::Unreachable | Self::Silent { .. } | Self::BreaksOff { .. } => Some(PAUSE_LEAST),
        }
    }
}

/// Answers a request of a plugin.
pub(crate) async fn answer(world: &World, request: Outgoing) -> Result<Incoming, HttpError> {
    let host = request.url.host_str().unwrap_or_default().to_owned();
    match host.strip_suffix(".example") {
        Some("script") => page(world, &request).await,
        Some(department) => deliver(world, department, &request).await,
        None => Err(HttpError::Connect(failure(false))),
    }
}

fn failure(sent: bool) -> TransportFailure {
    TransportFailure {
        message: "الشبكة: as the script says".to_owned(),
        sent,
    }
}

fn incoming(status: u16, retry_after: Option<u64>, body: &Value) -> Incoming {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.extend(retry_after.map(|seconds| (http::header::RETRY_AFTER, HeaderValue::from(seconds))));
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.to_string().into(),
    }
}

async fn deliver(world: &World, department: &str, request: &Outgoing) -> Result<Incoming, HttpError> {
    let mood = Mood::draw(world);
    let way = world.luck("network", |luck| luck.between(1, 60));
    tokio::time::sleep(Duration::from_millis(way)).await;
    let id = request.headers.get("webhook-id").unwrap().to_str().unwrap().to_owned();
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    world.trace(format!("{department} gets {id}: {mood:?}"));
    world.state().counts.attempts += 1;
    if !matches!(mood, Mood::Unreachable) {
        take(world, (department, &id), &event, mood);
    }
    let answered = match mood {
        Mood::Silent { .. } => {
            tokio::time::sleep(request.timeout).await;
            Err(HttpError::Timeout(failure(true)))
        }
        Mood::BreaksOff { .. } => Err(HttpError::Protocol(failure(true))),
        Mood::Unreachable => Err(HttpError::Connect(failure(false))),
        Mood::Slow => {
            tokio::time::sleep(request.timeout.mul_f64(0.9)).await;
            Ok(incoming(200, None, &json!({ "ref": format!("T-{id}") })))
        }
        Mood::Well => Ok(incoming(200, None, &json!({ "ref": format!("T-{id}") }))),
        Mood::Fails => Ok(incoming(500, None, &json!({}))),
        Mood::FailsFor(seconds) => Ok(incoming(503, Some(seconds), &json!({}))),
        Mood::TooMany(seconds) => Ok(incoming(429, Some(seconds), &json!({}))),
        Mood::Refuses => Ok(incoming(422, None, &json!({}))),
        Mood::Forbids => Ok(incoming(401, None, &json!({}))),
    };
    let now = world.clock().0;
    let mut state = world.state();
    state.counts.failed_answers += u64::from(!matches!(mood, Mood::Well | Mood::Slow));
    let handed = state.neighbours.handed.entry((department.to_owned(), id)).or_default();
    handed.not_before = mood.pause().map(|pause| now + pause);
    answered
}

/// What a department does with a request that has reached it.
fn take(world: &World, (department, id): (&str, &str), event: &Value, mood: Mood) {
    let now = world.clock().0;
    let text = event["data"]["body"].as_str().unwrap_or_default().to_owned();
    let subject = event["subject"].as_str().unwrap_or_default().to_owned();
    let early = {
        let mut state = world.state();
        let neighbours = &mut state.neighbours;
        let handed = neighbours
            .handed
            .entry((department.to_owned(), id.to_owned()))
            .or_default();
        handed.attempts += 1;
        handed.feedback = subject;
        if mood.works() && handed.work.is_none() {
            neighbours.works += 1;
            handed.work = Some((neighbours.works, text));
        }
        handed.not_before.filter(|not_before| now < *not_before)
    };
    if let Some(not_before) = early {
        world.violation(format!(
            "{department} gets {id} {} ms before it may come again",
            not_before - now
        ));
    }
}

/// The page after a cursor; while there is none, the answer waits for it a while.
async fn page(world: &World, request: &Outgoing) -> Result<Incoming, HttpError> {
    let way = world.luck("network", |luck| luck.between(1, 60));
    tokio::time::sleep(Duration::from_millis(way)).await;
    if world.mishap("network", 200) {
        return if world.luck("network", |luck| luck.chance(500)) {
            Ok(incoming(503, None, &json!({})))
        } else {
            Err(HttpError::Protocol(failure(true)))
        };
    }
    let cursor = request.url.query_pairs().find(|(name, _)| name == "after");
    let after: usize = cursor.map_or(0, |(_, value)| value.parse().unwrap_or(0));
    let published = || {
        let now = world.at();
        world.script.pages.iter().filter(|page| page.at <= now).count()
    };
    if published() <= after {
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    let published = published();
    {
        let neighbours = &mut world.state().neighbours;
        neighbours.pages_taken = neighbours.pages_taken.max(after);
    }
    world.trace(format!("the channel is asked after {after}, {published} are there"));
    let changes: Vec<Value> = match world.script.pages.get(after).filter(|_| after < published) {
        Some(page) => page.changes.iter().map(shown).collect(),
        None => Vec::new(),
    };
    let next = (after + 1).min(published).max(after);
    Ok(incoming(
        200,
        None,
        &json!({ "changes": changes, "cursor": next.to_string(), "more": next < published }),
    ))
}

fn shown(change: &NoteChange) -> Value {
    match change {
        NoteChange::Said { note, revision } => json!({
            "id": NoteChange::name(*note),
            "body": NoteChange::text(*note, *revision),
            "author": format!("كاتب {}", note % 2),
            "revision": revision.to_string(),
        }),
        NoteChange::Erased { note } => json!({ "erase": NoteChange::name(*note) }),
    }
}

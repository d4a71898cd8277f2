//! How departments stand: what waits for each and since when, whether anything is handed over, and how its calls go.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::tz::TimeZone;
use mihwar_model::{DeliveryId, InstanceName, Time};
use mihwar_sandbox::Capability;
use mihwar_store::{Order, View};
use serde::Serialize;

use super::calendar::{self, Editions};
use super::holders::Holders;
use super::pausing;
use super::registry::Outbox;
use super::standing::Standing;
use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::{Instances, Running};
use crate::keys;
use crate::projection;
use crate::query::QueryError;
use crate::rows::{self, DeliveryRow, DeliveryState};

/// Departments that are looked at for one page.
const LOOKED_AT_MAX: usize = 1_000;

/// Whether deliveries go to a department, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationState {
    /// They go.
    Open,
    /// Somebody has to act: see [`DestinationStatus::reason`].
    Paused,
    /// It does not answer, and is tried with one delivery now and then.
    Failing,
    /// It asked to be let alone for a while.
    Held,
    /// It is a quiet time.
    Quiet,
    /// It asks by itself: nothing goes to it.
    Asking,
    /// It is not configured any more, or no department; what waits for it goes on waiting.
    Missing,
}

impl DestinationState {
    /// The name in the API and in filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::Quiet => "quiet",
            Self::Asking => "asking",
            Self::Missing => "missing",
        }
    }
}

impl FromStr for DestinationState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [
            Self::Open,
            Self::Paused,
            Self::Failing,
            Self::Held,
            Self::Quiet,
            Self::Asking,
            Self::Missing,
        ];
        let found = all.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| "must be open, paused, failing, held, quiet, asking or missing".to_owned())
    }
}

/// How one department stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationStatus {
    /// The department.
    pub name: InstanceName,
    /// Whether deliveries go to it.
    pub state: DestinationState,
    /// Since when it is paused, or does not answer.
    pub since: Option<Time>,
    /// When something is handed over again; for one that does not answer, when it is tried next.
    pub until: Option<Time>,
    /// Short reason of a pause.
    pub code: Option<String>,
    /// What its plugin said, where it is paused.
    pub reason: Option<String>,
    /// When the next digest goes out.
    pub next_digest: Option<Time>,
    /// Deliveries that were not attempted yet.
    pub waiting: u64,
    /// Deliveries that were attempted without success, and are tried again.
    pub retrying: u64,
    /// Dead letters.
    pub dead: u64,
    /// Since when the first in line waits.
    pub oldest: Option<Time>,
    /// Milliseconds for which it has waited.
    pub lag_ms: Option<u64>,
    /// Attempts of the last quarter of an hour, as far as the hub ran.
    pub attempts: u64,
    /// Those of them that failed.
    pub failures: u64,
}

/// A page of departments, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationPage {
    /// The departments.
    pub items: Vec<DestinationStatus>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// One page of departments: those that are configured, and those for which something waits.
pub(crate) async fn page(
    shared: &Shared,
    wanted: Option<DestinationState>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<DestinationPage, QueryError> {
    projection::catch_up_for_readers(&shared.core).await?;
    let after = cursor
        .map(InstanceName::new)
        .transpose()
        .map_err(|_| QueryError::Cursor)?;
    let view = shared.core.store.view().await?;
    let names = names(shared, &*view, after.as_ref()).await?;
    let mut items = Vec::new();
    let mut looked = 0;
    for name in &names {
        looked += 1;
        let status = status(shared, &*view, name).await?;
        if wanted.is_none_or(|wanted| wanted == status.state) {
            items.push(status);
        }
        if items.len() >= limit || looked >= LOOKED_AT_MAX {
            break;
        }
    }
    let is_end = looked == names.len();
    let last = names.iter().nth(looked.saturating_sub(1)).filter(|_| !is_end);
    Ok(DestinationPage {
        items,
        next: last.map(ToString::to_string),
    })
}

/// All departments that are configured, with the read models as they stand: for who watches the hub, which must cost it
/// nothing.
pub(crate) async fn all(shared: &Shared) -> Result<Vec<DestinationStatus>, Fault> {
    let view = shared.core.store.view().await?;
    let instances = shared.instances();
    let mut all = Vec::new();
    for name in departments(&instances) {
        all.push(status(shared, &*view, name).await?);
    }
    Ok(all)
}

/// All that are configured.
fn departments(instances: &Instances) -> impl Iterator<Item = &InstanceName> {
    let called = instances
        .by_name
        .values()
        .filter(|running| running.can(Capability::Deliver));
    called.map(|running| &running.name).chain(&instances.asking)
}

/// Names behind another one, one more than is looked at.
async fn names(
    shared: &Shared,
    view: &dyn View,
    after: Option<&InstanceName>,
) -> Result<BTreeSet<InstanceName>, Fault> {
    let instances = shared.instances();
    let behind = departments(&instances).filter(|name| after.is_none_or(|after| *name > after));
    let mut names: BTreeSet<InstanceName> = behind.cloned().collect();
    for mut holders in [Holders::of_outboxes(view, after), Holders::of_dead_letters(view, after)] {
        for _ in 0..=LOOKED_AT_MAX {
            let Some(name) = holders.another().await? else {
                break;
            };
            names.insert(name);
        }
    }
    // Of the longest list the first are known for sure.
    while names.len() > LOOKED_AT_MAX + 1 {
        names.pop_last();
    }
    Ok(names)
}

/// How one department stands, as the read models and its own rows tell.
async fn status(shared: &Shared, view: &dyn View, name: &InstanceName) -> Result<DestinationStatus, Fault> {
    let core = &shared.core;
    let now = core.clock.now();
    let instances = shared.instances();
    let running = instances.get(name).filter(|running| running.can(Capability::Deliver));
    let outbox = core.outboxes.of(name);
    let how = match &running {
        Some(running) => How::of(core, &outbox, running, now).await?,
        None if instances.asking.contains(name) => How::plain(DestinationState::Asking),
        None => How::plain(DestinationState::Missing),
    };
    let counts = counts(view, name).await?;
    let (attempts, failures) = outbox.lately(now);
    let oldest = oldest(view, name).await?;
    Ok(DestinationStatus {
        name: name.clone(),
        state: how.state,
        since: how.since,
        until: how.until,
        code: how.code,
        reason: how.reason,
        next_digest: running.and_then(|running| next_digest(&running, now)),
        waiting: counts[0],
        retrying: counts[1],
        dead: counts[2],
        oldest,
        lag_ms: oldest.map(|oldest| u64::try_from(now.0.saturating_sub(oldest.0)).unwrap_or(0)),
        attempts,
        failures,
    })
}

/// Whether deliveries go to a department.
struct How {
    state: DestinationState,
    since: Option<Time>,
    until: Option<Time>,
    code: Option<String>,
    reason: Option<String>,
}

impl How {
    const fn plain(state: DestinationState) -> Self {
        Self {
            state,
            since: None,
            until: None,
            code: None,
            reason: None,
        }
    }

    fn until(state: DestinationState, until: Time) -> Self {
        Self {
            until: Some(until),
            ..Self::plain(state)
        }
    }

    /// In the order in which whoever delivers goes by it.
    async fn of(core: &Core, outbox: &Outbox, running: &Running, now: Time) -> Result<Self, Fault> {
        let mut standing = outbox.standing(core).await?;
        if standing.mark != running.configuration_mark(&core.vault) {
            // What was said of another configuration does not hold for this one.
            standing = Standing::default();
        }
        let config = &running.config.delivery;
        if let Some(paused) = &standing.paused {
            return Ok(Self {
                since: Some(paused.since),
                code: Some(paused.code.clone()),
                reason: Some(pausing::reason(core, &running.name, paused)),
                ..Self::plain(DestinationState::Paused)
            });
        }
        if let Some(reason) = running.record.counts().paused {
            return Ok(Self {
                reason: Some(reason),
                ..Self::plain(DestinationState::Paused)
            });
        }
        let quiet = config.quiet.as_ref();
        let quiet = quiet.and_then(|quiet| calendar::quiet_until(quiet, &zone(running), now));
        let held = standing.held(now, config.retry.put_off_most());
        Ok(match (quiet, held, standing.alone) {
            (Some(quiet), held, _) if held.is_none_or(|held| held <= quiet) => {
                Self::until(DestinationState::Quiet, quiet)
            }
            (_, Some(held), _) => Self::until(DestinationState::Held, held),
            (_, None, Some(alone)) => Self {
                since: Some(alone.since),
                ..Self::until(DestinationState::Failing, alone.next)
            },
            _ => Self::plain(DestinationState::Open),
        })
    }
}

fn zone(running: &Running) -> TimeZone {
    // The configuration lets no other zone through.
    TimeZone::get(&running.config.time_zone).unwrap_or(TimeZone::UTC)
}

fn next_digest(running: &Running, now: Time) -> Option<Time> {
    let digest = running.config.delivery.digest.as_ref()?;
    let (_, next) = Editions::new(digest, &zone(running))?.around(now)?;
    Some(next)
}

/// How many wait, are tried again, and are dead letters.
async fn counts(view: &dyn View, name: &InstanceName) -> Result<[u64; 3], Fault> {
    let states = [DeliveryState::Waiting, DeliveryState::Retrying, DeliveryState::Dead];
    let places = states.map(|state| keys::count("delivery", &format!("{name}/{}", state.as_str())));
    let mut counts = [0; 3];
    for (count, row) in counts.iter_mut().zip(view.get_many(&places).await?) {
        let bytes = row.as_ref().and_then(|row| row.bytes.first_chunk::<8>());
        *count = bytes.map_or(0, |bytes| u64::try_from(i64::from_le_bytes(*bytes)).unwrap_or(0));
    }
    Ok(counts)
}

/// Since when the first in line waits. What was filled in is as old as its record by its id, and waits since it was.
async fn oldest(view: &dyn View, name: &InstanceName) -> Result<Option<Time>, Fault> {
    let first = view.scan(keys::outbox_of(name), Order::Ascending, 1).await?.rows.pop();
    let Some(delivery) = first
        .and_then(|row| keys::last_id(&row.key))
        .map(DeliveryId::from_bytes)
    else {
        return Ok(None);
    };
    let told = view.get(&keys::delivery(delivery)).await?;
    let told = told.and_then(|told| rows::decode::<DeliveryRow>("a read model", &told.bytes).ok());
    Ok(Some(told.map_or_else(|| delivery.made_at(), |told| told.created_at)))
}

#[cfg(test)]
mod tests {
    use mihwar_model::{EventBody, Kind, Time};
    use mihwar_store::Edit;

    use super::super::house::{House, billing, name};
    use super::{counts, oldest};
    use crate::{keys, projection};

    #[tokio::test]
    async fn the_first_in_line_tells_since_when_something_waits() {
        let house = House::new();
        let view = house.core.store.view().await.unwrap();
        assert_eq!(oldest(&*view, &billing()).await.unwrap(), None);
        drop(view);
        let feedback = house.said("هدى", "الطابور طويل", Kind::Complaint).await;
        house.clock.advance_millis(3_600_000);
        let filled = house.now();
        // It was routed an hour later.
        let delivery = house.route(feedback, &["billing", "service"]).await[0];
        house.clock.advance_millis(60_000);
        house.waits("خالد").await;
        projection::catch_up(&house.core).await.unwrap();
        let view = house.core.store.view().await.unwrap();
        assert_eq!(oldest(&*view, &billing()).await.unwrap(), Some(filled));
        assert_eq!(counts(&*view, &billing()).await.unwrap(), [2, 0, 0]);
        assert_eq!(counts(&*view, &name("service")).await.unwrap(), [1, 0, 0]);
        drop(view);
        let failed = mihwar_model::Attempted {
            delivery,
            feedback,
            destination: billing(),
            attempt: 1,
            code: "http-503".into(),
            retry_at: Time(house.now().0 + 5_000),
        };
        house
            .write(Vec::<Edit>::new(), vec![EventBody::DeliveryFailed(failed)])
            .await;
        projection::catch_up(&house.core).await.unwrap();
        let view = house.core.store.view().await.unwrap();
        assert_eq!(counts(&*view, &billing()).await.unwrap(), [1, 1, 0]);
        assert!(view.get(&keys::delivery(delivery)).await.unwrap().is_some());
    }
}

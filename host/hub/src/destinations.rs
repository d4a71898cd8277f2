//! Departments, for whoever looks after them: how they stand, and what makes them go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mihwar_model::{Actor, DeliveryId, InstanceName};
use mihwar_sandbox::Capability;
use mihwar_store::Batch;
use serde::Serialize;
use thiserror::Error;

use crate::delivery::{self, BackFill, BackFillReport, DestinationPage, DestinationState, DestinationStatus};
use crate::fault::Fault;
use crate::hub::{self, Hub};
use crate::instances::Running;
use crate::lent;
use crate::query::{self, DeliveryStory, QueryError};

/// Why something was not done to a department.
#[derive(Debug, Error)]
pub enum DestinationRefusal {
    /// There is none of this name.
    #[error("\"{0}\" is no department here; the departments are listed by: mihwar delivery status")]
    Unknown(InstanceName),
    /// Its plugin does not reach the other system, or it has none.
    #[error("{0}")]
    Unreachable(String),
    /// The hub could not do it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a department's plugin found when it looked at the other system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationCheck {
    /// Whose credentials it uses, if the other system tells.
    pub account: Option<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Whether deliveries go on that had been kept back.
    pub resumed: bool,
}

impl Hub {
    /// Everything that is told of one delivery; `None` when there is none of this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryStory>, QueryError> {
        query::delivery_story(&self.shared.core, id).await
    }

    /// A page of departments by name: those that are configured, and those for which something waits although they are not.
    /// With a state, only those which are in it; a page may then hold few of them, or none, and still have a next one.
    ///
    /// # Errors
    /// For a foreign cursor, or when the store cannot be read.
    pub async fn destination_page(
        &self,
        state: Option<DestinationState>,
        cursor: Option<&str>,
        limit: u16,
    ) -> Result<DestinationPage, QueryError> {
        delivery::destination_page(&self.shared, state, cursor, usize::from(limit.clamp(1, 1000))).await
    }

    /// All configured departments, with the read models as they stand: nobody waits for them. For who watches the hub.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn destinations_as_they_are(&self) -> Result<Vec<DestinationStatus>, Fault> {
        delivery::destinations_now(&self.shared).await
    }

    /// Lets deliveries to a department go on that was paused, does not answer, or asked to be let alone. Whether there was
    /// anything of that.
    ///
    /// # Errors
    /// No such department, or the store cannot be read or written.
    pub async fn destination_resume(&self, actor: &Actor, name: &InstanceName) -> Result<bool, DestinationRefusal> {
        self.known_destination(name)?;
        let was_held = delivery::resume(&self.shared.core, actor, name).await?;
        let running = self.shared.instances().get(name);
        let was_paused = running.as_ref().is_some_and(|running| running.record.is_paused());
        if let Some(running) = running {
            running.record.pause(None);
        }
        self.shared.core.outboxes.ring_all();
        Ok(was_held || was_paused)
    }

    /// Has a department's plugin look whether it reaches the other system, without doing anything there. If it does,
    /// deliveries go on as by [`Hub::destination_resume`].
    ///
    /// # Errors
    /// No such department, it does not reach the other system, or the store cannot be read or written.
    pub async fn destination_check(
        &self,
        actor: &Actor,
        name: &InstanceName,
    ) -> Result<DestinationCheck, DestinationRefusal> {
        let core = &self.shared.core;
        if self.shared.instances().asking.contains(name) {
            let message =
                format!("\"{name}\" asks by itself: there is nothing to reach; see: mihwar delivery feed {name}");
            return Err(DestinationRefusal::Unreachable(message));
        }
        let running = self.department(name)?;
        let call = lent::call(core, name, Arc::new(lent::NoBlobs));
        let result = running.sandbox.check(call).await;
        running.note(core.clock.now(), "check", &result);
        let done = result.map_err(|error| DestinationRefusal::Unreachable(error.to_string()))?;
        let edits = lent::state_edits(core, name, &done.effects)?;
        if !edits.is_empty() {
            let batch = Batch {
                edits,
                ..Batch::default()
            };
            core.apply_patiently(batch).await?;
        }
        Ok(DestinationCheck {
            account: done.value.account,
            notes: done.value.notes,
            resumed: self.destination_resume(actor, name).await?,
        })
    }

    /// Puts into the outbox of a department what the rules in force would have chosen for it, as if it had been there before.
    /// It is handed over beside what comes now, and never before what the same contact said earlier.
    ///
    /// # Errors
    /// No such department, or the store cannot be read or written. What was put in before that stays there.
    pub async fn destination_fill(
        &self,
        actor: &Actor,
        wanted: &BackFill,
    ) -> Result<BackFillReport, DestinationRefusal> {
        if !self.shared.instances().is_department(&wanted.destination) {
            return Err(DestinationRefusal::Unknown(wanted.destination.clone()));
        }
        let rules = self.shared.config().rules.clone();
        Ok(delivery::fill(&self.shared.core, &rules, actor, wanted).await?)
    }

    /// Whether one of these marks, as requests carry them in the header `mihwar-hop`, is this hub's own: one of its instances
    /// made the request, so that what it brings would go round for ever. Each is counted; the first is told in the log, with
    /// where it came in.
    #[must_use]
    pub fn came_round<'a>(&self, marks: impl IntoIterator<Item = &'a str>, place: &str) -> bool {
        let mut marks = marks
            .into_iter()
            .flat_map(|marks| marks.split(','))
            .map(str::trim)
            .peekable();
        if marks.peek().is_none() {
            return false;
        }
        let own = self.hop();
        if !marks.any(|mark| mark == own) {
            return false;
        }
        metrics::counter!("mihwar_loops_refused_total").increment(1);
        if !self.shared.loop_told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                place,
                "a department of this hub sends to this hub; that is refused, or the same would go round for ever. Take out the route or the address that leads back"
            );
        }
        true
    }

    /// The mark that requests of this hub's instances carry in the header `mihwar-hop`: the same after every start.
    #[must_use]
    pub fn hop(&self) -> String {
        hub::hop(&self.shared.core)
    }

    /// A department whose plugin runs.
    fn department(&self, name: &InstanceName) -> Result<Arc<Running>, DestinationRefusal> {
        let running = self.shared.instances().get(name);
        let department = running.filter(|running| running.can(Capability::Deliver));
        department.ok_or_else(|| DestinationRefusal::Unknown(name.clone()))
    }

    /// Also where plugins were not loaded: a command that works on the records alone knows names and no plugins.
    fn known_destination(&self, name: &InstanceName) -> Result<(), DestinationRefusal> {
        let instances = self.shared.instances();
        let is_known = if instances.by_name.is_empty() {
            self.shared.config().knows(name)
        } else {
            instances.is_department(name)
        };
        is_known
            .then_some(())
            .ok_or_else(|| DestinationRefusal::Unknown(name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{Actor, InstanceName, Time};
    use mihwar_store::MemoryStore;

    use super::DestinationRefusal;
    use crate::config::Config;
    use crate::core::Core;
    use crate::doors::Doors;
    use crate::hub::Hub;

    async fn hub(folder: &std::path::Path, config: &str) -> Hub {
        let core = Core::for_tests(Arc::new(MemoryStore::new()), folder, Time(1_790_000_000_000));
        let config = Config::parse("mihwar.toml".as_ref(), config, Vec::new()).unwrap();
        Hub::over(Arc::new(core), config, Doors::real()).await.unwrap()
    }

    #[tokio::test]
    async fn a_hub_knows_its_own_mark_again_wherever_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path(), "").await;
        let own = hub.hop();
        let among_others = format!("0123, {own}");
        let cut = own.get(..30).unwrap();
        assert!(hub.came_round([own.as_str()], "hook"));
        assert!(hub.came_round([among_others.as_str()], "hook"));
        assert!(hub.came_round(["0123", own.as_str()], "hook"));
        for other in ["", "0123", "هنا", cut] {
            assert!(!hub.came_round([other], "hook"), "{other}");
        }
        assert!(!hub.came_round([], "hook"));
    }

    #[tokio::test]
    async fn who_is_no_department_is_not_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let config = "[[plugin]]\nid = \"p\"\n[[instance]]\nname = \"billing\"\nplugin = \"p\"\n";
        let hub = hub(folder.path(), config).await;
        let (billing, service) = (
            InstanceName::new("billing").unwrap(),
            InstanceName::new("service").unwrap(),
        );
        // Its plugin is not loaded here; its name is known.
        assert!(!hub.destination_resume(&Actor::Console, &billing).await.unwrap());
        let refused = hub.destination_resume(&Actor::Console, &service).await;
        assert!(matches!(refused, Err(DestinationRefusal::Unknown(name)) if name == service));
        let checked = hub.destination_check(&Actor::Console, &billing).await;
        assert!(matches!(checked, Err(DestinationRefusal::Unknown(_))), "{checked:?}");
    }
}

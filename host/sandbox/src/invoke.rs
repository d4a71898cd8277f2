//! The contract's functions as methods of an instance.

use crate::call::{Call, Done};
use crate::contract::types::ConfigProblem;
use crate::contract::{destination, importer, lifecycle, processor, puller, webhook};
use crate::effects::{Cost, Effects};
use crate::error::{CallError, CallFailure};
use crate::host::Admission;
use crate::instance::Instance;
use crate::run::bare;

impl Instance {
    fn lifecycle(&self) -> Result<lifecycle::GuestIndices, CallError> {
        offered(self.bound.plugin.exports.lifecycle.as_ref(), "lifecycle")
    }

    /// The JSON Schema of the plugin's settings, as text.
    pub(crate) async fn settings_schema(&self, call: Call) -> Result<Done<String>, CallError> {
        let guest = self.lifecycle()?;
        self.run("settings-schema", call, Admission::Offline, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_settings_schema(store).await.map(Ok)
            })
        })
        .await
    }

    /// Asks the plugin whether it is content with its settings. No network. One that has nothing to set is not asked.
    ///
    /// # Errors
    /// See [`CallFailure`].
    pub async fn validate(&self, call: Call) -> Result<Done<Vec<ConfigProblem>>, CallError> {
        let Ok(guest) = self.lifecycle() else {
            return Ok(Done {
                value: Vec::new(),
                effects: Effects::default(),
                cost: Cost::default(),
            });
        };
        self.run("validate", call, Admission::Offline, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_validate(store).await
            })
        })
        .await
    }

    /// "Test connection": network, but no outside effect.
    ///
    /// # Errors
    /// See [`CallFailure`].
    pub async fn check(&self, call: Call) -> Result<Done<lifecycle::Health>, CallError> {
        let guest = self.lifecycle()?;
        self.run("check", call, Admission::Online, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_check(store).await
            })
        })
        .await
    }

    /// Brings the instance's state to this version's layout.
    ///
    /// # Errors
    /// See [`CallFailure`].
    pub async fn migrate(&self, previous_version: String, call: Call) -> Result<Done<()>, CallError> {
        let guest = self.lifecycle()?;
        self.run("migrate", call, Admission::Online, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_migrate(store, &previous_version).await
            })
        })
        .await
    }

    /// Reads one page of a file.
    ///
    /// # Errors
    /// See [`CallFailure`]; a page with more items than the limit is an error.
    pub async fn read_file(
        &self,
        request: importer::ImportRequest,
        call: Call,
    ) -> Result<Done<importer::ImportPage>, CallError> {
        let guest = offered(self.bound.plugin.exports.importer.as_ref(), "importer")?;
        let done = self
            .run("importer.read", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_read(store, &request).await
                })
            })
            .await?;
        self.counted(done, |page| page.changes.len() + page.refusals.len())
    }

    /// Asks for news.
    ///
    /// # Errors
    /// See [`CallFailure`]; a page with more items than the limit is an error.
    pub async fn pull(&self, request: puller::PullRequest, call: Call) -> Result<Done<puller::PullPage>, CallError> {
        let guest = offered(self.bound.plugin.exports.puller.as_ref(), "puller")?;
        let done = self
            .run("puller.pull", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_pull(store, &request).await
                })
            })
            .await?;
        self.counted(done, |page| page.changes.len())
    }

    /// Hands over an inbound request.
    ///
    /// # Errors
    /// See [`CallFailure`]; an outcome with more items than the limit is an error.
    pub async fn handle_webhook(
        &self,
        request: webhook::InboundRequest,
        call: Call,
    ) -> Result<Done<webhook::Outcome>, CallError> {
        let guest = offered(self.bound.plugin.exports.webhook.as_ref(), "webhook")?;
        let done = self
            .run("webhook.handle", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_handle(store, &request).await
                })
            })
            .await?;
        self.counted(done, |outcome| outcome.changes.len() + outcome.refusals.len())
    }

    /// Lets an enricher look at records.
    ///
    /// # Errors
    /// See [`CallFailure`]; more edits in all than the limit are an error.
    pub async fn process(
        &self,
        items: Vec<processor::StoredFeedback>,
        call: Call,
    ) -> Result<Done<Vec<processor::Verdict>>, CallError> {
        let guest = offered(self.bound.plugin.exports.processor.as_ref(), "processor")?;
        let done = self
            .run("processor.process", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_process(store, &items).await
                })
            })
            .await?;
        self.counted(done, |verdicts| {
            let edits = verdicts.iter().map(|verdict| match verdict {
                processor::Verdict::Edited(edits) => edits.edits.len(),
                processor::Verdict::Failed(_) => 0,
            });
            verdicts.len() + edits.sum::<usize>()
        })
    }

    /// Hands deliveries to a department.
    ///
    /// # Errors
    /// See [`CallFailure`]; more acks than the limit are an error.
    pub async fn deliver(
        &self,
        batch: Vec<destination::Delivery>,
        call: Call,
    ) -> Result<Done<Vec<destination::Ack>>, CallError> {
        let guest = offered(self.bound.plugin.exports.destination.as_ref(), "destination")?;
        let done = self
            .run(
                "destination.deliver",
                call,
                Admission::Online,
                move |store, component| {
                    Box::pin(async move {
                        let guest = guest.load(&mut *store, component)?;
                        guest.call_deliver(store, &batch).await
                    })
                },
            )
            .await?;
        self.counted(done, Vec::len)
    }
}

pub(crate) fn offered<I: Clone>(indices: Option<&I>, interface: &'static str) -> Result<I, CallError> {
    indices.cloned().ok_or_else(|| bare(CallFailure::NotOffered(interface)))
}

//! The traits that a plugin implements.

use crate::{
    Ack, ConfigProblem, Delivery, Health, Host, ImportPage, ImportRequest, InboundRequest, Outcome, PluginError,
    PullPage, PullRequest, StoredFeedback, Verdict,
};

/// Every plugin: its settings and its life around the calls.
///
/// One call gets a fresh instance: nothing in memory survives it. What must survive goes into the host's state or
/// into a returned cursor, and is kept only if the call returns `Ok`.
pub trait Plugin {
    /// The settings of one instance, as an admin writes them. The JSON Schema made from this type is checked by
    /// the hub; put `#[serde(deny_unknown_fields)]` on it, so that a mistyped key is told.
    type Settings: serde::de::DeserializeOwned + schemars::JsonSchema;

    /// Problems that the schema cannot express, each at its key path. Called without network before new settings
    /// are taken over; an empty list accepts them.
    fn validate(settings: &Self::Settings) -> Vec<ConfigProblem> {
        let _ = settings;
        Vec::new()
    }

    /// "Test connection": network is allowed, outside effects are not.
    ///
    /// # Errors
    /// Whatever keeps the instance from working, in the class that fits.
    fn check(host: &Host, settings: &Self::Settings) -> Result<Health, PluginError> {
        let _ = (host, settings);
        Ok(Health {
            account: None,
            notes: Vec::new(),
        })
    }

    /// After an update and before the first other call: brings the state to the new layout.
    ///
    /// # Errors
    /// On an error nothing of it is kept and the previous version goes on.
    fn migrate(host: &Host, previous_version: &str) -> Result<(), PluginError> {
        let _ = (host, previous_version);
        Ok(())
    }
}

/// A channel that reads files, page by page.
pub trait Importer: Plugin {
    /// Reads up to `request.max_items` items after `request.cursor`, never more. What cannot become a record is listed
    /// as a refusal; what stands beside it is kept.
    ///
    /// `request.skip` is not 0 when reading an item ended an earlier call (a trap, a limit): pass over so many items
    /// from the cursor on without reading them, and return an empty page with the cursor behind them.
    ///
    /// # Errors
    /// Only when the file as a whole cannot be read.
    fn read(host: &Host, settings: &Self::Settings, request: ImportRequest) -> Result<ImportPage, PluginError>;
}

/// A channel that asks another system for news.
pub trait Puller: Plugin {
    /// Fetches the page after `request.cursor`. The returned cursor is stored together with the changes.
    ///
    /// # Errors
    /// The hub repeats the call from the same cursor, when and if the class of the error says so.
    fn pull(host: &Host, settings: &Self::Settings, request: PullRequest) -> Result<PullPage, PluginError>;
}

/// A channel (or department) that another system calls.
pub trait Webhook: Plugin {
    /// Turns one request, already stored and verified by the hub, into changes. May be called again with the
    /// same `delivery_id`; a sender that repeats its request gets a new one.
    ///
    /// # Errors
    /// `transient` is tried again, `permanent` becomes a dead letter that a person sees.
    fn handle(host: &Host, settings: &Self::Settings, request: InboundRequest) -> Result<Outcome, PluginError>;
}

/// An enricher, classifier, redactor or router.
pub trait Processor: Plugin {
    /// Returns edits for the items; an item without a verdict stays as it is, except where texts are masked: there it
    /// counts as not looked at.
    ///
    /// # Errors
    /// An outer error counts for all items; a bad single item is a [`Verdict::Failed`].
    fn process(host: &Host, settings: &Self::Settings, items: Vec<StoredFeedback>)
    -> Result<Vec<Verdict>, PluginError>;
}

/// A department's tool.
pub trait Destination: Plugin {
    /// Hands over the batch in its order and says for each what became of it. An item without an ack is tried
    /// again later, so stop early when [`Host::remaining_ms`] is short.
    ///
    /// # Errors
    /// An outer error counts for all items; a bad single item is an ack with `AckState::Failed`.
    fn deliver(host: &Host, settings: &Self::Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError>;
}

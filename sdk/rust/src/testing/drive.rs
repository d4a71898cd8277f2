//! Driving a plugin as the hub does: settings through the parser, cursors to the end, a call as a transaction.

use serde_json::Value as Json;

use super::checks::{assert_items, assert_page, assert_sound, assert_spans, assert_verdicts};

use crate::{
    Ack, ConfigProblem, Delivery, Destination, Feedback, Health, Host, ImportPage, ImportRequest, Importer,
    InboundRequest, Outcome, Plugin, PluginError, Processor, PullMode, PullPage, PullRequest, Puller, SourceFile,
    StoredFeedback, Verdict, Webhook, parse_settings,
};

/// Most pages that a test reads; more means that a cursor does not move.
const MOST_PAGES: usize = 10_000;

fn call<P: Plugin, T>(
    host: &Host,
    settings: &Json,
    work: impl FnOnce(&Host, &P::Settings) -> Result<T, PluginError>,
) -> Result<T, PluginError> {
    let settings = parse_settings::<P::Settings>(&settings.to_string())?;
    host.fake().transaction(|host| work(host, &settings))
}

/// Reads one file to its end, with the hub's usual page of 256 items.
///
/// # Errors
/// The first error of the plugin; settings that do not parse.
///
/// # Panics
/// When the plugin says `more` without moving its cursor, or returns more than was asked for or a record that the hub
/// would refuse.
pub fn import_file<P: Importer>(
    host: &Host,
    settings: &Json,
    name: &str,
    bytes: &[u8],
) -> Result<Vec<ImportPage>, PluginError> {
    import_file_by::<P>(host, settings, name, bytes, 256)
}

/// Like [`import_file`], with pages of at most `max_items`.
///
/// # Errors
/// As for [`import_file`].
///
/// # Panics
/// As for [`import_file`].
pub fn import_file_by<P: Importer>(
    host: &Host,
    settings: &Json,
    name: &str,
    bytes: &[u8],
    max_items: u32,
) -> Result<Vec<ImportPage>, PluginError> {
    let mut pages: Vec<ImportPage> = Vec::new();
    let mut cursor = None;
    let file = source_file(host, name, bytes);
    while pages.len() < MOST_PAGES {
        let request = ImportRequest {
            file: file.clone(),
            cursor: cursor.clone(),
            max_items,
            skip: 0,
        };
        let page = import_page::<P>(host, settings, request)?;
        let (more, next) = (page.more, page.cursor.clone());
        pages.push(page);
        if !more {
            return Ok(pages);
        }
        assert_ne!(
            cursor,
            next,
            "page {}: `more` is true but the cursor did not move",
            pages.len()
        );
        cursor = next;
    }
    panic!("{name}: still `more` after {MOST_PAGES} pages");
}

/// A file as the hub lends it to an importer.
#[must_use]
pub fn source_file(host: &Host, name: &str, bytes: &[u8]) -> SourceFile {
    SourceFile {
        name: name.into(),
        size: bytes.len() as u64,
        modified_at: None,
        content: host.fake().lend("application/octet-stream", bytes),
    }
}

/// Reads one page, such as one that passes over items (`request.skip`). [`source_file`] makes the file.
///
/// # Errors
/// The plugin's error; settings that do not parse.
///
/// # Panics
/// When the plugin returns more than `request.max_items`, or a record that the hub would refuse.
pub fn import_page<P: Importer>(
    host: &Host,
    settings: &Json,
    request: ImportRequest,
) -> Result<ImportPage, PluginError> {
    let max_items = request.max_items;
    let page = call::<P, _>(host, settings, |host, settings| P::read(host, settings, request))?;
    assert_page(&page, max_items, &host.fake().stored_blobs());
    Ok(page)
}

/// Pulls page after page from `cursor` until the plugin says that there is no more.
///
/// # Errors
/// The first error of the plugin; settings that do not parse.
///
/// # Panics
/// When the plugin says `more` without moving its cursor, or returns a record that the hub would refuse.
pub fn pull<P: Puller>(host: &Host, settings: &Json, cursor: Option<&str>) -> Result<Vec<PullPage>, PluginError> {
    let mut pages: Vec<PullPage> = Vec::new();
    let mut cursor = cursor.map(str::to_owned);
    while pages.len() < MOST_PAGES {
        let request = PullRequest {
            mode: PullMode::Incremental,
            cursor: cursor.clone(),
            max_items: 256,
        };
        let page = call::<P, _>(host, settings, |host, settings| P::pull(host, settings, request))?;
        assert_sound(&page.changes, &host.fake().stored_blobs());
        let (more, next) = (page.more, page.cursor.clone());
        pages.push(page);
        if !more {
            return Ok(pages);
        }
        assert_ne!(
            cursor,
            next,
            "page {}: `more` is true but the cursor did not move",
            pages.len()
        );
        cursor = next;
    }
    panic!("still `more` after {MOST_PAGES} pages");
}

/// Handles one inbound request.
///
/// # Errors
/// The plugin's error; settings that do not parse.
///
/// # Panics
/// When the plugin returns a record that the hub would refuse.
pub fn handle<P: Webhook>(host: &Host, settings: &Json, request: InboundRequest) -> Result<Outcome, PluginError> {
    let outcome = handle_unchecked::<P>(host, settings, request)?;
    assert_sound(&outcome.changes, &host.fake().stored_blobs());
    assert_items(outcome.changes.len() + outcome.refusals.len());
    Ok(outcome)
}

/// Like [`handle`], whatever the plugin returns.
pub(super) fn handle_unchecked<P: Webhook>(
    host: &Host,
    settings: &Json,
    request: InboundRequest,
) -> Result<Outcome, PluginError> {
    call::<P, _>(host, settings, |host, settings| P::handle(host, settings, request))
}

/// Processes one batch.
///
/// # Errors
/// The plugin's error; settings that do not parse.
///
/// # Panics
/// When the plugin returns an edit that the hub would refuse, or a verdict for an item that is not in the batch.
pub fn process<P: Processor>(
    host: &Host,
    settings: &Json,
    items: Vec<StoredFeedback>,
) -> Result<Vec<Verdict>, PluginError> {
    let ids = items.iter().map(|item| item.id.clone()).collect();
    let bodies = items.iter().map(|item| (item.id.clone(), item.feedback.body.clone()));
    let bodies = bodies.collect();
    let verdicts = call::<P, _>(host, settings, |host, settings| P::process(host, settings, items))?;
    assert_verdicts(&verdicts, &ids);
    assert_spans(&verdicts, &bodies);
    Ok(verdicts)
}

/// Delivers one batch.
///
/// # Errors
/// The plugin's error; settings that do not parse.
pub fn deliver<P: Destination>(host: &Host, settings: &Json, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
    call::<P, _>(host, settings, |host, settings| P::deliver(host, settings, batch))
}

/// "Test connection".
///
/// # Errors
/// The plugin's error; settings that do not parse.
pub fn check<P: Plugin>(host: &Host, settings: &Json) -> Result<Health, PluginError> {
    call::<P, _>(host, settings, |host, settings| P::check(host, settings))
}

/// The problems of some settings, from the parser or from the plugin.
#[must_use]
pub fn validate<P: Plugin>(settings: &Json) -> Vec<ConfigProblem> {
    match parse_settings::<P::Settings>(&settings.to_string()) {
        Ok(settings) => P::validate(&settings),
        Err(PluginError::Misconfigured(problems)) => problems,
        Err(other) => vec![ConfigProblem::new(".", other.summary())],
    }
}

/// A record as the hub has stored it, for enrichers and departments.
#[must_use]
pub fn stored(id: &str, feedback: Feedback) -> StoredFeedback {
    StoredFeedback {
        id: id.into(),
        connector: "test".into(),
        received_at: 1_767_225_600_000,
        version: 1,
        feedback,
    }
}

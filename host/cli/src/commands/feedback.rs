//! `mihwar feedback`: what customers say.

use std::io::{BufWriter, Write};

use anyhow::Context;
use mihwar_server::wire::{FeedbackDetailView, FeedbackPageView, FeedbackQuery, FeedbackView, PageQuery};
use serde::Serialize;

use super::delivery;
use crate::args::{Feedback, Filter};
use crate::client::Client;
use crate::output::{Outcome, excerpt, json, json_line, line, plain};

/// Most records that the API gives at once.
const PAGE_MAX: u64 = 200;
/// Letters of a customer's words in a list.
const EXCERPT_CHARS: usize = 160;

/// Carries out `mihwar feedback …`.
pub(super) async fn run(client: &Client, command: Feedback, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Feedback::List { filter, limit } => list(client, filter, limit, as_json).await,
        Feedback::Show { id } => show(client, &id, as_json).await,
        Feedback::Export { filter, out } => match out {
            Some(path) => {
                let file = std::fs::File::create(&path).with_context(|| format!("{}", path.display()))?;
                export(client, filter, BufWriter::new(file)).await
            }
            None => export(client, filter, BufWriter::new(std::io::stdout())).await,
        },
    }
}

#[derive(Serialize)]
struct PagedFilter {
    #[serde(flatten)]
    filter: FeedbackQuery,
    #[serde(flatten)]
    page: PageQuery,
}

async fn list(client: &Client, filter: Filter, limit: u64, as_json: bool) -> anyhow::Result<Outcome> {
    let mut query = PagedFilter {
        filter: filter.into(),
        page: PageQuery::default(),
    };
    let mut left = limit;
    while left > 0 {
        query.page.limit = u16::try_from(left.min(PAGE_MAX)).ok();
        let page: FeedbackPageView = client.get_with("/api/v1/feedback", &query).await?.json().await?;
        for item in &page.items {
            if as_json { json_line(item)? } else { tell(item)? }
        }
        left = left.saturating_sub(page.items.len() as u64);
        match page.next {
            Some(next) => query.page.cursor = Some(next),
            None => break,
        }
    }
    Ok(Outcome::Done)
}

/// One record on two or three lines.
fn tell(item: &FeedbackView) -> anyhow::Result<()> {
    let mut facts = vec![
        item.id.clone(),
        item.received_at.to_string(),
        format!("{}/{}", item.instance, item.channel),
    ];
    facts.extend(item.kind.clone());
    facts.extend(item.language.clone());
    facts.extend(
        item.scores
            .iter()
            .map(|score| format!("{} {}", score.metric, score.value)),
    );
    facts.extend(item.tags.iter().map(|tag| format!("#{tag}")));
    if !item.destinations.is_empty() {
        facts.push(format!("→ {}", item.destinations.join(", ")));
    }
    line(plain(&facts.join("  ")))?;
    match &item.content {
        Some(content) => {
            if let Some(subject) = content.subject.as_deref().filter(|subject| !subject.trim().is_empty()) {
                line(format_args!("    {}", excerpt(subject, EXCERPT_CHARS)))?;
            }
            if !content.body.trim().is_empty() {
                line(format_args!("    {}", excerpt(&content.body, EXCERPT_CHARS)))?;
            }
        }
        None => line("    (the content is gone; the facts remain)")?,
    }
    Ok(())
}

async fn show(client: &Client, id: &str, as_json: bool) -> anyhow::Result<Outcome> {
    let detail: FeedbackDetailView = client.get(&format!("/api/v1/feedback/{id}")).await?.json().await?;
    if as_json {
        json(&detail)?;
        return Ok(Outcome::Done);
    }
    tell(&detail.feedback)?;
    if let Some(content) = &detail.feedback.content {
        if let Some(author) = &content.author {
            let identifiers: Vec<_> = author
                .identifiers
                .iter()
                .map(|i| format!("{}:{}", i.scheme, i.id))
                .collect();
            let text = format!(
                "from {} {}",
                author.name.as_deref().unwrap_or("someone"),
                identifiers.join(" ")
            );
            line(plain(text.trim_end()))?;
        }
        line("")?;
        line(plain(&content.body))?;
    }
    line("\nWhat happened to it:")?;
    for event in &detail.events {
        let kind = event
            .event
            .get("type")
            .and_then(|kind| kind.as_str())
            .unwrap_or("event");
        line(plain(&format!(
            "  {:>8}  {}  {kind}  by {}",
            event.sequence, event.at, event.actor
        )))?;
    }
    if !detail.deliveries.is_empty() {
        line("\nWhere it went:")?;
        detail.deliveries.iter().try_for_each(delivery::tell)?;
    }
    Ok(Outcome::Done)
}

async fn export(client: &Client, filter: Filter, mut out: impl Write) -> anyhow::Result<Outcome> {
    let query = FeedbackQuery::from(filter);
    let mut lines = client.get_with("/api/v1/feedback:export", &query).await?.lines();
    while let Some(text) = lines.next_text().await? {
        writeln!(out, "{text}")?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

//! `mihwar feedback`: what customers say.

use mihwar_server::wire::{
    AuthorWire, EventView, FeedbackDetailView, FeedbackPageView, FeedbackQuery, FeedbackView, IdentifierWire,
    StatusView,
};

use super::{delivery, export, pages};
use crate::args::Feedback;
use crate::client::{Client, segment};
use crate::output::{Outcome, excerpt, json, json_line, line, one_line, plain};

/// Letters of a customer's words in a list.
const EXCERPT_CHARS: usize = 160;

/// Carries out `mihwar feedback …`.
pub(super) async fn run(client: &Client, command: Feedback, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Feedback::List { filter, limit } => list(client, &filter.into(), limit, as_json).await,
        Feedback::Show { id } => show(client, &id, as_json).await,
        Feedback::Export(wanted) => export::run(client, wanted, as_json).await,
    }
}

async fn list(client: &Client, filter: &FeedbackQuery, limit: u64, as_json: bool) -> anyhow::Result<Outcome> {
    pages::each::<FeedbackPageView>(client, "/api/v1/feedback", filter, limit, |item| {
        if as_json { json_line(item) } else { tell(item) }
    })
    .await?;
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
    line(one_line(&facts.join("  ")))?;
    match &item.content {
        Some(content) => {
            if let Some(subject) = content.subject.as_deref().filter(|subject| !subject.trim().is_empty()) {
                line(format_args!("    {}", excerpt(subject, EXCERPT_CHARS)))?;
            }
            if !content.body.trim().is_empty() {
                line(format_args!("    {}", excerpt(&content.body, EXCERPT_CHARS)))?;
            }
        }
        None if item.content_unreadable => line("    (the content is damaged: see mihwar ledger verify)")?,
        None => line("    (the content is gone; the facts remain)")?,
    }
    Ok(())
}

async fn show(client: &Client, id: &str, as_json: bool) -> anyhow::Result<Outcome> {
    let path = format!("/api/v1/feedback/{}", segment(id));
    let detail: FeedbackDetailView = client.get(&path).await?.json().await?;
    if as_json {
        json(&detail)?;
        return Ok(Outcome::Done);
    }
    tell(&detail.feedback)?;
    if let Some(content) = &detail.feedback.content {
        if let Some(author) = &content.author {
            line(one_line(&from(author)))?;
        }
        line("")?;
        line(plain(&content.body))?;
    }
    line("\nWhat happened to it:")?;
    detail.events.iter().try_for_each(tell_event)?;
    if !detail.deliveries.is_empty() {
        line("\nWhere it went:")?;
        detail.deliveries.iter().try_for_each(delivery::tell)?;
    }
    if !detail.statuses.is_empty() {
        line("\nWhat departments say became of it:")?;
        detail.statuses.iter().try_for_each(tell_status)?;
    }
    Ok(Outcome::Done)
}

/// One report on a line, and what was said with it on another. A mark stands before those that hold now.
fn tell_status(status: &StatusView) -> anyhow::Result<()> {
    let StatusView {
        department,
        state,
        changed_at,
        reported_at,
        ..
    } = status;
    let mark = if status.current { '*' } else { ' ' };
    let mut text = format!("{mark} {department}  {state}  since {changed_at}, heard {reported_at}");
    if let Some(url) = &status.url {
        text.push_str(&format!("  {url}"));
    }
    line(format_args!("  {}", one_line(&text)))?;
    if let Some(note) = &status.note {
        line(format_args!("      {}", excerpt(note, EXCERPT_CHARS)))?;
    }
    Ok(())
}

fn from(author: &AuthorWire) -> String {
    let mut text = format!("from {}", author.name.as_deref().unwrap_or("someone"));
    for IdentifierWire { scheme, id } in &author.identifiers {
        text.push_str(&format!(" {scheme}:{id}"));
    }
    text
}

/// One event on a line.
pub(super) fn tell_event(event: &EventView) -> anyhow::Result<()> {
    let kind = event
        .event
        .get("type")
        .and_then(|kind| kind.as_str())
        .unwrap_or("event");
    let text = format!("{:>8}  {}  {kind}  by {}", event.sequence, event.at, event.actor);
    line(format_args!("  {}", one_line(&text)))
}

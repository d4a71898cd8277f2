//! `mihwar delivery`: where feedback went, and dead letters.

use mihwar_server::wire::{
    DeliveryPageView, DeliveryQuery, DeliveryReplay, DeliveryView, InboundPageView, InboundReplay, InboundView,
    ReplayedView,
};
use serde::Serialize;

use super::pages::{self, Everything};
use crate::args::{Delivery, delivery_query};
use crate::client::Client;
use crate::output::{Outcome, excerpt, json, json_line, line, one_line};
use crate::words::counted;

/// Carries out `mihwar delivery …`.
pub(super) async fn run(client: &Client, command: Delivery, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Delivery::List {
            inbound: true, limit, ..
        } => list_inbound(client, limit, as_json).await,
        Delivery::List {
            department,
            state,
            feedback,
            limit,
            ..
        } => list(client, &delivery_query(department, state, feedback), limit, as_json).await,
        Delivery::Replay {
            id, all, inbound: true, ..
        } => {
            let which = InboundReplay {
                id,
                all: all.then_some(true),
            };
            replay(client, "/api/v1/inbound-dead-letters:replay", &which, as_json).await
        }
        Delivery::Replay {
            id, department, all, ..
        } => {
            let which = DeliveryReplay {
                id,
                department,
                all: all.then_some(true),
            };
            replay(client, "/api/v1/deliveries:replay", &which, as_json).await
        }
    }
}

async fn list(client: &Client, filter: &DeliveryQuery, limit: u64, as_json: bool) -> anyhow::Result<Outcome> {
    pages::each::<DeliveryPageView>(client, "/api/v1/deliveries", filter, limit, |item| {
        if as_json { json_line(item) } else { tell(item) }
    })
    .await?;
    Ok(Outcome::Done)
}

/// One delivery on a line, and its last failure on another.
pub(super) fn tell(delivery: &DeliveryView) -> anyhow::Result<()> {
    let DeliveryView {
        id,
        feedback,
        destination,
        state,
        attempts,
        rule,
        ..
    } = delivery;
    let attempts = counted((*attempts).into(), "attempt", "attempts");
    let mut text = format!("{id}  {destination}  {state}  {attempts}  by rule {rule}  feedback {feedback}");
    if let Some(reference) = &delivery.reference {
        text.push_str(&format!("  their reference {reference}"));
    }
    if let Some(next) = delivery.next_attempt {
        text.push_str(&format!("  next attempt {next}"));
    }
    line(format_args!("  {}", one_line(&text)))?;
    let failure: Vec<_> = [&delivery.last_code, &delivery.reason]
        .into_iter()
        .flatten()
        .map(|t| excerpt(t, 200))
        .collect();
    if !failure.is_empty() && delivery.state != "delivered" {
        line(format_args!("      {}", failure.join(": ")))?;
    }
    Ok(())
}

async fn list_inbound(client: &Client, limit: u64, as_json: bool) -> anyhow::Result<Outcome> {
    pages::each::<InboundPageView>(client, "/api/v1/inbound-dead-letters", &Everything {}, limit, |item| {
        if as_json { json_line(item) } else { tell_inbound(item) }
    })
    .await?;
    Ok(Outcome::Done)
}

fn tell_inbound(request: &InboundView) -> anyhow::Result<()> {
    let InboundView {
        id,
        instance,
        endpoint,
        received_at,
        code,
        reason,
    } = request;
    let text = format!("{id}  {received_at}  {instance}/{endpoint}  {code}");
    line(format_args!("  {}", one_line(&text)))?;
    line(format_args!("      {}", excerpt(reason, 200)))
}

async fn replay(client: &Client, path: &str, which: &impl Serialize, as_json: bool) -> anyhow::Result<Outcome> {
    let view: ReplayedView = client.post(path, which).await?.json().await?;
    if as_json {
        json(&view)?;
    } else {
        line(format_args!(
            "{} on the way again",
            counted(view.replayed, "dead letter is", "dead letters are")
        ))?;
    }
    Ok(Outcome::Done)
}

//! `mihwar delivery`: where feedback went, and dead letters.

use mihwar_model::{Clock, SystemClock};
use mihwar_server::wire::{
    BackFillInput, BackFilledView, CheckedView, DeliveryDetailView, DeliveryPageView, DeliveryQuery, DeliveryView,
    DestinationInput, DestinationPageView, DestinationQuery, DestinationView, ExchangeView, FeedCursorListView,
    FeedCursorView, InboundPageView, InboundReplay, InboundView, ReplayedView, ResumedView,
};
use serde::Serialize;

use super::pages::{self, Everything};
use crate::args::{Delivery, Moment};
use crate::client::{Client, segment};
use crate::output::{Outcome, excerpt, json, json_line, line, one_line};
use crate::words::counted;

/// Letters of what another system answered that are shown.
const ANSWER_CHARS: usize = 512;

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
        } => {
            let filter = DeliveryQuery {
                department,
                state,
                feedback,
            };
            list(client, &filter, limit, as_json).await
        }
        Delivery::Show { id } => show(client, &id, as_json).await,
        Delivery::Status { state, limit } => status(client, &DestinationQuery { state }, limit, as_json).await,
        Delivery::Replay(wanted) if wanted.inbound => {
            let which = InboundReplay {
                id: wanted.id,
                all: wanted.all.then_some(true),
            };
            replay(client, "/api/v1/inbound-dead-letters:replay", &which, as_json).await
        }
        Delivery::Replay(wanted) => {
            let which = wanted.wanted(SystemClock.now());
            replay(client, "/api/v1/deliveries:replay", &which, as_json).await
        }
        Delivery::Resume { department } => resume(client, department, as_json).await,
        Delivery::Feed { department, remove } => feed(client, &department, remove.as_deref(), as_json).await,
        Delivery::Check { department } => check(client, department, as_json).await,
        Delivery::Backfill {
            department,
            since,
            until,
        } => backfill(client, department, since, until, as_json).await,
    }
}

async fn show(client: &Client, id: &str, as_json: bool) -> anyhow::Result<Outcome> {
    let path = format!("/api/v1/deliveries/{}", segment(id));
    let detail: DeliveryDetailView = client.get(&path).await?.json().await?;
    if as_json {
        json(&detail)?;
        return Ok(Outcome::Done);
    }
    tell(&detail.delivery)?;
    if detail.replays > 0 {
        line(format_args!(
            "      sent again {}",
            counted(detail.replays, "time", "times")
        ))?;
    }
    line("\nWhat happened to it:")?;
    detail.events.iter().try_for_each(super::feedback::tell_event)?;
    if !detail.exchanges.is_empty() {
        line("\nWhat was asked, and answered:")?;
        detail.exchanges.iter().try_for_each(tell_exchange)?;
    }
    Ok(Outcome::Done)
}

fn tell_exchange(exchange: &ExchangeView) -> anyhow::Result<()> {
    let ExchangeView {
        method,
        url,
        bytes,
        took_ms,
        ..
    } = exchange;
    let status = exchange
        .status
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let asked = format!("{method} {url}  {bytes} bytes  {status} after {took_ms} ms");
    line(format_args!("  {}", one_line(&asked)))?;
    line(format_args!(
        "      headers: {}",
        one_line(&exchange.headers.join(", "))
    ))?;
    line(format_args!("      {}", excerpt(&exchange.answer, ANSWER_CHARS)))
}

async fn status(client: &Client, filter: &DestinationQuery, limit: u64, as_json: bool) -> anyhow::Result<Outcome> {
    pages::each::<DestinationPageView>(client, "/api/v1/destinations", filter, limit, |item| {
        if as_json {
            json_line(item)
        } else {
            tell_destination(item)
        }
    })
    .await?;
    Ok(Outcome::Done)
}

/// One department on a line, and why nothing goes to it on another.
fn tell_destination(department: &DestinationView) -> anyhow::Result<()> {
    let DestinationView {
        name,
        state,
        waiting,
        retrying,
        dead,
        attempts,
        ..
    } = department;
    let mut text = format!("{name}  {state}  {waiting} waiting  {retrying} retrying  {dead} dead");
    if let Some(oldest) = department.oldest {
        text.push_str(&format!("  oldest since {oldest}"));
    }
    if let Some(share) = department.error_share {
        let attempts = counted(*attempts, "attempt", "attempts");
        text.push_str(&format!("  {:.0} % of {attempts} failed lately", share * 100.0));
    }
    if let Some(next) = department.next_digest {
        text.push_str(&format!("  next digest {next}"));
    }
    line(format_args!("  {}", one_line(&text)))?;
    let since = department.since.map(|since| format!("since {since}"));
    let until = department.until.map(|until| format!("until {until}"));
    let parts = [&since, &until, &department.code, &department.reason];
    let why: Vec<String> = parts.into_iter().flatten().map(|text| excerpt(text, 200)).collect();
    if !why.is_empty() {
        line(format_args!("      {}", why.join("  ")))?;
    }
    Ok(())
}

async fn resume(client: &Client, department: String, as_json: bool) -> anyhow::Result<Outcome> {
    let input = DestinationInput { department };
    let view: ResumedView = client.post("/api/v1/destinations:resume", &input).await?.json().await?;
    if as_json {
        json(&view)?;
    } else if view.resumed {
        line("deliveries go on")?;
    } else {
        line("nothing kept deliveries back")?;
    }
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
}

/// The cursors of a feed, or one of them removed.
async fn feed(client: &Client, department: &str, remove: Option<&str>, as_json: bool) -> anyhow::Result<Outcome> {
    let cursors = format!("/api/v1/departments/{}/feed/cursors", segment(department));
    if let Some(name) = remove {
        client.delete(&format!("{cursors}/{}", segment(name))).await?;
        if as_json {
            json(&Removed { removed: name })?;
        } else {
            line(format_args!(
                "{} is gone; what it had not acknowledged waits as before",
                one_line(name)
            ))?;
        }
        return Ok(Outcome::Done);
    }
    let view: FeedCursorListView = client.get(&cursors).await?.json().await?;
    if as_json {
        json(&view)?;
        return Ok(Outcome::Done);
    }
    if view.items.is_empty() {
        line("it has not asked yet")?;
    }
    for cursor in &view.items {
        let FeedCursorView {
            name,
            acknowledged,
            handed,
            ..
        } = cursor;
        let sort = if cursor.settles { "delivers" } else { "looks on" };
        let mut text = format!(
            "{name}  {sort}  acknowledged {acknowledged}  handed out {handed}  of {}",
            view.end
        );
        if let Some(at) = cursor.handed_at {
            text.push_str(&format!("  last asked with news {at}"));
        }
        if let Some(at) = cursor.acknowledged_at {
            text.push_str(&format!("  last acknowledged {at}"));
        }
        line(format_args!("  {}", one_line(&text)))?;
    }
    Ok(Outcome::Done)
}

async fn check(client: &Client, department: String, as_json: bool) -> anyhow::Result<Outcome> {
    let input = DestinationInput { department };
    let view: CheckedView = client.post("/api/v1/destinations:check", &input).await?.json().await?;
    if as_json {
        json(&view)?;
        return Ok(Outcome::Done);
    }
    let account = view
        .account
        .map_or_else(String::new, |account| format!(" as {account}"));
    line(one_line(&format!("it reaches the other system{account}")))?;
    for note in &view.notes {
        line(format_args!("  {}", one_line(note)))?;
    }
    if view.resumed {
        line("deliveries go on")?;
    }
    Ok(Outcome::Done)
}

async fn backfill(
    client: &Client,
    department: String,
    since: Moment,
    until: Option<Moment>,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let now = SystemClock.now();
    let input = BackFillInput {
        department,
        from: since.time(now).to_rfc3339(),
        to: until.map(|until| until.time(now).to_rfc3339()),
    };
    let view: BackFilledView = client
        .post("/api/v1/destinations:backfill", &input)
        .await?
        .json()
        .await?;
    if as_json {
        json(&view)?;
        return Ok(Outcome::of(view.left_out == 0));
    }
    let filled = counted(view.filled, "delivery waits now", "deliveries wait now");
    let looked_at = counted(view.looked_at, "record", "records");
    line(format_args!(
        "{filled}, of {looked_at}; {} were known already",
        view.known
    ))?;
    if view.left_out > 0 {
        let left_out = counted(view.left_out, "record is", "records are");
        line(format_args!(
            "{left_out} left out: unreadable, or being erased; the hub's log names them"
        ))?;
    }
    Ok(Outcome::of(view.left_out == 0))
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
            counted(view.replayed, "delivery is", "deliveries are")
        ))?;
    }
    Ok(Outcome::Done)
}

//! A feed as a stream of server-sent events.

use std::time::Duration;

use axum::response::Response;
use mihwar_hub::{FeedPage, FeedWanted};
use tracing::Instrument;

use super::{At, refused};
use crate::http::Known;
use crate::http::events::{Events, events};
use crate::http::overload::Place;
use crate::http::stream::ReaderGone;
use crate::surface::Surface;

/// How often a stream on which nothing happens shows that it is there.
const BEAT_EVERY: Duration = Duration::from_secs(15);

/// Begins a stream with a page that was read already.
pub(super) fn begin(surface: Surface, known: Known, place: Place, wanted: FeedWanted, first: FeedPage) -> Response {
    let (events, response) = events(place);
    let telling = Telling {
        surface,
        known,
        wanted,
        events,
    };
    let telling = async move {
        if telling.tell(first).await.is_err() {
            tracing::debug!("the reader of a feed went away");
        }
    };
    tokio::spawn(telling.in_current_span());
    response
}

struct Telling {
    surface: Surface,
    known: Known,
    wanted: FeedWanted,
    events: Events,
}

impl Telling {
    /// Goes on until the reader goes away, the hub stops, or something is in the way, of which the last event tells.
    async fn tell(mut self, mut page: FeedPage) -> Result<(), ReaderGone> {
        let ending = self.surface.ending().clone();
        loop {
            page.items
                .iter()
                .for_each(|item| self.events.push(item.position, &item.event));
            if page.items.is_empty() {
                self.events.beat();
            }
            self.events.flush().await?;
            if ending.is_cancelled() {
                return Ok(());
            }
            if let Err(problem) = self.known.may_still_take(&self.surface, &self.wanted.department).await {
                return self.events.stopped(problem).await;
            }
            self.wanted.after = Some(page.next);
            self.wanted.wait = BEAT_EVERY;
            let next = tokio::select! {
                biased;
                () = self.events.reader_gone() => return Err(ReaderGone),
                next = self.surface.hub.feed(&self.wanted, &ending) => next,
            };
            page = match next {
                Ok(page) => page,
                Err(refusal) => return self.events.stopped(refused(refusal, At::Query)).await,
            };
        }
    }
}

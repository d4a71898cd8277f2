//! What stands on the page, gathered from the hub and put into the reader's language.

use askama::Template;
use mihwar_hub::{DeliveryFilter, FeedbackFilter, QueryError};
use mihwar_model::Time;

use super::settings::{Settings, Tongue};
use super::teller::Teller;
use super::words::Words;
use crate::api::deliveries::DeliveryView;
use crate::api::overview::OverviewView;
use crate::api::plugins::InstanceView;
use crate::surface::Surface;

/// Rows of each list.
const ROWS: u16 = 12;

/// The page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page {
    words: &'static Words,
    refresh: bool,
    other_language: String,
    arabic_digits: bool,
    other_digits: String,
    other_refresh: String,
    ready: bool,
    not_ready_because: Vec<String>,
    figures: Vec<Figure>,
    came_in: Vec<Heard>,
    went_out: Vec<Sent>,
    plugins: Vec<PluginRow>,
    checkpoint: Option<String>,
    verifier_key: String,
}

/// One number and what it counts.
pub(super) struct Figure {
    pub(super) number: String,
    pub(super) label: &'static str,
    pub(super) alarming: bool,
}

/// A moment: for people, and exactly.
pub(super) struct Moment {
    pub(super) ago: String,
    pub(super) exact: String,
}

/// One piece of feedback that came in.
pub(super) struct Heard {
    pub(super) moment: Moment,
    pub(super) kind: Option<String>,
    pub(super) channel: String,
    pub(super) language: Option<String>,
    pub(super) language_tag: Option<String>,
    pub(super) scores: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) author: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) words: Option<String>,
    /// Said in place of words that there are none of.
    pub(super) instead: Option<String>,
    pub(super) destinations: Vec<Badge>,
}

/// Something with a state.
pub(super) struct Badge {
    pub(super) label: String,
    pub(super) state: String,
    pub(super) state_label: String,
}

/// One delivery.
pub(super) struct Sent {
    pub(super) moment: Moment,
    pub(super) badge: Badge,
    pub(super) attempts: String,
    pub(super) rule: String,
    pub(super) reason: Option<String>,
}

/// One plugin instance and how it is.
pub(super) struct PluginRow {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) badge: Badge,
    pub(super) role: String,
    pub(super) version: String,
    pub(super) work: Vec<String>,
    pub(super) reason: Option<String>,
    pub(super) last_failure: Option<String>,
}

impl Page {
    /// Gathers the page as it is at `now`.
    pub(super) async fn gather(surface: &Surface, settings: Settings, now: Time) -> Result<Self, QueryError> {
        let hub = &surface.hub;
        let teller = Teller { settings, now };
        let overview = OverviewView::from(hub.overview().await?);
        let mut came_in = Vec::new();
        for record in hub.feedback_page(&FeedbackFilter::default(), None, ROWS).await?.items {
            let deliveries = hub.feedback_deliveries(record.head.feedback).await?;
            came_in.push(teller.heard(record, deliveries.into_iter().map(DeliveryView::from)));
        }
        let sent = hub.delivery_page(&DeliveryFilter::default(), None, ROWS).await?;
        let bad: Vec<_> = surface
            .readiness()
            .await
            .into_iter()
            .filter(|check| !check.ok)
            .collect();
        Ok(Self {
            words: settings.tongue.words(),
            refresh: settings.refresh,
            other_language: Settings {
                tongue: settings.tongue.other(),
                ..settings
            }
            .address(),
            arabic_digits: settings.arabic_digits,
            other_digits: Settings {
                arabic_digits: !settings.arabic_digits,
                ..settings
            }
            .address(),
            other_refresh: Settings {
                refresh: !settings.refresh,
                ..settings
            }
            .address(),
            ready: bad.is_empty(),
            not_ready_because: bad
                .into_iter()
                .map(|check| format!("{}: {}", check.name, check.detail))
                .collect(),
            figures: teller.figures(&overview),
            came_in,
            went_out: sent
                .items
                .into_iter()
                .map(|record| teller.sent(DeliveryView::from(record)))
                .collect(),
            plugins: hub
                .instances()
                .await?
                .into_iter()
                .map(|status| teller.plugin(InstanceView::from(status)))
                .collect(),
            // The page does not depend on it: where signing fails, the rest is still worth seeing.
            checkpoint: hub.checkpoint().await.ok(),
            verifier_key: hub.verifier_key(),
        })
    }
}

impl Tongue {
    const fn other(self) -> Self {
        match self {
            Self::Arabic => Self::English,
            Self::English => Self::Arabic,
        }
    }
}

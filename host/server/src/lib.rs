//! Mihwar's HTTP surface: the API, the addresses that other systems call, and the first page.
//!
//! Read in this order: [`serve`] (sockets to requests), [`router`] (requests to handlers), `http` (what all handlers
//! share: who asks, limits, refusals), `feedback` and `api` (the handlers), `page` (the page for people).
//! Types of this room cross the wire; types of the hub do not.

#![expect(
    unused_qualifications,
    reason = "what utoipa's macros write for `params` is qualified"
)]

mod api;
mod document;
mod feedback;
mod http;
mod json;
mod page;
mod routes;
mod serve;
mod surface;
#[cfg(test)]
mod testing;

/// The forms in which things cross the wire, for programs that speak to the API.
pub mod wire {
    pub use crate::api::backup::{BackupQuery, NO_INCREMENT};
    pub use crate::api::contacts::{
        ContactFound, ContactLine, ContactQuery, ContactQuestion, ContactRecordView, ContactView, EraseInput,
        ErasureView, ReaderView, RevisionView,
    };
    pub use crate::api::deliveries::{
        DeliveryDetailView, DeliveryPageView, DeliveryQuery, DeliveryReplay, DeliveryView, ExchangeView,
    };
    pub use crate::api::destinations::{
        BackFillInput, BackFilledView, CheckedView, DestinationInput, DestinationPageView, DestinationQuery,
        DestinationView, ResumedView,
    };
    pub use crate::api::exports::LedgerExportQuery;
    pub use crate::api::feeds::{
        FeedAckInput, FeedCursorListView, FeedCursorView, FeedItemView, FeedPageView, FeedQuery,
    };
    pub use crate::api::figures::{FigureInput, FigureLine};
    pub use crate::api::health::{CheckView, Readiness};
    pub use crate::api::hooks::InboundAccepted;
    pub use crate::api::imports::{ImportInput, ImportLine};
    pub use crate::api::inbound::{InboundPageView, InboundReplay, InboundView};
    pub use crate::api::ledger::{HeadInput, VerifyInput, VerifyLine};
    pub use crate::api::overview::OverviewView;
    pub use crate::api::plugins::{InstanceListView, InstanceView};
    pub use crate::api::routing::{RouteInput, RoutingTrialInput, RoutingTrialLine};
    pub use crate::api::store::CompactLine;
    pub use crate::api::tokens::{NewTokenView, TokenInput, TokenListView, TokenView};
    pub use crate::api::{PageQuery, ReplayedView};
    pub use crate::feedback::FeedbackQuery;
    pub use crate::feedback::accept::Accepted;
    pub use crate::feedback::batch::{BatchCounts, BatchQuery, BatchSummary, LineResult};
    pub use crate::feedback::export::{ExportEnd, LeftOut};
    pub use crate::feedback::statuses::StatusView;
    pub use crate::feedback::view::{ContentView, EventView, FeedbackDetailView, FeedbackPageView, FeedbackView};
    pub use crate::feedback::wire::{
        AnswerWire, AttachmentWire, AuthorWire, CallWire, DetailsWire, FeedbackInput, IdentifierWire, ScalarWire,
        ScoreWire, SocialWire, SurveyWire, UtteranceWire,
    };
    pub use crate::http::problem::{FieldError, ProblemView};
}

pub use crate::api::routing::read_record;
pub use crate::http::listen::{ConsoleSocket, Listeners};
pub use crate::http::peer::Peer;
pub use axum::Router;
pub use routes::{openapi_json, router};
pub use serve::{Metrics, MetricsError, serve};

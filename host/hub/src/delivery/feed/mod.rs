//! The feed of a department that asks: what routing put into its outbox, in the order of the ledger. A place in it is the
//! number of the entry of the ledger that put something there, so that it counts up whatever the clock does.
//!
//! How far who asks has come is a cursor, a row of its own ([`cursors`]). The cursor [`MAIN_CURSOR`] hands out what waits,
//! again and again, until that is acknowledged ([`taking`]): then it is delivered. The others look on: they see what stands
//! in the feed, and settle nothing. A page is read ([`span`]), opened as for a plugin ([`super::preparing`]), and handed
//! out only after it is written down that it is ([`reading`]), so that nothing can be acknowledged that nobody got, and
//! whoever erases knows that the department may have it.

mod cursors;
mod ending;
mod event;
mod reading;
mod span;
mod taking;
#[cfg(test)]
mod tests;
mod waiting;

use std::str::FromStr;
use std::time::Duration;

use mihwar_model::{InstanceName, Time};
use serde_json::Value as Json;
use thiserror::Error;

use crate::convert::GrantedFields;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::routing::or_nearest;

pub(crate) use cursors::{list, remove};
pub(crate) use taking::acknowledge;
pub(crate) use waiting::page;

/// The cursor by which a department takes what is for it: what it acknowledges is delivered.
pub const MAIN_CURSOR: &str = "main";
/// Most cursors in one feed.
const CURSORS_MAX: usize = 32;
/// How often something is done again whose rows others changed meanwhile.
const READS_MAX: u32 = 10;

/// What is asked of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedWanted {
    /// Whose feed.
    pub department: InstanceName,
    /// By which cursor.
    pub cursor: InstanceName,
    /// Where the cursor begins, if it is not there yet.
    pub start: Option<FeedStart>,
    /// Behind which place; left out: behind what the cursor has acknowledged.
    pub after: Option<u64>,
    /// Most items.
    pub limit: usize,
    /// How long to wait for something to come, if nothing is there.
    pub wait: Duration,
}

/// Where a new cursor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// With the first item that ever was.
    Earliest,
    /// With what comes from now on.
    Latest,
    /// With what came at this time or later. Where the clock was put back past it, with one of the moments at which it was
    /// that late.
    Since(Time),
}

impl FromStr for FeedStart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            time => Time::parse_rfc3339(time).map(Self::Since).map_err(|_| {
                "must be earliest, latest, or an RFC 3339 time such as 2026-11-22T09:30:00+03:00".to_owned()
            }),
        }
    }
}

/// A page of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// The items, in the order of the feed.
    pub items: Vec<FeedItem>,
    /// Behind which place to go on, and what to acknowledge when all items are kept.
    pub next: u64,
    /// What the cursor has acknowledged.
    pub acknowledged: u64,
    /// Whether there is more at this moment.
    pub is_more: bool,
}

/// One item of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedItem {
    /// Its place.
    pub position: u64,
    /// A `CloudEvent` in structured JSON; its id is the delivery's, the same however often it is handed out.
    pub event: Json,
}

/// A cursor in a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCursor {
    /// Its name.
    pub name: InstanceName,
    /// Whether what it acknowledges is delivered.
    pub settles: bool,
    /// Everything up to here is done with.
    pub acknowledged: u64,
    /// Everything up to here was handed out.
    pub handed: u64,
    /// When it was made.
    pub made_at: Time,
    /// When it was last handed something new.
    pub handed_at: Option<Time>,
    /// When it last acknowledged something new.
    pub acknowledged_at: Option<Time>,
}

/// The cursors in a feed, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCursors {
    /// The last place of the feed; 0 in an empty one.
    pub end: u64,
    /// The cursors.
    pub items: Vec<FeedCursor>,
}

/// Why a feed does not do what is asked of it.
#[derive(Debug, Error)]
pub enum FeedRefusal {
    /// There is no such department, or it does not ask.
    #[error("\"{name}\" is no department that asks{near}; those are the [[department]] tables of the configuration")]
    Department {
        /// What was named.
        name: InstanceName,
        /// What may have been meant.
        near: String,
    },
    /// There is no such cursor.
    #[error(
        "the feed has no cursor \"{name}\"{near}; to make it, say where it begins: start=earliest, start=latest, or start= \
         and a time"
    )]
    Cursor {
        /// What was named.
        name: InstanceName,
        /// What may have been meant.
        near: String,
    },
    /// There are as many as there may be.
    #[error("a feed has at most {max} cursors; remove one first: mihwar delivery feed {department} --remove NAME", max = CURSORS_MAX)]
    Cursors {
        /// Whose feed.
        department: InstanceName,
    },
    /// Where it begins is fixed.
    #[error("the cursor \"main\" begins with what waits; name another cursor to begin elsewhere")]
    Start,
    /// Nobody was handed that yet.
    #[error(
        "{position} is beyond what this cursor was handed, which ends at {handed}; use a position that a page or an event had"
    )]
    Beyond {
        /// What was named.
        position: u64,
        /// What was handed out.
        handed: u64,
    },
    /// The hub could not do it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Whether what a cursor acknowledges is delivered.
fn settles(cursor: &InstanceName) -> bool {
    cursor.as_str() == MAIN_CURSOR
}

/// What a department that asks may see.
fn granted(shared: &Shared, name: &InstanceName) -> Result<GrantedFields, FeedRefusal> {
    let config = shared.config();
    match config.departments.iter().find(|department| department.name == *name) {
        // The configuration lets no other fields through.
        Some(department) => Ok(GrantedFields::read(&department.grant.fields).unwrap_or_default()),
        None => Err(FeedRefusal::Department {
            name: name.clone(),
            near: or_nearest(
                name.as_str(),
                config.departments.iter().map(|department| department.name.as_str()),
            ),
        }),
    }
}

/// That there is such a department.
pub(crate) fn known(shared: &Shared, name: &InstanceName) -> Result<(), FeedRefusal> {
    granted(shared, name)?;
    Ok(())
}

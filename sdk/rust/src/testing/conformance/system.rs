//! What an author says of the other system: what it does when nothing goes wrong, and what is there afterwards.

use super::Said;
use crate::testing::Answer;
use crate::{HttpError, InboundRequest, Request, WorkState};

/// The other system in memory, as far as the department has to do with it. The kit begins each of its trials with a new one,
/// and lets things go wrong around it: a model knows no failures of HTTP.
pub trait System: Send + 'static {
    /// Does what a request asks for, and answers as the system does.
    fn answer(&mut self, request: &Request) -> Answer {
        Answer::fails(HttpError::Denied(format!(
            "the model of the other system answers no HTTP: {} {}",
            request.method, request.url
        )))
    }

    /// A connection was made. What is said first, in its own words if there is `trouble`. The lines of a call count on from
    /// those of the calls before it.
    fn connected(&mut self, line: usize, trouble: Option<Trouble>) -> Said {
        let _ = (line, trouble);
        Said::nothing().closes()
    }

    /// Bytes came over a connection: all that one call of `write` sent. What is said to them; if there is `trouble`, it is not
    /// done, and the system says so in its own words. Where that trouble makes no sense, it is done as usual.
    fn heard(&mut self, line: usize, bytes: &[u8], trouble: Option<Trouble>) -> Said {
        let _ = (line, bytes, trouble);
        Said::nothing().closes()
    }

    /// How many things there are for what was handed over: tickets of the item, say. Of a system that takes messages and knows
    /// one again by its key, how many with the key of this delivery; the same message twice is one.
    fn copies(&self, handed: &Handed) -> usize;

    /// Whether what is there says what was handed over last, `handed.words` among it. `None`, the default: that cannot be told.
    fn is_current(&self, handed: &Handed) -> Option<bool> {
        let _ = handed;
        None
    }

    /// Whether the item was removed, or whoever has a copy was asked to. `None`, the default: that cannot be told.
    fn is_erased(&self, handed: &Handed) -> Option<bool> {
        let _ = handed;
        None
    }

    /// The request by which the system tells that an item got into a state, verified as the manifest's recipe would have it.
    /// `None`, the default: it does not tell that.
    fn tells(&self, told: &Told) -> Option<InboundRequest> {
        let _ = told;
        None
    }

    /// The same about something that the hub has nothing to do with. `None`, the default: it does not, or cannot be told
    /// apart.
    fn tells_of_others(&self) -> Option<InboundRequest> {
        None
    }
}

/// Something that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The hub's id of the item.
    pub item: String,
    /// The id of the delivery, its idempotency key.
    pub delivery: String,
    /// A word that stands in subject and body, in ASCII letters and digits: no other item has it, and no other version. Empty
    /// for an item that is to be erased.
    pub words: String,
    /// Whether it is a new version of what was delivered already.
    pub is_update: bool,
}

/// What became of an item there.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The hub's id of the item.
    pub item: String,
    /// The reference that its delivery returned.
    pub reference: String,
    /// In which state it is.
    pub state: WorkState,
    /// Since when, by the clock of the other system, in milliseconds since 1970; whole seconds.
    pub changed_at: i64,
}

/// What a system may say in place of doing what it was asked for. Over HTTP, the kit says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is asked for too much, and wants to be left alone for a while. Over HTTP: 429.
    Busy,
    /// Something failed that may work later. Over HTTP: 500.
    Failed,
    /// It does not take this item, now or later. Over HTTP: 422.
    Refused,
    /// It does not take the credential any more. Over HTTP: 401.
    Revoked,
    /// It is not there any more, as a whole. Over HTTP: 410.
    Gone,
}

impl Trouble {
    /// The status by which HTTP says it.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Busy => 429,
            Self::Failed => 500,
            Self::Refused => 422,
            Self::Revoked => 401,
            Self::Gone => 410,
        }
    }
}

//! What a request holds while it is worked on: a place, and memory for its body.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::gate::{Gate, Parties, Seat};
use super::words::{self, Kind};
use crate::http::Problem;

/// Goes with a request in its extensions. Whoever reads a body says so here: who waits for a slow sender gives the place up
/// meanwhile, and every byte that is held is counted against what all bodies may have together.
#[derive(Debug, Clone)]
pub(crate) struct Passage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    /// `None` for those who need no place.
    gate: Option<Arc<Gate>>,
    parties: Parties,
    memory: Arc<Semaphore>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    seat: Option<Arc<Seat>>,
    bytes: Option<OwnedSemaphorePermit>,
}

/// A share of a request's place, which is free again once all shares of it are gone. Who goes on with a request's work while
/// its answer is on the way, or after its caller has left, holds one: else callers who come and leave would get more done
/// at once than there are places.
///
/// A handler takes one as an argument, though not beside a body that is read whole: the place may change hands meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place(Option<Arc<Seat>>);

impl Place {
    /// Whether it is none at all: those at the console need none.
    pub(super) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The work is done, though the answer may not be sent yet.
    pub(super) fn worked(&self) {
        if let Some(seat) = &self.0 {
            seat.worked();
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let passage = parts.extensions.get::<Passage>();
        Ok(passage.map(Passage::place).unwrap_or_default())
    }
}

impl Passage {
    /// For a request that was let in.
    pub(super) fn new(
        kind: Kind,
        entered: Option<(Arc<Gate>, Seat)>,
        parties: Parties,
        memory: Arc<Semaphore>,
    ) -> Self {
        let (gate, seat) = entered.unzip();
        let seat = seat.map(Arc::new);
        Self(Arc::new(Inner {
            kind,
            gate,
            parties,
            memory,
            held: Mutex::new(Held { seat, bytes: None }),
        }))
    }

    /// The body does not come at once: somebody else may have the place meanwhile.
    pub(crate) fn step_aside(&self) {
        // Taken out first, so that no other lock is entered under this one.
        let seat = self.held().seat.take();
        drop(seat);
    }

    /// The body is whole.
    ///
    /// # Errors
    /// All places were taken meanwhile.
    pub(crate) fn come_back(&self) -> Result<(), Problem> {
        let Some(gate) = &self.0.gate else { return Ok(()) };
        let entered = gate.enter(self.0.parties);
        let seat = entered.map_err(|(why, later)| words::problem(self.0.kind, why, later))?;
        self.held().seat = Some(Arc::new(seat));
        Ok(())
    }

    /// Whether there is room for a body of this size now.
    ///
    /// # Errors
    /// There is not; nothing of it should be read.
    pub(crate) fn room_for(&self, bytes: u64) -> Result<(), Problem> {
        let room = self.0.memory.available_permits();
        (bytes <= room as u64).then_some(()).ok_or_else(words::no_memory)
    }

    /// So many more bytes of the body are held.
    ///
    /// # Errors
    /// Bodies hold as much as they may together.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Problem> {
        let bytes = u32::try_from(bytes).map_err(|_| words::no_memory())?;
        let more = Arc::clone(&self.0.memory).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| words::no_memory())?;
        let mut held = self.held();
        match &mut held.bytes {
            Some(bytes) => bytes.merge(more),
            None => held.bytes = Some(more),
        }
        Ok(())
    }

    /// The request is answered: with the work done, or refused.
    pub(super) fn end(&self, worked: bool) {
        let Held { seat, bytes } = std::mem::take(&mut *self.held());
        drop(bytes);
        if worked {
            Place(seat).worked();
        }
    }

    /// A share of the place that it has now.
    fn place(&self) -> Place {
        Place(self.held().seat.clone())
    }

    /// The place, for what goes on behind the answer's head.
    pub(super) fn keep(&self) -> Place {
        Place(self.held().seat.take())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Kind, Passage};
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn passage(gate: &Arc<Gate>, memory: &Arc<Semaphore>) -> Passage {
        let seat = gate.enter([None, None]).unwrap();
        Passage::new(Kind::Write, Some((gate.clone(), seat)), [None, None], memory.clone())
    }

    #[test]
    fn who_waits_for_a_body_holds_no_place_and_may_find_it_taken() {
        let (gate, memory) = (Gate::fixed("test", 1), Arc::new(Semaphore::new(10)));
        let slow = passage(&gate, &memory);
        slow.step_aside();
        let quick = passage(&gate, &memory);
        let refused = slow.come_back().unwrap_err().into_view();
        assert_eq!((refused.status, refused.kind.as_str()), (503, "/problems/busy"));
        quick.end(true);
        assert!(slow.come_back().is_ok());
    }

    #[test]
    fn the_place_is_taken_until_the_last_of_those_who_work_on_it_has_gone() {
        let (gate, memory) = (Gate::fixed("test", 1), Arc::new(Semaphore::new(10)));
        let stream = passage(&gate, &memory);
        let (work, answer) = (stream.place(), stream.keep());
        drop(stream);
        drop(answer);
        assert!(
            gate.enter([None, None]).is_err(),
            "its caller has left, its work goes on"
        );
        drop(work);
        assert!(gate.enter([None, None]).is_ok());
    }

    #[test]
    fn bodies_have_so_much_memory_together_and_give_it_back() {
        let (gate, memory) = (Gate::fixed("test", 9), Arc::new(Semaphore::new(10)));
        let (one, other) = (passage(&gate, &memory), passage(&gate, &memory));
        one.hold(4).unwrap();
        one.hold(4).unwrap();
        assert!(other.hold(3).is_err() && other.room_for(3).is_err() && other.room_for(2).is_ok());
        one.end(false);
        assert!(other.hold(10).is_ok());
        drop(other);
        assert_eq!(memory.available_permits(), 10);
    }
}

//! Identifiers: UUID version 7, so that their order is the order of time.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Clock, Randomness, Time};

/// The organisation that keys belong to. One hub serves one organisation today; keys carry it so that
/// several may share an engine later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgId(pub u32);

impl OrgId {
    /// The organisation of a hub that serves one.
    pub const FIRST: Self = Self(1);
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// When it was made, as far as its maker's clock was right.
            #[must_use]
            pub fn made_at(self) -> Time {
                let [a, b, c, d, e, f, ..] = self.to_bytes();
                Time(i64::from_be_bytes([0, 0, a, b, c, d, e, f]))
            }

            /// The sixteen bytes, in the order that sorts by time.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// The id with these sixteen bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                encoder: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                encoder.bytes(self.0.as_bytes())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Uuid::from_slice(decoder.bytes()?)
                    .map(Self)
                    .map_err(|_| minicbor::decode::Error::message("an id has sixteen bytes"))
            }
        }
    };
}

id! {
    /// One thing that one person said once.
    FeedbackId
}
id! {
    /// The person who speaks.
    ContactId
}
id! {
    /// A conversation that several pieces of feedback belong to.
    ThreadId
}
id! {
    /// One piece of feedback on its way to one department instance. Stable over retries: it is the
    /// idempotency key that the department sees.
    DeliveryId
}
id! {
    /// A file that came with a piece of feedback.
    AttachmentId
}
id! {
    /// A raw request that came in and waits for its plugin.
    InboundId
}
id! {
    /// An API token.
    TokenId
}

/// Makes ids: UUID version 7, strictly ascending within one generator even when the clock stands still
/// or steps back (RFC 9562, section 6.2, method 1: a counter in the first random bits).
pub struct Ids {
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    last: Mutex<(u64, u16)>,
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").finish_non_exhaustive()
    }
}

/// `rand_a` of a version 7 UUID has twelve bits.
const COUNTER_MAX: u16 = 0x0FFF;
/// The time of a version 7 UUID has 48 bits; a clock that is further on counts as this.
const MILLIS_MAX: u64 = (1 << 48) - (1 << 32);

impl Ids {
    /// A generator over this clock and this randomness.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>) -> Self {
        Self {
            clock,
            randomness,
            last: Mutex::new((0, 0)),
        }
    }

    /// A generator whose ids come after all that were made up to `floor`, even if the clock is put back.
    #[must_use]
    pub fn after(self, floor: Time) -> Self {
        let floor = u64::try_from(floor.0).unwrap_or(0).min(MILLIS_MAX);
        Self {
            last: Mutex::new((floor, COUNTER_MAX)),
            ..self
        }
    }

    /// The next id, as whichever kind is asked for: `let id: FeedbackId = FeedbackId(ids.next());`
    #[must_use]
    pub fn next(&self) -> Uuid {
        let mut random = [0_u8; 10];
        self.randomness.fill(&mut random);
        let now = u64::try_from(self.clock.now().0).unwrap_or(0);
        let (millis, counter) = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = match *last {
                // A new millisecond starts at a random place in the lower half, so that there is room to count.
                (before, _) if now > before => (now, u16::from_be_bytes([random[0], random[1]]) & (COUNTER_MAX >> 1)),
                (before, COUNTER_MAX) => (before + 1, 0),
                (before, counter) => (before, counter + 1),
            };
            *last
        };
        let mut bytes = [0_u8; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&(0x7000 | counter).to_be_bytes());
        bytes[8..].copy_from_slice(&random[2..]);
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        Uuid::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{FeedbackId, Ids};
    use crate::{Clock as _, ManualClock, SeededRandomness, Time};

    #[test]
    fn ids_ascend_even_when_the_clock_steps_back() {
        let clock = Arc::new(ManualClock::at(Time(1_000_000)));
        let ids = Ids::new(clock.clone(), Arc::new(SeededRandomness::new(7)));
        let mut before = ids.next();
        for step in 0..20_000 {
            clock.advance_millis(if step % 3 == 0 { -2 } else { 1 });
            let next = ids.next();
            assert!(next > before, "{next} follows {before}");
            assert_eq!(next.get_version_num(), 7);
            before = next;
        }
    }

    #[test]
    fn ids_ascend_over_a_restart_with_a_clock_that_was_put_back() {
        let clock = Arc::new(ManualClock::at(Time(2_000_000)));
        let before = FeedbackId(Ids::new(clock.clone(), Arc::new(SeededRandomness::new(7))).next());
        assert_eq!(before.made_at(), Time(2_000_000));
        clock.advance_millis(-86_400_000);
        let ids = Ids::new(clock.clone(), Arc::new(SeededRandomness::new(8))).after(before.made_at());
        let after = FeedbackId(ids.next());
        assert!(after > before, "{after} follows {before}");
        clock.advance_millis(2 * 86_400_000);
        assert_eq!(FeedbackId(ids.next()).made_at(), clock.now());
    }

    #[test]
    fn an_id_survives_text_and_cbor() {
        let ids = Ids::new(Arc::new(ManualClock::at(Time(5))), Arc::new(SeededRandomness::new(1)));
        let id = FeedbackId(ids.next());
        assert_eq!(id.to_string().parse(), Ok(id));
        let bytes = minicbor::to_vec(id).unwrap();
        assert_eq!(minicbor::decode::<FeedbackId>(&bytes).unwrap(), id);
    }
}

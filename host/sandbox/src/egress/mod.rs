//! Outgoing HTTP: what is checked before a request leaves, and the door it leaves by.

mod client;
mod exchange;
mod headers;
mod resolver;
mod transport;

pub use client::CheckedNetwork;
pub(crate) use exchange::{Answered, Exchange, Sending};
pub use headers::HOP;
pub(crate) use headers::{guest_headers, shown_headers};
pub use transport::{Incoming, Outgoing, Transport};

//! Outgoing HTTP and byte streams: what is checked before anything leaves, and the door it leaves by.

mod client;
mod exchange;
mod headers;
mod resolver;
mod stream;
mod transport;

pub use client::CheckedNetwork;
pub(crate) use exchange::{Answered, Exchange, Sending};
pub use headers::HOP;
pub(crate) use headers::{guest_headers, is_host_only, shown_headers};
pub use transport::{ByteStream, Dial, Incoming, Outgoing, Transport};

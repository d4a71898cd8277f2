//! Outgoing HTTP: the one checked client of the host.

mod client;
mod exchange;
mod headers;
mod resolver;

pub(crate) use client::Clients;
pub(crate) use exchange::{Answered, Exchange, Sending};
pub(crate) use headers::{guest_headers, shown_headers};

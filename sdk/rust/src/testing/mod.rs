//! A test kit for plugins: native, without WebAssembly and without a network.
//!
//! ```
//! use mihwar_sdk::testing::{Answer, FakeHost};
//! use mihwar_sdk::Request;
//!
//! let fake = FakeHost::new().answer("GET", "https://api.example/news", Answer::json(200, r#"{"items": []}"#));
//! let host = fake.host();
//! let response = host.http(&Request::get("https://api.example/news")).unwrap();
//! assert_eq!(response.text(), r#"{"items": []}"#);
//! assert_eq!(fake.requests().len(), 1);
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test kit fails loudly"
)]

mod checks;
pub mod conformance;
mod conversation;
mod drive;
mod fake_host;
mod lent;
mod limits;
mod live;
mod measure;
mod names;
mod record;
mod script;
mod world;

#[cfg(test)]
mod tests;

pub use checks::edit_problem;
pub(crate) use conversation::FakeStream;
pub use conversation::{Conversation, Heard};
pub use drive::{
    check, deliver, handle, import_file, import_file_by, import_page, process, pull, source_file, stored, validate,
};
pub use fake_host::{FakeHost, LogRecord, MetricRecord};
pub use measure::{Given, figure_problems, measure};
pub use record::record_problems;
pub use script::Answer;

//! What every address of this surface shares: who asks, how much, how long, and how it is refused.

pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod catalogue;
pub(crate) mod events;
pub(crate) mod headers;
pub(crate) mod lasting;
pub(crate) mod layers;
pub(crate) mod line_time;
pub(crate) mod listen;
pub(crate) mod observe;
pub(crate) mod open_files;
pub(crate) mod overload;
pub(crate) mod own;
pub(crate) mod peer;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod seats;
pub(crate) mod stall;
pub(crate) mod stream;

pub(crate) use caller::{Admin, Allowed, Known, Read, Write};
pub(crate) use catalogue::Sort;
pub(crate) use problem::Problem;

//! Reading JSON from strangers: strictly, and with every fault named instead of only the first.

mod faults;
mod fields;
mod strict;

pub(crate) use faults::Faults;
pub(crate) use fields::{Fields, read_object};
pub(crate) use strict::parse;

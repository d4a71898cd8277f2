//! What this hub sent itself.

use http::HeaderMap;
use mihwar_hub::{HOP, Hub};

use super::{Problem, Sort};

/// Refuses a request that one of this hub's own instances made: what it brings came from here, and would go round for ever.
///
/// # Errors
/// It is one.
pub(crate) fn refuse_own(hub: &Hub, headers: &HeaderMap, place: &str) -> Result<(), Problem> {
    let marks = headers.get_all(HOP).iter().filter_map(|mark| mark.to_str().ok());
    if hub.came_round(marks, place) {
        let detail =
            "one of this hub's own departments sent this; take out the route or the address that leads back here";
        return Err(Problem::new(Sort::Loop, detail));
    }
    Ok(())
}

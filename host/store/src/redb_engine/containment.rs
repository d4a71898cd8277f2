//! redb trusts the pages it reads and panics on some kinds of damage. That must cost an answer, not a process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::StoreError;

/// Does `work`, and makes an error of a panic in it. What `work` used should be dropped afterwards.
pub(crate) fn contained<T>(what: &'static str, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = message(&*panic);
        tracing::error!(what, reason, "the storage engine panicked; the file may be damaged");
        Err(StoreError::Engine {
            what,
            reason: format!("it panicked ({reason}); the file may be damaged: stop the hub and run: mihwar doctor"),
        })
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "without a message"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_tells_it() {
        let error = contained::<()>("reading", || panic!("صفحة {}", 7))
            .unwrap_err()
            .to_string();
        assert!(error.contains("صفحة 7") && error.contains("while reading"), "{error}");
        assert_eq!(contained("reading", || Ok(1)), Ok(1));
    }
}

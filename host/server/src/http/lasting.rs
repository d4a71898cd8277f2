//! Work that must not be cut in half.

use tracing::Instrument;

use super::Problem;

/// Does `work` to its end, even when the caller who waits for it goes away meanwhile.
///
/// # Errors
/// As `work`; or it panicked.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    // Dropping the handle of a task lets the task go on.
    tokio::spawn(work.in_current_span()).await.map_err(Problem::internal)?
}

#[cfg(test)]
mod tests {
    use super::to_the_end;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_goes_on_when_its_caller_has_gone() {
        let (tell, told) = oneshot::channel();
        let work = to_the_end(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tell.send("تمّ").unwrap();
            Ok(())
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), work).await.is_err());
        assert_eq!(told.await.unwrap(), "تمّ");
    }
}

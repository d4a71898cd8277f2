//! Feeds, for departments that ask, and for those who look after them.

use mihwar_model::{Actor, InstanceName};
use tokio_util::sync::CancellationToken;

use crate::delivery::{self, FeedCursor, FeedCursors, FeedPage, FeedRefusal, FeedWanted};
use crate::hub::Hub;

/// Most items of one page.
const ITEMS_MAX: usize = 1_000;

impl Hub {
    /// A page of a department's feed, up to 16 MB of contents. Where there is nothing, whatever comes while it is waited for,
    /// which ends early when told that it `ends`. What it holds is written down as handed out before this answers.
    ///
    /// # Errors
    /// Says what is wrong with what is asked, or the store cannot be read or written.
    pub async fn feed(&self, wanted: &FeedWanted, ends: &CancellationToken) -> Result<FeedPage, FeedRefusal> {
        let wanted = FeedWanted {
            limit: wanted.limit.clamp(1, ITEMS_MAX),
            ..wanted.clone()
        };
        delivery::feed_page(&self.shared, &wanted, ends).await
    }

    /// Acknowledges everything up to a place. By the cursor [`crate::MAIN_CURSOR`] it is delivered then, and the ledger says
    /// so. Answers where the cursor stands: an older place changes nothing.
    ///
    /// # Errors
    /// There is no such department or cursor, nobody was handed that, or the store cannot be read or written. What was
    /// acknowledged up to then stays so.
    pub async fn feed_acknowledge(
        &self,
        actor: &Actor,
        department: &InstanceName,
        cursor: &InstanceName,
        position: u64,
    ) -> Result<FeedCursor, FeedRefusal> {
        delivery::feed_known(&self.shared, department)?;
        delivery::feed_acknowledge(&self.shared.core, actor, department, cursor, position).await
    }

    /// The cursors in the feed of a department.
    ///
    /// # Errors
    /// There is no such department, or the store cannot be read.
    pub async fn feed_cursors(&self, department: &InstanceName) -> Result<FeedCursors, FeedRefusal> {
        delivery::feed_known(&self.shared, department)?;
        delivery::feed_cursors(&self.shared.core, department).await
    }

    /// Removes a cursor. What it had not acknowledged waits as before.
    ///
    /// # Errors
    /// There is no such department or cursor, or the store cannot be read or written.
    pub async fn feed_cursor_remove(
        &self,
        department: &InstanceName,
        cursor: &InstanceName,
    ) -> Result<(), FeedRefusal> {
        delivery::feed_known(&self.shared, department)?;
        delivery::feed_remove(&self.shared.core, department, cursor).await
    }
}

//! Rows by which items and people are known again. What they say follows from no event; that they say something can be seen.

use mihwar_model::ContactId;
use mihwar_store::{MAX_PAGE_ROWS, Order, Space};
use minicbor::Decode;

use super::Verification;
use crate::fault::Fault;
use crate::feed_row::CursorRow;
use crate::rows::SeenRow;
use crate::{idempotency, keys};

/// What a damaged row of an item means, and what to do.
const OF_AN_ITEM: &str = "the row by which an item of a source is known again is damaged, and no revision or withdrawal of that \
                          item is taken in; restore the last backup";
/// What a damaged row of a person means.
const OF_A_PERSON: &str = "the row by which a person is known again is damaged; what that person says next makes it anew, under \
                           another contact";

/// What a damaged row of a request means.
const OF_A_REQUEST: &str = "the row by which a repeated request is known again is or was damaged; its key is refused until the row \
                            is forgotten";

/// What a damaged row of a name means.
const OF_A_NAME: &str = "the row by which an item is found by what a department calls it is damaged, and reports about that item \
                         are refused; stop the hub and run: mihwar doctor --rebuild";

/// What a damaged cursor means.
const OF_A_CURSOR: &str = "the row that says how far a department has come in its feed is damaged, and it cannot ask by that cursor; \
                           remove it (mihwar delivery feed NAME --remove CURSOR), and it is made again";

fn says<T: for<'b> Decode<'b, ()>>(row: &[u8]) -> Result<(), String> {
    minicbor::decode::<T>(row).map(drop).map_err(|error| error.to_string())
}

/// That a department has asked at all is said by a row without anything in it.
fn is_cursor(row: &[u8]) -> Result<(), String> {
    if row.is_empty() {
        return Ok(());
    }
    says::<CursorRow>(row)
}

impl Verification<'_> {
    pub(super) async fn known_again(&mut self) -> Result<(), Fault> {
        self.each_says(keys::SEEN, OF_AN_ITEM, says::<SeenRow>).await?;
        self.each_says(keys::IDENTIFIER, OF_A_PERSON, says::<ContactId>).await?;
        self.each_says(keys::CALLED, OF_A_NAME, says::<ContactId>).await?;
        self.each_says(keys::FEED_CURSOR, OF_A_CURSOR, is_cursor).await?;
        self.each_says(keys::IDEMPOTENCY, OF_A_REQUEST, idempotency::check_row)
            .await
    }

    /// Finds the rows of a space that do not say what they should.
    async fn each_says(
        &mut self,
        space: Space,
        damaged: &str,
        says: impl Fn(&[u8]) -> Result<(), String>,
    ) -> Result<(), Fault> {
        let mut rest = Some(keys::all(space));
        while let Some(range) = rest {
            let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
            for row in &page.rows {
                if let Err(error) = says(&row.value.bytes) {
                    self.report.find(format!("{damaged} ({}: {error})", row.key));
                }
            }
            rest = page.next;
        }
        Ok(())
    }
}

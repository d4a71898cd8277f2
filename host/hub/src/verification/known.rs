//! Rows by which items and people are known again. What they say follows from no event; that they say something can be seen.

use mihwar_model::ContactId;
use mihwar_store::{MAX_PAGE_ROWS, Order, Space};
use minicbor::Decode;

use super::Verification;
use crate::fault::Fault;
use crate::keys;
use crate::rows::SeenRow;

/// What a damaged row of an item means, and what to do.
const OF_AN_ITEM: &str = "the row by which an item of a source is known again is damaged, and no revision or withdrawal of that \
                          item is taken in; restore the last backup";
/// What a damaged row of a person means.
const OF_A_PERSON: &str = "the row by which a person is known again is damaged; what that person says next makes it anew, under \
                           another contact";

impl Verification<'_> {
    pub(super) async fn known_again(&mut self) -> Result<(), Fault> {
        self.each_says::<SeenRow>(keys::SEEN, OF_AN_ITEM).await?;
        self.each_says::<ContactId>(keys::IDENTIFIER, OF_A_PERSON).await
    }

    /// Finds the rows of a space that do not decode.
    async fn each_says<T: for<'b> Decode<'b, ()>>(&mut self, space: Space, damaged: &str) -> Result<(), Fault> {
        let mut rest = Some(keys::all(space));
        while let Some(range) = rest {
            let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
            for row in &page.rows {
                if let Err(error) = minicbor::decode::<T>(&row.value.bytes) {
                    self.report.find(format!("{damaged} ({}: {error})", row.key));
                }
            }
            rest = page.next;
        }
        Ok(())
    }
}

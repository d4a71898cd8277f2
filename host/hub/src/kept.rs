//! Checkpoints that were signed and are kept, in their order.

use std::iter::Peekable;
use std::vec::IntoIter;

use mihwar_store::{KeyRange, MAX_PAGE_ROWS, Order, Row, View};

use crate::fault::Fault;
use crate::keys;

/// A signed checkpoint as it is kept, and the size under which it is.
pub(crate) type Note = (u64, String);

/// The kept checkpoints, from the smallest to the largest.
pub(crate) struct Notes<'a> {
    view: &'a dyn View,
    rest: Option<KeyRange>,
    page: Peekable<IntoIter<Row>>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(view: &'a dyn View) -> Self {
        Self {
            view,
            rest: Some(keys::all(keys::CHECKPOINT)),
            page: Vec::new().into_iter().peekable(),
        }
    }

    /// Those that come next and lie under a size of at most `size`.
    pub(crate) async fn until(&mut self, size: u64) -> Result<Vec<Note>, Fault> {
        let mut due = Vec::new();
        loop {
            self.fill().await?;
            let Some(row) = self
                .page
                .next_if(|row| keys::last_number(&row.key).is_none_or(|at| at <= size))
            else {
                return Ok(due);
            };
            due.push(note(&row));
        }
    }

    /// A page of those that come next, whatever they speak of; none at the end.
    pub(crate) async fn some(&mut self) -> Result<Vec<Note>, Fault> {
        self.fill().await?;
        Ok(self.page.by_ref().map(|row| note(&row)).collect())
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        while self.page.peek().is_none() {
            let Some(range) = self.rest.take() else {
                return Ok(());
            };
            let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
            self.rest = page.next;
            self.page = page.rows.into_iter().peekable();
        }
        Ok(())
    }
}

fn note(row: &Row) -> Note {
    let text = String::from_utf8_lossy(&row.value.bytes).into_owned();
    (keys::last_number(&row.key).unwrap_or_default(), text)
}

//! A block whose row is damaged: what it said follows from the heads of its records.

use mihwar_model::FeedbackId;
use mihwar_store::{Order, Row, View};

use super::block::{Block, Passing, RECORDS_MAX};
use super::{ANYTHING, Id, codes};
use crate::fault::Fault;
use crate::{head_row, keys};

/// The block that begins with `first`, made anew: its row cannot be read because of `error`.
///
/// # Errors
/// That one, when the heads are not those of one block.
pub(super) async fn block(view: &dyn View, first: Id, error: Fault) -> Result<Block, Fault> {
    tell(first, &error);
    let next = view.scan(keys::facets_after(first), Order::Ascending, 1).await?;
    let end = next.rows.first().and_then(|row| keys::last_id(&row.key));
    let rows = heads(view, first, end).await?;
    let Some(rows) = rows.filter(|rows| !rows.is_empty()) else {
        return Err(error);
    };
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(id) = keys::last_id(&row.key) {
            let head = head_row::decode(FeedbackId::from_bytes(id), &row.value.bytes);
            // Of a head that is damaged, too, nobody knows its values.
            let codes = head.map_or_else(|_| vec![ANYTHING], |head| codes(&head));
            records.push((id, codes));
        }
    }
    Ok(Block::of_all(&records))
}

/// All records of a block, for any filter: its row, which would say which of them may be wanted, cannot be read because of
/// `error`. It begins with `first`; of its records only those below `end` are asked for.
///
/// # Errors
/// That one, when the heads are not those of one block.
pub(crate) async fn everything(view: &dyn View, first: Id, end: Option<Id>, error: Fault) -> Result<Passing, Fault> {
    tell(first, &error);
    let Some(rows) = heads(view, first, end).await? else {
        return Err(error);
    };
    let ids: Vec<Id> = rows.iter().filter_map(|row| keys::last_id(&row.key)).collect();
    Ok(Passing {
        records: ids.len(),
        ids,
    })
}

fn tell(first: Id, error: &Fault) {
    let block = FeedbackId::from_bytes(first);
    tracing::error!(%block, "{error}; the heads of its records are looked at instead; run: mihwar ledger verify");
}

/// The heads of the records of a block; `None` when they are more than one can have.
async fn heads(view: &dyn View, first: Id, end: Option<Id>) -> Result<Option<Vec<Row>>, Fault> {
    let (mut rows, mut rest) = (Vec::new(), Some(keys::heads_of(first, end)));
    while let Some(range) = rest {
        let page = view.scan(range, Order::Ascending, RECORDS_MAX + 1).await?;
        rows.extend(page.rows);
        if rows.len() > RECORDS_MAX {
            return Ok(None);
        }
        rest = page.next;
    }
    Ok(Some(rows))
}

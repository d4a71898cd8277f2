//! Cursors: durable rows that say how far somebody has come in a feed.

use mihwar_model::InstanceName;
use mihwar_store::{Batch, Edit, Guard, MAX_PAGE_ROWS, Order, View};

use super::{CURSORS_MAX, FeedCursor, FeedCursors, FeedRefusal, FeedStart, FeedWanted, settles, span};
use crate::core::Core;
use crate::fault::Fault;
use crate::feed_row::CursorRow;
use crate::keys;
use crate::routing::or_nearest;
use crate::rows;

/// What errors call a cursor's row.
const WHAT: &str = "a cursor in a feed";

/// A cursor as it stands.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub(super) department: InstanceName,
    pub(super) name: InstanceName,
    pub(super) row: CursorRow,
    /// Of its row.
    pub(super) version: u64,
}

impl Cursor {
    /// Behind which place it is to be read.
    pub(super) fn begin(&self, after: Option<u64>) -> Result<u64, FeedRefusal> {
        let CursorRow {
            acknowledged, handed, ..
        } = self.row;
        match after {
            None => Ok(acknowledged),
            Some(position) if position > handed => Err(FeedRefusal::Beyond { position, handed }),
            // Nothing waits there any more.
            Some(position) if settles(&self.name) => Ok(position.max(acknowledged)),
            Some(position) => Ok(position),
        }
    }

    /// Puts it, as it stands now, into a batch that is good as long as nobody else has changed it.
    pub(super) fn write(&self, batch: &mut Batch) -> Result<(), Fault> {
        let place = keys::feed_cursor(&self.department, &self.name);
        batch.guards.push(Guard::At(place.clone(), self.version));
        batch.edits.push(Edit::Put(place, rows::encode(&self.row)?));
        Ok(())
    }

    pub(super) fn told(self) -> FeedCursor {
        told(self.name, &self.row)
    }
}

fn told(name: InstanceName, row: &CursorRow) -> FeedCursor {
    FeedCursor {
        settles: settles(&name),
        name,
        acknowledged: row.acknowledged,
        handed: row.handed,
        made_at: row.made_at,
        handed_at: row.handed_at,
        acknowledged_at: row.acknowledged_at,
    }
}

/// A cursor, if there is one of this name.
pub(super) async fn find(
    core: &Core,
    department: &InstanceName,
    name: &InstanceName,
) -> Result<Option<Cursor>, FeedRefusal> {
    let place = keys::feed_cursor(department, name);
    let found = core
        .store
        .get_many(std::slice::from_ref(&place))
        .await
        .map_err(Fault::from)?;
    let Some(found) = found.into_iter().next().flatten() else {
        return Ok(None);
    };
    Ok(Some(Cursor {
        department: department.clone(),
        name: name.clone(),
        row: rows::decode(WHAT, &found.bytes)?,
        version: found.version,
    }))
}

/// That there is none of this name.
pub(super) async fn unknown(core: &Core, department: &InstanceName, name: &InstanceName) -> FeedRefusal {
    match list(core, department).await {
        Ok(FeedCursors { items, .. }) => FeedRefusal::Cursor {
            name: name.clone(),
            near: or_nearest(name.as_str(), items.iter().map(|cursor| cursor.name.as_str())),
        },
        Err(refusal) => refusal,
    }
}

/// The cursor that is asked by; a new one where there is none. That the department has asked is written with the first: from
/// then on it is told of what is erased, and before that it has nothing.
pub(super) async fn find_or_make(core: &Core, wanted: &FeedWanted) -> Result<Cursor, FeedRefusal> {
    let FeedWanted {
        department,
        cursor: name,
        start,
        ..
    } = wanted;
    if settles(name) && start.is_some() {
        return Err(FeedRefusal::Start);
    }
    if let Some(found) = find(core, department, name).await? {
        return Ok(found);
    }
    let begins = match start {
        _ if settles(name) => FeedStart::Earliest,
        Some(start) => *start,
        None => return Err(unknown(core, department, name).await),
    };
    if list(core, department).await?.items.len() >= CURSORS_MAX {
        return Err(FeedRefusal::Cursors {
            department: department.clone(),
        });
    }
    let view = core.store.view().await.map_err(Fault::from)?;
    let begins = beginning(&*view, department, begins).await?;
    drop(view);
    let row = CursorRow {
        acknowledged: begins,
        handed: begins,
        made_at: core.clock.now(),
        handed_at: None,
        acknowledged_at: None,
    };
    let place = keys::feed_cursor(department, name);
    let batch = Batch {
        guards: vec![Guard::Absent(place.clone())],
        edits: vec![
            Edit::Put(place, rows::encode(&row)?),
            Edit::Put(keys::feed_asked(department), Vec::new()),
        ],
        ..Batch::default()
    };
    let commit = core.commit_patiently(batch).await?;
    Ok(Cursor {
        department: department.clone(),
        name: name.clone(),
        row,
        version: commit.version,
    })
}

/// The place behind which a cursor begins.
async fn beginning(view: &dyn View, department: &InstanceName, start: FeedStart) -> Result<u64, Fault> {
    let time = match start {
        FeedStart::Earliest => return Ok(0),
        FeedStart::Latest => return end(view, department).await,
        FeedStart::Since(time) => time,
    };
    // Everything before `low` came earlier.
    let (mut low, mut high) = (0, view.tree().size());
    while low < high {
        let middle = low + (high - low) / 2;
        match span::first_from(view, department, middle).await? {
            Some((position, row)) if row.at < time => low = position + 1,
            _ => high = middle,
        }
    }
    Ok(low.saturating_sub(1))
}

/// The last place of a feed; 0 in an empty one.
async fn end(view: &dyn View, department: &InstanceName) -> Result<u64, Fault> {
    let last = view.scan(keys::feed_of(department), Order::Descending, 1).await?;
    Ok(last
        .rows
        .first()
        .and_then(|row| keys::last_number(&row.key))
        .unwrap_or_default())
}

/// All cursors in the feed of a department, and where it ends as far as the read models know.
pub(crate) async fn list(core: &Core, department: &InstanceName) -> Result<FeedCursors, FeedRefusal> {
    let view = core.store.view().await.map_err(Fault::from)?;
    let end = end(&*view, department).await?;
    let page = view.scan(keys::feed_cursors_of(department), Order::Ascending, MAX_PAGE_ROWS);
    let mut items = Vec::new();
    for row in page.await.map_err(Fault::from)?.rows {
        let Some(name) = keys::feed_cursor_name(&row.key) else {
            continue;
        };
        items.push(told(name, &rows::decode(WHAT, &row.value.bytes)?));
    }
    Ok(FeedCursors { end, items })
}

/// Removes a cursor. What it had not acknowledged waits as before.
pub(crate) async fn remove(core: &Core, department: &InstanceName, name: &InstanceName) -> Result<(), FeedRefusal> {
    let outbox = core.outboxes.of(department);
    let _feeding = outbox.feeding.lock().await;
    let place = keys::feed_cursor(department, name);
    let found = core
        .store
        .get_many(std::slice::from_ref(&place))
        .await
        .map_err(Fault::from)?;
    // One that is damaged can be removed, too.
    let Some(found) = found.into_iter().next().flatten() else {
        return Err(unknown(core, department, name).await);
    };
    let batch = Batch {
        guards: vec![Guard::At(place.clone(), found.version)],
        edits: vec![Edit::Delete(place)],
        ..Batch::default()
    };
    Ok(core.apply_patiently(batch).await?)
}

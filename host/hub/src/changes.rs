//! What a channel plugin returned, as arrivals for the intake and edits beside them.

use std::collections::HashMap;
use std::sync::Arc;

use mihwar_model::{AttachmentId, Event, EventBody, FieldProblem, Withdrawn};
use mihwar_sandbox::Effects;
use mihwar_sandbox::contract::types::Change;
use mihwar_store::Edit;

use crate::content::blob_of;
use crate::convert;
use crate::core::Core;
use crate::fault::Fault;
use crate::instances::Running;
use crate::intake::Arrival;
use crate::keys;
use crate::rows::{self, SeenRow};

/// What changes came to.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) arrivals: Vec<Arrival>,
    /// External id and what is wrong, for items that are no record.
    pub(crate) refused: Vec<(String, Vec<FieldProblem>)>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) events: Vec<Event>,
    /// Files of withdrawn items: destroyed once the withdrawal is durable.
    pub(crate) doomed: Vec<AttachmentId>,
}

/// Destroys the files of items whose withdrawal is durable now.
pub(crate) async fn destroy(core: &Core, doomed: &[AttachmentId]) {
    for file in doomed {
        if let Err(error) = core.blobs.delete(file.0).await {
            tracing::error!(%file, "a file of a withdrawn item could not be destroyed: {error}");
        }
    }
}

/// Sorts changes out. Withdrawals destroy the content at once, in the same transaction.
pub(crate) async fn arrivals(
    core: &Core,
    instance: &Running,
    changes: Vec<Change>,
    effects: &Effects,
) -> Result<Taken, Fault> {
    let files: HashMap<String, Vec<u8>> = effects
        .blobs
        .iter()
        .map(|blob| (blob.id.clone(), blob.bytes.to_vec()))
        .collect();
    let files = Arc::new(files);
    let mut taken = Taken::default();
    for change in changes {
        match change {
            Change::Upsert(feedback) => {
                let external_id = feedback.external_id.clone();
                match convert::draft(feedback) {
                    Ok(draft) => taken.arrivals.push(Arrival {
                        draft,
                        files: files.clone(),
                    }),
                    Err(problems) => taken.refused.push((external_id, problems)),
                }
            }
            Change::Erase(external_id) => withdraw(core, instance, &external_id, &mut taken).await?,
            Change::Status(status) => {
                let problem = FieldProblem::new("status", "this hub does not take status reports from channels yet");
                taken.refused.push((status.external_ref, vec![problem]));
            }
        }
    }
    Ok(taken)
}

/// Finds an item by its external id alone: it may lie under any date.
async fn withdraw(core: &Core, instance: &Running, external_id: &str, taken: &mut Taken) -> Result<(), Fault> {
    let hash = core.vault.external_hash(external_id);
    let view = core.store.view().await?;
    let mut range = keys::seen_of(&instance.name);
    loop {
        let page = view.scan(range, mihwar_store::Order::Ascending, 1000).await?;
        for row in page.rows.iter().filter(|row| keys::last_id(&row.key) == Some(hash)) {
            let seen: SeenRow = rows::decode("a de-duplication row", &row.value.bytes)?;
            for revision in 1..=u32::try_from(seen.revisions.len()).unwrap_or(u32::MAX) {
                let key = keys::content(seen.feedback, revision);
                let Some(stored) = view.get(&key).await? else {
                    continue;
                };
                taken.doomed.extend(blob_of(&stored.bytes));
                if let Some(opened) = core.content(&*view, seen.feedback, revision, seen.contact).await? {
                    taken
                        .doomed
                        .extend(opened.content.attachments.iter().filter_map(|attachment| attachment.id));
                }
                taken.edits.push(Edit::Delete(key));
            }
            let body = EventBody::Withdrawn(Withdrawn {
                feedback: seen.feedback,
            });
            let actor = mihwar_model::Actor::Instance(instance.name.clone());
            taken.events.push(Event {
                at: core.clock.now(),
                actor,
                body,
            });
        }
        match page.next {
            Some(next) => range = next,
            None => return Ok(()),
        }
    }
}

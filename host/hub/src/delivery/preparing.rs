//! What a department is handed of what was picked for it, whether its plugin is called or it asks.

use std::collections::{BTreeMap, HashMap};

use mihwar_model::{ContactId, Content, DeliveryId, InstanceName};
use mihwar_sandbox::contract::destination::{Delivery, Event as DeliveryEvent};
use mihwar_store::{Key, Versioned, View};

use super::damaged::Damaged;
use super::outbox::{Due, open_reference, read};
use super::outcome::{Counts, Outcome};
use crate::contact_keys::ContactKeys;
use crate::convert::{self, GrantedFields};
use crate::core::Core;
use crate::fault::{Fault, UNREADABLE};
use crate::head_row;
use crate::keys;
use crate::rows::{ErasureNotice, Head, OutboxRow};

/// Bytes of content brought into memory for one batch.
const CONTENT_BYTES_MAX: usize = 16 << 20;
/// Contents read together: each may be 100 kB.
const TOGETHER: usize = 64;

/// Who is handed something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipient<'a> {
    pub(super) name: &'a InstanceName,
    /// What of a record it may see.
    pub(super) fields: GrantedFields,
}

/// A batch for a department.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// The deliveries that are decided or handed over.
    pub(super) due: Vec<Due>,
    pub(super) batch: Vec<Delivery>,
    /// The ids of those in the batch.
    pub(super) handed: Vec<DeliveryId>,
    /// Those that need no call.
    pub(super) outcomes: BTreeMap<DeliveryId, Outcome>,
    /// Attachments that the plugin may read, and whose they are.
    pub(super) owners: HashMap<String, ContactId>,
    /// Rows that say what cannot be: the record that they name is not there, or is somebody else's.
    pub(super) damaged: Vec<Damaged>,
    /// Those whose rows are gone.
    pub(super) vanished: Vec<DeliveryId>,
    /// Those for which there was no room.
    pub(super) left: Vec<DeliveryId>,
    bytes: usize,
}

/// Opens what was picked of an outbox, up to a bound in bytes. A revision that was superseded meanwhile is sent as the newest: a
/// department that goes by the version must not keep the older text.
pub(super) async fn prepare(
    core: &Core,
    view: &dyn View,
    to: Recipient<'_>,
    wanted: &[DeliveryId],
    is_edition: bool,
) -> Result<Prepared, Fault> {
    let (mut damaged, mut vanished) = (Vec::new(), Vec::new());
    let places: Vec<Key> = wanted.iter().map(|id| keys::outbox(to.name, *id)).collect();
    let mut due = Vec::with_capacity(wanted.len());
    for (id, row) in wanted.iter().zip(view.get_many(&places).await?) {
        match row.map(|row| read(*id, &row)) {
            Some(Ok(read)) => due.push(read),
            Some(Err(found)) => damaged.push(found),
            None => vanished.push(*id),
        }
    }
    let mut prepared = prepare_due(core, view, to, due, is_edition).await?;
    prepared.damaged.extend(damaged);
    prepared.vanished = vanished;
    Ok(prepared)
}

/// As [`prepare`], of what is known already.
pub(super) async fn prepare_due(
    core: &Core,
    view: &dyn View,
    to: Recipient<'_>,
    due: Vec<Due>,
    is_edition: bool,
) -> Result<Prepared, Fault> {
    let mut prepared = Prepared::default();
    let mut rest = due.into_iter();
    loop {
        let some: Vec<Due> = rest.by_ref().take(TOGETHER).collect();
        if some.is_empty() {
            return Ok(prepared);
        }
        if prepared.bytes > CONTENT_BYTES_MAX {
            prepared.left.extend(some.iter().map(|due| due.delivery));
            continue;
        }
        let looked = look(core, view, to, some).await?;
        for one in looked.all {
            let handing = Handing {
                core,
                to,
                contact_keys: &looked.contact_keys,
                is_edition,
            };
            handing.prepare(&mut prepared, one).await?;
        }
    }
}

/// What is stored about some deliveries.
struct Looked {
    all: Vec<LookedAt>,
    contact_keys: ContactKeys,
}

struct LookedAt {
    due: Due,
    head: Option<Result<Head, Fault>>,
    content: Option<Versioned>,
    reference: Option<Versioned>,
}

/// Reads what belongs to some deliveries, each kind of row together.
async fn look(core: &Core, view: &dyn View, to: Recipient<'_>, some: Vec<Due>) -> Result<Looked, Fault> {
    let heads: Vec<Key> = some.iter().map(|due| keys::head(due.row.feedback)).collect();
    let heads = view.get_many(&heads).await?;
    let mut all = Vec::with_capacity(some.len());
    for (due, head) in some.into_iter().zip(heads) {
        let head = head.map(|head| head_row::decode(due.row.feedback, &head.bytes));
        all.push(LookedAt {
            due,
            head,
            content: None,
            reference: None,
        });
    }
    let mut places = Vec::with_capacity(2 * all.len());
    for LookedAt { due, head, .. } in &all {
        let feedback = due.row.feedback;
        // Of what has no head that can be read nothing is opened.
        let revision = head
            .as_ref()
            .and_then(|head| head.as_ref().ok())
            .map_or(0, |head| head.revision);
        places.push(keys::content(feedback, revision));
        places.push(keys::reference(feedback, to.name));
    }
    let mut rows = view.get_many(&places).await?.into_iter();
    for one in &mut all {
        one.content = rows.next().flatten();
        one.reference = rows.next().flatten();
    }
    let contacts = all.iter().map(|one| one.due.row.contact).collect();
    let contact_keys = core.contact_keys(view, contacts).await?;
    Ok(Looked { all, contact_keys })
}

/// Makes of a delivery what its department is handed.
struct Handing<'a> {
    core: &'a Core,
    to: Recipient<'a>,
    contact_keys: &'a ContactKeys,
    is_edition: bool,
}

impl Handing<'_> {
    async fn prepare(&self, prepared: &mut Prepared, one: LookedAt) -> Result<(), Fault> {
        let row = &one.due.row;
        if let Some(notice) = &row.erased {
            let delivery = self.notice(&one.due, notice);
            prepared.hand_over(one.due, delivery);
            return Ok(());
        }
        let feedback = row.feedback;
        let Some(head) = one.head else {
            prepared.set_aside(&one.due, format!("feedback {feedback}, which it names, is not there"));
            return Ok(());
        };
        let whose = head.as_ref().ok().map(|head| head.contact);
        if let Some(contact) = whose.filter(|contact| *contact != row.contact) {
            let detail = format!("feedback {feedback} is of contact {contact}, not {}", row.contact);
            prepared.set_aside(&one.due, detail);
            return Ok(());
        }
        let opened = match head {
            Ok(head) => self.open(row, head, one.content, one.reference).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(Some(opened)) if prepared.bytes + opened.bytes > CONTENT_BYTES_MAX && !prepared.batch.is_empty() => {
                prepared.bytes += opened.bytes;
                prepared.left.push(one.due.delivery);
            }
            Ok(Some(opened)) => {
                prepared.bytes += opened.bytes;
                if self.to.fields.attachments() {
                    let files = opened.content.attachments.iter().filter_map(|attachment| attachment.id);
                    prepared
                        .owners
                        .extend(files.map(|file| (file.to_string(), row.contact)));
                }
                let delivery = self.delivery(&one.due, &opened);
                prepared.hand_over(one.due, delivery);
            }
            Ok(None) => prepared.decide(one.due, Outcome::Gone),
            Err(error) if error.is_unreadable() => {
                tracing::error!(delivery = %one.due.delivery, %feedback, "cannot be delivered: {error}");
                prepared.decide(one.due, unreadable(&error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The newest text of what a delivery names, and what the department calls it; `None` when it is gone.
    async fn open(
        &self,
        row: &OutboxRow,
        head: Head,
        content: Option<Versioned>,
        reference: Option<Versioned>,
    ) -> Result<Option<Opened>, Fault> {
        let (core, contact) = (self.core, row.contact);
        // What a later revision had kept back is not handed out under an earlier one.
        let Some(content) = content.filter(|_| head.quarantine.is_none()) else {
            return Ok(None);
        };
        let opened = core.open_with(self.contact_keys, contact, row.feedback, head.revision, &content.bytes);
        let (Some(opened), Some(key)) = (opened.await?, self.contact_keys.get(contact)?) else {
            return Ok(None);
        };
        let name = self.to.name;
        let reference = reference.map(|reference| open_reference(core, key, row.feedback, name, &reference.bytes));
        Ok(Some(Opened {
            head,
            content: opened.content,
            bytes: opened.bytes,
            reference: reference.transpose()?.map(|content| content.reference),
        }))
    }

    fn delivery(&self, due: &Due, opened: &Opened) -> Delivery {
        let stored = convert::stored(&opened.head, &opened.content, self.to.fields);
        let event = match due.row.revision {
            _ if self.is_edition => DeliveryEvent::Digest(stored),
            0 | 1 => DeliveryEvent::Created(stored),
            _ => DeliveryEvent::Updated(stored),
        };
        Delivery {
            id: due.delivery.to_string(),
            attempt: due.row.attempts + 1,
            event,
            external_ref: opened.reference.clone(),
        }
    }

    /// That an item is gone. A name that cannot be read any more costs the department a look for its copy, by the id.
    fn notice(&self, due: &Due, notice: &ErasureNotice) -> Delivery {
        let reference = notice.open(self.core, due.delivery).unwrap_or_else(|error| {
            tracing::error!(delivery = %due.delivery, "what its department calls an erased item is lost: {error}");
            None
        });
        Delivery {
            id: due.delivery.to_string(),
            attempt: due.row.attempts + 1,
            event: DeliveryEvent::Erased(due.row.feedback.to_string()),
            external_ref: reference,
        }
    }
}

/// What a department is handed of one record.
struct Opened {
    head: Head,
    content: Content,
    bytes: usize,
    reference: Option<String>,
}

/// What becomes of a delivery whose text, contact's key or reference cannot be read. The others go on.
fn unreadable(error: &Fault) -> Outcome {
    let (code, reason) = (UNREADABLE.to_owned(), error.to_string());
    match error {
        // What the disk does not give now it may give later; if it never does, the attempts are used up one day.
        Fault::Blob(_) => Outcome::Retry {
            code,
            after: None,
            counts: Counts::Always,
            reason,
        },
        _ => Outcome::Dead { code, reason },
    }
}

impl Prepared {
    fn hand_over(&mut self, due: Due, delivery: Delivery) {
        self.handed.push(due.delivery);
        self.batch.push(delivery);
        self.due.push(due);
    }

    fn decide(&mut self, due: Due, outcome: Outcome) {
        self.outcomes.insert(due.delivery, outcome);
        self.due.push(due);
    }

    /// Keeps a delivery out whose row cannot be what was written.
    fn set_aside(&mut self, due: &Due, detail: String) {
        self.damaged.push(Damaged {
            delivery: due.delivery,
            version: due.version,
            detail,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Outcome, unreadable};
    use crate::fault::Fault;

    #[test]
    fn what_cannot_be_read_now_is_tried_again_and_only_what_never_can_be_is_a_dead_letter() {
        let not_now = unreadable(&Fault::Blob("blobs/3f/ملف: Too many open files".into()));
        let is_counted = matches!(
            not_now,
            Outcome::Retry {
                counts: Counts::Always,
                ..
            }
        );
        assert!(is_counted, "{not_now:?}");
        let never = unreadable(&Fault::Lost("ملف".into()));
        assert!(matches!(never, Outcome::Dead { .. }), "{never:?}");
    }
}

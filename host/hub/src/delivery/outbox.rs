//! The outbox of one department: what is due, and what its plugin is handed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use mihwar_model::{ContactId, Content, DeliveryId, FeedbackId, InstanceName, Time};
use mihwar_sandbox::contract::destination::{Delivery, Event as DeliveryEvent};
use mihwar_store::{Key, Order, View};

use super::damaged::{self, Damaged};
use super::outcome::Outcome;
use crate::content::Opened;
use crate::convert;
use crate::core::Core;
use crate::fault::{Fault, UNREADABLE};
use crate::head_row;
use crate::instances::Running;
use crate::keys;
use crate::passed_over::PassedOver;
use crate::rows::{self, ErasureNotice, Head, OutboxRow, ReferenceContent};
use crate::vault::{ContactKey, VaultError};

/// Outbox rows read in one go.
const PAGE: usize = 1000;
/// Outbox rows looked at for one batch: that many may wait for a retry before the ones behind them wait, too.
const LOOKED_AT_MAX: usize = 20_000;
/// Damaged rows set aside in one go.
const DAMAGED_AT_ONCE: usize = 100;
/// Bytes of content brought into memory for one batch.
const CONTENT_BYTES_MAX: usize = 16 << 20;

/// A delivery that is due.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) delivery: DeliveryId,
    pub(super) version: u64,
    pub(super) row: OutboxRow,
}

/// What one look at the outbox found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// What is due.
    pub(super) due: Vec<Due>,
    /// When the next one becomes due.
    pub(super) next: Option<Time>,
    /// Some of the rows that cannot be read, and that nobody has given up yet.
    pub(super) damaged: Vec<Damaged>,
}

/// Whether a delivery must wait still. One that was never tried need not, and neither need one that is put off for
/// longer than any pause: the clock has been put back since.
fn waits(row: &OutboxRow, now: Time, longest: Duration) -> bool {
    let longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
    row.attempts > 0 && row.due > now && row.due <= now.plus_millis(longest)
}

/// Due deliveries, oldest first, at most one per contact that has an earlier one still waiting; the time at which the next
/// one becomes due; and rows that are damaged, which hold up nobody. No pause is longer than `longest`. That an item was
/// erased waits for nothing and keeps nothing waiting: whatever else was to be told of the item is withheld, and a person
/// may have thousands of them.
pub(super) async fn due(
    view: &dyn View,
    passed_over: &PassedOver,
    destination: &InstanceName,
    now: Time,
    longest: Duration,
    most: usize,
) -> Result<Looked, Fault> {
    let mut found = Looked::default();
    // Contacts with an earlier delivery that waits, or that is in this batch and not known to have arrived.
    let (mut held, mut looked) = (HashSet::new(), 0);
    let mut range = Some(keys::outbox_of(destination));
    while let Some(rest) = range.filter(|_| looked < LOOKED_AT_MAX) {
        let page = view.scan(rest, Order::Ascending, PAGE).await?;
        looked += page.rows.len();
        for row in page.rows {
            let Some(id) = keys::last_id(&row.key) else {
                continue;
            };
            if passed_over.holds(&row.key) {
                continue;
            }
            let (delivery, version) = (DeliveryId::from_bytes(id), row.value.version);
            let outbox = match damaged::waiting_entry(&row.value.bytes) {
                Ok(outbox) => outbox,
                Err(detail) => {
                    if found.damaged.len() < DAMAGED_AT_ONCE {
                        found.damaged.push(Damaged {
                            delivery,
                            version,
                            detail,
                        });
                    }
                    continue;
                }
            };
            if outbox.erased.is_none() && !held.insert(outbox.contact) {
                continue;
            }
            if waits(&outbox, now, longest) {
                found.next = Some(found.next.map_or(outbox.due, |next| next.min(outbox.due)));
                continue;
            }
            found.due.push(Due {
                delivery,
                version,
                row: outbox,
            });
            if found.due.len() >= most {
                return Ok(found);
            }
        }
        range = page.next;
    }
    Ok(found)
}

/// A batch for a department's plugin.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// The deliveries that are decided or handed over; the others stay due.
    pub(super) due: Vec<Due>,
    pub(super) batch: Vec<Delivery>,
    /// Those that need no call.
    pub(super) outcomes: HashMap<DeliveryId, Outcome>,
    /// Attachments that the plugin may read, and whose they are.
    pub(super) owners: HashMap<String, ContactId>,
    /// Rows that say what cannot be: the record that they name is not there, or is somebody else's.
    pub(super) damaged: Vec<Damaged>,
}

/// Opens what is due, up to a bound in bytes. A revision that was superseded meanwhile is sent as the newest: a
/// department that goes by the version must not keep the older text.
pub(super) async fn prepare(
    core: &Core,
    view: &dyn View,
    department: &Running,
    due: Vec<Due>,
) -> Result<Prepared, Fault> {
    let heads: Vec<Key> = due.iter().map(|due| keys::head(due.row.feedback)).collect();
    let heads = view.get_many(&heads).await?;
    let (mut prepared, mut bytes) = (Prepared::default(), 0);
    for (due, head) in due.into_iter().zip(heads) {
        let row = &due.row;
        if let Some(notice) = &row.erased {
            prepared.tell_erased(core, &due, notice);
            prepared.due.push(due);
            continue;
        }
        let Some(head) = head else {
            prepared.set_aside(&due, format!("feedback {}, which it names, is not there", row.feedback));
            continue;
        };
        let head = head_row::decode(row.feedback, &head.bytes);
        let whose = head.as_ref().ok().map(|head| head.contact);
        if let Some(contact) = whose.filter(|contact| *contact != row.contact) {
            prepared.set_aside(
                &due,
                format!("feedback {} is of contact {contact}, not {}", row.feedback, row.contact),
            );
            continue;
        }
        let opened = match open(core, view, row, head).await {
            Ok(Some((head, opened))) => {
                bytes += opened.bytes;
                if bytes > CONTENT_BYTES_MAX && !prepared.batch.is_empty() {
                    return Ok(prepared);
                }
                let handed_over = prepared.hand_over(core, view, department, &due, &head, &opened.content);
                handed_over.await.map(|()| None)
            }
            Ok(None) => Ok(Some(Outcome::Gone)),
            Err(error) => Err(error),
        };
        let outcome = match opened {
            Ok(outcome) => outcome,
            Err(error) if error.is_unreadable() => {
                tracing::error!(delivery = %due.delivery, feedback = %row.feedback, "cannot be delivered: {error}");
                Some(unreadable(&error))
            }
            Err(error) => return Err(error),
        };
        prepared.outcomes.extend(outcome.map(|outcome| (due.delivery, outcome)));
        prepared.due.push(due);
    }
    Ok(prepared)
}

/// The newest text of what a delivery names, if its facts could be read; `None` when it is gone.
async fn open(
    core: &Core,
    view: &dyn View,
    row: &OutboxRow,
    head: Result<Head, Fault>,
) -> Result<Option<(Head, Opened)>, Fault> {
    let head = head?;
    let opened = core.content(view, row.feedback, head.revision, row.contact).await?;
    Ok(opened.map(|opened| (head, opened)))
}

/// What becomes of a delivery whose text, contact's key or reference cannot be read. The others go on.
fn unreadable(error: &Fault) -> Outcome {
    let (code, reason) = (UNREADABLE.to_owned(), error.to_string());
    match error {
        // What the disk does not give now it may give later; if it never does, the attempts are used up one day.
        Fault::Blob(_) => Outcome::Retry {
            code,
            after: None,
            counts: true,
            reason,
        },
        _ => Outcome::Dead { code, reason },
    }
}

impl Prepared {
    /// That an item is gone. A name that cannot be read any more costs the department a look for its copy, by the id.
    fn tell_erased(&mut self, core: &Core, due: &Due, notice: &ErasureNotice) {
        let reference = notice.open(core, due.delivery).unwrap_or_else(|error| {
            tracing::error!(delivery = %due.delivery, "what its department calls an erased item is lost: {error}");
            None
        });
        self.batch.push(Delivery {
            id: due.delivery.to_string(),
            attempt: due.row.attempts + 1,
            event: DeliveryEvent::Erased(due.row.feedback.to_string()),
            external_ref: reference,
        });
    }

    /// Keeps a delivery out whose row cannot be what was written.
    fn set_aside(&mut self, due: &Due, detail: String) {
        self.damaged.push(Damaged {
            delivery: due.delivery,
            version: due.version,
            detail,
        });
    }

    async fn hand_over(
        &mut self,
        core: &Core,
        view: &dyn View,
        department: &Running,
        due: &Due,
        head: &Head,
        content: &Content,
    ) -> Result<(), Fault> {
        let row = &due.row;
        let reference = reference(core, view, row.feedback, row.contact, &department.name).await?;
        if department.fields.attachments() {
            for attachment in content.attachments.iter().filter_map(|attachment| attachment.id) {
                self.owners.insert(attachment.to_string(), row.contact);
            }
        }
        let stored = convert::stored(head, content, department.fields);
        self.batch.push(Delivery {
            id: due.delivery.to_string(),
            attempt: row.attempts + 1,
            event: if row.revision > 1 {
                DeliveryEvent::Updated(stored)
            } else {
                DeliveryEvent::Created(stored)
            },
            external_ref: reference.map(|content| content.reference),
        });
        Ok(())
    }
}

impl ErasureNotice {
    /// For this delivery, of something that the department calls so.
    pub(crate) fn seal(core: &Core, delivery: DeliveryId, reference: Option<&str>) -> Result<Self, VaultError> {
        let reference = match reference {
            Some(reference) => core.vault.seal_own(&notice_place(delivery), reference.as_bytes())?,
            None => Vec::new(),
        };
        Ok(Self { reference })
    }

    fn open(&self, core: &Core, delivery: DeliveryId) -> Result<Option<String>, VaultError> {
        if self.reference.is_empty() {
            return Ok(None);
        }
        let plain = core.vault.open_own(&notice_place(delivery), &self.reference)?;
        Ok(String::from_utf8(plain).ok())
    }
}

fn notice_place(delivery: DeliveryId) -> Vec<u8> {
    [b"erasure notice".as_slice(), &delivery.to_bytes()].concat()
}

/// The reference that the department gave earlier for this feedback.
pub(crate) async fn reference(
    core: &Core,
    view: &dyn View,
    feedback: FeedbackId,
    contact: ContactId,
    destination: &InstanceName,
) -> Result<Option<ReferenceContent>, Fault> {
    let Some(row) = view.get(&keys::reference(feedback, destination)).await? else {
        return Ok(None);
    };
    let keys = core.contact_keys(view, vec![contact]).await?;
    let Some(key) = keys.get(contact)? else {
        return Ok(None);
    };
    open_reference(core, key, feedback, destination, &row.bytes).map(Some)
}

/// Opens a reference whose row was read.
pub(crate) fn open_reference(
    core: &Core,
    key: &ContactKey,
    feedback: FeedbackId,
    destination: &InstanceName,
    row: &[u8],
) -> Result<ReferenceContent, Fault> {
    let plain = core.vault.open_for(key, &reference_place(feedback, destination), row)?;
    let (_salt, content) = plain
        .split_first_chunk::<32>()
        .ok_or(VaultError::Unreadable { what: "a reference" })?;
    rows::decode("a reference", content)
}

pub(super) fn reference_place(feedback: FeedbackId, destination: &InstanceName) -> Vec<u8> {
    [
        b"reference".as_slice(),
        &feedback.to_bytes(),
        destination.as_str().as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{ContactId, FeedbackId};
    use mihwar_store::{Batch, Edit, MemoryStore, Store};

    use super::*;

    const NOW: Time = Time(1_790_000_000_000);

    fn row(contact: u8, attempts: u32, due: Time, erased: Option<ErasureNotice>) -> OutboxRow {
        OutboxRow {
            feedback: FeedbackId::from_bytes([1; 16]),
            revision: 1,
            contact: ContactId::from_bytes([contact; 16]),
            attempts,
            due,
            rule: "default".into(),
            attempts_before_replay: 0,
            erased,
        }
    }

    #[tokio::test]
    async fn all_items_of_an_erased_person_are_told_at_once_and_hold_nobody_up() {
        let (store, billing) = (MemoryStore::new(), InstanceName::new("billing").unwrap());
        let notice = || Some(ErasureNotice { reference: Vec::new() });
        let later = NOW.plus_millis(60_000);
        let waiting = [
            // One that waits for its second attempt, two that are due; then ordinary ones of the same person, in order.
            row(1, 1, later, notice()),
            row(1, 0, NOW, notice()),
            row(1, 0, NOW, notice()),
            row(1, 0, NOW, None),
            row(1, 0, NOW, None),
            row(2, 0, NOW, None),
        ];
        let edits = (1..).zip(&waiting).map(|(number, row)| {
            let place = keys::outbox(&billing, DeliveryId::from_bytes([number; 16]));
            Edit::Put(place, rows::encode(row).unwrap())
        });
        let batch = Batch {
            edits: edits.collect(),
            ..Batch::default()
        };
        store.apply(batch).await.unwrap();
        let view = store.view().await.unwrap();
        let longest = Duration::from_secs(3600);
        let passed_over = PassedOver::default();
        let looked = due(&*view, &passed_over, &billing, NOW, longest, 100).await.unwrap();
        let numbers: Vec<u8> = looked.due.iter().map(|due| due.delivery.to_bytes()[0]).collect();
        assert_eq!((numbers, looked.next), (vec![2, 3, 4, 6], Some(later)));
    }

    #[test]
    fn what_cannot_be_read_now_is_tried_again_and_only_what_never_can_be_is_a_dead_letter() {
        let not_now = unreadable(&Fault::Blob("blobs/3f/ملف: Too many open files".into()));
        assert!(matches!(not_now, Outcome::Retry { counts: true, .. }), "{not_now:?}");
        let never = unreadable(&Fault::Lost("ملف".into()));
        assert!(matches!(never, Outcome::Dead { .. }), "{never:?}");
    }

    #[test]
    fn what_a_department_calls_an_erased_item_opens_for_that_delivery_alone() {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(Arc::new(MemoryStore::new()), folder.path(), NOW);
        let (delivery, other) = (DeliveryId::from_bytes([1; 16]), DeliveryId::from_bytes([2; 16]));
        let notice = ErasureNotice::seal(&core, delivery, Some("تذكرة-٧")).unwrap();
        assert!(
            !notice
                .reference
                .windows(6)
                .any(|bytes| bytes == "تذكرة".as_bytes().get(..6).unwrap())
        );
        assert_eq!(notice.open(&core, delivery).unwrap().as_deref(), Some("تذكرة-٧"));
        assert!(notice.open(&core, other).is_err());
        let nameless = ErasureNotice::seal(&core, delivery, None).unwrap();
        assert_eq!(nameless.open(&core, delivery).unwrap(), None);
    }

    #[test]
    fn a_clock_that_is_put_back_strands_nothing() {
        let (longest, now) = (Duration::from_secs(3600), NOW);
        let row = |attempts, due| row(2, attempts, due, None);
        let hours = |hours: i64| now.plus_millis(hours * 3_600_000);
        assert!(waits(&row(1, hours(1)), now, longest), "as the schedule says");
        assert!(!waits(&row(1, now), now, longest));
        assert!(
            !waits(&row(1, hours(24)), now, longest),
            "set by a clock that was ahead"
        );
        assert!(!waits(&row(0, hours(1)), now, longest), "never tried");
        assert!(waits(&row(1, hours(24)), now, Duration::MAX));
    }
}

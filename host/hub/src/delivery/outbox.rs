//! What the rows of an outbox say, and what departments call an item.

use mihwar_model::{ContactId, DeliveryId, FeedbackId, InstanceName};
use mihwar_store::{Row, Versioned, View};

use super::damaged::{self, Damaged};
use super::window::Entry;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::passed_over::PassedOver;
use crate::rows::{self, ErasureNotice, OutboxRow, ReferenceContent};
use crate::vault::{ContactKey, VaultError};

/// Damaged rows set aside in one go.
const DAMAGED_AT_ONCE: usize = 100;

/// A delivery that is handed over, or decided without that.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) delivery: DeliveryId,
    pub(super) version: u64,
    pub(super) row: OutboxRow,
}

/// What rows of the outbox say, as far as the order goes. Those that cannot be read, and that nobody has given up yet, are
/// added to `damaged`; they hold up nobody.
pub(super) fn entries(rows: &[Row], passed_over: &PassedOver, damaged: &mut Vec<Damaged>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(delivery) = keys::last_id(&row.key).map(DeliveryId::from_bytes) else {
            continue;
        };
        if passed_over.holds(&row.key) {
            continue;
        }
        match entry(delivery, &row.value) {
            Ok(entry) => entries.push(entry),
            Err(found) if damaged.len() < DAMAGED_AT_ONCE => damaged.push(found),
            Err(_) => {}
        }
    }
    entries
}

/// What a row says, as far as the order goes.
pub(super) fn entry(id: DeliveryId, row: &Versioned) -> Result<Entry, Damaged> {
    let due = read(id, row)?;
    Ok(Entry {
        id,
        contact: due.row.contact,
        due: due.row.due,
        attempts: due.row.attempts,
        is_notice: due.row.erased.is_some(),
    })
}

/// A row of the outbox, if it can be what the hub wrote.
pub(super) fn read(delivery: DeliveryId, row: &Versioned) -> Result<Due, Damaged> {
    let version = row.version;
    match damaged::waiting_entry(&row.bytes) {
        Ok(row) => Ok(Due { delivery, version, row }),
        Err(detail) => Err(Damaged {
            delivery,
            version,
            detail,
        }),
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

    pub(super) fn open(&self, core: &Core, delivery: DeliveryId) -> Result<Option<String>, VaultError> {
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

    use mihwar_model::{ContactId, FeedbackId, Time};
    use mihwar_store::MemoryStore;

    use super::*;

    const NOW: Time = Time(1_790_000_000_000);

    #[test]
    fn a_row_that_cannot_be_read_holds_up_nobody() {
        let billing = InstanceName::new("billing").unwrap();
        let sound = OutboxRow {
            feedback: FeedbackId::from_bytes([1; 16]),
            revision: 1,
            contact: ContactId::from_bytes([1; 16]),
            attempts: 2,
            due: NOW,
            rule: "شكاوى".into(),
            attempts_before_replay: 0,
            erased: None,
        };
        let row = |number: u8, bytes: Vec<u8>| Row {
            key: keys::outbox(&billing, DeliveryId::from_bytes([number; 16])),
            value: Versioned { version: 7, bytes },
        };
        let rows = [
            row(1, "صف تالف".into()),
            row(2, "صف تالف".into()),
            row(3, rows::encode(&sound).unwrap()),
        ];
        let passed_over = PassedOver::default();
        passed_over.note(&rows[1].key, "صف", "تالف");
        let mut damaged = Vec::new();
        let read = entries(&rows, &passed_over, &mut damaged);
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].attempts, read[0].due, read[0].is_notice), (2, NOW, false));
        let numbers: Vec<u8> = damaged.iter().map(|damaged| damaged.delivery.to_bytes()[0]).collect();
        assert_eq!(numbers, [1]);
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
}

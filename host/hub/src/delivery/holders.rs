//! For which departments there are rows: found by one look for each of them, however many rows it has.

use mihwar_model::InstanceName;
use mihwar_store::{KeyRange, Order, View};

use crate::fault::Fault;
use crate::keys;

/// See the head of this file.
pub(super) struct Holders<'a> {
    view: &'a dyn View,
    rest: Option<KeyRange>,
    of: fn(&InstanceName) -> KeyRange,
}

impl<'a> Holders<'a> {
    /// Those for whom something waits, behind `after`, in the order of names.
    pub(super) fn of_outboxes(view: &'a dyn View, after: Option<&InstanceName>) -> Self {
        Self::new(view, keys::all(keys::OUTBOX), keys::outbox_of, after)
    }

    /// Those with dead letters, likewise.
    pub(super) fn of_dead_letters(view: &'a dyn View, after: Option<&InstanceName>) -> Self {
        Self::new(view, keys::all(keys::DEAD), keys::dead_of, after)
    }

    fn new(view: &'a dyn View, all: KeyRange, of: fn(&InstanceName) -> KeyRange, after: Option<&InstanceName>) -> Self {
        let rest = match after {
            Some(name) => behind(&all, &of(name)),
            None => Some(all),
        };
        Self { view, rest, of }
    }

    /// The next one.
    pub(super) async fn another(&mut self) -> Result<Option<InstanceName>, Fault> {
        while let Some(range) = self.rest.take() {
            let Some(row) = self.view.scan(range.clone(), Order::Ascending, 1).await?.rows.pop() else {
                break;
            };
            match keys::dead_destination(&row.key) {
                Some(name) => {
                    self.rest = behind(&range, &(self.of)(&name));
                    return Ok(Some(name));
                }
                // A damaged key is nobody's.
                None => self.rest = Some(range.after(&row.key)),
            }
        }
        Ok(None)
    }
}

/// What of a range lies behind another one.
fn behind(range: &KeyRange, other: &KeyRange) -> Option<KeyRange> {
    let ends = other.end().cloned().zip(range.end().cloned());
    ends.map(|(start, end)| KeyRange::between(start, end))
}

#[cfg(test)]
mod tests {
    use mihwar_model::{DeliveryId, InstanceName};
    use mihwar_store::{Batch, Edit, MemoryStore, Store};

    use super::Holders;
    use crate::keys;

    #[tokio::test]
    async fn each_is_found_once_in_the_order_of_names() {
        let store = MemoryStore::new();
        let name = |text: &str| InstanceName::new(text).unwrap();
        let mut batch = Batch::default();
        for text in ["service", "a", "a-b", "ab"] {
            for number in 1..4 {
                let delivery = DeliveryId::from_bytes([number; 16]);
                batch
                    .edits
                    .push(Edit::Put(keys::outbox(&name(text), delivery), vec![1]));
            }
        }
        batch.edits.push(Edit::Put(
            keys::dead(&name("billing"), DeliveryId::from_bytes([1; 16])),
            vec![1],
        ));
        store.apply(batch).await.unwrap();
        let view = store.view().await.unwrap();
        let mut found = Vec::new();
        let mut holders = Holders::of_outboxes(&*view, None);
        while let Some(name) = holders.another().await.unwrap() {
            found.push(name.to_string());
        }
        assert_eq!(found, ["a", "a-b", "ab", "service"]);
        let mut holders = Holders::of_outboxes(&*view, Some(&name("a-b")));
        assert_eq!(holders.another().await.unwrap(), Some(name("ab")));
        let mut dead = Holders::of_dead_letters(&*view, None);
        assert_eq!(dead.another().await.unwrap(), Some(name("billing")));
        assert_eq!(dead.another().await.unwrap(), None);
    }
}

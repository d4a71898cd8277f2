//! What the kit hands over.

use super::Handed;
use crate::testing::stored;
use crate::{ChannelKind, Delivery, Event, Feedback, Person, StoredFeedback};

/// Items of a batch.
pub(super) const ITEMS: usize = 3;
/// What stands in all that customers say here, and nowhere else.
pub(super) const PERSONAL: [&str; 2] = ["kitword", "kitname"];

/// A delivery, and what the model of the other system is asked about it.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) delivery: Delivery,
    pub(super) handed: Handed,
    /// What the hub hands over when an item is erased.
    pub(super) is_erasure: bool,
}

/// Which event of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Created,
    Updated,
    Erased,
}

/// The id of an item.
pub(super) fn item_id(number: usize) -> String {
    format!("0199a1b2-0000-7000-8000-{number:012}")
}

/// The id of a delivery: the same whenever the same event of the same item is handed over.
fn delivery_id(number: usize, what: What) -> String {
    let event = match what {
        What::Created => 1,
        What::Updated => 2,
        What::Erased => 3,
    };
    format!("0199a1b3-{event:04}-7000-8000-{number:012}")
}

fn words(number: usize, version: u64) -> String {
    format!("kitword{number}v{version}")
}

/// A sentence as another system quotes it in an answer, with a word of every item.
pub(super) fn quoted() -> String {
    let words: Vec<String> = (1..=ITEMS)
        .flat_map(|number| [words(number, 1), words(number, 2)])
        .collect();
    format!("«ليلى kitname1» wrote: {}", words.join(" "))
}

fn item(number: usize, version: u64) -> StoredFeedback {
    let words = words(number, version);
    let feedback = Feedback::new(format!("kit-{number}"), ChannelKind::Form)
        .subject(format!("طلب متأخر {words}"))
        .body(format!(
            "{words} لم يصل الطلب حتى الآن.\nOrder \"42\" is <late> {{{{ again }}}} @all #7"
        ))
        .kind("complaint")
        .language("ar")
        .author(
            Person::new()
                .named(format!("ليلى kitname{number}"))
                .identifier("email", format!("kitname{number}@example.org")),
        )
        .score("nps", 2.0, 0.0, 10.0)
        .tag("delivery")
        .attribute("branch", "riyadh-3");
    let mut item = stored(&item_id(number), feedback);
    item.version = version;
    item
}

/// An item of which nothing was granted but the facts.
fn bare(number: usize) -> StoredFeedback {
    let feedback = Feedback::new(format!("kit-{number}"), ChannelKind::Form).kind("complaint");
    stored(&item_id(number), feedback)
}

/// One delivery of an item.
pub(super) fn parcel(number: usize, what: What, attempt: u32, reference: Option<&String>) -> Parcel {
    let version = if what == What::Updated { 2 } else { 1 };
    let (event, words) = match what {
        What::Created => (Event::Created(item(number, version)), words(number, version)),
        What::Updated => (Event::Updated(item(number, version)), words(number, version)),
        What::Erased => (Event::Erased(item_id(number)), String::new()),
    };
    let delivery = Delivery {
        id: delivery_id(number, what),
        attempt,
        event,
        external_ref: reference.cloned(),
    };
    let handed = Handed {
        item: item_id(number),
        delivery: delivery.id.clone(),
        words,
        is_update: what == What::Updated,
    };
    Parcel {
        delivery,
        handed,
        is_erasure: what == What::Erased,
    }
}

/// A batch of new items.
pub(super) fn new_items(count: usize, attempt: u32) -> Vec<Parcel> {
    let parcel = |number| parcel(number, What::Created, attempt, None);
    (1..=count).map(parcel).collect()
}

/// A batch of new items of which nothing was granted.
pub(super) fn bare_items() -> Vec<Parcel> {
    let mut parcels = new_items(ITEMS, 1);
    for (parcel, number) in parcels.iter_mut().zip(1..) {
        parcel.delivery.event = Event::Created(bare(number));
    }
    parcels
}

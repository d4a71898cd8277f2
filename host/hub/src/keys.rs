//! Where everything lies: one space per sort of row. Authoritative rows are below `0x20` and from `0x30`; read models,
//! which can be dropped and folded from the ledger again, are from `0x20` to `0x2F`.

use mihwar_model::{
    AttachmentId, ContactId, DeliveryId, FeedbackId, InboundId, InstanceName, OrgId, Tag, ThreadId, Time, TokenId,
};
use mihwar_store::{Key, KeyRange, Nature, Natures, Space};

const ORG: OrgId = OrgId::FIRST;

pub(crate) const CONTENT: Space = Space(0x10);
pub(crate) const CONTACT_KEY: Space = Space(0x11);
pub(crate) const IDENTIFIER: Space = Space(0x12);
pub(crate) const SEEN: Space = Space(0x13);
pub(crate) const QUEUE: Space = Space(0x14);
pub(crate) const OUTBOX: Space = Space(0x15);
pub(crate) const DEAD: Space = Space(0x16);
pub(crate) const INBOX: Space = Space(0x17);
pub(crate) const INBOX_DEAD: Space = Space(0x18);
pub(crate) const STATE: Space = Space(0x19);
pub(crate) const IMPORT: Space = Space(0x1A);
pub(crate) const TOKEN: Space = Space(0x1B);
pub(crate) const IDEMPOTENCY: Space = Space(0x1C);
pub(crate) const CHECKPOINT: Space = Space(0x1D);
pub(crate) const REFERENCE: Space = Space(0x1E);
pub(crate) const SETTING: Space = Space(0x1F);

pub(crate) const POSITION: Space = Space(0x20);
pub(crate) const HEAD: Space = Space(0x21);
pub(crate) const HISTORY: Space = Space(0x22);
pub(crate) const DELIVERY: Space = Space(0x23);
pub(crate) const COUNT: Space = Space(0x24);
pub(crate) const OF_CONTACT: Space = Space(0x25);
pub(crate) const OF_THREAD: Space = Space(0x26);
// 0x27 and 0x28 were records by department and by instance; they are not used again.
pub(crate) const FACETS: Space = Space(0x29);
pub(crate) const FEED: Space = Space(0x2A);

pub(crate) const DOOMED: Space = Space(0x30);
pub(crate) const FILE: Space = Space(0x31);
pub(crate) const LINEAGE: Space = Space(0x32);
pub(crate) const ERASED: Space = Space(0x33);
pub(crate) const ERASING: Space = Space(0x34);
pub(crate) const FEED_CURSOR: Space = Space(0x35);
// Apart from those above: 0x36 and 0x37 are free.
pub(crate) const CALLED: Space = Space(0x38);
pub(crate) const TOLD: Space = Space(0x39);

/// All read models, in the order in which they are compared; where they stand comes last.
pub(crate) const READ_MODELS: [Space; 9] = [
    HEAD, HISTORY, DELIVERY, COUNT, OF_CONTACT, OF_THREAD, FACETS, FEED, POSITION,
];

/// What becomes of each space's rows in a backup. Whatever comes and goes, and whatever is small, goes into every
/// increment whole. Spaces that grow with the records go by what changed; there, deletions are rare, since each is noted.
pub(crate) const NATURES: Natures = {
    let mut natures = Natures::all(Nature::Lasting)
        .with(QUEUE, Nature::Passing)
        .with(OUTBOX, Nature::Passing)
        .with(DEAD, Nature::Passing)
        .with(INBOX, Nature::Passing)
        .with(INBOX_DEAD, Nature::Passing)
        .with(STATE, Nature::Passing)
        .with(IMPORT, Nature::Passing)
        .with(TOKEN, Nature::Passing)
        .with(IDEMPOTENCY, Nature::Passing)
        .with(SETTING, Nature::Passing)
        .with(DOOMED, Nature::Passing)
        .with(ERASING, Nature::Passing)
        .with(FEED_CURSOR, Nature::Passing)
        .with(FILE, Nature::Filed)
        // A restored hub is another one than that which was backed up: see `lineage`.
        .with(LINEAGE, Nature::Derived);
    let mut at = 0;
    while at < READ_MODELS.len() {
        natures = natures.with(READ_MODELS[at], Nature::Derived);
        at += 1;
    }
    natures
};

pub(crate) fn all(space: Space) -> KeyRange {
    KeyRange::prefix(Key::space(space, ORG).finish())
}

pub(crate) fn content(feedback: FeedbackId, revision: u32) -> Key {
    Key::space(CONTENT, ORG).id(feedback.to_bytes()).u32(revision).finish()
}

/// The contents of all revisions.
pub(crate) fn contents_of(feedback: FeedbackId) -> KeyRange {
    KeyRange::prefix(Key::space(CONTENT, ORG).id(feedback.to_bytes()).finish())
}

/// The revision whose content a row holds.
pub(crate) fn content_revision(key: &Key) -> Option<u32> {
    key.as_bytes().last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

pub(crate) fn contact_key(contact: ContactId) -> Key {
    Key::space(CONTACT_KEY, ORG).id(contact.to_bytes()).finish()
}

/// That a contact was erased. What it said does not come back, and a key of it is not missed.
pub(crate) fn erased(contact: ContactId) -> Key {
    Key::space(ERASED, ORG).id(contact.to_bytes()).finish()
}

/// A contact whose erasure has begun: it is carried to its end whatever happens, and then this row goes.
pub(crate) fn erasing(contact: ContactId) -> Key {
    Key::space(ERASING, ORG).id(contact.to_bytes()).finish()
}

pub(crate) fn identifier(hash: [u8; 16]) -> Key {
    Key::space(IDENTIFIER, ORG).id(hash).finish()
}

/// Begins with the record's own date, so that inserts stay close together in the tree although the hash is random.
pub(crate) fn seen(instance: &InstanceName, day: u32, hash: [u8; 16]) -> Key {
    Key::space(SEEN, ORG).text(instance.as_str()).u32(day).id(hash).finish()
}

pub(crate) fn seen_of(instance: &InstanceName) -> KeyRange {
    KeyRange::prefix(Key::space(SEEN, ORG).text(instance.as_str()).finish())
}

pub(crate) fn queue(feedback: FeedbackId, revision: u32) -> Key {
    Key::space(QUEUE, ORG).id(feedback.to_bytes()).u32(revision).finish()
}

/// All revisions of a record in the queue.
pub(crate) fn queued_of(feedback: FeedbackId) -> KeyRange {
    KeyRange::prefix(Key::space(QUEUE, ORG).id(feedback.to_bytes()).finish())
}

/// The revision that an entry of the queue stands for.
pub(crate) fn queued(key: &Key) -> Option<(FeedbackId, u32)> {
    let mut parts = key.read();
    Some((FeedbackId::from_bytes(parts.id().ok()?), parts.u32().ok()?))
}

pub(crate) fn outbox(destination: &InstanceName, delivery: DeliveryId) -> Key {
    Key::space(OUTBOX, ORG)
        .text(destination.as_str())
        .id(delivery.to_bytes())
        .finish()
}

pub(crate) fn outbox_of(destination: &InstanceName) -> KeyRange {
    KeyRange::prefix(Key::space(OUTBOX, ORG).text(destination.as_str()).finish())
}

pub(crate) fn dead(destination: &InstanceName, delivery: DeliveryId) -> Key {
    Key::space(DEAD, ORG)
        .text(destination.as_str())
        .id(delivery.to_bytes())
        .finish()
}

/// The department of a dead letter's row, or of one of the outbox.
pub(crate) fn dead_destination(key: &Key) -> Option<InstanceName> {
    InstanceName::new(key.read().text().ok()?).ok()
}

pub(crate) fn dead_of(destination: &InstanceName) -> KeyRange {
    KeyRange::prefix(Key::space(DEAD, ORG).text(destination.as_str()).finish())
}

/// Requests to one instance that nobody has worked on yet.
const FRESH: u8 = 0;
/// Requests to one instance that are put off.
const PUT_OFF: u8 = 1;

/// A stored request: those to one instance lie in the order of their ids.
pub(crate) fn inbox(instance: &InstanceName, inbound: InboundId) -> Key {
    Key::space(INBOX, ORG)
        .text(instance.as_str())
        .u8(FRESH)
        .id(inbound.to_bytes())
        .finish()
}

/// A stored request that is put off until a time, after some attempts: those to one instance lie in the order in which
/// they become due.
pub(crate) fn inbox_put_off(instance: &InstanceName, due: Time, attempts: u32, inbound: InboundId) -> Key {
    Key::space(INBOX, ORG)
        .text(instance.as_str())
        .u8(PUT_OFF)
        .u64(u64::try_from(due.0).unwrap_or(0))
        .u32(attempts)
        .id(inbound.to_bytes())
        .finish()
}

/// All requests to one instance.
pub(crate) fn inbox_of(instance: &InstanceName) -> KeyRange {
    KeyRange::prefix(Key::space(INBOX, ORG).text(instance.as_str()).finish())
}

/// Requests to one instance that nobody has worked on yet.
pub(crate) fn inbox_fresh(instance: &InstanceName) -> KeyRange {
    KeyRange::prefix(Key::space(INBOX, ORG).text(instance.as_str()).u8(FRESH).finish())
}

/// Requests to one instance that were put off and are due now.
pub(crate) fn inbox_due(instance: &InstanceName, now: Time) -> KeyRange {
    let put_off = || Key::space(INBOX, ORG).text(instance.as_str()).u8(PUT_OFF);
    let end = u64::try_from(now.0).unwrap_or(0).saturating_add(1);
    KeyRange::between(put_off().finish(), put_off().u64(end).finish())
}

/// Requests to one instance that were put off until later than `time`.
pub(crate) fn inbox_beyond(instance: &InstanceName, time: Time) -> KeyRange {
    let first = u64::try_from(time.0).unwrap_or(0).saturating_add(1);
    let put_off = Key::space(INBOX, ORG).text(instance.as_str()).u8(PUT_OFF);
    inbox_of(instance).after(&put_off.u64(first).finish())
}

/// The instance of a stored request, and how many attempts were made of it.
pub(crate) fn inbox_parts(key: &Key) -> Option<(InstanceName, u32)> {
    let mut parts = key.read();
    let instance = InstanceName::new(parts.text().ok()?).ok()?;
    let attempts = if parts.u8().ok()? == PUT_OFF {
        parts.u64().ok()?;
        parts.u32().ok()?
    } else {
        0
    };
    Some((instance, attempts))
}

pub(crate) fn inbox_dead(inbound: InboundId) -> Key {
    Key::space(INBOX_DEAD, ORG).id(inbound.to_bytes()).finish()
}

pub(crate) fn state(instance: &InstanceName, key: &str) -> Key {
    Key::space(STATE, ORG).text(instance.as_str()).text(key).finish()
}

pub(crate) fn state_of(instance: &InstanceName) -> KeyRange {
    KeyRange::prefix(Key::space(STATE, ORG).text(instance.as_str()).finish())
}

/// The plugin's own name of a state row.
pub(crate) fn state_name(key: &Key) -> Option<String> {
    let mut parts = key.read();
    parts.text().ok()?;
    parts.text().ok()
}

pub(crate) fn import(job: [u8; 16], file: [u8; 16]) -> Key {
    Key::space(IMPORT, ORG).id(job).id(file).finish()
}

pub(crate) fn import_job(job: [u8; 16]) -> KeyRange {
    KeyRange::prefix(Key::space(IMPORT, ORG).id(job).finish())
}

pub(crate) fn token(token: TokenId) -> Key {
    Key::space(TOKEN, ORG).id(token.to_bytes()).finish()
}

pub(crate) fn idempotency(hash: [u8; 16]) -> Key {
    Key::space(IDEMPOTENCY, ORG).id(hash).finish()
}

pub(crate) fn checkpoint(size: u64) -> Key {
    Key::space(CHECKPOINT, ORG).u64(size).finish()
}

pub(crate) fn reference(feedback: FeedbackId, destination: &InstanceName) -> Key {
    Key::space(REFERENCE, ORG)
        .id(feedback.to_bytes())
        .text(destination.as_str())
        .finish()
}

/// What all departments call an item.
pub(crate) fn references_of(feedback: FeedbackId) -> KeyRange {
    KeyRange::prefix(Key::space(REFERENCE, ORG).id(feedback.to_bytes()).finish())
}

/// That a department calls an item by a name of this hash. Several items may be called the same.
pub(crate) fn called(destination: &InstanceName, hash: [u8; 16], feedback: FeedbackId) -> Key {
    Key::space(CALLED, ORG)
        .text(destination.as_str())
        .id(hash)
        .id(feedback.to_bytes())
        .finish()
}

/// Every item that a department calls so.
pub(crate) fn called_so(destination: &InstanceName, hash: [u8; 16]) -> KeyRange {
    KeyRange::prefix(Key::space(CALLED, ORG).text(destination.as_str()).id(hash).finish())
}

/// Names of an item, by their hashes.
const NAMES: u8 = 1;
/// Reports about an item.
const REPORTS: u8 = 2;
/// Whether there are names.
const MARK: u8 = 0;

/// As [`called`], to be found by the item.
pub(crate) fn name_of(feedback: FeedbackId, destination: &InstanceName, hash: [u8; 16]) -> Key {
    Key::space(TOLD, ORG)
        .id(feedback.to_bytes())
        .u8(NAMES)
        .text(destination.as_str())
        .id(hash)
        .finish()
}

/// That departments call an item something: written anew whenever one does.
pub(crate) fn named_mark(feedback: FeedbackId) -> Key {
    Key::space(TOLD, ORG).id(feedback.to_bytes()).u8(MARK).finish()
}

/// The other row of a [`name_of`]; `None` for a row that is none.
pub(crate) fn called_of_name(name: &Key) -> Option<Key> {
    let mut parts = name.read();
    let feedback = FeedbackId::from_bytes(parts.id().ok()?);
    if parts.u8().ok()? != NAMES {
        return None;
    }
    let destination = InstanceName::new(parts.text().ok()?).ok()?;
    Some(called(&destination, parts.id().ok()?, feedback))
}

/// A report of a department about an item: one for each state and time.
pub(crate) fn report(feedback: FeedbackId, destination: &InstanceName, changed_at: Time, state: &Tag) -> Key {
    Key::space(TOLD, ORG)
        .id(feedback.to_bytes())
        .u8(REPORTS)
        .text(destination.as_str())
        .u64(u64::try_from(changed_at.0).unwrap_or(0))
        .text(state.as_str())
        .finish()
}

/// All reports of a department about an item, the oldest first.
pub(crate) fn reports_by(feedback: FeedbackId, destination: &InstanceName) -> KeyRange {
    let reports = Key::space(TOLD, ORG).id(feedback.to_bytes()).u8(REPORTS);
    KeyRange::prefix(reports.text(destination.as_str()).finish())
}

/// What all departments call an item, by hashes, and all that they reported about it.
pub(crate) fn told_of(feedback: FeedbackId) -> KeyRange {
    KeyRange::prefix(Key::space(TOLD, ORG).id(feedback.to_bytes()).finish())
}

/// The item and the department of a reference.
pub(crate) fn reference_parts(key: &Key) -> Option<(FeedbackId, InstanceName)> {
    let mut parts = key.read();
    let feedback = FeedbackId::from_bytes(parts.id().ok()?);
    Some((feedback, InstanceName::new(parts.text().ok()?).ok()?))
}

/// A file that is to be destroyed.
pub(crate) fn doomed(file: AttachmentId) -> Key {
    Key::space(DOOMED, ORG).id(file.to_bytes()).finish()
}

/// A file that belongs to something that is stored.
pub(crate) fn file(file: AttachmentId) -> Key {
    Key::space(FILE, ORG).id(file.to_bytes()).finish()
}

/// Which hub this is among those that were restored from its backups. Not in a backup, so that each of them gets its own.
pub(crate) fn lineage() -> Key {
    Key::space(LINEAGE, ORG).finish()
}

/// How far a channel was asked for news.
pub(crate) fn poll_cursor(instance: &InstanceName) -> Key {
    setting(&format!("poll-cursor/{instance}"))
}

/// How a department stands with the hub: whether it is paused, and since when.
pub(crate) fn delivery_standing(destination: &InstanceName) -> Key {
    setting(&format!("delivery/{destination}"))
}

/// What an entry of the ledger puts into the feed of a department. No entry names a department twice.
pub(crate) fn feed(destination: &InstanceName, sequence: u64) -> Key {
    Key::space(FEED, ORG).text(destination.as_str()).u64(sequence).finish()
}

/// The feed of a department.
pub(crate) fn feed_of(destination: &InstanceName) -> KeyRange {
    KeyRange::prefix(Key::space(FEED, ORG).text(destination.as_str()).finish())
}

/// The feed of a department behind an entry of the ledger.
pub(crate) fn feed_after(destination: &InstanceName, sequence: u64) -> KeyRange {
    feed_of(destination).after(&feed(destination, sequence))
}

/// That a department has asked.
const ASKED: u8 = 0;
/// How far a department has asked.
const CURSORS: u8 = 1;

/// That a department has asked for its feed once: it may have whatever was chosen for it. It stays, whatever becomes of its
/// cursors.
pub(crate) fn feed_asked(destination: &InstanceName) -> Key {
    Key::space(FEED_CURSOR, ORG)
        .text(destination.as_str())
        .u8(ASKED)
        .finish()
}

/// A cursor in the feed of a department.
pub(crate) fn feed_cursor(destination: &InstanceName, cursor: &InstanceName) -> Key {
    Key::space(FEED_CURSOR, ORG)
        .text(destination.as_str())
        .u8(CURSORS)
        .text(cursor.as_str())
        .finish()
}

/// All cursors in the feed of a department.
pub(crate) fn feed_cursors_of(destination: &InstanceName) -> KeyRange {
    let cursors = Key::space(FEED_CURSOR, ORG).text(destination.as_str()).u8(CURSORS);
    KeyRange::prefix(cursors.finish())
}

/// The name of a cursor in a feed.
pub(crate) fn feed_cursor_name(key: &Key) -> Option<InstanceName> {
    let mut parts = key.read();
    parts.text().ok()?;
    parts.u8().ok()?;
    InstanceName::new(parts.text().ok()?).ok()
}

pub(crate) fn setting(name: &str) -> Key {
    Key::space(SETTING, ORG).text(name).finish()
}

pub(crate) fn position() -> Key {
    Key::space(POSITION, ORG).finish()
}

pub(crate) fn head(feedback: FeedbackId) -> Key {
    Key::space(HEAD, ORG).id(feedback.to_bytes()).finish()
}

/// The lowest id that can be made at a time.
pub(crate) fn first_id_at(time: Time) -> [u8; 16] {
    let millis = u64::try_from(time.0).unwrap_or(0).min((1 << 48) - 1);
    let mut id = [0_u8; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    id
}

/// Feedback received in `[from, to)`; its ids sort by the time of receipt.
pub(crate) fn heads_between(from: Option<Time>, to: Option<Time>) -> KeyRange {
    let bound = |time: Time| Key::space(HEAD, ORG).id(first_id_at(time)).finish();
    let start = from.map_or_else(|| Key::space(HEAD, ORG).finish(), bound);
    let end = to.map_or_else(|| Key::space(HEAD, ORG).id([0xFF; 16]).u8(0).finish(), bound);
    KeyRange::between(start, end)
}

/// Feedback with ids in `[first, end)`; to the very last without an end.
pub(crate) fn heads_of(first: [u8; 16], end: Option<[u8; 16]>) -> KeyRange {
    let head = |id| head(FeedbackId::from_bytes(id));
    let end = end.map_or_else(|| Key::space(HEAD, ORG).id([0xFF; 16]).u8(0).finish(), head);
    KeyRange::between(head(first), end)
}

/// An entry of the ledger that tells of a record and is not named in its head.
pub(crate) fn history(feedback: FeedbackId, sequence: u64) -> Key {
    Key::space(HISTORY, ORG).id(feedback.to_bytes()).u64(sequence).finish()
}

pub(crate) fn history_of(feedback: FeedbackId) -> KeyRange {
    KeyRange::prefix(Key::space(HISTORY, ORG).id(feedback.to_bytes()).finish())
}

pub(crate) fn delivery(delivery: DeliveryId) -> Key {
    Key::space(DELIVERY, ORG).id(delivery.to_bytes()).finish()
}

/// The facets of a block of records, of which `first` is the lowest that may be there.
pub(crate) fn facets(first: [u8; 16]) -> Key {
    Key::space(FACETS, ORG).id(first).finish()
}

/// The blocks of facets that begin at `id` or before.
pub(crate) fn facets_up_to(id: [u8; 16]) -> KeyRange {
    KeyRange::between(
        Key::space(FACETS, ORG).finish(),
        Key::space(FACETS, ORG).id(id).u8(0).finish(),
    )
}

/// The blocks of facets that begin behind `id`.
pub(crate) fn facets_after(id: [u8; 16]) -> KeyRange {
    all(FACETS).after(&facets(id))
}

/// What feedback can be looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    Contact(ContactId),
    Thread(ThreadId),
}

impl Lookup {
    fn prefix(&self) -> mihwar_store::KeyBuilder {
        match self {
            Self::Contact(contact) => Key::space(OF_CONTACT, ORG).id(contact.to_bytes()),
            Self::Thread(thread) => Key::space(OF_THREAD, ORG).id(thread.to_bytes()),
        }
    }

    pub(crate) fn entry(&self, feedback: FeedbackId) -> Key {
        self.prefix().id(feedback.to_bytes()).finish()
    }

    pub(crate) fn entries(&self) -> KeyRange {
        KeyRange::prefix(self.prefix().finish())
    }
}

/// The id that a key of `space` ends with, e.g. the feedback of an index entry.
pub(crate) fn last_id(key: &Key) -> Option<[u8; 16]> {
    let bytes = key.as_bytes();
    bytes.get(bytes.len().checked_sub(16)?..)?.try_into().ok()
}

/// The number that a key ends with, e.g. the sequence of a history entry.
pub(crate) fn last_number(key: &Key) -> Option<u64> {
    key.as_bytes().last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

pub(crate) fn count(name: &str, of: &str) -> Key {
    Key::space(COUNT, ORG).text(name).text(of).finish()
}

/// The names of a count's row.
pub(crate) fn count_names(key: &Key) -> Option<(String, String)> {
    let mut parts = key.read();
    Some((parts.text().ok()?, parts.text().ok()?))
}

/// What people call a read model.
pub(crate) const fn model_name(space: Space) -> &'static str {
    match space {
        POSITION => "position",
        HEAD => "head",
        HISTORY => "history",
        DELIVERY => "delivery",
        COUNT => "count",
        OF_CONTACT => "of contact",
        OF_THREAD => "of thread",
        FACETS => "facets",
        FEED => "feed",
        _ => "unknown",
    }
}

/// A row of a read model in words, with the ids that other commands take.
pub(crate) fn describe(key: &Key) -> String {
    let in_words = match key.as_bytes().first().copied().map(Space) {
        Some(POSITION) => Some("how far they are".to_owned()),
        Some(HEAD) => last_id(key).map(|id| format!("feedback {}", FeedbackId::from_bytes(id))),
        Some(HISTORY) => key.read().id().ok().zip(last_number(key)).map(|(id, sequence)| {
            let feedback = FeedbackId::from_bytes(id);
            format!("entry {sequence} of feedback {feedback}")
        }),
        Some(DELIVERY) => last_id(key).map(|id| format!("delivery {}", DeliveryId::from_bytes(id))),
        Some(COUNT) => count_names(key).map(|(name, of)| format!("{name} {of}")),
        Some(FEED) => key
            .read()
            .text()
            .ok()
            .zip(last_number(key))
            .map(|(name, sequence)| format!("entry {sequence} in the feed of {name}")),
        Some(FACETS) => last_id(key).map(|id| format!("a block from feedback {} on", FeedbackId::from_bytes(id))),
        _ => last_id(key).zip(looked_up(key)).map(|(id, by)| {
            let feedback = FeedbackId::from_bytes(id);
            format!("feedback {feedback} under {by}")
        }),
    };
    in_words.unwrap_or_else(|| format!("key {key}"))
}

/// What an index entry is looked up by; `None` for any other row.
fn looked_up(key: &Key) -> Option<String> {
    let mut parts = key.read();
    Some(match Space(*key.as_bytes().first()?) {
        OF_CONTACT => format!("contact {}", ContactId::from_bytes(parts.id().ok()?)),
        OF_THREAD => format!("thread {}", ThreadId::from_bytes(parts.id().ok()?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use mihwar_model::{ContactId, DeliveryId, FeedbackId, InboundId, InstanceName, Tag, Time};

    use mihwar_store::Nature;

    use super::{FILE, LINEAGE, NATURES, READ_MODELS};
    use super::{
        Lookup, called, called_of_name, called_so, count, delivery, describe, facets, feed, feed_after, feed_asked,
        feed_cursor, feed_cursor_name, feed_cursors_of, feed_of, head, history, inbox, inbox_beyond, inbox_due,
        inbox_fresh, inbox_of, inbox_parts, inbox_put_off, last_id, name_of, position, reference, reference_parts,
        report, reports_by, token, told_of,
    };

    #[test]
    fn rows_of_read_models_are_told_with_the_ids_that_commands_take() {
        let feedback = FeedbackId::from_bytes([0xAB; 16]);
        assert_eq!(describe(&head(feedback)), format!("feedback {feedback}"));
        assert_eq!(
            describe(&history(feedback, 7)),
            format!("entry 7 of feedback {feedback}")
        );
        let id = DeliveryId::from_bytes([2; 16]);
        assert_eq!(describe(&delivery(id)), format!("delivery {id}"));
        assert_eq!(
            describe(&facets([0xAB; 16])),
            format!("a block from feedback {feedback} on")
        );
        let contact = ContactId::from_bytes([3; 16]);
        assert_eq!(
            describe(&Lookup::Contact(contact).entry(feedback)),
            format!("feedback {feedback} under contact {contact}")
        );
        assert_eq!(describe(&count("kind", "شكوى")), "kind شكوى");
        assert_eq!(describe(&position()), "how far they are");
        let billing = InstanceName::new("billing").unwrap();
        assert_eq!(describe(&feed(&billing, 41)), "entry 41 in the feed of billing");
        let other = token(mihwar_model::TokenId::from_bytes([1; 16]));
        assert_eq!(describe(&other), format!("key {other}"));
    }

    #[test]
    fn what_can_be_folded_again_is_in_no_backup() {
        for space in READ_MODELS.into_iter().chain([LINEAGE]) {
            assert_eq!(NATURES.of(space), Nature::Derived, "{space:?}");
        }
        assert_eq!(NATURES.of(FILE), Nature::Filed);
    }

    #[test]
    fn names_and_reports_are_found_by_department_and_by_item_and_by_no_other() {
        let (it, items) = (InstanceName::new("it").unwrap(), InstanceName::new("it-2").unwrap());
        let (one, other) = (FeedbackId::from_bytes([1; 16]), FeedbackId::from_bytes([2; 16]));
        let hash = [7; 16];
        assert!(called_so(&it, hash).contains(&called(&it, hash, one)));
        assert!(
            called_so(&it, hash).contains(&called(&it, hash, other)),
            "two may be called the same"
        );
        assert!(!called_so(&it, hash).contains(&called(&items, hash, one)));
        assert!(!called_so(&it, hash).contains(&called(&it, [8; 16], one)));
        assert_eq!(last_id(&called(&it, hash, one)), Some(one.to_bytes()));
        let name = name_of(one, &items, hash);
        assert_eq!(called_of_name(&name), Some(called(&items, hash, one)));
        let state = |text: &str| Tag::new(text).unwrap();
        let early = report(one, &it, Time(1_000), &state("قيد-التنفيذ"));
        let late = report(one, &it, Time(2_000), &state("open"));
        assert!(early < late && name < early);
        assert_eq!(called_of_name(&early), None);
        assert!(reports_by(one, &it).contains(&early) && !reports_by(one, &items).contains(&early));
        assert!(!reports_by(one, &it).contains(&name) && !reports_by(other, &it).contains(&early));
        for row in [&name, &early, &late] {
            assert!(told_of(one).contains(row) && !told_of(other).contains(row));
        }
        assert_eq!(reference_parts(&reference(one, &it)), Some((one, it)));
    }

    #[test]
    fn a_feed_lies_in_the_order_of_the_ledger_and_apart_from_all_others() {
        let (it, items) = (InstanceName::new("it").unwrap(), InstanceName::new("it-2").unwrap());
        assert!(feed(&it, 255) < feed(&it, 256));
        assert!(feed_of(&it).contains(&feed(&it, 0)) && !feed_of(&it).contains(&feed(&items, 0)));
        assert!(!feed_after(&it, 7).contains(&feed(&it, 7)) && feed_after(&it, 7).contains(&feed(&it, 8)));
        let cursor = feed_cursor(&it, &items);
        assert_eq!(feed_cursor_name(&cursor), Some(items.clone()));
        assert!(feed_cursors_of(&it).contains(&cursor) && !feed_cursors_of(&items).contains(&cursor));
        assert!(!feed_cursors_of(&it).contains(&feed_asked(&it)));
    }

    #[test]
    fn stored_requests_lie_by_instance_and_then_by_what_comes_first() {
        let (form, forms) = (InstanceName::new("form").unwrap(), InstanceName::new("form-2").unwrap());
        let (early, late) = (InboundId::from_bytes([1; 16]), InboundId::from_bytes([2; 16]));
        let put_off = inbox_put_off(&form, Time(5_000), 3, early);
        assert!(inbox(&form, early) < inbox(&form, late) && inbox(&form, late) < put_off);
        assert!(inbox_put_off(&form, Time(4_999), 9, late) < put_off);
        assert!(inbox_of(&form).contains(&put_off) && !inbox_of(&form).contains(&inbox(&forms, early)));
        assert!(inbox_fresh(&form).contains(&inbox(&form, late)) && !inbox_fresh(&form).contains(&put_off));
        assert!(inbox_due(&form, Time(5_000)).contains(&put_off));
        assert!(!inbox_due(&form, Time(4_999)).contains(&put_off));
        assert!(inbox_beyond(&form, Time(4_999)).contains(&put_off));
        assert!(!inbox_beyond(&form, Time(5_000)).contains(&put_off));
        assert!(!inbox_beyond(&form, Time(0)).contains(&inbox(&form, late)));
        assert!(!inbox_beyond(&form, Time(0)).contains(&inbox_put_off(&forms, Time(5_000), 3, early)));
        assert!(!inbox_due(&form, Time(i64::MAX)).contains(&inbox(&form, late)));
        assert_eq!(inbox_parts(&put_off), Some((form.clone(), 3)));
        assert_eq!(inbox_parts(&inbox(&forms, early)), Some((forms, 0)));
        assert_eq!(last_id(&put_off), Some(early.to_bytes()));
    }
}

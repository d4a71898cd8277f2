//! Exports of a ledger in memory, read as a stranger reads them.

use std::sync::Arc;

use mihwar_ledger::{Bundle, BundleError, ContentLine, MAX_CONTENT_BYTES, MissingContent, Piece, Signer};
use mihwar_model::{
    Actor, AttachmentId, Author, BODY_BYTES_MAX, Channel, ContactCreated, ContactId, Content, Draft, Event, EventBody,
    FeedbackId, Identifier, InstanceName, Received, Tag, Time,
};
use mihwar_store::{Batch, Edit, MemoryStore, Store};

use super::{Export, line};
use crate::content::{blob_row, packed_row, place};
use crate::core::Core;
use crate::intake::{Intake, Rider, accept};
use crate::{keys, ledger};

const ORIGIN: &str = "محور.example/ledger";
const WORDS: [&str; 5] = ["فاتورتي خاطئة", "wrong invoice", "هدى", "+966501234567", "INV-2026"];

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[8; 32]).unwrap()
}

struct House {
    store: Arc<MemoryStore>,
    core: Arc<Core>,
    _folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        let core = Core::for_tests(store.clone(), folder.path(), Time(1_790_000_000_000));
        Self {
            store,
            core: Arc::new(core),
            _folder: folder,
        }
    }

    /// So many entries that nobody said anything by.
    async fn happen(&self, count: u32) {
        let event = |number| {
            let body = EventBody::ContactCreated(ContactCreated {
                contact: ContactId::from_bytes([9; 16]),
                identifiers: number,
            });
            self.core.event(Actor::Hub, body).unwrap()
        };
        let journal = (0..count).map(event).collect();
        let batch = Batch {
            journal,
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    async fn say(&self, id: &str) -> FeedbackId {
        let draft = Draft {
            external_id: Some(format!("INV-2026-{id}")),
            body: "فاتورتي خاطئة. It is the wrong invoice.".to_owned(),
            author: Some(Author {
                name: Some("هدى".to_owned()),
                identifiers: vec![Identifier {
                    scheme: "tel".to_owned(),
                    id: "+966501234567".to_owned(),
                }],
                locale: None,
            }),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let form = InstanceName::new("form").unwrap();
        let taken = accept(&self.core, &Actor::Console, &form, &[draft.into()], &Rider::default()).await;
        match taken.unwrap().first() {
            Some(Some(Intake::New { feedback, .. })) => *feedback,
            other => panic!("{other:?}"),
        }
    }

    async fn exported(&self, with_content: bool) -> Vec<u8> {
        let begun = Export::begin(&self.core, &signer(), ORIGIN, with_content)
            .await
            .unwrap();
        let (mut chunks, work) = begun.split();
        tokio::spawn(work);
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            bytes.extend(chunk);
        }
        bytes
    }

    async fn entries(&self) -> Vec<Vec<u8>> {
        ledger::entries(&self.core, 0, usize::MAX).await.unwrap()
    }

    async fn edit(&self, edits: Vec<Edit>) {
        let batch = Batch {
            edits,
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    /// The entry by which a piece of feedback came in, with its place.
    async fn received(&self, id: FeedbackId) -> (u64, Received) {
        let entries = self.entries().await;
        let mut entries = (0..).zip(&entries);
        let found = entries.find_map(|(index, entry)| match Event::from_bytes(entry).unwrap().body {
            EventBody::Received(received) if received.feedback == id => Some((index, received)),
            _ => None,
        });
        found.unwrap()
    }

    /// A row in which the words are others than those that came in, sealed as they must be.
    async fn other_words(&self, id: FeedbackId) -> Vec<u8> {
        let contact = self.received(id).await.1.contact;
        let keys = self.core.contact_keys_now(vec![contact]).await.unwrap();
        let words = Content {
            body: "شكرا جزيلا. Thank you very much.".to_owned(),
            ..Content::default()
        };
        let (key, vault) = (keys.get(contact).unwrap().unwrap(), &self.core.vault);
        packed_row(vault, key, &place(id, 1), &vault.random(), &words.to_bytes().unwrap()).unwrap()
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, BundleError> {
    let mut bundle = Bundle::begin(bytes, Some(&signer().verifying_key()))?;
    let events = bundle.events().map(|event| event.map(|(_, entry)| entry));
    events.collect()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// What a bundle tells of what was said, and what it says that it lacks.
fn said(bytes: &[u8]) -> (Vec<ContentLine>, Vec<MissingContent>) {
    let mut bundle = Bundle::begin(bytes, None).unwrap();
    let (mut lines, mut lacking) = (Vec::new(), Vec::new());
    while let Some(piece) = bundle.next_piece().unwrap() {
        match piece {
            Piece::Entries { .. } => {}
            Piece::Content(content) => lines.extend(ContentLine::read_all(&content).map(Result::unwrap)),
            Piece::Missing(missing) => lacking.extend(missing),
        }
    }
    (lines, lacking)
}

/// What a bundle tells that lacks nothing.
fn contents(bytes: &[u8]) -> Vec<ContentLine> {
    let (lines, lacking) = said(bytes);
    assert!(lacking.is_empty(), "{lacking:?}");
    lines
}

#[tokio::test]
async fn an_export_holds_every_entry_and_every_checkpoint() {
    let house = House::new();
    for (more, kept) in [(0, 1), (3, 2), (253, 3), (400, 4)] {
        if more > 0 {
            house.happen(more).await;
        }
        let bytes = house.exported(false).await;
        assert_eq!(read(&bytes).unwrap(), house.entries().await, "{more} more");
        let mut bundle = Bundle::begin(&bytes[..], None).unwrap();
        assert_eq!(bundle.events().count() as u64, bundle.checkpoint().size);
        // Those of the exports before, and its own.
        assert_eq!(bundle.kept_checkpoints(), kept, "{more} more");
        assert_eq!(house.exported(false).await, bytes, "the same ledger twice");
    }
}

#[tokio::test]
async fn nothing_that_people_said_is_exported_unless_it_is_wanted() {
    let house = House::new();
    let id = house.say("١").await;
    house.happen(300).await;
    house.say("٢").await;
    let bytes = house.exported(false).await;
    assert_eq!(read(&bytes).unwrap(), house.entries().await);
    for word in WORDS {
        assert!(!holds(&bytes, word), "{word}");
    }
    assert!(contents(&bytes).is_empty());

    let bytes = house.exported(true).await;
    let entries = read(&bytes).unwrap();
    let lines = contents(&bytes);
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let entry = &entries[usize::try_from(line.entry).unwrap()];
        let EventBody::Received(received) = Event::from_bytes(entry).unwrap().body else {
            panic!("another entry")
        };
        assert_eq!(line.commitment(), received.commitment);
        assert_eq!(line.feedback, received.feedback.to_string());
        assert_eq!(line.says["body"], "فاتورتي خاطئة. It is the wrong invoice.");
        assert_eq!(line.says["identifiers"][0], "tel:+966501234567");
    }
    // What is gone is not there, and the rest is.
    house.edit(vec![Edit::Delete(keys::content(id, 1))]).await;
    let lines = contents(&house.exported(true).await);
    assert_eq!(lines.len(), 1);
    assert_ne!(lines[0].feedback, id.to_string());
}

#[tokio::test]
async fn the_longest_texts_fit_a_bundle() {
    let house = House::new();
    house.say("١").await;
    let events = house
        .entries()
        .await
        .into_iter()
        .map(|entry| Event::from_bytes(&entry).unwrap().body);
    let received = events.filter_map(|body| match body {
        EventBody::Received(received) => Some(received),
        _ => None,
    });
    let longest = || "b".repeat(BODY_BYTES_MAX);
    let content = Content {
        body: longest(),
        body_html: Some(longest()),
        raw: Some(longest()),
        ..Content::default()
    };
    let content = content.to_bytes().unwrap();
    for received in received {
        let line = line(0, &received, ([3; 32], content.clone())).unwrap();
        assert!(line.len() <= MAX_CONTENT_BYTES, "{}", line.len());
        let read = ContentLine::read_all(line.as_bytes()).next().unwrap().unwrap();
        assert!(read.content == content && read.says["body"] == longest());
    }
}

#[tokio::test]
async fn a_damaged_content_costs_itself_alone_and_is_named() {
    let house = House::new();
    let mut ids = Vec::new();
    for id in ["١", "٢", "٣", "٤", "٥"] {
        ids.push(house.say(id).await);
    }
    let [good, damaged, other, lost, gone]: [FeedbackId; 5] = ids.try_into().unwrap();
    let edits = vec![
        Edit::Put(keys::content(damaged, 1), vec![0; 60]),
        Edit::Put(keys::content(other, 1), house.other_words(other).await),
        Edit::Put(
            keys::content(lost, 1),
            blob_row(AttachmentId::from_bytes([7; 16]), 60_100),
        ),
        // What is withdrawn or erased is not missing.
        Edit::Delete(keys::content(gone, 1)),
    ];
    house.edit(edits).await;
    let bytes = house.exported(true).await;
    assert_eq!(read(&bytes).unwrap(), house.entries().await);
    let (lines, lacking) = said(&bytes);
    let told: Vec<String> = lines.into_iter().map(|line| line.feedback).collect();
    assert_eq!(told, [good.to_string()]);
    let whys = [
        "does not open",
        "it is not what was received",
        "a stored file is missing",
    ];
    assert_eq!(lacking.len(), whys.len(), "{lacking:?}");
    for ((id, why), missing) in [damaged, other, lost].into_iter().zip(whys).zip(&lacking) {
        let (entry, _) = house.received(id).await;
        assert_eq!(
            (missing.entry, &missing.feedback, missing.revision),
            (entry, &id.to_string(), 1)
        );
        assert!(missing.why.contains(why), "{missing:?}");
        assert!(!WORDS.iter().any(|word| missing.why.contains(word)), "{missing:?}");
    }
    let (lines, lacking) = said(&house.exported(false).await);
    assert!(lines.is_empty() && lacking.is_empty(), "it tells nothing of that");

    // Everything that a contact said goes with its key.
    let contact = house.received(good).await.1.contact;
    house.core.vault.forget_contact_key(contact);
    let damaged_key = Edit::Put(keys::contact_key(contact), "مفتاح تالف".into());
    for (edit, why) in [
        (damaged_key, "a contact key does not open"),
        (
            Edit::Delete(keys::contact_key(contact)),
            "the key of its contact is gone",
        ),
    ] {
        house.edit(vec![edit]).await;
        let (lines, lacking) = said(&house.exported(true).await);
        assert_eq!((lines.len(), lacking.len()), (0, 4), "{lacking:?}");
        assert!(lacking.iter().all(|missing| missing.why.contains(why)), "{lacking:?}");
    }
}

#[tokio::test]
async fn an_export_that_cannot_go_on_says_why() {
    let house = House::new();
    house.say("١").await;
    let no_event = Batch {
        journal: vec!["كلام آخر".into()],
        ..Batch::default()
    };
    house.store.apply(no_event).await.unwrap();
    let bytes = house.exported(true).await;
    let mut bundle = Bundle::begin(&bytes[..], None).unwrap();
    let stopped = bundle.events().find_map(Result::err).unwrap();
    assert!(
        matches!(&stopped, BundleError::Stopped { reason } if reason.contains("is no event")),
        "{stopped}"
    );
    // Without what people said, it can.
    assert_eq!(read(&house.exported(false).await).unwrap(), house.entries().await);
}

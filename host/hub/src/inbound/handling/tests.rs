//! Requests that become dead letters, and items that were set aside.

mod reports;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mihwar_model::{
    Actor, AttachmentBytes, Channel, Draft, DraftAttachment, Event, EventBody, InboundId, InstanceName, Masked, Tag,
    Time,
};
use mihwar_sandbox::Effects;
use mihwar_sandbox::contract::processor::{Edit as PluginEdit, Edits, Span, StoredFeedback, Verdict};
use mihwar_sandbox::contract::types::Change;
use mihwar_sandbox::contract::webhook;
use mihwar_store::{Batch, Edit, MemoryStore, Order, Row, Space, Store};

use super::{Handling, Stored};
use crate::changes::tests::note;
use crate::config::{Config, OnFailure};
use crate::content::inline_row;
use crate::convert::GrantedFields;
use crate::core::Core;
use crate::doors::Doors;
use crate::hub::Hub;
use crate::intake::{Arrival, Intake, Redactor, Rider, Unseen, accept_or_set_aside};
use crate::rows::InboxRow;
use crate::{keys, query};

const START: i64 = 1_790_000_000_000;

/// A hub over a store; it has nothing in memory of those before it, and draws other ids.
async fn hub(store: &Arc<MemoryStore>, folder: &tempfile::TempDir, start: i64) -> Hub {
    over(Core::for_tests(store.clone(), folder.path(), Time(start))).await
}

async fn over(core: Core) -> Hub {
    let config = Config::parse("mihwar.toml".as_ref(), "", Vec::new()).unwrap();
    Hub::over(Arc::new(core), config, Doors::real()).await.unwrap()
}

async fn rows(store: &Arc<MemoryStore>, space: Space) -> Vec<Row> {
    let view = store.view().await.unwrap();
    view.scan(keys::all(space), Order::Ascending, 100).await.unwrap().rows
}

async fn put(store: &Arc<MemoryStore>, edit: Edit) {
    let batch = Batch {
        edits: vec![edit],
        ..Batch::default()
    };
    store.apply(batch).await.unwrap();
}

#[tokio::test]
async fn what_only_the_intake_can_refuse_leaves_its_request_as_a_dead_letter() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("hooks").unwrap();
    let known = Draft {
        external_id: Some("١".to_owned()),
        body: "لم يصل الطلب".to_owned(),
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    };
    let first = hub(&store, &folder, START).await;
    first.accept(&Actor::Console, &name, vec![known]).await.unwrap();
    let key = rows(&store, keys::CONTACT_KEY).await.remove(0).key;
    put(&store, Edit::Put(key, "مفتاح تالف".into())).await;
    let id = InboundId::from_bytes([5; 16]);
    put(&store, Edit::Put(keys::inbox(&name, id), inline_row(b"sealed"))).await;

    let later = hub(&store, &folder, START + 1_000).await;
    let stored = Stored::of(&later.shared, rows(&store, keys::INBOX).await.remove(0)).unwrap();
    let request = InboxRow {
        instance: name.clone(),
        endpoint: "items".to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
        verified: None,
        received_at: Time(START),
        item: None,
    };
    let handling = Handling {
        stored: &stored,
        request: &request,
    };
    let mut changed = note("١", "وما زلت أنتظر");
    changed.revision = Some("b".to_owned());
    let outcome = webhook::Outcome {
        changes: vec![Change::Upsert(changed), Change::Upsert(note("2", "Thank you"))],
        refusals: Vec::new(),
        reply: None,
    };
    handling.keep(&name, outcome, &Effects::default()).await.unwrap();

    assert!(rows(&store, keys::INBOX).await.is_empty());
    assert_eq!(rows(&store, keys::INBOX_DEAD).await.len(), 1);
    assert_eq!(rows(&store, keys::CONTENT).await.len(), 2, "the good one is kept");
    let dead = super::dead::page(&later.shared.core, None, 10).await.unwrap();
    assert!(dead[0].reason.starts_with("١: author:"), "{}", dead[0].reason);
    let entries = store.view().await.unwrap().journal(0, 100).await.unwrap();
    let last = Event::from_bytes(&entries.last().unwrap().bytes).unwrap();
    assert!(matches!(last.body, EventBody::InboundDeadLettered(_)));
}

#[tokio::test]
async fn a_damaged_request_becomes_a_dead_letter_and_a_damaged_dead_letter_costs_itself() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("hooks").unwrap();
    let id = |number: u8| InboundId::from_bytes([number; 16]);
    let hub = hub(&store, &folder, START).await;
    let core = &hub.shared.core;
    for number in [1, 2] {
        let sealed = inline_row("طلب تالف".as_bytes());
        put(&store, Edit::Put(keys::inbox(&name, id(number)), sealed)).await;
    }
    for row in rows(&store, keys::INBOX).await {
        let stored = Stored::of(&hub.shared, row).unwrap();
        stored.handle().await.unwrap();
    }
    assert!(rows(&store, keys::INBOX).await.is_empty(), "nothing is tried for ever");
    // The newer one is damaged once more: the list goes on behind it.
    put(&store, Edit::Put(keys::inbox_dead(id(2)), "صف تالف".into())).await;
    let listed = super::dead::page(core, None, 1).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].inbound, listed[0].code.as_str()), (id(1), "damaged"));
    assert!(core.passed_over.holds(&keys::inbox_dead(id(2))));
    // Who asks for it hears why; of all, the others are tried again, whole.
    let refused = super::dead::replay(core, &Actor::Console, Some(id(2))).await;
    assert!(refused.unwrap_err().is_damage());
    assert_eq!(super::dead::replay(core, &Actor::Console, None).await.unwrap(), 1);
    let again = rows(&store, keys::INBOX).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].value.bytes, inline_row("طلب تالف".as_bytes()));
    assert_eq!(rows(&store, keys::INBOX_DEAD).await.len(), 1, "the damaged one stays");
}

/// A complaint with a photo, as a call hands both over.
fn with_photo(revision: &str) -> Arrival {
    let photo = DraftAttachment {
        name: "صورة الفاتورة.png".to_owned(),
        media_type: "image/png".to_owned(),
        size: None,
        bytes: AttachmentBytes::Blob("new:0".to_owned()),
    };
    let draft = Draft {
        external_id: Some("١".to_owned()),
        revision: Some(revision.to_owned()),
        body: "لم يصل الطلب".to_owned(),
        attachments: vec![photo],
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    };
    let files = HashMap::from([("new:0".to_owned(), Bytes::from(vec![7; 70_000]))]);
    Arrival::with_files(draft, Arc::new(files))
}

#[tokio::test]
async fn what_damage_kept_out_waits_whole_and_is_taken_in_when_it_is_replayed() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("news").unwrap();
    let hub = hub(&store, &folder, START).await;
    let core = &hub.shared.core;
    let told = async |arrival: Arrival| -> Option<Intake> {
        let results = accept_or_set_aside(core, &Actor::Console, &name, &[arrival], &Rider::default()).await;
        results.unwrap().pop().unwrap()
    };
    assert!(matches!(told(with_photo("a")).await, Some(Intake::New { .. })));
    let seen = rows(&store, keys::SEEN).await.remove(0);
    put(&store, Edit::Put(seen.key.clone(), "صف تالف".into())).await;
    assert!(matches!(told(with_photo("b")).await, Some(Intake::Damaged { .. })));
    let dead = super::dead::page(core, None, 10).await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].code.as_str(), &dead[0].instance),
        (1, "damaged", &name)
    );
    assert!(dead[0].reason.starts_with("١: external_id:"), "{}", dead[0].reason);
    assert_eq!(
        rows(&store, keys::FILE).await.len(),
        2,
        "the photo, and what is set aside with another"
    );

    // No plugin is needed for it, and none is configured. As long as the row is damaged, it comes back.
    for (row, left) in [("صف تالف".into(), 1), (seen.value.bytes, 0)] {
        put(&store, Edit::Put(seen.key.clone(), row)).await;
        assert_eq!(super::dead::replay(core, &Actor::Console, None).await.unwrap(), 1);
        let waiting = rows(&store, keys::INBOX).await.remove(0);
        Stored::of(&hub.shared, waiting).unwrap().handle().await.unwrap();
        assert!(rows(&store, keys::INBOX).await.is_empty());
        assert_eq!(rows(&store, keys::INBOX_DEAD).await.len(), left);
    }
    assert_eq!(rows(&store, keys::CONTENT).await.len(), 2, "both revisions");
    let files = rows(&store, keys::FILE).await;
    assert_eq!(files.len(), 2, "a photo each");
    for file in files {
        let id = uuid::Uuid::from_bytes(keys::last_id(&file.key).unwrap());
        assert!(core.blobs.size(id).await.is_ok());
    }
    let again = told(with_photo("b")).await;
    assert!(
        matches!(again, Some(Intake::Duplicate { revision: 2, .. })),
        "{again:?}"
    );
}

/// Masks one word in bodies.
struct Masking(InstanceName);

#[async_trait]
impl Redactor for Masking {
    fn name(&self) -> &InstanceName {
        &self.0
    }

    fn fields(&self) -> GrantedFields {
        GrantedFields::read(&["body".to_owned()]).unwrap()
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Hold
    }

    async fn look(&self, _: Time, texts: Vec<StoredFeedback>) -> Result<Vec<Verdict>, Unseen> {
        let verdict = |text: StoredFeedback| {
            let at = |at: usize| u32::try_from(at).unwrap();
            let found = text.feedback.body.match_indices("سر");
            let spans = found.map(|(start, word)| Span {
                start: at(start),
                end: at(start + word.len()),
                label: "secret".to_owned(),
            });
            let edits = spans.map(PluginEdit::Redact).collect();
            Verdict::Edited(Edits { id: text.id, edits })
        };
        Ok(texts.into_iter().map(verdict).collect())
    }
}

#[tokio::test]
async fn what_damage_kept_out_was_masked_before_and_its_record_says_so() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("news").unwrap();
    let hub = hub(&store, &folder, START).await;
    let core = &hub.shared.core;
    let told = async |revision: &str, body: &str| {
        let draft = Draft {
            external_id: Some("١".to_owned()),
            revision: Some(revision.to_owned()),
            body: body.to_owned(),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let arrivals = [Arrival::from(draft)];
        let results = accept_or_set_aside(core, &Actor::Console, &name, &arrivals, &Rider::default()).await;
        results.unwrap().pop().unwrap()
    };
    told("a", "شكوى").await;
    let seen = rows(&store, keys::SEEN).await.remove(0);
    put(&store, Edit::Put(seen.key.clone(), "صف تالف".into())).await;
    let redact = InstanceName::new("redact").unwrap();
    core.redactors.set(vec![Arc::new(Masking(redact.clone()))]);
    assert!(matches!(told("b", "رقمي سر").await, Some(Intake::Damaged { .. })));

    // Nobody masks any more, so what is masked now was masked when it was set aside.
    core.redactors.set(Vec::new());
    put(&store, Edit::Put(seen.key, seen.value.bytes)).await;
    assert_eq!(super::dead::replay(core, &Actor::Console, None).await.unwrap(), 1);
    let waiting = rows(&store, keys::INBOX).await.remove(0);
    Stored::of(&hub.shared, waiting).unwrap().handle().await.unwrap();
    let entries = store.view().await.unwrap().journal(0, 100).await.unwrap();
    let last = Event::from_bytes(&entries.last().unwrap().bytes).unwrap();
    let EventBody::Received(received) = last.body else {
        panic!("{last:?}");
    };
    let secret = Masked {
        instance: redact,
        label: Tag::new("secret").unwrap(),
        count: 1,
    };
    assert_eq!(received.masked, Some(vec![secret]));
    let record = query::feedback(core, received.feedback).await.unwrap().unwrap();
    assert_eq!(record.content.unwrap().body, "رقمي [secret]");
}

#[tokio::test]
async fn a_replayed_withdrawal_comes_after_what_it_takes_back() {
    let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
    let name = InstanceName::new("news").unwrap();
    let hub = hub(&store, &folder, START).await;
    let core = &hub.shared.core;
    let tell = async |arrival: Arrival| {
        let results = accept_or_set_aside(core, &Actor::Console, &name, &[arrival], &Rider::default()).await;
        results.unwrap().pop().unwrap()
    };
    let said = |revision: &str| {
        Arrival::from(Draft {
            external_id: Some("١".to_owned()),
            revision: Some(revision.to_owned()),
            occurred_at: Some(Time(START)),
            body: "لم يصل الطلب".to_owned(),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        })
    };
    assert!(matches!(tell(said("a")).await, Some(Intake::New { .. })));
    let seen = rows(&store, keys::SEEN).await.remove(0);
    put(&store, Edit::Put(seen.key.clone(), "صف تالف".into())).await;
    let taken_back = Arrival::Withdrawal {
        external_id: "١".to_owned(),
    };
    for arrival in [said("b"), taken_back] {
        assert!(matches!(tell(arrival).await, Some(Intake::Damaged { .. })));
    }
    put(&store, Edit::Put(seen.key, seen.value.bytes)).await;
    assert_eq!(super::dead::replay(core, &Actor::Console, None).await.unwrap(), 2);
    for waiting in rows(&store, keys::INBOX).await {
        Stored::of(&hub.shared, waiting).unwrap().handle().await.unwrap();
    }
    assert!(rows(&store, keys::INBOX_DEAD).await.is_empty());
    assert!(rows(&store, keys::CONTENT).await.is_empty(), "it came back");
}

//! Intake over the engine in memory.

mod damage;
mod desk;
mod faults;
mod redaction;

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mihwar_model::{
    Actor, AttachmentBytes, AttachmentId, Channel, ContactId, DeliveryId, Draft, DraftAttachment, Event, EventBody,
    FeedbackId, InstanceName, Tag, Time,
};
use mihwar_store::{Batch, Edit, Key, KeyRange, MemoryStore, Order, Row, Store};
use sha2::{Digest, Sha256};

use super::{Arrival, Intake, Rider, accept, accept_with};
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, DeadRow, OutboxRow, SeenRow};
use crate::withdrawal;

const DAY: i64 = 86_400_000;
/// Half an hour before a midnight.
const LATE: Time = Time(20_000 * DAY - 1_800_000);

struct House {
    core: Arc<Core>,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    fn over(store: impl Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(Arc::new(store), folder.path(), LATE);
        Self {
            core: Arc::new(core),
            folder,
        }
    }

    /// What became of the drafts.
    async fn accept(&self, arrivals: &[Arrival]) -> Result<Vec<Intake>, Fault> {
        let results = accept(&self.core, &Actor::Console, &form(), arrivals, &Rider::default()).await?;
        Ok(results.into_iter().flatten().collect())
    }

    async fn rows(&self, range: KeyRange) -> Vec<Row> {
        let view = self.core.store.view().await.unwrap();
        view.scan(range, Order::Ascending, 1000).await.unwrap().rows
    }

    async fn has(&self, key: &Key) -> bool {
        self.core.store.view().await.unwrap().get(key).await.unwrap().is_some()
    }

    async fn events(&self) -> Vec<EventBody> {
        let view = self.core.store.view().await.unwrap();
        let entries = view.journal(0, 1000).await.unwrap();
        let body = |bytes: &[u8]| Event::from_bytes(bytes).unwrap().body;
        entries.iter().map(|entry| body(&entry.bytes)).collect()
    }

    async fn withdrawals(&self) -> usize {
        let events = self.events().await;
        events
            .iter()
            .filter(|event| matches!(event, EventBody::Withdrawn(_)))
            .count()
    }

    fn files(&self) -> usize {
        files_below(self.folder.path())
    }
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                files_below(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

fn form() -> InstanceName {
    InstanceName::new("form").unwrap()
}

fn draft(id: &str, revision: &str, body: &str) -> Draft {
    Draft {
        external_id: Some(id.to_owned()),
        revision: Some(revision.to_owned()),
        body: body.to_owned(),
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    }
}

fn with_file(draft: Draft) -> Draft {
    let photo = DraftAttachment {
        name: "صورة الفاتورة.png".to_owned(),
        media_type: "image/png".to_owned(),
        size: None,
        bytes: AttachmentBytes::Inline(vec![7; 100]),
    };
    Draft {
        attachments: vec![photo],
        ..draft
    }
}

fn withdrawal_of(id: &str) -> Arrival {
    Arrival::Withdrawal {
        external_id: id.to_owned(),
    }
}

fn id(intake: &Intake) -> FeedbackId {
    match intake {
        Intake::New { feedback, .. } | Intake::Revised { feedback, .. } | Intake::Duplicate { feedback, .. } => {
            *feedback
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_item_that_moves_over_midnight_is_the_same_item() {
    let house = House::new();
    let at = |revision: &str, time: Time| {
        Arrival::from(Draft {
            occurred_at: Some(time),
            ..draft("شكوى-١", revision, "الموعد لم يُحترم")
        })
    };
    let first = id(&house.accept(&[at("a", LATE)]).await.unwrap()[0]);
    // The source learns that its times were in another zone.
    let tomorrow = LATE.plus_millis(3 * 3_600_000);
    let again = house.accept(&[at("a", tomorrow), at("b", tomorrow)]).await.unwrap();
    assert_eq!(
        again,
        [
            Intake::Duplicate {
                feedback: first,
                revision: 1
            },
            Intake::Revised {
                feedback: first,
                revision: 2
            },
        ]
    );
    let back = house.accept(&[at("c", LATE.plus_millis(-1))]).await.unwrap();
    assert_eq!(
        back,
        [Intake::Revised {
            feedback: first,
            revision: 3
        }]
    );
    assert_eq!(
        house.rows(keys::all(keys::SEEN)).await.len(),
        1,
        "its row stays where it lies"
    );
    let other = house.accept(&[at("a", LATE.plus_millis(2 * DAY))]).await.unwrap();
    assert_ne!(id(&other[0]), first);
}

#[tokio::test]
async fn an_item_without_a_mark_is_known_again_also_where_an_older_version_wrote_its_row() {
    let house = House::new();
    let unmarked = || {
        Arrival::from(Draft {
            revision: None,
            ..draft("شكوى-٧", "", "الفاتورة مكررة")
        })
    };
    let first = id(&house.accept(&[unmarked()]).await.unwrap()[0]);
    let known = [Intake::Duplicate {
        feedback: first,
        revision: 1,
    }];
    assert_eq!(house.accept(&[unmarked()]).await.unwrap(), known);
    let row = house.rows(keys::all(keys::SEEN)).await.remove(0);
    let mut seen: SeenRow = rows::decode("a de-duplication row", &row.value.bytes).unwrap();
    assert_eq!(seen.revisions, [0]);
    seen.revisions = vec![house.core.vault.former_revision_mark()];
    let batch = Batch {
        edits: vec![Edit::Put(row.key, rows::encode(&seen).unwrap())],
        ..Batch::default()
    };
    house.core.store.apply(batch).await.unwrap();
    assert_eq!(house.accept(&[unmarked()]).await.unwrap(), known);
    let marked = house.accept(&[draft("شكوى-٧", "a", "صُححت").into()]).await.unwrap();
    assert!(matches!(marked[0], Intake::Revised { feedback, revision: 2 } if feedback == first));
}

#[tokio::test]
async fn a_withdrawal_destroys_all_that_names_a_person_and_nothing_else() {
    let house = House::new();
    let long = "الطابور طويل والموظف واحد. ".repeat(3_000);
    let arrivals: [Arrival; 2] = [
        with_file(draft("1", "a", &long)).into(),
        draft("2", "a", "The counter closed before noon").into(),
    ];
    let taken = house.accept(&arrivals).await.unwrap();
    let (gone, kept) = (id(&taken[0]), id(&taken[1]));
    assert_eq!(house.files(), 2, "the long text and the photo");
    let department = InstanceName::new("branches").unwrap();
    let dead = keys::dead(&department, DeliveryId::from_bytes([4; 16]));
    let beside = Batch {
        edits: vec![
            Edit::Put(keys::reference(gone, &department), vec![1]),
            Edit::Put(keys::reference(kept, &department), vec![1]),
            Edit::Put(dead, rows::encode(&dead_row(gone)).unwrap()),
        ],
        ..Batch::default()
    };
    house.core.store.apply(beside).await.unwrap();

    let withdrawn = house.accept(&[withdrawal_of("1")]).await.unwrap();
    assert!(withdrawn.is_empty(), "it is no record");
    assert!(!house.has(&keys::content(gone, 1)).await && house.has(&keys::content(kept, 1)).await);
    assert_eq!(house.files(), 0);
    assert_eq!(house.rows(keys::all(keys::REFERENCE)).await.len(), 1);
    let dead = house.rows(keys::all(keys::DEAD)).await;
    let dead: DeadRow = rows::decode("a dead letter", &dead[0].value.bytes).unwrap();
    assert!(
        dead.reason.is_empty() && dead.code == "refused",
        "the delivery is still to be decided on"
    );
    assert!(house.rows(keys::all(keys::DOOMED)).await.is_empty());
    assert_eq!(house.withdrawals().await, 1);

    let size = house.events().await.len();
    let late = [
        withdrawal_of("1"),
        draft("1", "a", "عادت").into(),
        withdrawal_of("غير معروف"),
    ];
    let taken = house.accept(&late).await.unwrap();
    assert_eq!(
        taken,
        [Intake::Duplicate {
            feedback: gone,
            revision: 1
        }]
    );
    assert_eq!(house.events().await.len(), size, "a repeat is no event");
}

fn dead_row(feedback: FeedbackId) -> DeadRow {
    DeadRow {
        entry: OutboxRow {
            feedback,
            revision: 1,
            contact: ContactId::from_bytes([1; 16]),
            attempts: 1,
            due: LATE,
            rule: "all".to_owned(),
            attempts_before_replay: 0,
            erased: None,
        },
        code: "refused".to_owned(),
        reason: vec![9; 40],
        at: LATE,
    }
}

#[tokio::test]
async fn the_order_within_a_call_is_the_order_at_the_source() {
    let house = House::new();
    let arrivals: [Arrival; 5] = [
        with_file(draft("٧", "a", "رأي أول")).into(),
        withdrawal_of("٧"),
        draft("٧", "b", "A second thought").into(),
        with_file(draft("٨", "a", "طلب")).into(),
        withdrawal_of("٨"),
    ];
    let taken = house.accept(&arrivals).await.unwrap();
    let (back, gone) = (id(&taken[0]), id(&taken[2]));
    assert_eq!(
        taken[1],
        Intake::Revised {
            feedback: back,
            revision: 2
        }
    );
    assert!(!house.has(&keys::content(back, 1)).await && house.has(&keys::content(back, 2)).await);
    assert!(!house.has(&keys::content(gone, 1)).await);
    assert_eq!(house.files(), 0, "files of what was taken back were never written");
    let told: Vec<_> = house.events().await;
    let of_back = told.iter().filter_map(|event| match event {
        EventBody::Received(e) if e.feedback == back => Some(e.revision),
        EventBody::Withdrawn(e) if e.feedback == back => Some(0),
        _ => None,
    });
    assert_eq!(of_back.collect::<Vec<_>>(), [1, 0, 2]);
}

#[tokio::test]
async fn files_that_a_crash_left_are_destroyed_at_the_next_start() {
    let house = House::new();
    let file = AttachmentId::from_bytes([8; 16]);
    house.core.blobs.put(file.0, vec![1; 10]).await.unwrap();
    let doomed = Batch {
        edits: [file, AttachmentId::from_bytes([9; 16])]
            .into_iter()
            .flat_map(withdrawal::doom)
            .collect(),
        ..Batch::default()
    };
    house.core.store.apply(doomed).await.unwrap();
    assert_eq!(
        withdrawal::destroy_doomed(&house.core).await.unwrap(),
        2,
        "one was destroyed already"
    );
    assert_eq!(house.files(), 0);
    assert_eq!(withdrawal::destroy_doomed(&house.core).await.unwrap(), 0);
}

#[tokio::test]
async fn a_call_is_cut_by_what_it_really_weighs_and_the_rider_comes_last() {
    let house = House::new();
    // 57 kB that packing shortens by a quarter only.
    let raw: String = (0..1_300_u32)
        .map(|number| BASE64_STANDARD.encode(Sha256::digest(number.to_be_bytes())))
        .collect();
    let heavy = |number: i32| Draft {
        raw: Some(raw.clone()),
        ..draft(&number.to_string(), "a", "x")
    };
    let arrivals: Vec<Arrival> = (0..200).map(|number| heavy(number).into()).collect();
    let rider = Rider {
        edits: vec![Edit::Put(keys::setting("cursor"), vec![1])],
        ..Rider::default()
    };
    let told = Mutex::new(Vec::new());
    let outcome = |results: &[Option<Intake>]| {
        told.lock().unwrap().push(results.len());
        Ok(Rider::of(Edit::Put(keys::setting("outcome"), Vec::new())))
    };
    let results = accept_with(&house.core, &Actor::Console, &form(), &arrivals, &rider, outcome).await;
    assert_eq!(results.unwrap().len(), 200);
    assert_eq!(*told.lock().unwrap(), [200], "all results at once");
    assert_eq!(house.core.store.statistics().batches, 2, "9 MB");
    assert_eq!(house.rows(keys::all(keys::QUEUE)).await.len(), 200);
    assert!(house.has(&keys::setting("cursor")).await && house.has(&keys::setting("outcome")).await);
}

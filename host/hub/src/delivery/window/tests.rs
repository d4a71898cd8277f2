//! The window against a plain model of an outbox: whatever happens, and however often it is dropped and read anew, of one
//! contact nothing overtakes anything, and all of it comes to its end once.

mod lanes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mihwar_model::{ContactId, DeliveryId, Time};
use proptest::prelude::*;

use super::{Entry, Fate, KNOWN_MAX, Page, Wanted, Window};

const START: Time = Time(1_790_000_000_000);
const LONGEST: Duration = Duration::from_secs(3_600);

fn contact(number: u8) -> ContactId {
    ContactId::from_bytes([number; 16])
}

/// The id of something that was made at a time, and the how manieth then.
fn id_at(time: Time, number: u32) -> DeliveryId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&u64::try_from(time.0).unwrap().to_be_bytes()[2..]);
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    DeliveryId::from_bytes(bytes)
}

/// Rows as they lie in the store, and what has come to its end.
#[derive(Default)]
struct Store {
    rows: BTreeMap<DeliveryId, Entry>,
    ended: BTreeSet<DeliveryId>,
    flying: Vec<DeliveryId>,
    made: u32,
}

impl Store {
    fn put(&mut self, id: DeliveryId, whose: u8, is_notice: bool) -> Entry {
        let entry = Entry {
            id,
            contact: contact(whose),
            due: START,
            attempts: 0,
            is_notice,
        };
        self.rows.insert(id, entry);
        entry
    }

    fn read(&self, wanted: &Wanted, page: usize) -> Page {
        let fits =
            |id: DeliveryId| wanted.after.is_none_or(|after| id > after) && wanted.before.is_none_or(|end| id < end);
        let mut rows = self.rows.values().filter(|row| fits(row.id));
        let entries: Vec<Entry> = rows.by_ref().take(page.min(wanted.rows)).copied().collect();
        Page {
            reached: entries.last().map(|entry| entry.id),
            is_end: rows.next().is_none(),
            entries,
        }
    }

    /// That a delivery may go now: nothing of its contact is older and open, or on its way.
    fn may_go(&self, id: DeliveryId) -> Result<(), String> {
        let row = self
            .rows
            .get(&id)
            .ok_or_else(|| format!("{id} is picked and not there"))?;
        if self.flying.contains(&id) {
            return Err(format!("{id} is picked twice"));
        }
        if row.is_notice {
            return Ok(());
        }
        let of_contact = |other: &&Entry| other.contact == row.contact && !other.is_notice && other.id != id;
        let mut others = self.rows.values().filter(of_contact);
        match others.find(|other| other.id < id || self.flying.contains(&other.id)) {
            Some(other) => Err(format!("{id} overtakes {} of the same contact", other.id)),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone)]
enum Deed {
    /// Something is written for a contact, after all others; perhaps a notice.
    Write {
        whose: u8,
        is_notice: bool,
    },
    /// Something old is written again, as a replay does.
    Replay {
        whose: u8,
        age: u32,
    },
    /// Some are picked.
    Pick {
        most: usize,
    },
    /// One that is on its way ends, or fails.
    Land {
        which: usize,
        fails: bool,
    },
    Wait {
        millis: i64,
    },
    /// The clock is put back.
    PutBack {
        millis: i64,
    },
    /// The department can take deliveries again.
    CatchUp,
    /// The hub starts anew: what was on its way may be done again.
    Restart,
    /// So much is written at once that nobody knows where.
    Flood,
}

fn deed() -> impl Strategy<Value = Deed> {
    let whose = 0_u8..6;
    prop_oneof![
        8 => (whose.clone(), 0_u8..10).prop_map(|(whose, notice)| Deed::Write { whose, is_notice: notice == 0 }),
        1 => (whose, 1_u32..5_000).prop_map(|(whose, age)| Deed::Replay { whose, age }),
        5 => (1_usize..5).prop_map(|most| Deed::Pick { most }),
        6 => (0_usize..9, 0_u8..3).prop_map(|(which, luck)| Deed::Land { which, fails: luck == 0 }),
        2 => (1_i64..5_000).prop_map(|millis| Deed::Wait { millis }),
        1 => (1_i64..9_000_000).prop_map(|millis| Deed::PutBack { millis }),
        1 => Just(Deed::CatchUp),
        1 => Just(Deed::Restart),
        1 => Just(Deed::Flood),
    ]
}

struct Run {
    store: Store,
    window: Window,
    now: Time,
    /// The newest time at which an id was made.
    newest: Time,
    page: usize,
    /// Deliveries that a window knows at once.
    known_max: usize,
}

impl Run {
    fn new(page: usize) -> Self {
        Self::knowing(KNOWN_MAX, page)
    }

    fn knowing(known_max: usize, page: usize) -> Self {
        let mut window = Window::new(false);
        window.known_max = known_max;
        Self {
            store: Store::default(),
            window,
            known_max,
            now: START,
            newest: START,
            page,
        }
    }

    fn next_id(&mut self) -> DeliveryId {
        self.newest = self.newest.max(self.now);
        self.store.made += 1;
        id_at(self.newest, self.store.made)
    }

    /// As the hub tells: ahead of what was read, or by itself.
    fn tell(&mut self, entry: Entry) {
        if self.window.ahead().is_none_or(|ahead| entry.id > ahead) {
            self.window.came_ahead(entry.id);
        } else {
            self.window.came(entry);
        }
    }

    fn load(&mut self, most: usize) {
        self.window.look(self.now, LONGEST);
        while let Some(wanted) = self.window.wants(most, true) {
            let page = self.store.read(&wanted, self.page);
            self.window.took(&wanted, &page);
        }
        assert!(!self.window.is_behind());
    }

    fn pick(&mut self, most: usize) -> Result<usize, String> {
        self.load(most);
        let picked = self.window.pick(most);
        for id in &picked {
            self.store.may_go(*id)?;
            self.store.flying.push(*id);
        }
        Ok(picked.len())
    }

    fn land(&mut self, which: usize, fails: bool) -> Result<(), String> {
        if self.store.flying.is_empty() {
            return Ok(());
        }
        let id = self.store.flying.remove(which % self.store.flying.len());
        if fails {
            let row = self.store.rows.get_mut(&id).unwrap();
            row.attempts += 1;
            row.due = self.now.plus_millis(2_000);
            let (due, attempts) = (row.due, row.attempts);
            self.window.ended(id, Fate::Waits { due, attempts });
            return Ok(());
        }
        self.store.rows.remove(&id);
        if !self.store.ended.insert(id) {
            return Err(format!("{id} ends twice"));
        }
        self.window.ended(id, Fate::Ended);
        Ok(())
    }

    fn restart(&mut self) {
        self.store.flying.clear();
        self.window = Window::new(false);
        self.window.known_max = self.known_max;
        self.catch_up();
    }

    fn catch_up(&mut self) {
        self.window.look(self.now, LONGEST);
        self.window
            .begin_catch_up(id_at(self.newest.max(self.now).plus_millis(1), 0));
        self.newest = self.newest.max(self.now).plus_millis(1);
    }

    fn act(&mut self, deed: &Deed) -> Result<(), String> {
        match *deed {
            Deed::Write { whose, is_notice } => {
                let id = self.next_id();
                let entry = self.store.put(id, whose, is_notice);
                self.tell(entry);
            }
            Deed::Replay { whose, age } => {
                self.store.made += 1;
                let id = id_at(START.plus_millis(-i64::from(age)), self.store.made);
                // Whoever is on the way was let go before; what was picked and not sent yet does not matter here.
                if !self
                    .store
                    .flying
                    .iter()
                    .any(|id| self.store.rows[id].contact == contact(whose))
                {
                    let entry = self.store.put(id, whose, false);
                    self.tell(entry);
                }
            }
            Deed::Pick { most } => {
                self.pick(most)?;
            }
            Deed::Land { which, fails } => self.land(which, fails)?,
            Deed::Wait { millis } => self.now = self.now.plus_millis(millis),
            Deed::PutBack { millis } => self.now = self.now.plus_millis(-millis),
            Deed::CatchUp => self.catch_up(),
            Deed::Restart => self.restart(),
            Deed::Flood => {
                for whose in 0..6 {
                    let id = self.next_id();
                    self.store.put(id, whose, false);
                }
                self.window.rewind();
            }
        }
        Ok(())
    }

    /// Nothing fails any more: all of it has to come to its end.
    fn finish(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            if self.store.rows.is_empty() {
                self.load(4);
                return if self.window.is_empty() {
                    Ok(())
                } else {
                    Err("something is left in the window".into())
                };
            }
            if self.pick(4)? == 0 && self.store.flying.is_empty() {
                let next = self.window.next().ok_or("all wait for nothing")?;
                if next <= self.now {
                    return Err("nothing is picked although something is due".into());
                }
                self.now = next;
            }
            while !self.store.flying.is_empty() {
                self.land(0, false)?;
            }
        }
        Err("it does not come to an end".into())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn nothing_overtakes_anything_of_the_same_contact_and_all_comes_to_its_end(
        deeds in proptest::collection::vec(deed(), 1..150),
        page in 1_usize..7,
        known_max in prop_oneof![Just(KNOWN_MAX), 4_usize..30],
    ) {
        let mut run = Run::knowing(known_max, page);
        for (number, deed) in deeds.iter().enumerate() {
            if let Err(wrong) = run.act(deed) {
                return Err(TestCaseError::fail(format!("deed {number}: {wrong}")));
            }
        }
        run.finish().map_err(TestCaseError::fail)?;
        prop_assert_eq!(run.store.ended.len(), usize::try_from(run.store.made).unwrap() - skipped(&deeds, &run));
    }
}

/// Replays that the model left out.
fn skipped(deeds: &[Deed], run: &Run) -> usize {
    let replays = deeds.iter().filter(|deed| matches!(deed, Deed::Replay { .. })).count();
    let old = run.store.ended.iter().filter(|id| id.made_at() < START).count();
    replays - old
}

//! Everything around a simulated hub, and the doors through which the hub reaches it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mihwar_hub::{Disk as DiskDoor, Doors};
use mihwar_model::{Clock, Randomness, Time};
use mihwar_sandbox::contract::http::HttpError;
use mihwar_sandbox::{Engine, Incoming, Outgoing, Transport};
use mihwar_store::{
    ApplyError, Batch, BlobError, BlobFolder, Commit, Execution, RedbSettings, RedbStore, Statistics, Store,
    StoreError, View,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clients::Books;
use crate::disk::{Disk, Ending, Told};
use crate::luck::Luck;
use crate::network::{self, Neighbours};
use crate::script::Script;

/// When every run begins: 2026-09-21.
pub(crate) const START: i64 = 1_790_000_000_000;

/// Where the store lies on the disk.
const STORE: &str = "/store.redb";
/// Where files lie there.
const BLOBS: &str = "/blobs";

/// How a life of the hub ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The machine stopped.
    Stopped(Ending),
    /// The hub was closed, to be opened again.
    Closed,
    /// The script is at its end, and the hub was audited and closed.
    Finished,
}

/// What a run counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) lives: u64,
    pub(crate) kills: u64,
    pub(crate) power_cuts: u64,
    pub(crate) disk_errors: u64,
    pub(crate) disk_deaths: u64,
    pub(crate) records: u64,
    pub(crate) deliveries: u64,
    pub(crate) attempts: u64,
    pub(crate) failed_answers: u64,
    pub(crate) clock_steps: u64,
    pub(crate) reloads: u64,
    pub(crate) events: u64,
    pub(crate) commits: u64,
    pub(crate) unknown: u64,
}

/// One seed's world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) disk: Disk,
    pub(crate) script: Script,
    state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    /// Milliseconds of the lives before this one.
    past: i64,
    life_began: Instant,
    /// By how much the hub's clock is off.
    pub(crate) clock_off: i64,
    /// Ends this life when told.
    pub(crate) end: Arc<Notify>,
    pub(crate) ending: Option<End>,
    /// Whether anything goes wrong: not any more once the script is at its end.
    pub(crate) faulty: bool,
    /// Told when the disk has failed: the hub will have to be started anew.
    pub(crate) disk_failed: Arc<Notify>,
    /// Whether the store left the outcome of a batch open in this life.
    pub(crate) has_left_unknown: bool,
    /// How many strokes have fallen.
    pub(crate) struck: usize,
    pub(crate) books: Books,
    pub(crate) neighbours: Neighbours,
    pub(crate) counts: Counts,
    /// Size and root of the ledger as the auditors found it.
    pub(crate) ledger: Option<(u64, String)>,
    /// What is not as it should be.
    pub(crate) violations: Vec<String>,
    trace: Vec<String>,
    lucks: BTreeMap<&'static str, Luck>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let script = Script::of(seed);
        let state = State {
            past: 0,
            life_began: Instant::now(),
            clock_off: 0,
            end: Arc::default(),
            ending: None,
            faulty: true,
            has_left_unknown: false,
            disk_failed: Arc::default(),
            struck: 0,
            books: Books::of(&script),
            neighbours: Neighbours::default(),
            counts: Counts::default(),
            ledger: None,
            violations: Vec::new(),
            trace: Vec::new(),
            lucks: BTreeMap::new(),
        };
        let folder = crate::run::folder();
        Arc::new_cyclic(|world: &std::sync::Weak<Self>| {
            let world = world.clone();
            Self {
                seed,
                folder,
                disk: Disk::new(move |told| {
                    if let Some(world) = world.upgrade() {
                        world.disk_told(told);
                    }
                }),
                script,
                state: Mutex::new(state),
            }
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A run that panicked still tells how far it came.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a life in a runtime whose clock has just begun.
    pub(crate) fn begin_life(&self) {
        let mut state = self.state();
        state.life_began = Instant::now();
        state.end = Arc::default();
        state.ending = None;
        state.disk_failed = Arc::default();
        state.has_left_unknown = false;
        state.counts.lives += 1;
    }

    /// Notes what is over when a life ends. To be called in its runtime.
    pub(crate) fn end_life(&self) {
        self.interrupt_clients();
        let lived = i64::try_from(self.lived()).unwrap();
        let mut state = self.state();
        state.past += lived;
        state.life_began = Instant::now();
        state.neighbours.forget_pauses();
    }

    /// Milliseconds since the run began.
    pub(crate) fn at(&self) -> u64 {
        let past = self.state().past;
        u64::try_from(past).unwrap() + self.lived()
    }

    fn lived(&self) -> u64 {
        let began = self.state().life_began;
        u64::try_from(Instant::now().saturating_duration_since(began).as_millis()).unwrap()
    }

    /// Waits until a moment of the script; not at all when it is over.
    pub(crate) async fn until(&self, at: u64) {
        tokio::time::sleep(Duration::from_millis(at.saturating_sub(self.at()))).await;
    }

    /// What the hub's clock shows.
    pub(crate) fn clock(&self) -> Time {
        let at = i64::try_from(self.at()).unwrap();
        let off = self.state().clock_off;
        Time(START + at + off)
    }

    /// Draws from the luck of one actor.
    pub(crate) fn luck<T>(&self, actor: &'static str, draw: impl FnOnce(&mut Luck) -> T) -> T {
        let mut state = self.state();
        let seed = self.seed;
        draw(state.lucks.entry(actor).or_insert_with(|| Luck::of(seed, actor)))
    }

    /// Whether this goes wrong, while anything does.
    pub(crate) fn mishap(&self, actor: &'static str, of_a_thousand: u64) -> bool {
        let faulty = self.state().faulty;
        faulty && self.luck(actor, |luck| luck.chance(of_a_thousand))
    }

    pub(crate) fn trace(&self, line: impl AsRef<str>) {
        let line = format!("{:>7} {}", self.at(), line.as_ref());
        self.state().trace.push(line);
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.state().trace)
    }

    pub(crate) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.trace(format!("VIOLATION {what}"));
        self.state().violations.push(what);
    }

    /// Ends this life.
    pub(crate) fn stop(&self, end: End) {
        let mut state = self.state();
        state.ending.get_or_insert(end);
        state.end.notify_one();
    }

    fn disk_told(&self, told: Told) {
        match told {
            Told::Died => {
                self.trace("the power goes in the middle of what the disk does");
                self.state().counts.disk_deaths += 1;
                self.stop(End::Stopped(Ending::PowerCut));
            }
            Told::Failed => {
                self.trace("the disk fails");
                let mut state = self.state();
                state.counts.disk_errors += 1;
                state.disk_failed.notify_one();
            }
        }
    }

    fn open_store(&self, settings: RedbSettings) -> Result<Arc<dyn Store>, StoreError> {
        let settings = RedbSettings {
            execution: Execution::Inline,
            cache_bytes: 4 << 20,
            // Some lives see it begin again a few times.
            log_bytes: 128 << 10,
            ..settings
        };
        let store = RedbStore::open_on(self.disk.files(), STORE, Arc::new(self.disk.clone()), settings)?;
        Ok(Arc::new(SlowStore(store)))
    }
}

thread_local! {
    static HERE: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// The world whose turn it is on this thread.
pub(crate) fn here() -> Arc<World> {
    HERE.with_borrow(Clone::clone).expect("a world on this thread")
}

/// Puts a world behind the doors of this thread, or none.
pub(crate) fn enter(world: Option<Arc<World>>) {
    HERE.set(world);
}

/// The doors. What is behind them is the world of the thread, so that one sandbox serves every seed.
#[derive(Clone, Copy)]
pub(crate) struct Here;

/// The doors of a simulated hub.
pub(crate) fn doors(sandbox: Engine) -> Doors {
    Doors {
        clock: Arc::new(Here),
        randomness: Arc::new(Here),
        disk: Arc::new(Here),
        network: Arc::new(Here),
        sandbox: Some(sandbox),
    }
}

impl Clock for Here {
    fn now(&self) -> Time {
        // Plugins are loaded before there is any world.
        HERE.with_borrow(|world| world.as_ref().map_or(Time(START), |world| world.clock()))
    }
}

impl Randomness for Here {
    fn fill(&self, bytes: &mut [u8]) {
        HERE.with_borrow(|world| {
            if let Some(world) = world {
                world.luck("hub", |luck| luck.fill(bytes));
            }
        });
    }
}

#[async_trait]
impl Transport for Here {
    async fn send(&self, request: Outgoing) -> Result<Incoming, HttpError> {
        network::answer(&here(), request).await
    }
}

#[async_trait]
impl DiskDoor for Here {
    async fn store(&self, _file: &Path, settings: RedbSettings) -> Result<Arc<dyn Store>, StoreError> {
        here().open_store(settings)
    }

    async fn scratch(&self, folder: &Path, settings: RedbSettings) -> Result<Arc<dyn Store>, StoreError> {
        let settings = RedbSettings {
            execution: Execution::Inline,
            ..settings
        };
        Ok(Arc::new(RedbStore::scratch(folder, settings)?))
    }

    fn blobs(&self, _folder: &Path) -> Result<BlobFolder, BlobError> {
        let blobs = BlobFolder::open_on(here().disk.files(), BLOBS)?;
        Ok(blobs.with_execution(Execution::Inline))
    }

    fn is_folder(&self) -> bool {
        false
    }

    async fn plugin(&self, file: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(file)
    }
}

/// A store that takes its time, so that others come in between; now and then it is busy, or says that it does not know
/// whether it has written.
struct SlowStore(RedbStore);

impl SlowStore {
    /// Writes or does not, and leaves it to the caller to find out.
    async fn leave_unknown(&self, batch: Batch) -> Result<Commit, ApplyError> {
        let world = here();
        let written = world.luck("unknown", |luck| luck.chance(500)) && self.0.apply(batch).await.is_ok();
        world.trace(format!("a batch is left unknown; written: {written}"));
        let mut state = world.state();
        state.counts.unknown += 1;
        state.has_left_unknown = true;
        Err(ApplyError::Unknown)
    }

    async fn pause(most: u64) {
        let pause = here().luck("pace", |luck| luck.between(0, most));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

#[async_trait]
impl Store for SlowStore {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        if here().mishap("pace", 150) {
            Self::pause(3).await;
        }
        self.0.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        if here().mishap("pace", 10) {
            return Err(ApplyError::Busy {
                retry_after: Duration::from_millis(20),
            });
        }
        Self::pause(8).await;
        if here().mishap("unknown", 4) {
            return self.leave_unknown(batch).await;
        }
        let outcome = self.0.apply(batch).await;
        if outcome.is_ok() {
            here().state().counts.commits += 1;
        }
        // Durable, and nobody knows yet: the power may go now.
        Self::pause(4).await;
        outcome
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }

    fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
}

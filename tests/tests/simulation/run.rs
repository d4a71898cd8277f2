//! One seed from its beginning to its end.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use mihwar_sandbox::{Engine, EngineSettings, Plugin};
use tokio::runtime::{Builder, Runtime};

use crate::disk::Ending;
use crate::life;
use crate::world::{Counts, End, Here, World, enter};

/// Lives of one run: more than its script has strokes.
const LIVES_MAX: u64 = 40;
/// Lines of a failed run that are told.
const LINES_TOLD: usize = 400;
/// Environment variable: the folder for what worlds keep outside of their disk. For a child that may not live to remove it.
pub(crate) const FOLDER: &str = "MIHWAR_SIMULATION_FOLDER";

/// A new folder: in the one that [`FOLDER`] names, else in memory, where there is such a thing.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = || Some(PathBuf::from("/dev/shm")).filter(|memory| memory.is_dir());
    let place = std::env::var_os(FOLDER).map(PathBuf::from).or_else(memory);
    place.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap()
}

/// A sandbox for all seeds, with the plugins that they use.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    /// Held, so that no seed has to load them.
    _plugins: Vec<Arc<Plugin>>,
}

/// Makes the sandbox. Its doors lead to the world of whichever thread a call is made on.
pub(crate) fn sandbox() -> Sandbox {
    let engine = Engine::new(EngineSettings {
        cache_folder: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled")),
        cache_key: [7; 32],
        memory_ceiling: 64 << 20,
        concurrent_calls: 64,
        // Guests that run for ever are tested elsewhere; here nothing may depend on how fast the machine is.
        tick: Duration::from_secs(3_600),
        clock: Arc::new(Here),
        randomness: Arc::new(Here),
        network: Arc::new(Here),
        ..EngineSettings::default()
    })
    .unwrap();
    let files = [
        mihwar_tests::guest_file("scripted"),
        mihwar_tests::plugin_file("language"),
        mihwar_tests::plugin_file("webhook"),
    ];
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let plugins = files.map(|file| {
        let bytes = std::fs::read(file).unwrap();
        runtime.block_on(engine.load(&bytes)).unwrap()
    });
    Sandbox {
        engine,
        _plugins: plugins.into(),
    }
}

/// What came of a seed.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) trace: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
}

impl Run {
    pub(crate) fn tell(&self) {
        eprintln!("--- seed {}", self.seed);
        let left_out = self.trace.len().saturating_sub(LINES_TOLD);
        self.trace.iter().skip(left_out).for_each(|line| eprintln!("{line}"));
        for violation in &self.violations {
            eprintln!("seed {}: {violation}", self.seed);
        }
        eprintln!(
            "repeat it with: MIHWAR_SIMULATION_SEEDS={} cargo nextest run --test simulation",
            self.seed
        );
    }
}

/// Runs a seed.
pub(crate) fn run(seed: u64, sandbox: &Engine) -> Run {
    run_on(&World::new(seed), sandbox)
}

/// Runs a seed on a disk that lies about syncs.
pub(crate) fn run_with_lies(seed: u64, sandbox: &Engine) -> Run {
    let world = World::new(seed);
    world.disk.lie();
    run_on(&world, sandbox)
}

fn run_on(world: &Arc<World>, sandbox: &Engine) -> Run {
    watch_panics();
    enter(Some(Arc::clone(world)));
    life::set_up(world);
    let lives = || {
        let finished = (0..LIVES_MAX).any(|_| one_life(world, sandbox) == End::Finished);
        if finished {
            look_back(world, sandbox);
        }
        finished
    };
    match catch_unwind(AssertUnwindSafe(lives)) {
        Ok(true) => {}
        Ok(false) => world.violation("the hub does not come to live"),
        Err(_) => world.violation(format!("the run panicked: {}", PANIC.take().unwrap_or_default())),
    }
    enter(None);
    let trace = world.take_trace();
    let state = world.state();
    Run {
        seed: world.seed,
        trace,
        violations: state.violations.clone(),
        counts: state.counts,
    }
}

fn one_life(world: &Arc<World>, sandbox: &Engine) -> End {
    let runtime = paused();
    let end = runtime.block_on(async {
        let end = life::live(world, sandbox.clone()).await;
        world.trace(format!(
            "{end:?} after {} operations of the disk",
            world.disk.operations()
        ));
        end
    });
    note_panic(world);
    // The disk first: a store that is dropped closes its file, and a killed process does not.
    let ending = match end {
        End::Stopped(ending) => ending,
        End::Closed | End::Finished => Ending::Kill,
    };
    world.luck("power", |luck| world.disk.end(ending, luck));
    let counts = &mut world.state().counts;
    match end {
        End::Stopped(Ending::Kill) => counts.kills += 1,
        End::Stopped(Ending::PowerCut) => counts.power_cuts += 1,
        End::Closed | End::Finished => {}
    }
    end
}

/// Opens once more what was closed, after a power cut: it must be what it was.
fn look_back(world: &Arc<World>, sandbox: &Engine) {
    if !world.state().violations.is_empty() {
        return;
    }
    world.luck("power", |luck| world.disk.end(Ending::PowerCut, luck));
    paused().block_on(life::look_back(world, sandbox.clone()));
    note_panic(world);
}

fn paused() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

thread_local! {
    /// What panicked on this thread. A worker's panic is caught by the runtime and would be told nowhere else.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that did not end the run is a violation all the same.
fn note_panic(world: &World) {
    if let Some(panic) = PANIC.take() {
        world.violation(format!("something panicked: {panic}"));
    }
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANIC.set(Some(panic.to_string()));
            usual(panic);
        }));
    });
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.disk_errors += other.disk_errors;
        self.disk_deaths += other.disk_deaths;
        self.records += other.records;
        self.deliveries += other.deliveries;
        self.attempts += other.attempts;
        self.failed_answers += other.failed_answers;
        self.clock_steps += other.clock_steps;
        self.reloads += other.reloads;
        self.events += other.events;
        self.commits += other.commits;
        self.unknown += other.unknown;
    }

    /// Every figure with its name, as it is told.
    pub(crate) fn figures(&self) -> [(&'static str, u64); 14] {
        [
            ("lives", self.lives),
            ("kills", self.kills),
            ("power cuts", self.power_cuts),
            ("of these in the middle of a disk operation", self.disk_deaths),
            ("disk errors", self.disk_errors),
            ("clock steps", self.clock_steps),
            ("reloads", self.reloads),
            ("records", self.records),
            ("deliveries", self.deliveries),
            ("attempts", self.attempts),
            ("failed on purpose", self.failed_answers),
            ("commits", self.commits),
            ("of these left unknown", self.unknown),
            ("ledger events", self.events),
        ]
    }
}

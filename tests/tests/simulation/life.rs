//! One life of a simulated hub: from its opening until it is closed, killed or cut off.

use std::cell::OnceCell;
use std::fs;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mihwar_hub::{Config, Hub, ReplaySelection};
use mihwar_model::Actor;
use mihwar_sandbox::Engine;

use crate::auditor;
use crate::disk::{Ending, Fault};
use crate::script::Stroke;
use crate::world::{End, World, doors};

/// Looks at whether all is done, before the hub counts as stuck: half an hour of its time.
const LOOKS_MAX: u32 = 600;

/// A configuration: its number changes what a reload finds.
fn configuration(number: u64, refused: Option<&str>) -> String {
    let file = |folder: &str, name: &str| {
        let file = match folder {
            "plugins" => mihwar_tests::plugin_file(name),
            _ => mihwar_tests::guest_file(name),
        };
        format!("[[plugin]]\nid = \"{name}\"\nfile = \"{}\"\n", file.display())
    };
    let department = |name: &str| {
        format!(
            r#"
[[instance]]
name = "{name}"
plugin = "webhook"
settings = {{ url = "http://{name}.example/in", timeout_ms = 2000, source = "urn:simulation:{number}" }}
secrets = {{ signing = {{ file = "signing" }} }}
grant.fields = ["subject", "body"]
retry = {{ first = "1s", most = "8s", attempts = 6 }}
batch = 8
concurrency = 2
breaker = {{ failures = 3, first = "1s", most = "5s" }}
[[instance.grant.http]]
origin = "http://{name}.example"
methods = ["POST", "HEAD"]
"#
        )
    };
    let refused = refused.map_or_else(String::new, |word| format!(", refused_word = \"{word}\""));
    format!(
        r#"# {number} {}
[storage]
folder = "data"
[ledger]
origin = "simulation.example/ledger"
{}{}{}
[[instance]]
name = "notes"
plugin = "scripted"
settings = {{ url = "http://script.example/pages"{refused} }}
every = "5s"
[[instance.grant.http]]
origin = "http://script.example"
methods = ["GET"]
[[instance]]
name = "language"
plugin = "language"
grant.fields = ["subject", "body"]
{}{}
[routing]
default = ["shop"]
[[route]]
name = "complaints"
when = "record.kind == 'complaint'"
to = ["care", "shop"]
"#,
        // Of another length each time, because a clock that is too coarse hides a quick second change of a file.
        "-".repeat(usize::try_from(number).unwrap()),
        file("guests", "scripted"),
        file("plugins", "language"),
        file("plugins", "webhook"),
        department("shop"),
        department("care"),
    )
}

fn config_path(world: &World) -> PathBuf {
    world.folder.path().join("mihwar.toml")
}

fn configure(world: &World, number: u64, refused: Option<&str>) {
    fs::write(config_path(world), configuration(number, refused)).unwrap();
}

/// Writes what an admin writes before the first start.
pub(crate) fn set_up(world: &World) {
    let key = "whsec_bWloYXItdGVzdC1kZXBhcnRtZW50LWtleS0wMTIzNDU2Nzg5";
    fs::write(world.folder.path().join("signing"), key).unwrap();
    configure(world, 0, Some(crate::script::REFUSED));
}

/// Lives until something ends it.
pub(crate) async fn live(world: &Arc<World>, sandbox: Engine) -> End {
    world.begin_life();
    let end = Arc::clone(&world.state().end);
    let hub = OnceCell::new();
    let ended = tokio::select! {
        biased;
        () = end.notified() => world.state().ending.take(),
        ended = supervise(world, &hub) => Some(ended),
        ended = story(world, sandbox, &hub) => Some(ended),
    };
    world.end_life();
    ended.unwrap_or(End::Stopped(Ending::PowerCut))
}

/// Opens a hub that was closed, and compares its ledger with what the auditors saw.
pub(crate) async fn look_back(world: &Arc<World>, sandbox: Engine) {
    world.begin_life();
    match open(world, sandbox).await {
        Ok(hub) => auditor::look_back(world, &hub).await,
        Err(error) => world.violation(format!("the hub that was closed does not open: {error}")),
    }
    world.end_life();
}

async fn open(world: &World, sandbox: Engine) -> Result<Hub, String> {
    let config = Config::load(&config_path(world), &[], std::iter::empty()).map_err(|error| error.to_string())?;
    Hub::open(config, doors(sandbox))
        .await
        .map_err(|error| error.to_string())
}

/// Starts the hub anew some time after its disk has failed: until then it takes nothing in.
async fn supervise(world: &World, hub: &OnceCell<Hub>) -> End {
    let failed = Arc::clone(&world.state().disk_failed);
    failed.notified().await;
    let (pause, cleanly) = world.luck("supervisor", |luck| (luck.between(500, 6_000), luck.chance(500)));
    tokio::time::sleep(Duration::from_millis(pause)).await;
    match hub.get() {
        Some(hub) if cleanly => close(world, hub).await,
        _ => End::Stopped(Ending::Kill),
    }
}

async fn close(world: &World, hub: &Hub) -> End {
    if let Err(error) = hub.close().await {
        world.trace(format!("the hub does not close cleanly: {error}"));
    }
    End::Closed
}

async fn story(world: &Arc<World>, sandbox: Engine, opened: &OnceCell<Hub>) -> End {
    let hub = match open(world, sandbox).await {
        Ok(hub) => hub,
        Err(error) => {
            world.trace(format!("the hub does not open: {error}"));
            if !world.disk.is_in_trouble() && !world.state().has_left_unknown {
                world.violation(format!("the hub does not open: {error}"));
                return End::Finished;
            }
            // Somebody makes room, and it is tried again.
            world.disk.set_full(false);
            tokio::time::sleep(Duration::from_secs(1)).await;
            return End::Stopped(Ending::Kill);
        }
    };
    let hub = opened.get_or_init(|| hub);
    world.trace("the hub is open");
    hub.start();
    world.send_clients(hub);
    while let Some((at, stroke)) = next_stroke(world) {
        world.until(at).await;
        // Counted only now: what ends a life while it waits comes in the next one.
        world.state().struck += 1;
        world.trace(format!("{stroke:?}"));
        if let Some(end) = strike(world, hub, at, stroke).await {
            return end;
        }
    }
    // Sources begin up to the end of the script.
    world.until(crate::script::END).await;
    finish(world, hub).await;
    End::Finished
}

fn next_stroke(world: &World) -> Option<(u64, Stroke)> {
    let struck = world.state().struck;
    world.script.strokes.get(struck).copied()
}

async fn strike(world: &Arc<World>, hub: &Hub, at: u64, stroke: Stroke) -> Option<End> {
    match stroke {
        Stroke::Kill => return Some(End::Stopped(Ending::Kill)),
        Stroke::PowerCut => return Some(End::Stopped(Ending::PowerCut)),
        Stroke::Restart => return Some(close(world, hub).await),
        Stroke::DeathAfter(operations) => world.disk.order(Fault::Death, operations),
        Stroke::ErrorAfter(operations) => world.disk.order(Fault::Error, operations),
        Stroke::Full(full) => world.disk.set_full(full),
        Stroke::Clock(by) => {
            let mut state = world.state();
            state.clock_off += by;
            state.counts.clock_steps += 1;
            state.neighbours.clock_stepped(by);
        }
        Stroke::Reload => {
            configure(world, at, Some(crate::script::REFUSED));
            world.state().counts.reloads += 1;
            if let Err(error) = hub.reload().await {
                world.trace(format!("the configuration is not taken over: {error}"));
            }
        }
    }
    None
}

/// Nothing goes wrong any more: everything must come to its end, and be right.
async fn finish(world: &Arc<World>, hub: &Hub) {
    world.disk.heal();
    if world.disk.is_in_trouble() {
        // The hub is about to be started anew; the next life comes to the end.
        pending::<()>().await;
    }
    world.state().faulty = false;
    // What was refused or paused for its configuration gets another one.
    configure(world, 100_000, None);
    world.trace("nothing goes wrong any more");
    if let Err(error) = hub.reload().await {
        world.violation(format!("the last configuration is not taken over: {error}"));
    }
    let mut missing = String::new();
    for look in 0..LOOKS_MAX {
        tokio::time::sleep(Duration::from_secs(3)).await;
        match auditor::missing(world, hub).await {
            Ok(None) => {
                auditor::audit(world, hub).await;
                if let Err(error) = hub.close().await {
                    world.violation(format!("the hub does not close: {error}"));
                }
                return;
            }
            Ok(Some(what)) => missing = what,
            Err(error) => missing = format!("the hub does not answer: {error}"),
        }
        if look % 5 == 0 {
            // A person who sends dead letters again waits for nobody's pause.
            world.state().neighbours.forget_pauses();
            let replayed = hub.delivery_replay(&Actor::Console, &ReplaySelection::All).await;
            let requests = hub.inbound_replay(&Actor::Console, None).await;
            world.trace(format!(
                "still missing: {missing}; replayed {replayed:?} and {requests:?}"
            ));
        }
    }
    world.violation(format!("the hub is stuck: {missing}"));
}

//! A disk that is really full: a small one is mounted for the data folder. Where that is not allowed, the size of the
//! hub's files is limited instead, and the test says so.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use mihwar_tests::{Dice, Receiver, Running, Site, report_faults};

use crate::support::{assert_verifies, client, delivered, hand_in, marks, marks_so_far, token, until};

/// Size of the disk, in MiB: room for the plugins' compiled code and some thousand records.
const DISK_MIB: u64 = 24;
/// Its size once room was made.
const MORE_MIB: u64 = 256;
/// What the hub keeps free where it keeps anything free.
const FLOOR_MIB: u64 = 14;
/// Refusals in a row after which the disk counts as full.
const REFUSALS: u64 = 5;

/// How the data folder is made small.
enum Disk {
    /// A file system of its own, unmounted when the test is over.
    Mounted(PathBuf),
    /// A limit on the size of each file.
    Limited,
}

impl Disk {
    fn new(site: &Site) -> Self {
        let folder = site.data();
        fs::create_dir_all(&folder).unwrap();
        let size = format!("size={DISK_MIB}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Self::Mounted(folder),
            refused => {
                eprintln!("NO SMALL DISK CAN BE MOUNTED HERE: the size of files is limited instead ({refused:?})");
                Self::Limited
            }
        }
    }

    fn serve(&self, site: &Site) -> Running {
        match self {
            Self::Mounted(_) => site.serve().unwrap(),
            Self::Limited => site.serve_as(|command| limited(&command)).unwrap(),
        }
    }

    fn is_mounted(&self) -> bool {
        matches!(self, Self::Mounted(_))
    }

    fn make_room(&mut self) {
        match self {
            Self::Mounted(folder) => {
                let size = format!("remount,size={MORE_MIB}m");
                let status = Command::new("mount").args(["-o", &size]).arg(folder).status().unwrap();
                assert!(status.success());
            }
            Self::Limited => {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted(folder) = self
            && let Err(error) = Command::new("umount").arg("-l").arg(&*folder).status()
        {
            eprintln!("{} stays mounted: {error}", folder.display());
        }
    }
}

/// The same command with a limit on the size of what it writes: writing beyond it is an error, not a signal.
fn limited(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    // Blocks of 512 bytes.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", DISK_MIB * 2048);
    shell
        .arg("-c")
        .arg(script)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// What a full disk did to a stream of records.
struct Filled {
    kept: Vec<String>,
    sent: u64,
    /// Status and type of each kind of refusal.
    refusals: Vec<(u16, String)>,
}

/// Hands records in until the hub refuses again and again.
async fn fill(http: &reqwest::Client, site: &Site, token: &str, dice: &mut Dice, name: &str) -> Filled {
    let mut filled = Filled {
        kept: Vec::new(),
        sent: 0,
        refusals: Vec::new(),
    };
    let mut in_a_row = 0;
    while in_a_row < REFUSALS {
        let mark = format!("{name}-{}", filled.sent);
        filled.sent += 1;
        assert!(filled.sent < 50_000, "the disk does not become full");
        // Small ones and such as become files of their own.
        let extra = usize::try_from(dice.below(120_000)).unwrap();
        let (status, answer) = hand_in(http, site, token, &mark, &"م".repeat(extra / 2)).await;
        if matches!(status, 200 | 201) {
            filled.kept.push(mark);
            in_a_row = 0;
        } else {
            in_a_row += 1;
            let refusal = (status, answer["type"].as_str().unwrap_or_default().to_owned());
            if !filled.refusals.contains(&refusal) {
                filled.refusals.push(refusal);
            }
        }
    }
    filled
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_the_hub_refuses_and_goes_on_by_itself_once_there_is_room() {
    let mut dice = Dice::thrown();
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::small(receiver.address).unwrap();
    site.reconfigure(
        "free-space-floor = \"16MiB\"",
        &format!("free-space-floor = \"{FLOOR_MIB}MiB\""),
    );
    let mut disk = Disk::new(&site);
    if !disk.is_mounted() {
        // Without a disk of its own there is no floor to go below.
        report_faults("disk below its floor", &[("skipped", 1)]);
        return;
    }
    let running = disk.serve(&site);
    let (http, token) = (client(), token(&site));
    let filled = fill(&http, &site, &token, &mut dice, "floor").await;
    assert!(!filled.kept.is_empty());
    assert_eq!(filled.refusals, [(507, "/problems/no-space".to_owned())]);
    // Reading goes on, as far as the read models came while they could be written.
    let readable = marks_so_far(&site);
    assert!(!readable.is_empty() && readable.keys().all(|mark| filled.kept.contains(mark)));

    disk.make_room();
    until("room is noticed", || {
        site.run(&["doctor"]).unwrap().status.success().then_some(())
    })
    .await;
    let (status, answer) = hand_in(&http, &site, &token, "floor-after", "").await;
    assert_eq!(status, 201, "{answer}");
    let expected = filled.kept.len() + 1;
    until("every delivery", || (receiver.delivered() >= expected).then_some(())).await;
    assert!(running.stop(), "{}", site.log());
    assert_verifies(&site, "after the floor");
    let there = marks(&site);
    assert!(filled.kept.iter().all(|mark| there.get(mark) == Some(&1)));
    assert_eq!(there.len(), expected);
    report_faults(
        "disk below its floor",
        &[
            ("seed", dice.seed()),
            ("answered", filled.kept.len() as u64),
            ("refused", filled.sent - filled.kept.len() as u64),
            ("lost", 0),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_answered_is_lost_and_the_refusal_says_what_to_do() {
    let mut dice = Dice::thrown();
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::small(receiver.address).unwrap();
    site.reconfigure("free-space-floor = \"16MiB\"", "free-space-floor = \"0B\"");
    let mut disk = Disk::new(&site);
    let running = disk.serve(&site);
    let (http, token) = (client(), token(&site));
    let filled = fill(&http, &site, &token, &mut dice, "full").await;
    assert!(!filled.kept.is_empty());
    let kinds: Vec<&str> = filled.refusals.iter().map(|(_, kind)| kind.as_str()).collect();
    let clear = [
        "/problems/no-space",
        "/problems/store-stopped",
        "/problems/outcome-unknown",
    ];
    assert!(
        kinds.iter().all(|kind| clear.contains(kind)) && kinds.iter().any(|kind| *kind != "/problems/outcome-unknown"),
        "{:?}\n{}",
        filled.refusals,
        site.log()
    );
    // Readiness says what is the matter.
    let ready = http_status(&http, &site, &token, "/health/ready").await;
    let stopped = kinds.contains(&"/problems/store-stopped");
    assert!(ready == 503 || !stopped, "{ready}");

    disk.make_room();
    // As the refusal says: started again. A store that had to stop cannot be closed in order, and needs not.
    let in_order = running.stop();
    let running = site.serve().unwrap();
    let (status, answer) = hand_in(&http, &site, &token, "full-after", "").await;
    assert_eq!(status, 201, "{answer}");
    let there = marks(&site);
    let lost: Vec<_> = filled.kept.iter().filter(|mark| there.get(*mark) != Some(&1)).collect();
    assert_eq!(lost, Vec::<&String>::new());
    until("every delivery", || (receiver.delivered() >= there.len()).then_some(())).await;
    let arrived = delivered(&receiver);
    assert!(filled.kept.iter().all(|mark| arrived.contains_key(mark)));
    assert!(running.stop(), "{}", site.log());
    assert_verifies(&site, "after a full disk");
    report_faults(
        "disk full",
        &[
            ("seed", dice.seed()),
            ("answered", filled.kept.len() as u64),
            ("refused", filled.sent - filled.kept.len() as u64),
            ("lost", lost.len() as u64),
            ("store stopped", u64::from(stopped)),
            ("ended in order", u64::from(in_order)),
        ],
    );
}

async fn http_status(http: &reqwest::Client, site: &Site, token: &str, path: &str) -> u16 {
    let request = http.get(format!("http://{}{path}", site.listen)).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

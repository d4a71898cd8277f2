//! What Linux tells of processes and folders.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Linux counts processor time for its readers in hundredths of a second, on every machine that we know.
const TICK: Duration = Duration::from_millis(10);

/// A process as `/proc` tells of it.
struct Stat {
    parent: u32,
    /// Ticks of its own.
    own: u64,
    /// Ticks of its children that have ended.
    ended_children: u64,
}

impl Stat {
    fn of(process: &str) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        // The name may hold spaces and brackets; what follows its last bracket does not.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

/// Processor time of a process without its children.
pub(super) fn cpu(process: u32) -> Duration {
    let stat = Stat::of(&process.to_string()).expect("the process runs");
    TICK * u32::try_from(stat.own).expect("less than a year")
}

/// Processor time of this process.
pub(super) fn own_cpu() -> Duration {
    cpu(std::process::id())
}

/// Processor time of a process and of all children that it has or had.
pub(super) fn cpu_with_children(process: u32) -> Duration {
    let stat = Stat::of(&process.to_string()).expect("the process runs");
    let living = children(process)
        .into_iter()
        .filter_map(|child| Stat::of(&child.to_string()));
    let ticks = stat.own + stat.ended_children + living.map(|child| child.own).sum::<u64>();
    TICK * u32::try_from(ticks).expect("less than a year")
}

/// Processes that this one has started and that still run.
pub(super) fn children(process: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("Linux has /proc");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_child = |name: &String| Stat::of(name).is_some_and(|stat| stat.parent == process);
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(is_child)
        .filter_map(|name| name.parse().ok())
        .collect()
}

/// Memory of a process; what it shares with others is divided among them.
pub(super) fn proportional_memory(process: u32) -> u64 {
    // A process that has just ended needs none.
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Bytes that a folder and all in it, or a file, take up on disk.
pub(super) fn allocated(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| allocated(&entry.path())).sum()
        }
        Ok(metadata) => metadata.blocks() * 512,
        // Files come and go while a store works.
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (postgres: بحث) x) S 5 7 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 99";
        let stat = Stat::read(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended_children), (5, 33, 77));
    }
}

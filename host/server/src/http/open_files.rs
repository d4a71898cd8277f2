//! Each connection is an open file, and the system gives a process only so many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files for everything that is no connection: the store, attachments, plugins' requests to the outside.
const OTHERS: u64 = 256;

/// Has the system give as many files as it may, and answers how many connections there can be: as many as are wanted, or
/// fewer. What would be beyond would fail in the middle of work, and not at the door.
pub(crate) fn connections(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    };
    let fitting = fitting(wanted, files);
    if fitting < wanted {
        tracing::warn!(
            wanted,
            fitting,
            "the system allows fewer open files than server.connections needs; raise its limit (LimitNOFILE=)"
        );
    }
    fitting
}

/// Of so many files; `None` is no limit.
fn fitting(wanted: usize, files: Option<u64>) -> usize {
    let Some(files) = files else { return wanted };
    let room = files.saturating_sub(OTHERS).max(files / 4).max(1);
    usize::try_from(room).map_or(wanted, |room| room.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::{connections, fitting};

    #[test]
    fn files_are_left_for_what_is_no_connection() {
        assert_eq!(fitting(2048, None), 2048);
        assert_eq!(fitting(2048, Some(1024)), 768);
        assert_eq!(fitting(100, Some(1024)), 100);
        // Too few for anything: still somebody gets in.
        assert_eq!(fitting(2048, Some(64)), 16);
        assert_eq!(fitting(2048, Some(0)), 1);
        assert!((1..=10).contains(&connections(10)));
    }
}

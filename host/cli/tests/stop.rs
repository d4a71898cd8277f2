//! How a running hub stops: in order when it is asked once, at once when it is asked again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

struct Serving {
    folder: tempfile::TempDir,
    child: Child,
}

impl Serving {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("mihwar.toml");
        let text = "[server]\ntimeout = \"20s\"\n[storage]\nfolder = \"data\"\nfree-space-floor = \"1MiB\"\n";
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mihwar"))
            .arg("--config")
            .arg(&config)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let serving = Self { folder, child };
        assert!(ready.contains("is ready"), "{ready}");
        serving
    }

    /// An exchange that does not end by itself for the next 20 seconds: its body never comes.
    fn open_exchange(&self) -> UnixStream {
        let mut stream = UnixStream::connect(self.folder.path().join("data/hub.sock")).unwrap();
        let head = "POST /api/v1/feedback HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        write!(stream, "{head}content-length: 20\r\n\r\n").unwrap();
        stream
    }

    fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let asked = Instant::now();
        while asked.elapsed() < limit {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            pause(Duration::from_millis(20));
        }
        None
    }

    fn errors(&mut self) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A plain wait: the hub is another process.
fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

#[test]
fn asked_once_it_ends_in_order() {
    let mut serving = Serving::start();
    serving.terminate();
    let status = serving.ended_within(Duration::from_secs(30)).unwrap();
    assert!(status.success(), "{}", serving.errors());
}

#[test]
fn asked_a_second_time_it_does_not_wait_for_open_exchanges() {
    let mut serving = Serving::start();
    let _open = serving.open_exchange();
    pause(Duration::from_millis(500));
    serving.terminate();
    // It waits for what is open…
    assert!(serving.ended_within(Duration::from_secs(1)).is_none());
    serving.terminate();
    // … and no longer.
    let status = serving.ended_within(Duration::from_secs(5)).expect("still there");
    assert_eq!(status.code(), Some(1));
    let said = serving.errors();
    assert!(said.contains("second time"), "{said}");
}

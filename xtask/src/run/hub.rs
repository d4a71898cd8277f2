//! The hub as a child process.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::run::Interrupt;
use crate::run::client;
use crate::run::secrets::Secrets;
use crate::shell::{Workspace, say};

const READY_WAIT_MAX: Duration = Duration::from_mins(3);
const STOP_WAIT_MAX: Duration = Duration::from_secs(20);
const CONFIG: &str = "config/mihwar.toml";

/// A running `mihwar serve`. It is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Hub {
    child: Child,
    workspace: Workspace,
    data: PathBuf,
    listen: SocketAddr,
    was_new: bool,
}

impl Hub {
    /// Starts the hub that was just built.
    pub(super) fn start(workspace: &Workspace, listen: SocketAddr, data: &Path, secrets: &Secrets) -> Result<Self> {
        // Asked before, because another server there would answer in the hub's name.
        drop(TcpListener::bind(listen).with_context(|| format!("the hub cannot listen on {listen}"))?);
        let was_new = secrets.are_new();
        let mut serve = mihwar(workspace, data);
        serve
            .args(["serve", "--listen", &listen.to_string()])
            .envs(secrets.variables());
        // A group of its own: Ctrl-C reaches only this program, which then stops the hub in order.
        let child = serve
            .process_group(0)
            .spawn()
            .context("cannot start target/debug/mihwar")?;
        Ok(Self {
            child,
            workspace: workspace.clone(),
            data: data.to_owned(),
            listen,
            was_new,
        })
    }

    /// Another command of the same hub.
    pub(super) fn command(&self) -> Command {
        mihwar(&self.workspace, &self.data)
    }

    /// Whether this start made the data folder.
    pub(super) fn was_new(&self) -> bool {
        self.was_new
    }

    /// Waits for `/health/ready`.
    pub(super) fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<()> {
        let begin = Instant::now();
        loop {
            interrupt.check()?;
            if let Some(status) = self.ended()? {
                bail!("the hub did not start: it ended with {status}");
            }
            let answer = client::send(self.listen, "GET", "/health/ready", &[], b"");
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if begin.elapsed() > READY_WAIT_MAX {
                bail!("the hub is not ready after {READY_WAIT_MAX:?}; its last answer: {answer:?}");
            }
            clock::wait(Duration::from_millis(50));
        }
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, waits, and insists in the end.
    pub(super) fn stop(&mut self) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        say("stopping the hub");
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let begin = Instant::now();
        while begin.elapsed() < STOP_WAIT_MAX {
            if let Some(status) = self.ended()? {
                if status.success() {
                    return Ok(());
                }
                bail!("the hub ended with {status}");
            }
            clock::wait(Duration::from_millis(50));
        }
        self.child.kill()?;
        self.child.wait()?;
        bail!("the hub did not stop within {STOP_WAIT_MAX:?} and was killed")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
    }
}

fn mihwar(workspace: &Workspace, data: &Path) -> Command {
    let mut command = workspace.command(workspace.target().join("debug/mihwar"));
    command
        .args(["--config", CONFIG, "--data"])
        .arg(data.strip_prefix(workspace.root()).unwrap_or(data));
    command
}

//! A PostgreSQL of our own, in a temporary folder, as long as it is needed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

/// Longest wait until it is ready, after a crash too.
const READY_MAX: Duration = Duration::from_secs(900);
/// The user that Debian's package makes. PostgreSQL does not run as root.
const USER: &str = "postgres";

/// Data, socket and process of one server.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    settings: Vec<String>,
    owner: Option<Owner>,
    server: Option<Child>,
}

/// Whom it runs as, when we are root.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl Cluster {
    /// Makes an empty one, by the programs in this folder, and starts it with these settings.
    pub(super) async fn start(programs: &Path, settings: &[String]) -> Self {
        let open = fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(open).tempdir().unwrap();
        let owner = rustix::process::geteuid().is_root().then(Owner::of_debian);
        if let Some(owner) = owner {
            chown(folder.path(), Some(owner.user), Some(owner.group)).unwrap();
        }
        let mut cluster = Self {
            folder,
            programs: programs.to_owned(),
            settings: settings.to_vec(),
            owner,
            server: None,
        };
        // The locale C compares bytes: the fastest that PostgreSQL has.
        let mut init = cluster.command("initdb");
        init.args([
            "--encoding=UTF8",
            "--locale=C",
            "--auth=trust",
            "--username=bench",
            "-D",
        ]);
        let made = init.arg(cluster.data()).output().unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        cluster.launch().await;
        cluster
    }

    fn command(&self, program: &str) -> Command {
        let file = self.programs.join(program);
        assert!(
            file.is_file(),
            "{} is missing; start with `cargo xtask bench store`, which installs it",
            file.display()
        );
        let mut command = Command::new(file);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some(Owner { user, group }) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server; answers the time until it let a client in.
    async fn launch(&mut self) -> Duration {
        let started = Instant::now();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        server.args(["-c", "listen_addresses=", "-c", "logging_collector=off"]);
        for setting in &self.settings {
            server.args(["-c", setting]);
        }
        self.server = Some(server.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        while started.elapsed() < READY_MAX {
            if self.try_connect().await.is_some() {
                return started.elapsed();
            }
            let ended = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten());
            assert!(ended.is_none(), "PostgreSQL ended:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("PostgreSQL did not become ready:\n{}", self.log());
    }

    async fn try_connect(&self) -> Option<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).user("bench").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Client {
        let client = self.try_connect().await;
        client.unwrap_or_else(|| panic!("PostgreSQL refuses a client:\n{}", self.log()))
    }

    /// Ends all its processes at once and starts it again; answers the time until it let a client in. An immediate
    /// shutdown is PostgreSQL's own word for it: nothing is flushed, and the next start recovers from the log.
    pub(super) async fn crash(&mut self) -> Duration {
        self.end(rustix::process::Signal::QUIT);
        self.launch().await
    }

    fn end(&mut self, signal: rustix::process::Signal) {
        let Some(mut server) = self.server.take() else { return };
        let asked = rustix::process::kill_process(rustix::process::Pid::from_child(&server), signal);
        if asked.is_ok() {
            drop(server.wait());
        }
    }

    /// The process that all others descend from.
    pub(super) fn process(&self) -> u32 {
        self.server.as_ref().expect("PostgreSQL runs").id()
    }

    /// The data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// What it logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end(rustix::process::Signal::QUIT);
    }
}

impl Owner {
    fn of_debian() -> Self {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let fields: Option<Vec<_>> = users
            .lines()
            .map(|line| line.split(':').collect())
            .find(|fields: &Vec<_>| fields.first() == Some(&USER));
        let number = |index: usize| fields.as_ref()?.get(index)?.parse().ok();
        let ids = number(2).zip(number(3));
        let (user, group) = ids.expect("root cannot run PostgreSQL, and there is no user `postgres`");
        Self { user, group }
    }
}

//! The real binary on a folder of its own.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::compiled;

/// The signing key of the form in tests.
const FORM_SECRET: &str = "a form's key, only for tests";
/// The signing key of departments in tests.
pub(crate) const DEPARTMENT_SECRET: &str = "whsec_bWloYXItdGVzdC1kZXBhcnRtZW50LWtleS0wMTIzNDU2Nzg5";
/// How soon a hub with little in it must be ready.
const READY_MAX: Duration = Duration::from_mins(1);

/// What a command printed: its standard output, then its standard error.
#[must_use]
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// A built plugin.
///
/// # Panics
/// When the plugins were not built.
#[must_use]
pub fn plugin_file(name: &str) -> PathBuf {
    component_file("target/plugins", name)
}

/// A plugin that only tests run.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn guest_file(name: &str) -> PathBuf {
    component_file("target/guests", name)
}

#[expect(
    clippy::panic,
    reason = "a test that lacks its plugins must fail, and say what to do"
)]
fn component_file(folder: &str, name: &str) -> PathBuf {
    let file = workspace().join(folder).join(format!("{name}.wasm"));
    if !file.exists() {
        panic!("{} is not built; run: cargo xtask test", file.display());
    }
    file
}

/// The binary that was built beside this test, or the one that `MIHWAR_BINARY` names: an older one, to make the fixture
/// of its format.
#[expect(clippy::panic, reason = "a test that lacks the binary must fail, and say what to do")]
pub(crate) fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("MIHWAR_BINARY") {
        return PathBuf::from(named);
    }
    let here = std::env::current_exe().unwrap_or_default();
    let found = here
        .ancestors()
        .map(|folder| folder.join("mihwar"))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("the binary is not built; run: cargo build -p mihwar"))
}

/// A configuration and a data folder.
#[derive(Debug)]
pub struct Site {
    folder: tempfile::TempDir,
    /// Address that the hub serves on.
    pub listen: SocketAddr,
}

impl Site {
    /// A new site whose departments post to `receiver`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(receiver: SocketAddr) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let listen = crate::address::free_address()?;
        let site = Self { folder, listen };
        fs::write(site.config(), configuration(receiver))?;
        Ok(site)
    }

    /// A new site without channels: one enricher, and one department that posts to `receiver`. It starts sooner.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn small(receiver: SocketAddr) -> std::io::Result<Self> {
        let site = Self::new(receiver)?;
        fs::write(site.config(), small_configuration(receiver))?;
        Ok(site)
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("mihwar.toml")
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder that holds both.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Changes the configuration by replacing the first piece of text with the second.
    ///
    /// # Panics
    /// When the first piece is not in it, or it cannot be written.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap_or_default();
        assert!(text.contains(from), "the configuration does not hold {from}:\n{text}");
        let written = fs::write(self.config(), text.replace(from, to));
        assert!(written.is_ok(), "{written:?}");
    }

    /// Lets departments take their signing key from a file: for a hub that runs in the test's own process, whose
    /// environment cannot be changed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_secrets_in_files(&self) -> std::io::Result<()> {
        let file = self.folder.path().join("department.key");
        fs::write(&file, DEPARTMENT_SECRET)?;
        let from_file = format!("{{ file = \"{}\" }}", file.display());
        self.reconfigure("{ env = \"DEPARTMENT_SIGNING_SECRET\" }", &from_file);
        Ok(())
    }

    /// Adds to the end of the configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure_also(&self, more: &str) -> std::io::Result<()> {
        let text = fs::read_to_string(self.config())?;
        fs::write(self.config(), format!("{text}\n{more}"))
    }

    /// A command of the binary for this site.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("--config")
            .arg(self.config())
            .arg("--data")
            .arg(self.data())
            .args(arguments)
            .env("FORM_SIGNING_SECRET", FORM_SECRET)
            .env("DEPARTMENT_SIGNING_SECRET", DEPARTMENT_SECRET)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> std::io::Result<Output> {
        self.command(arguments).output()
    }

    /// Runs a command that must end with this status, and answers what it [`said`].
    ///
    /// # Panics
    /// When it ends with another, or cannot be started; says what it printed.
    #[expect(clippy::panic, reason = "tests report by panic")]
    pub fn ends_with(&self, status: i32, arguments: &[&str]) -> String {
        let output = self
            .run(arguments)
            .unwrap_or_else(|error| panic!("mihwar {arguments:?}: {error}"));
        let said = said(&output);
        assert_eq!(output.status.code(), Some(status), "mihwar {arguments:?}: {said}");
        said
    }

    /// Runs a command that must succeed and print JSON.
    ///
    /// # Panics
    /// When it fails or prints anything else; says what it printed.
    #[must_use]
    #[expect(clippy::panic, reason = "tests report by panic")]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments = [&["--json"], arguments].concat();
        let output = self
            .run(&arguments)
            .unwrap_or_else(|error| panic!("mihwar {arguments:?}: {error}"));
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            panic!(
                "mihwar {arguments:?} ended with {}: {error}\nstdout: {text}\nstderr: {said}",
                output.status
            )
        })
    }

    /// Runs a command that must succeed and print one JSON value a line, or nothing.
    ///
    /// # Panics
    /// When it fails or prints anything else; says what it printed.
    #[must_use]
    #[expect(clippy::panic, reason = "tests report by panic")]
    pub fn json_lines(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let arguments = [&["--json"], arguments].concat();
        let output = self
            .run(&arguments)
            .unwrap_or_else(|error| panic!("mihwar {arguments:?}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mihwar {arguments:?}: {said}");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().map(serde_json::from_str);
        let lines: Result<_, _> = lines.collect();
        lines.unwrap_or_else(|error| panic!("mihwar {arguments:?}: {error}\n{text}"))
    }

    /// Starts `mihwar serve` and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started or is not ready within a minute.
    pub fn serve(&self) -> std::io::Result<Running> {
        self.serve_as(|command| command)
    }

    /// As [`Site::serve`], with the command that starts it changed by `wrap`.
    ///
    /// # Errors
    /// As [`Site::serve`].
    pub fn serve_as(&self, wrap: impl FnOnce(Command) -> Command) -> std::io::Result<Running> {
        self.launch(READY_MAX, wrap)
    }

    /// As [`Site::serve`], for a hub that may have much to do before it is ready.
    ///
    /// # Errors
    /// When it cannot be started or is not ready within `longest`.
    pub fn serve_within(&self, longest: Duration) -> std::io::Result<Running> {
        self.launch(longest, |command| command)
    }

    fn launch(&self, longest: Duration, wrap: impl FnOnce(Command) -> Command) -> std::io::Result<Running> {
        compiled::lend(&self.data())?;
        let started = Instant::now();
        let log = fs::File::create(self.folder.path().join("serve.log"))?;
        let listen = self.listen.to_string();
        let child = wrap(self.command(&["serve", "--listen", &listen]))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut running = Running {
            child,
            ready_after: Duration::ZERO,
        };
        while started.elapsed() < longest {
            if ready(self.listen) {
                running.ready_after = started.elapsed();
                compiled::keep(&self.data())?;
                return Ok(running);
            }
            if running.child.try_wait()?.is_some() {
                break;
            }
            // A plain wait is what a person would do here; the hub is another process.
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Err(std::io::Error::other(format!(
            "the hub did not become ready:\n{}",
            self.log()
        )))
    }

    /// What the hub logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("serve.log")).unwrap_or_default()
    }

    /// Headers that sign a form post.
    #[must_use]
    pub fn form_headers(body: &[u8], unix_seconds: i64) -> [(&'static str, String); 2] {
        use hmac::{KeyInit, Mac};
        let signature = hmac::Hmac::<sha2::Sha256>::new_from_slice(FORM_SECRET.as_bytes()).map(|mut mac| {
            mac.update(unix_seconds.to_string().as_bytes());
            mac.update(body);
            mac.finalize()
                .into_bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        [
            ("X-Form-Timestamp", unix_seconds.to_string()),
            ("X-Form-Signature", format!("sha256={}", signature.unwrap_or_default())),
        ]
    }
}

fn ready(listen: SocketAddr) -> bool {
    use std::io::Write;
    let Ok(mut stream) = std::net::TcpStream::connect_timeout(&listen, Duration::from_millis(200)) else {
        return false;
    };
    let request = b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let timeouts = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut answer = String::new();
    timeouts.is_ok()
        && stream.write_all(request).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// The most resident memory that a process has had so far, in bytes; 0 when there is none.
#[must_use]
pub fn peak_bytes_of(process: u32) -> u64 {
    memory(process, "VmHWM:")
}

fn memory(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or_default()
        * 1024
}

/// A running hub; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// From the start of the process to the first 200 of `/health/ready`.
    pub ready_after: Duration,
}

impl Running {
    /// Kills it at once, as a power cut would end it.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to stop (SIGTERM) and waits; answers whether it ended with success.
    #[must_use]
    pub fn stop(self) -> bool {
        self.ask_to_stop() && self.ended_well()
    }

    /// Waits until it ends by itself; answers whether with success.
    #[must_use]
    pub fn ended_well(mut self) -> bool {
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// Asks it to stop (SIGTERM) and does not wait.
    #[must_use]
    pub fn ask_to_stop(&self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok()
    }

    /// Number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        memory(self.child.id(), field)
    }

    fn end(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn configuration(receiver: SocketAddr) -> String {
    let plugins = plugins(&["mail", "form", "calls", "language", "webhook"]);
    format!(
        r#"
[engine]
memory = "256MiB"
[storage]
free-space-floor = "16MiB"
{plugins}
[[instance]]
name = "mail"
plugin = "mail"
[[instance]]
name = "form"
plugin = "form"
secrets = {{ signing = {{ env = "FORM_SIGNING_SECRET" }} }}
[[instance]]
name = "calls"
plugin = "calls"
time-zone = "Asia/Riyadh"
settings = {{ format = "asterisk-cdr", default_country_code = "966", language = "ar" }}
[[instance]]
name = "language"
plugin = "language"
grant.fields = ["subject", "body"]
{}{}
[routing]
default = ["service"]
[[route]]
name = "money"
when = "record.body.matches('(?i)invoice|فاتورة')"
to = ["billing"]
"#,
        department("billing", receiver),
        department("service", receiver),
    )
}

fn small_configuration(receiver: SocketAddr) -> String {
    format!(
        r#"
[engine]
memory = "256MiB"
[storage]
free-space-floor = "16MiB"
{}
[[instance]]
name = "language"
plugin = "language"
grant.fields = ["subject", "body"]
{}
[routing]
default = ["service"]
"#,
        plugins(&["language", "webhook"]),
        department("service", receiver),
    )
}

fn plugins(ids: &[&str]) -> String {
    let plugin = |id: &&str| format!("[[plugin]]\nid = \"{id}\"\nfile = \"{}\"\n", plugin_file(id).display());
    ids.iter().map(plugin).collect()
}

fn department(name: &str, receiver: SocketAddr) -> String {
    format!(
        r#"
[[instance]]
name = "{name}"
plugin = "webhook"
settings = {{ url = "http://{receiver}/{name}" }}
secrets = {{ signing = {{ env = "DEPARTMENT_SIGNING_SECRET" }} }}
grant.fields = ["subject", "body"]
retry = {{ first = "100ms", most = "400ms", attempts = 20 }}
breaker = {{ failures = 19, first = "100ms", most = "400ms" }}
[[instance.grant.http]]
origin = "http://{receiver}"
methods = ["POST", "HEAD"]
private = true
"#
    )
}

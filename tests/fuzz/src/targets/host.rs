//! Plugin files, the configuration and its rules, addresses.

use std::cell::LazyCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use mihwar_hub::{Config, ConfigError, FORMAT};
use mihwar_sandbox::{Inspection, Manifest, refused_because};

use super::{Target, file, files, same};

/// The manifest in a plugin (TOML).
pub(super) const MANIFEST: Target = Target {
    name: "manifest",
    seeds: || {
        ["mail", "form", "calls", "language", "webhook"]
            .map(|id| file(&format!("plugins/{id}/plugin.toml")))
            .into()
    },
    words: &[
        "[[secret]]\n",
        "[ask]\n",
        "verify = { kind = ",
        "hmac-sha256",
        "origin = ",
        "\"https://*.example\"",
        "limits",
        "\"1TiB\"",
        "\"99999d\"",
        "[[",
        "\"\"\"",
        "{settings.url}",
    ],
    check: |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok("no text".into());
        };
        match Manifest::parse(text) {
            Ok(manifest) => Ok(format!(
                "{} {}",
                manifest.plugin.id.len().min(9),
                manifest.plugin.version.len().min(9)
            )),
            Err(error) => spoken(&error.to_string()),
        }
    },
    bounded_inputs: 4_000,
    bytes_max: 32 << 20,
};

/// A refusal as an answer: its first line, which must say something.
fn spoken(refusal: &str) -> Result<String, String> {
    let first = refusal.lines().find(|line| !line.trim().is_empty());
    first
        .map(str::to_owned)
        .ok_or_else(|| "a refusal without a word".to_owned())
}

/// Plugin files. Only looked at, never run.
pub(super) const COMPONENT: Target = Target {
    name: "component",
    seeds: || {
        let built = ["target/plugins/webhook.wasm", "target/guests/scripted.wasm"].map(file);
        let small: [&[u8]; 3] = [b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0", b"(component)"];
        built.into_iter().chain(small.map(<[u8]>::to_vec)).collect()
    },
    words: &[
        "\0asm",
        "mihwar-plugin",
        "mihwar:plugin/",
        "@0.1.0",
        "\u{7f}\u{7f}\u{7f}\u{7f}",
        "[plugin]\n",
    ],
    check: |input| match Inspection::of(input) {
        Ok(inspection) => Ok(format!(
            "{:?} {:?}",
            inspection.capabilities().count(),
            inspection.fitness().map_err(|error| error.to_string())
        )),
        Err(error) => spoken(&error.to_string()),
    },
    bounded_inputs: 60,
    bytes_max: 64 << 20,
};

/// The admin's file.
pub(super) const CONFIG: Target = Target {
    name: "config",
    seeds: || [vec![file("config/mihwar.toml")], files("config", 4)].concat(),
    words: &[
        "[[instance]]\n",
        "[[route]]\n",
        "[[plugin]]\n",
        "grant.http",
        "secrets = { a = { env = \"X\" } }",
        "\"512MiB\"",
        "\"-1s\"",
        "retry = ",
        "time-zone = \"Mars\"",
        "= [",
        "'''",
    ],
    check: |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok("no text".into());
        };
        configured(text).1
    },
    bounded_inputs: 400,
    bytes_max: 64 << 20,
};

thread_local! {
    static FOLDER: LazyCell<Option<tempfile::TempDir>> = const { LazyCell::new(|| tempfile::tempdir().ok()) };
}

/// Reads a configuration. Every refusal must say what, and name a line that is there.
fn configured(text: &str) -> (Option<Config>, Result<String, String>) {
    let read = |folder: &Path| {
        let path = folder.join("mihwar.toml");
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok(Config::load(&path, &[], std::iter::empty()))
    };
    let loaded: Result<Result<Config, ConfigError>, String> = FOLDER.with(|folder| {
        folder
            .as_ref()
            .ok_or_else(|| "no folder".to_owned())
            .and_then(|folder| read(folder.path()))
    });
    let error = match loaded {
        Ok(Ok(config)) => {
            let told = format!("{} {}", config.instances.len(), config.plugins.len());
            return (Some(config), Ok(told));
        }
        Ok(Err(error)) => error,
        Err(error) => return (None, Err(error)),
    };
    let lines = text.lines().count().max(1);
    let bad = error.problems.iter().find(|problem| {
        problem.message.trim().is_empty() || problem.line.is_some_and(|line| line == 0 || line > lines + 1)
    });
    let told = match (bad, error.problems.first()) {
        (Some(bad), _) => Err(format!("a refusal that leads nowhere: {bad:?} in {lines} lines")),
        (None, None) => Err("a refusal without a problem".into()),
        (None, Some(first)) => Ok(format!(
            "{} {} {}",
            error.problems.len().min(5),
            first.key,
            first.message
        )),
    };
    (None, told)
}

/// The file `FORMAT` of a data folder, through the door that reads it before anything else.
pub(super) const FORMAT_NOTE: Target = Target {
    name: "format-note",
    seeds: || {
        let written = format!("format {FORMAT}\nwritten-by mihwar 0.1.0\n");
        let moving = "format 1\nwritten-by mihwar 0.1.0\nmoving-to 2\nbackup complete\nposition blobs/3f ملف\n";
        [written.as_str(), "format 1\n", moving]
            .map(|text| text.as_bytes().to_vec())
            .into()
    },
    words: &[
        "format ",
        "written-by mihwar ",
        "moving-to ",
        "backup complete\n",
        "position ",
        "4294967296",
        "\u{feff}",
    ],
    check: format_note,
    bounded_inputs: 1_500,
    bytes_max: 64 << 20,
};

/// A folder that holds such a note and no store is always refused, in words that name the file, and left as it is.
fn format_note(input: &[u8]) -> Result<String, String> {
    let words = |error: std::io::Error| error.to_string();
    let (config, _) = configured("[storage]\nfolder = \"data\"\n");
    let mut config = config.ok_or("the plainest configuration is refused")?;
    let folder = tempfile::tempdir().map_err(words)?;
    folder.path().clone_into(&mut config.data);
    let note = folder.path().join("FORMAT");
    std::fs::write(&note, input).map_err(words)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(words)?;
    let said = match runtime.block_on(mihwar_hub::upgrade(&config, &mihwar_model::SystemClock, &mut |_| {})) {
        Ok(done) => return Err(format!("a note without a store was taken: {done:?}")),
        Err(error) => error.to_string(),
    };
    if !said.contains(&*note.to_string_lossy()) {
        return Err(format!("a refusal that does not name the file: {said}"));
    }
    same("the note", &std::fs::read(&note).map_err(words)?.as_slice(), &input)?;
    let names = std::fs::read_dir(folder.path()).map_err(words)?.count();
    same("files in the folder", &names, &1)?;
    // The folder is another one for each input; what is said of it is not.
    spoken(&said.replace(&*folder.path().to_string_lossy(), ""))
}

/// Routing rules (CEL).
pub(super) const RULES: Target = Target {
    name: "rules",
    seeds: || {
        let text = String::from_utf8_lossy(&file("config/mihwar.toml")).into_owned();
        let rules = text.lines().filter_map(|line| {
            line.strip_prefix("when = \"")?
                .strip_suffix('"')
                .map(|rule| rule.as_bytes().to_vec())
        });
        rules.collect()
    },
    words: &[
        "record.",
        "has(",
        "matches('",
        "(?i)",
        "(a+)+$",
        " && ",
        " || ",
        "'فاتورة'",
        "[",
        "]",
        "in ",
        ".all(x, ",
        "? ",
        " : ",
        "!",
        "((((((((",
        "\\p{Arabic}{1000}",
        "size(",
    ],
    check: |input| {
        let Ok(rule) = std::str::from_utf8(input) else {
            return Ok("no text".into());
        };
        let quoted = serde_json::to_string(rule).map_err(|error| error.to_string())?;
        let text = format!(
            "[[plugin]]\nid = \"webhook\"\nfile = \"webhook.wasm\"\n[[instance]]\nname = \"a\"\nplugin = \"webhook\"\n[routing]\ndefault = [\"a\"]\n[[route]]\nname = \"r\"\nto = [\"a\"]\nwhen = {quoted}\n"
        );
        configured(&text).1
    },
    bounded_inputs: 1_500,
    bytes_max: 64 << 20,
};

/// Addresses that a plugin may reach.
pub(super) const ADDRESS: Target = Target {
    name: "address",
    seeds: || {
        let v4 = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "8.8.8.8"]
            .map(|text| text.parse::<Ipv4Addr>().map(|address| address.octets().to_vec()));
        let v6 = [
            "::1",
            "fe80::1",
            "64:ff9b::7f00:1",
            "::ffff:10.0.0.1",
            "2606:4700::1111",
            "fd00:ec2::254",
        ]
        .map(|text| text.parse::<Ipv6Addr>().map(|address| address.octets().to_vec()));
        v4.into_iter().chain(v6).flatten().collect()
    },
    words: &["\0\0\0\0", "\u{7f}\0\0\u{1}", "\n\0\0\u{1}"],
    check: address,
    bounded_inputs: 200_000,
    bytes_max: 1 << 20,
};

fn address(input: &[u8]) -> Result<String, String> {
    if let Some(four) = input.first_chunk::<4>().filter(|_| input.len() < 16) {
        let address = Ipv4Addr::from(*four);
        let refused = judged(address.into())?;
        same(
            "an address written as IPv6",
            &judged(address.to_ipv6_mapped().into())?,
            &refused,
        )?;
        let inside = address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_broadcast()
            || address.is_multicast()
            || address.is_unspecified()
            || address.is_documentation();
        if inside && refused.is_none() {
            return Err(format!("{address} can be reached"));
        }
        // Addresses that only stand for this one on the other side of a translator.
        let [a, b, c, d] = *four;
        let word = |high, low| u16::from_be_bytes([high, low]);
        for through in [
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, word(a, b), word(c, d)),
            Ipv6Addr::new(0x2002, word(a, b), word(c, d), 0, 0, 0, 0, 1),
        ] {
            if inside && judged(through.into())?.is_none() {
                return Err(format!("{address} can be reached as {through}"));
            }
        }
        return Ok(format!("{refused:?}"));
    }
    let Some(sixteen) = input.first_chunk::<16>() else {
        return Ok("no address".into());
    };
    let address = Ipv6Addr::from(*sixteen);
    let refused = judged(address.into())?;
    let inside = address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local();
    if inside && refused.is_none() {
        return Err(format!("{address} can be reached"));
    }
    Ok(format!("{refused:?}"))
}

/// Why it is refused without a grant; a grant never refuses more.
fn judged(address: IpAddr) -> Result<Option<&'static str>, String> {
    let (without, with) = (refused_because(address, false), refused_because(address, true));
    if with.is_some() && with != without {
        return Err(format!("{address}: a grant refuses more"));
    }
    Ok(without)
}

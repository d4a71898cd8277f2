//! The command line.

mod contact;
mod delivery;
mod feedback;
mod metric;
mod route;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use contact::{Contact, PageLanguage};
pub(crate) use delivery::{Delivery, Moment};
pub(crate) use feedback::{Export, Feedback, Format, Separator};
pub(crate) use metric::{FigureEvidence, FigureWanted, Metric};
pub(crate) use route::{Route, RouteTest, RouteTrial};

/// A self-hosted feedback hub: whatever customers say, in one place, and the proof of what became of it.
#[derive(Debug, Parser)]
#[command(name = "mihwar", version, about, propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Global {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        env = "MIHWAR_CONFIG",
        default_value = "config/mihwar.toml",
        value_name = "FILE"
    )]
    pub(crate) config: PathBuf,
    /// The data folder, instead of the one in the configuration.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value, read once at the start")]
pub(crate) enum Command {
    /// Run the hub.
    Serve {
        /// Address and port to listen on, instead of the one in the configuration.
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
    },
    /// Read files and folders in through a channel instance. Can be stopped and started again.
    Import {
        /// The channel instance.
        instance: String,
        /// Files and folders.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Write the whole report, with every refusal, to this file as JSON.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Build, look at and install plugins.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Read what customers say.
    #[command(subcommand)]
    Feedback(Feedback),
    /// What is held about a person, and its erasure.
    #[command(subcommand)]
    Contact(Contact),
    /// Which departments receive what, and why.
    #[command(subcommand)]
    Route(Route),
    /// Follow where it went, how departments stand, and send dead letters again.
    #[command(subcommand)]
    Delivery(Delivery),
    /// The proof of it all.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Figures with a receipt, which others can make again.
    #[command(subcommand)]
    Metric(Metric),
    /// Write a consistent copy of the hub into a file, while it runs. The master key is not in it.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Backup {
        #[command(subcommand)]
        command: Option<BackupCommand>,
        /// The file; one that is there already is not touched.
        #[arg(required = true)]
        file: Option<PathBuf>,
        /// Only what changed since this earlier backup, full or not.
        #[arg(long, value_name = "PREVIOUS")]
        since: Option<PathBuf>,
    },
    /// Make a data folder from a full backup and the increments that follow it, in their order.
    Restore {
        /// The full backup, then its increments.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The copy of the master key that belongs to it: tried, and put into the folder.
        #[arg(long, value_name = "FILE")]
        master_key: Option<PathBuf>,
        /// Revoke the API tokens of that state: those that were revoked since are good again otherwise.
        #[arg(long)]
        without_tokens: bool,
    },
    /// Tokens for the API.
    #[command(subcommand)]
    Token(Token),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Bring the data folder of an older version to this one's format, with a backup first. `serve` does the same.
    Upgrade,
    /// Look at everything that must be right for the hub to run.
    Doctor {
        /// Make the read models anew from the ledger, compare, and put right what differs. The hub must not run meanwhile.
        #[arg(long)]
        rebuild: bool,
        /// Rewrite the store without the room that deleted and changed rows left in it. A running hub goes on meanwhile.
        #[arg(long)]
        compact: bool,
        /// Say what is whole of a store whose log is damaged, and what is lost. Changes nothing without --yes. The hub must not
        /// run meanwhile.
        #[arg(long, conflicts_with_all = ["rebuild", "compact"])]
        salvage_log: bool,
        /// Do it: set the damaged log aside, and go on with what is whole. What lies behind the damage is lost.
        #[arg(long, requires = "salvage_log")]
        yes: bool,
    },
}

/// `mihwar plugin`
#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Build a plugin's crate into one component file.
    Build {
        /// The crate's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where to put the component; left out: the plugin's id with .wasm, in this folder.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
        /// The cargo profile to build with.
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Say what a plugin file is, what it asks for and what it can do.
    Inspect {
        /// The component file.
        file: PathBuf,
    },
    /// Put plugin files into the data folder and pin their hashes in plugins.lock.
    Install {
        /// The component files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the plugin instances and how they are.
    List,
}

/// `mihwar ledger`
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Sign the present head and print it: a C2SP checkpoint.
    Head,
    /// Hash everything again, check every checkpoint and content, make the read models anew and compare. With a FILE: check
    /// that bundle, receipt or consistency proof, for which neither the hub nor its data or configuration are needed.
    #[command(group = clap::ArgGroup::new("outside"))]
    #[command(group = clap::ArgGroup::new("trusted").multiple(true))]
    Verify {
        /// A bundle of `mihwar ledger export`, a receipt, or a consistency proof, instead of this hub's ledger.
        #[arg(group = "outside", requires = "trusted")]
        file: Option<PathBuf>,
        /// The checkpoint that you trust: one that you got elsewhere, or kept. May be given several times. A bundle is
        /// compared with every checkpoint in the file, and is refused if it has fewer entries than one of them: then it is not
        /// the whole ledger.
        #[arg(long, value_name = "FILE", requires = "file", group = "trusted")]
        checkpoint: Vec<PathBuf>,
        /// The ledger's verifier key, or a file that holds it, from a source that you trust. Left out, the file's (or this
        /// hub's) own word is taken for it.
        #[arg(long, value_name = "KEY", requires = "outside", group = "trusted")]
        key: Option<String>,
        /// What connects the receipt's checkpoint with the one that you trust.
        #[arg(long, value_name = "FILE", requires = "file")]
        consistency: Option<PathBuf>,
        /// Also compare this hub's ledger with the checkpoints that were kept outside in this file.
        #[arg(long, value_name = "FILE", group = "outside")]
        witness: Option<PathBuf>,
        /// Only the ledger: entries, tree, tiles, checkpoints.
        #[arg(long, conflicts_with = "file")]
        quick: bool,
    },
    /// Write the whole ledger into one file, from which a stranger checks the history and counts without the hub, with
    /// `mihwar ledger verify FILE` or the program that is in it. It holds facts and nothing personal.
    Export {
        /// The file; one that is there already is not touched.
        file: PathBuf,
        /// Also what people said, with the salts that let it be checked: names, words and all. What of it is damaged is left
        /// out and named, with status 1.
        #[arg(long)]
        with_content: bool,
        /// Replace a file that is there already.
        #[arg(long)]
        force: bool,
    },
    /// Write a receipt, which proves that a piece of feedback is in the ledger: receipt.json and, for people, receipt.html.
    /// With --from: consistency.json, which proves that a later checkpoint only appended to an earlier one.
    #[command(group = clap::ArgGroup::new("what").required(true))]
    Prove {
        /// The feedback's id.
        #[arg(group = "what")]
        feedback: Option<String>,
        /// Prove it for the checkpoint of so many entries; left out: for the ledger as it is now.
        #[arg(long, value_name = "ENTRIES", requires = "feedback", conflicts_with = "from")]
        size: Option<u64>,
        /// Connect two checkpoints instead: entries of the older one.
        #[arg(long, value_name = "ENTRIES", group = "what")]
        from: Option<u64>,
        /// … and of the newer one; left out: the ledger as it is now.
        #[arg(long, value_name = "ENTRIES", requires = "from", conflicts_with = "feedback")]
        to: Option<u64>,
        /// The folder to write to. Files that are there already are not touched.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
}

/// `mihwar backup`
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Check a full backup and the increments that follow it. Needs no hub and no key.
    Verify {
        /// The full backup, then its increments.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Also restore it beside the last file, check everything in it as `mihwar ledger verify` does, and remove it.
        #[arg(long)]
        deep: bool,
        /// The copy of the master key that belongs to it, for --deep; left out: the one in the environment.
        #[arg(long, value_name = "FILE", requires = "deep")]
        master_key: Option<PathBuf>,
    },
}

/// `mihwar token`
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token. It is shown this once.
    Create {
        /// What it is for.
        name: String,
        /// feedback:read, feedback:write, admin, or feed:NAME to take what is for this department by its feed; may be given
        /// several times.
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// When it ends (RFC 3339); left out: never.
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List tokens, without their secrets.
    List,
    /// Make a token worthless from now on.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// `mihwar config`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and say what is wrong with it.
    Check,
    /// Make the running hub read its configuration again.
    Reload,
}

#[cfg(test)]
mod tests {
    use super::Args;
    use clap::CommandFactory;
    use clap::Parser;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    fn is_wrong_use(words: &[&str]) {
        let words = [&["mihwar"][..], words].concat();
        let error = Args::try_parse_from(&words).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{words:?}");
    }

    fn is_right_use(words: &[&str]) {
        let words = [&["mihwar"][..], words].concat();
        assert!(Args::try_parse_from(&words).is_ok(), "{words:?}");
    }

    #[test]
    fn wrong_use_ends_with_status_two() {
        for words in [
            &["delivery", "replay"][..],
            &["import", "form"],
            &["feedback", "list", "--score-min", "3"],
            &["backup"],
            &["backup", "verify"],
            &["backup", "verify", "نسخة.mbk", "--master-key", "k"],
            &["restore"],
            &["doctor", "--yes"],
            &["doctor", "--salvage-log", "--rebuild"],
            &["delivery", "replay", "--all", "--department", "مبيعات"],
            &["contact", "erase", "tel:+966501234567"],
            &["contact", "export", "tel:+966501234567", "--language", "fr"],
            &["feedback", "export", "--format", "xlsx"],
            &["feedback", "export", "--force"],
            &["feedback", "export", "-o", "شكاوى.csv", "--bom=perhaps"],
        ] {
            is_wrong_use(words);
        }
        let (who, why) = ("tel:+966501234567", "طلب-صاحبها");
        for words in [
            &["feedback", "list", "--text", "تأخر", "--json"][..],
            &["backup", "نسخة.mbk", "--since", "أمس.mbk"],
            &["backup", "verify", "أمس.mbk", "نسخة.mbk", "--deep"],
            &["restore", "أمس.mbk", "--without-tokens"],
            &["doctor", "--salvage-log", "--yes", "--data", "بيانات"],
            &["contact", "erase", who, "--reason", why],
            &["contact", "export", who, "--language", "ar", "-o", "ملف"],
            &["feedback", "export", "--output", "شكاوى.csv", "--force"],
            &[
                "feedback",
                "export",
                "--format",
                "csv",
                "--bom",
                "--separator",
                "semicolon",
            ],
            &[
                "feedback",
                "export",
                "--format",
                "csv",
                "--bom=false",
                "--kind",
                "complaint",
            ],
        ] {
            is_right_use(words);
        }
    }

    #[test]
    fn rules_are_tried_on_one_period() {
        for words in [
            &["test"][..],
            &["explain"],
            &["try", "--since", "أمس"],
            &["try", "--since", "30d", "--from", "2026-01-01"],
            &["test", "عينات.ndjson"],
        ] {
            is_wrong_use(&[&["route"][..], words].concat());
        }
        for words in [
            &["test", "--file", "عينات.ndjson", "--rules", "جديد.toml", "--short"][..],
            &["explain", "0199"],
            &["try", "--config", "جديد.toml", "--since", "30d"],
            &[
                "try",
                "--rules",
                "جديد.toml",
                "--from",
                "2026-01-01",
                "--to",
                "2026-02-01",
            ],
            &["try"],
        ] {
            is_right_use(&[&["route"][..], words].concat());
        }
    }

    #[test]
    fn a_figure_is_asked_for_with_its_period() {
        let period = ["--from", "2026-01-01", "--to", "2026-02-01"];
        for words in [
            &["run", "رضا"][..],
            &["run", "رضا", "--from", "2026-01-01"],
            &["run", "رضا", "--from", "أمس", "--to", "2026-02-01"],
            &["verify", "إيصال.json"],
            &["verify", "--bundle", "سجل.tar"],
        ] {
            is_wrong_use(&[&["metric"][..], words].concat());
        }
        is_wrong_use(&[&["metric", "run", "رضا", "--by", "person"][..], &period].concat());
        is_right_use(
            &[
                &["metric", "run", "رضا", "--by", "kind", "--receipt", "r.json"][..],
                &period,
            ]
            .concat(),
        );
        is_right_use(&[
            "metric",
            "verify",
            "إيصال.json",
            "--bundle",
            "سجل.tar",
            "--module",
            "m.wasm",
        ]);
    }

    #[test]
    fn a_proof_is_asked_for_in_one_way_at_a_time() {
        let file = "إيصال.json";
        for words in [
            &["prove"][..],
            &["prove", "0199", "--from", "3"],
            &["prove", "--from", "3", "--size", "4"],
            &["prove", "0199", "--to", "4"],
            &["verify", file],
            &["verify", "--checkpoint", "نقطة.txt"],
            &["verify", "--key", "k"],
            &["verify", "r.json", "--checkpoint", "c", "--witness", "w"],
            &["verify", "r.json", "--checkpoint", "c", "--quick"],
            &["export"],
            &["export", "دفتر.tar", "another.tar"],
        ] {
            is_wrong_use(&[&["ledger"][..], words].concat());
        }
        for words in [
            &["prove", "0199", "--size", "4", "--out", "إيصالات"][..],
            &["prove", "--from", "3", "--to", "4"],
            &["verify", "--quick", "--witness", "شاهد.txt", "--key", "k"],
            &["verify", file, "--checkpoint", "a", "--checkpoint", "b"],
            &["verify", "دفتر.tar", "--key", "k"],
            &["verify", "دفتر.tar", "--checkpoint", "a", "--key", "k"],
            &["export", "دفتر.tar", "--with-content", "--force", "--json"],
        ] {
            is_right_use(&[&["ledger"][..], words].concat());
        }
    }
}

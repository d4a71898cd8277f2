//! The commands. Each is written once, against the API.

mod backup;
mod bundle;
mod config;
mod contact;
mod delivery;
mod doctor;
mod evidence;
mod export;
mod feedback;
mod import;
mod ledger;
mod ledger_export;
mod metric;
mod missing;
mod pages;
mod plugin;
mod plugin_build;
mod prove;
mod route;
mod salvage;
mod serve;
mod stages;
mod tally;
mod token;
mod trial;
mod upgrade;

use std::path::Path;

use anyhow::Context;
use mihwar_hub::{Config, LogFormat, LogSection};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Args, BackupCommand, Command, Delivery, Global, Ledger, Metric, Plugin, Route};
use crate::client::{Client, Opening};
use crate::output::Outcome;

/// Carries a command out.
pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let Args { global, command } = args;
    if !matches!(command, Command::Serve { .. }) {
        // Commands speak for themselves; only what goes wrong below them is worth a line.
        start_log(&LogSection {
            format: LogFormat::Text,
            level: "warn".into(),
        })?;
    }
    match command {
        Command::Serve { listen } => serve::run(&global, listen).await,
        Command::Config(command) => config::run(&global, &command).await,
        Command::Upgrade => upgrade::run(&global).await,
        Command::Doctor {
            salvage_log: true, yes, ..
        } => salvage::run(&global, yes).await,
        Command::Doctor { rebuild, compact, .. } => doctor::run(&global, rebuild, compact).await,
        Command::Backup {
            command:
                Some(BackupCommand::Verify {
                    files,
                    deep,
                    master_key,
                }),
            ..
        } => backup::verify(&global, files, deep, master_key).await,
        Command::Restore {
            files,
            master_key,
            without_tokens,
        } => backup::restore(&global, files, master_key, without_tokens).await,
        Command::Ledger(Ledger::Verify {
            file: Some(file),
            checkpoint,
            key,
            consistency,
            ..
        }) => {
            let evidence = evidence::Evidence {
                file: &file,
                checkpoints: &checkpoint,
                key: key.as_deref(),
                consistency: consistency.as_deref(),
            };
            evidence::verify(&evidence, global.json)
        }
        Command::Metric(Metric::Verify(evidence)) => metric::verify(&evidence, global.json).await,
        Command::Route(Route::Test(wanted)) => route::test(&global, &wanted),
        Command::Plugin(Plugin::Build { folder, out, profile }) => {
            plugin_build::run(&folder, out, &profile, global.json)
        }
        Command::Plugin(Plugin::Inspect { file }) => plugin::inspect(&file, global.json),
        Command::Plugin(Plugin::Install { files }) => {
            plugin::install(&load_config(&global, &[])?, &files, global.json).await
        }
        asking => {
            let client = Client::connect(load_config(&global, &[])?, opening(&asking)).await?;
            let outcome = ask(&client, &global, asking).await;
            let closed = client.close().await;
            let outcome = outcome?;
            closed.map(|()| outcome)
        }
    }
}

/// How much of a hub a command needs. Reading, verifying and tokens do with the records alone; what makes plugins work,
/// or tells of them, loads them.
const fn opening(command: &Command) -> Opening {
    match command {
        Command::Import { .. }
        | Command::Plugin(_)
        | Command::Metric(_)
        | Command::Delivery(
            Delivery::Replay(_) | Delivery::Status { .. } | Delivery::Check { .. } | Delivery::Backfill { .. },
        ) => Opening::Whole,
        _ => Opening::Existing,
    }
}

async fn ask(client: &Client, global: &Global, command: Command) -> anyhow::Result<Outcome> {
    let json = global.json;
    match command {
        Command::Import {
            instance,
            paths,
            report,
        } => import::run(client, instance, &paths, report.as_deref(), json).await,
        Command::Feedback(command) => feedback::run(client, command, json).await,
        Command::Contact(command) => contact::run(client, command, json).await,
        Command::Route(Route::Explain { feedback }) => route::explain(client, &feedback, json).await,
        Command::Route(Route::Try(wanted)) => route::attempt(client, global, &wanted).await,
        Command::Delivery(command) => delivery::run(client, command, json).await,
        Command::Ledger(command) => ledger::run(client, &command, json).await,
        Command::Metric(Metric::Run(wanted)) => metric::run(client, &wanted, json).await,
        Command::Backup {
            file: Some(file),
            since,
            ..
        } => backup::make(client, file, since.as_deref(), json).await,
        Command::Token(command) => token::run(client, command, json).await,
        Command::Plugin(_) => plugin::list(client, json).await,
        Command::Serve { .. }
        | Command::Config(_)
        | Command::Upgrade
        | Command::Doctor { .. }
        | Command::Metric(Metric::Verify(_))
        | Command::Route(Route::Test(_))
        | Command::Backup { .. }
        | Command::Restore { .. } => {
            anyhow::bail!("this command asks no hub")
        }
    }
}

/// Reads the configuration, with what the command line sets on top of it.
fn load_config(global: &Global, further: &[(String, String)]) -> anyhow::Result<Config> {
    let mut overrides = further.to_vec();
    if let Some(data) = &global.data {
        // Paths in the file are relative to it; on the command line they are relative to where one stands.
        let absolute = std::path::absolute(data).with_context(|| format!("--data {}", data.display()))?;
        overrides.push(("storage.folder".to_owned(), text_of(&absolute)?));
    }
    Ok(Config::load(&global.config, &overrides, environment())?)
}

/// Variables whose name or value is no text cannot stand for config keys.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    path.to_str()
        .map(ToOwned::to_owned)
        .with_context(|| format!("{} is no Unicode text", path.display()))
}

/// Starts the log, on the standard error.
fn start_log(log: &LogSection) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level).with_context(|| format!("log.level = \"{}\"", log.level))?;
    let registry = tracing_subscriber::registry().with(filter);
    let writer = std::io::stderr;
    match log.format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry
                .with(tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours))
                .try_init()?;
        }
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json().with_writer(writer))
            .try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::opening;
    use crate::args::Args;
    use crate::client::Opening;
    use clap::Parser;

    #[test]
    fn only_what_needs_plugins_loads_them() {
        let of = |words: &str| opening(&Args::try_parse_from(words.split(' ')).unwrap().command);
        for words in [
            "mihwar import forms ملف.csv",
            "mihwar plugin list",
            "mihwar delivery replay --all",
            "mihwar delivery status",
            "mihwar delivery check billing",
            "mihwar delivery backfill billing --since 7d",
            "mihwar metric run رضا --from 2026-01-01 --to 2026-02-01",
        ] {
            assert_eq!(of(words), Opening::Whole, "{words}");
        }
        for words in [
            "mihwar feedback list",
            "mihwar delivery list --inbound",
            "mihwar route explain 0199",
            "mihwar route try --since 30d",
            "mihwar delivery show 01890000-0000-7000-8000-000000000000",
            "mihwar delivery resume billing",
            "mihwar ledger verify",
            "mihwar ledger export دفتر.tar",
            "mihwar backup نسخة.mbk",
            "mihwar token list",
            "mihwar contact erase tel:+966501234567 --reason طلب",
        ] {
            assert_eq!(of(words), Opening::Existing, "{words}");
        }
    }
}

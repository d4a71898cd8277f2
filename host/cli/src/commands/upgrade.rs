//! `mihwar upgrade`, and the same at the start of `mihwar serve`: the data folder of an older version.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use mihwar_hub::{Config, FORMAT, OpenError, STORE_FILE, UpgradeProgress, Upgraded};
use mihwar_model::SystemClock;
use serde::Serialize;

use super::load_config;
use crate::args::Global;
use crate::output::{Outcome, json, line};

/// What a finished command says, for programs.
#[derive(Serialize)]
struct Report {
    format: u32,
    upgraded: Option<Upgraded>,
}

/// Brings the data folder to this version's format, and says what was done.
///
/// # Errors
/// As [`bring`]; or the folder holds no hub.
pub(super) async fn run(global: &Global) -> anyhow::Result<Outcome> {
    let config = load_config(global, &[])?;
    let upgraded = bring(&config).await?;
    // Who mistyped the folder must not read that there is nothing to do.
    if upgraded.is_none() && !config.data.join(STORE_FILE).exists() {
        return Err(OpenError::NoHub { path: config.data }.into());
    }
    if global.json {
        json(&Report {
            format: FORMAT,
            upgraded,
        })?;
        return Ok(Outcome::Done);
    }
    line(match upgraded {
        Some(Upgraded { from, to, backup }) => format!(
            "{} went from format {from} to format {to}. The store as it was before is in {}; delete that when you no \
             longer need it.",
            config.data.display(),
            backup.display()
        ),
        None => format!(
            "{} has format {FORMAT} already; nothing was to be done",
            config.data.display()
        ),
    })?;
    Ok(Outcome::Done)
}

/// Upgrades the folder if it is of an older format, with a progress bar where there is a terminal.
///
/// # Errors
/// Why the folder is left as it is, or what broke off; the next start goes on there.
pub(super) async fn bring(config: &Config) -> anyhow::Result<Option<Upgraded>> {
    let bar = std::io::stderr().is_terminal().then(bar);
    let mut show = |progress: UpgradeProgress| {
        if let Some(bar) = &bar {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(progress.step);
        }
    };
    let upgraded = mihwar_hub::upgrade(config, &SystemClock, &mut show).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(upgraded?)
}

fn bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

//! `mihwar config`: the configuration.

use std::collections::BTreeMap;

use mihwar_hub::{Config, ConfigError, ConfigProblem, Hub, OpenError};
use serde::Serialize;

use super::load_config;
use crate::args::{ConfigCommand, Global};
use crate::client::Client;
use crate::output::{Outcome, json, line, plain};

/// Carries out `mihwar config …`.
pub(super) async fn run(global: &Global, command: &ConfigCommand) -> anyhow::Result<Outcome> {
    match command {
        ConfigCommand::Check => check(global).await,
        ConfigCommand::Reload => reload(global).await,
    }
}

/// What a check found, for programs.
#[derive(Serialize)]
struct Checked {
    good: bool,
    file: String,
    instances: Vec<String>,
    warnings: Vec<String>,
    problems: Vec<Found>,
}

/// One problem, for programs.
#[derive(Serialize)]
struct Found {
    source: String,
    line: Option<usize>,
    key: String,
    message: String,
}

impl From<&ConfigProblem> for Found {
    fn from(problem: &ConfigProblem) -> Self {
        let ConfigProblem {
            source,
            line,
            key,
            message,
        } = problem.clone();
        Self {
            source,
            line,
            key,
            message,
        }
    }
}

/// Reads the file and builds what a start would build from it: plugins, settings, secrets. Nothing is made by it.
async fn check(global: &Global) -> anyhow::Result<Outcome> {
    let (config, warnings) = match build(global).await {
        Ok(built) => built,
        Err(error) if global.json => {
            json(&Checked {
                good: false,
                file: global.config.display().to_string(),
                instances: Vec::new(),
                warnings: Vec::new(),
                problems: problems(&error),
            })?;
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(error),
    };
    let instances: Vec<_> = config
        .instances
        .iter()
        .map(|instance| instance.name.to_string())
        .collect();
    let file = config.path.display().to_string();
    if global.json {
        json(&Checked {
            good: true,
            file,
            instances,
            warnings,
            problems: Vec::new(),
        })?;
        return Ok(Outcome::Done);
    }
    for warning in &warnings {
        line(plain(&format!("worth a thought: {warning}")))?;
    }
    match instances.as_slice() {
        [] => line(format_args!("{file} is good: no instances"))?,
        names => line(format_args!("{file} is good: instances {}", names.join(", ")))?,
    }
    Ok(Outcome::Done)
}

async fn build(global: &Global) -> anyhow::Result<(Config, Vec<String>)> {
    let config = load_config(global, &[])?;
    let warnings = Hub::check_config(&config).await?;
    Ok((config, warnings))
}

/// Every problem of a configuration; anything else that stood in the way is one problem without a place.
fn problems(error: &anyhow::Error) -> Vec<Found> {
    let config = match error.downcast_ref::<OpenError>() {
        Some(OpenError::Config(config)) => Some(config),
        Some(_) => None,
        None => error.downcast_ref::<ConfigError>(),
    };
    match config {
        Some(config) => config.problems.iter().map(Found::from).collect(),
        None => vec![Found {
            source: String::new(),
            line: None,
            key: String::new(),
            message: format!("{error:#}"),
        }],
    }
}

async fn reload(global: &Global) -> anyhow::Result<Outcome> {
    let Some(hub) = Client::running(&load_config(global, &[])?).await else {
        anyhow::bail!("no hub runs on this data folder; it reads its configuration when it starts");
    };
    let report: BTreeMap<String, Vec<String>> = hub.post("/api/v1/config:reload", &()).await?.json().await?;
    if global.json {
        json(&report)?;
        return Ok(Outcome::Done);
    }
    for (what, names) in report {
        if !names.is_empty() {
            line(format_args!("{what}: {}", names.join(", ")))?;
        }
    }
    line("the configuration in the file is in force")?;
    Ok(Outcome::Done)
}

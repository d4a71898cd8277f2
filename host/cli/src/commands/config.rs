//! `mihwar config`: the configuration.

use std::collections::BTreeMap;

use super::load_config;
use crate::args::{ConfigCommand, Global};
use crate::client::Client;
use crate::output::{Outcome, json, line};

/// Carries out `mihwar config …`.
pub(super) async fn run(global: &Global, command: &ConfigCommand) -> anyhow::Result<Outcome> {
    match command {
        ConfigCommand::Check => {
            let config = load_config(global, &[])?;
            let names: Vec<_> = config.instances.iter().map(|instance| instance.name.as_str()).collect();
            line(format_args!(
                "{} is good: instances {}",
                config.path.display(),
                names.join(", ")
            ))?;
        }
        ConfigCommand::Reload => reload(global).await?,
    }
    Ok(Outcome::Done)
}

async fn reload(global: &Global) -> anyhow::Result<()> {
    let client = Client::connect(load_config(global, &[])?).await?;
    let Client::Running(_) = client else {
        client.close().await?;
        anyhow::bail!("no hub runs on this data folder; it reads its configuration when it starts");
    };
    let report: BTreeMap<String, Vec<String>> = client.post("/api/v1/config:reload", &()).await?.json().await?;
    if global.json {
        return json(&report);
    }
    for (what, names) in report {
        if !names.is_empty() {
            line(format_args!("{what}: {}", names.join(", ")))?;
        }
    }
    line("the configuration in the file is in force")
}

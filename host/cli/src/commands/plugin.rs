//! `mihwar plugin`: look at plugin files, install them, list what runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mihwar_hub::{Config, plugin_install, plugin_lock_path};
use mihwar_sandbox::Inspection;
use mihwar_sandbox::manifest::LocalText;
use mihwar_server::wire::{InstanceListView, InstanceView};

use crate::client::Client;
use crate::output::{Outcome, excerpt, json, line, one_line};
use crate::words::{bytes, counted};

/// Says what a plugin file is.
pub(super) fn inspect(file: &Path, as_json: bool) -> anyhow::Result<Outcome> {
    let inspection = read(file)?;
    if as_json {
        json(&inspection)?;
    } else {
        tell(&inspection)?;
    }
    Ok(Outcome::Done)
}

/// Reads a plugin file; an error names it.
fn read(file: &Path) -> anyhow::Result<Inspection> {
    let shown = || one_line(&file.display().to_string());
    let content = std::fs::read(file).with_context(shown)?;
    Inspection::of(&content).with_context(shown)
}

/// Prints what a plugin file says about itself.
pub(super) fn tell(inspection: &Inspection) -> anyhow::Result<()> {
    let about = &inspection.manifest.plugin;
    line(one_line(&format!("{} {}", about.id, about.version)))?;
    for text in [Some(&about.name), about.description.as_ref()].into_iter().flatten() {
        text.languages()
            .try_for_each(|language| line(one_line(text.in_language(language))))?;
    }
    line(format_args!("contract   {}", about.contract))?;
    line(format_args!("size       {}", bytes(inspection.size)))?;
    line(format_args!("sha256     {}", inspection.sha256))?;
    if let Some(sdk) = &inspection.sdk {
        line(format_args!("made with  {}", excerpt(sdk, 80)))?;
    }
    list_of("offers", &inspection.exports)?;
    list_of("uses", &inspection.imports)?;
    tell_asks(inspection)
}

fn tell_asks(inspection: &Inspection) -> anyhow::Result<()> {
    let manifest = &inspection.manifest;
    let mut asks: Vec<String> = Vec::new();
    let because = |why: Option<&LocalText>| {
        why.map(|why| format!(": {}", why.in_language("en")))
            .unwrap_or_default()
    };
    for http in &manifest.ask.http {
        asks.push(format!(
            "requests to {} ({}){}",
            http.origin,
            http.methods.join(", "),
            because(http.why.as_ref())
        ));
    }
    for net in &manifest.ask.net {
        asks.push(format!(
            "connections to {}, port {} ({}){}",
            net.host,
            net.port,
            net.security,
            because(net.why.as_ref())
        ));
    }
    if !manifest.ask.fields.is_empty() {
        asks.push(format!("fields of the record: {}", manifest.ask.fields.join(", ")));
    }
    if manifest.ask.redact {
        asks.push("masking parts of these fields before a record is stored".to_owned());
    }
    for (secret, (_, origin)) in manifest.secrets.iter().zip(inspection.secret_origins()) {
        let need = if secret.required { "needed" } else { "optional" };
        let way = origin.map_or_else(|| "only signs".to_owned(), |origin| format!("sent to {origin}"));
        asks.push(format!("secret \"{}\" ({need}, {way})", secret.name));
    }
    for endpoint in &manifest.webhooks {
        let check = if endpoint.verify.is_some() {
            "signature checked"
        } else {
            "no signature"
        };
        asks.push(format!(
            "endpoint \"{}\" ({}, {check})",
            endpoint.name,
            endpoint.methods.join(", ")
        ));
    }
    list_of("asks for", &asks)
}

fn list_of(title: &str, items: &[String]) -> anyhow::Result<()> {
    for (i, item) in items.iter().enumerate() {
        let title = if i == 0 { title } else { "" };
        line(one_line(&format!("{title:<10} {item}")))?;
    }
    Ok(())
}

/// Installs plugin files, and lets a running hub take them over. If one of them is nothing for this hub, none is pinned.
pub(super) async fn install(config: &Config, files: &[PathBuf], as_json: bool) -> anyhow::Result<Outcome> {
    for file in files {
        let fit = read(file)?.fitness();
        fit.with_context(|| format!("{}: nothing was installed", one_line(&file.display().to_string())))?;
    }
    let mut installed = BTreeMap::new();
    for file in files {
        let inspection = plugin_install(config, file)?;
        let about = &inspection.manifest.plugin;
        if !as_json {
            line(format_args!(
                "{} {} is installed, sha256 {}",
                about.id, about.version, inspection.sha256
            ))?;
        }
        installed.insert(about.id.clone(), inspection.sha256.clone());
    }
    if as_json {
        json(&installed)?;
    } else {
        line(format_args!("pinned in {}", plugin_lock_path(config).display()))?;
    }
    if let Some(hub) = Client::running(config).await {
        let report: BTreeMap<String, Vec<String>> = hub.post("/api/v1/config:reload", &()).await?.json().await?;
        let running: Vec<_> = report.values().flatten().map(String::as_str).collect();
        if !as_json && !running.is_empty() {
            line(format_args!("the running hub took it over: {}", running.join(", ")))?;
        }
    }
    Ok(Outcome::Done)
}

/// Lists the instances.
pub(super) async fn list(client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
    let list: InstanceListView = client.get("/api/v1/plugins").await?.json().await?;
    if as_json {
        json(&list)?;
        return Ok(Outcome::Done);
    }
    if list.items.is_empty() {
        line("no instance is configured; add an [[instance]] to the configuration")?;
    }
    list.items.iter().try_for_each(tell_instance)?;
    Ok(Outcome::Done)
}

fn tell_instance(instance: &InstanceView) -> anyhow::Result<()> {
    let InstanceView {
        name,
        plugin,
        version,
        role,
        state,
        ..
    } = instance;
    let calls = counted(instance.calls_ok, "call", "calls");
    let mut text = format!("{name:<16} {role:<11} {state:<8} {plugin} {version}  {calls}");
    for (count, what) in [
        (instance.calls_failed, "failed"),
        (instance.waiting, "waiting"),
        (instance.dead, "dead"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    line(one_line(&text))?;
    if let Some(reason) = &instance.reason {
        line(format_args!("    {}", excerpt(reason, 300)))?;
    }
    if let (Some(error), Some(at)) = (&instance.last_error, instance.last_error_at) {
        line(format_args!("    last failure {at}: {}", excerpt(error, 300)))?;
    }
    Ok(())
}

//! A department that speaks over a connection: `PAGE id` on a line, and `OK` comes back.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::{Department, Handed, Said, System, Trouble};
use crate::{
    Ack, AckState, Connection, Delivered, Delivery, Destination, Host, NetError, Plugin, PluginError, Security,
    Setback, one_by_one,
};

const HOST: &str = "pager.example";

pub(super) fn department(is_deaf: bool) -> Department<Pager, Tower> {
    Department::<Pager, _>::new(json!({ "is_deaf": is_deaf }), Tower::default).connection(HOST, 7000)
}

pub(super) struct Pager;

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Settings {
    /// Does not wait for answers.
    is_deaf: bool,
}

impl Plugin for Pager {
    type Settings = Settings;
}

impl Destination for Pager {
    fn deliver(host: &Host, settings: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
        let mut line = None;
        Ok(one_by_one(host, &batch, 2_000, |delivery| {
            let mut open = match line.take() {
                Some(open) => open,
                None => connected(host)?,
            };
            open.write(format!("PAGE {}\n", delivery.id)).map_err(all)?;
            let answered = if settings.is_deaf {
                Ok(())
            } else {
                heard(&mut open, "OK")
            };
            // After an answer that did not come, the next one could be that of the last page.
            if !matches!(answered, Err(Setback::All(_))) {
                line = Some(open);
            }
            answered.map(|()| {
                AckState::Delivered(Delivered {
                    external_ref: None,
                    url: None,
                })
            })
        }))
    }
}

fn connected(host: &Host) -> Result<Connection, Setback> {
    let mut line = host.connect(HOST, 7000, Security::Plain).map_err(all)?;
    heard(&mut line, "READY")?;
    Ok(line)
}

fn all(error: NetError) -> Setback {
    Setback::All(error.into())
}

fn heard(line: &mut Connection, good: &str) -> Result<(), Setback> {
    let said = line
        .read_line(512, 3_000)
        .map_err(all)?
        .ok_or(NetError::Closed)
        .map_err(all)?;
    match &*String::from_utf8_lossy(&said) {
        said if said == good => Ok(()),
        "BUSY" => Err(Setback::All(PluginError::rate_limited(
            "busy",
            "the tower asks for a pause",
            None,
        ))),
        "FAIL" => Err(Setback::Item(PluginError::transient("fail", "the tower failed"))),
        "NO" => Err(Setback::Item(PluginError::permanent(
            "no",
            "the tower refuses this page",
        ))),
        "WHO" => Err(Setback::All(PluginError::unauthorized(
            "who",
            "the tower knows this hub no more",
        ))),
        "GONE" => Err(Setback::All(PluginError::misconfigured(
            "host",
            "the tower was taken down",
        ))),
        _ => Err(Setback::All(PluginError::transient(
            "protocol",
            "the tower says something else",
        ))),
    }
}

/// The other side: it pages once for each id.
#[derive(Default)]
pub(super) struct Tower {
    pages: BTreeSet<String>,
}

fn word(trouble: Trouble) -> Said {
    Said::bytes(match trouble {
        Trouble::Busy => "BUSY\n",
        Trouble::Failed => "FAIL\n",
        Trouble::Refused => "NO\n",
        Trouble::Revoked => "WHO\n",
        Trouble::Gone => "GONE\n",
    })
}

impl System for Tower {
    fn connected(&mut self, _: usize, trouble: Option<Trouble>) -> Said {
        match trouble {
            None | Some(Trouble::Refused) => Said::bytes("READY\n"),
            Some(trouble) => word(trouble),
        }
    }

    fn heard(&mut self, _: usize, bytes: &[u8], trouble: Option<Trouble>) -> Said {
        if let Some(trouble) = trouble {
            return word(trouble);
        }
        let line = String::from_utf8_lossy(bytes);
        let id = line.trim_end().strip_prefix("PAGE ").expect("the department pages");
        self.pages.insert(id.to_owned());
        Said::bytes("OK\n")
    }

    fn copies(&self, handed: &Handed) -> usize {
        usize::from(self.pages.contains(&handed.delivery))
    }
}

//! `config`: the instance's settings and who it is.

use crate::contract::config::{Host, InstanceInfo};
use crate::host::CallState;

impl Host for CallState {
    fn get(&mut self) -> String {
        self.bound.settings_text.clone()
    }

    fn info(&mut self) -> InstanceInfo {
        InstanceInfo {
            instance: self.bound.name.clone(),
            plugin_version: self.bound.plugin.manifest().plugin.version.clone(),
            hub_version: self.bound.hub_version.clone(),
            time_zone: self.bound.time_zone.clone(),
            dry_run: self.call.dry_run,
        }
    }
}

//! A department, as deliveries see it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use mihwar_model::{ContactId, InstanceName};
use mihwar_sandbox::contract::destination::{Ack, Delivery};
use mihwar_sandbox::{Call, CallError, Done};

use crate::config::InstanceConfig;
use crate::convert::GrantedFields;
use crate::core::Core;
use crate::instances::Running;
use crate::lent;

/// Takes deliveries: an instance of a plugin.
#[async_trait]
pub(crate) trait Department: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &InstanceName;

    /// Its configuration.
    fn config(&self) -> &InstanceConfig;

    /// What of a record it may see.
    fn fields(&self) -> GrantedFields;

    /// What tells its configuration, plugin and secrets from any other.
    fn mark(&self, core: &Core) -> [u8; 16];

    /// Whether it is not called at present, whoever said so.
    fn is_paused(&self) -> bool;

    /// Shows whoever asks how it is that it is paused and why, or that it goes on.
    fn show_paused(&self, why: Option<String>);

    /// Hands a batch over. It may read the attachments of which `owners` tells whose they are.
    async fn hand_over(
        &self,
        core: &Arc<Core>,
        batch: Vec<Delivery>,
        owners: HashMap<String, ContactId>,
    ) -> Result<Done<Vec<Ack>>, CallError>;
}

#[async_trait]
impl Department for Running {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    fn config(&self) -> &InstanceConfig {
        &self.config
    }

    fn fields(&self) -> GrantedFields {
        self.fields
    }

    fn mark(&self, core: &Core) -> [u8; 16] {
        self.configuration_mark(&core.vault)
    }

    fn is_paused(&self) -> bool {
        self.record.is_paused()
    }

    fn show_paused(&self, why: Option<String>) {
        self.record.pause(why);
    }

    async fn hand_over(
        &self,
        core: &Arc<Core>,
        batch: Vec<Delivery>,
        owners: HashMap<String, ContactId>,
    ) -> Result<Done<Vec<Ack>>, CallError> {
        let keys = batch.iter().map(|delivery| delivery.id.clone()).collect();
        let attachments = lent::Attachments::new(core.clone(), owners);
        let call = Call {
            keys: Arc::new(keys),
            ..lent::call(core, &self.name, Arc::new(attachments))
        };
        let result = self.sandbox.deliver(batch, call).await;
        self.note(core.clock.now(), "deliver", &result);
        result
    }
}

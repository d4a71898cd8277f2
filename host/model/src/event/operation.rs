//! What happens to the hub around it.

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::as_hex;
use crate::{InboundId, InstanceName, TokenId};

/// See [`EventBody::InboundDeadLettered`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct InboundDeadLettered {
    /// The raw request.
    #[n(0)]
    pub inbound: InboundId,
    /// The channel instance.
    #[n(1)]
    pub instance: InstanceName,
    /// Short, stable reason.
    #[n(2)]
    pub code: String,
}

/// See [`EventBody::InboundReplayed`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct InboundReplayed {
    /// The raw request.
    #[n(0)]
    pub inbound: InboundId,
    /// The channel instance.
    #[n(1)]
    pub instance: InstanceName,
}

/// See [`EventBody::InstanceConfigured`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct InstanceConfigured {
    /// The instance.
    #[n(0)]
    pub instance: InstanceName,
    /// The plugin it runs.
    #[n(1)]
    pub plugin: InstanceName,
    /// The plugin's version.
    #[n(2)]
    pub version: String,
    /// SHA-256 of the plugin file.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    #[serde(serialize_with = "as_hex")]
    pub module: [u8; 32],
}

/// See [`EventBody::TokenCreated`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct TokenCreated {
    /// The token's public id.
    #[n(0)]
    pub token: TokenId,
    /// What it may do.
    #[n(1)]
    pub scopes: Vec<String>,
}

/// See [`EventBody::TokenRevoked`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct TokenRevoked {
    /// The token's public id.
    #[n(0)]
    pub token: TokenId,
}

//! The contract's channel kinds as slugs and back. The one place of the host that spells them out: they
//! are the contract's words, and the hub attaches no meaning to any of them.

use mihwar_model::{Channel, InvalidName, Tag};
use mihwar_sandbox::contract::types::ChannelKind;

/// The slug of a kind.
pub(crate) fn channel(kind: ChannelKind) -> Result<Channel, InvalidName> {
    let name = match kind {
        ChannelKind::Email => "email".into(),
        ChannelKind::Voice => "voice".into(),
        ChannelKind::Chat => "chat".into(),
        ChannelKind::Survey => "survey".into(),
        ChannelKind::Social => "social".into(),
        ChannelKind::Review => "review".into(),
        ChannelKind::Form => "form".into(),
        ChannelKind::InApp => "in-app".into(),
        ChannelKind::Other(name) => name,
    };
    Tag::new(name).map(Channel::new)
}

/// The kind of a slug.
pub(crate) fn kind(channel: &Channel) -> ChannelKind {
    match channel.as_str() {
        "email" => ChannelKind::Email,
        "voice" => ChannelKind::Voice,
        "chat" => ChannelKind::Chat,
        "survey" => ChannelKind::Survey,
        "social" => ChannelKind::Social,
        "review" => ChannelKind::Review,
        "form" => ChannelKind::Form,
        "in-app" => ChannelKind::InApp,
        other => ChannelKind::Other(other.to_owned()),
    }
}

//! Mihwar channel: RFC 5322 mail from files, mbox and Maildir.
//!
//! | module | what it knows |
//! |---|---|
//! | `source`, `cursor`, `mailbox`, `maildir` | files: one mail or many, paged by byte offset |
//! | `record` | one mail becomes one record |
//! | `fields`, `encoded_words`, `author`, `moment` | the header |
//! | `mime`, `transfer`, `body`, `html` | the body and its parts |
//! | `charset`, `text` | bytes to text |
//! | `identity`, `automatic` | which mail it is, and whether a person wrote it |

mod author;
mod automatic;
mod body;
mod charset;
mod cursor;
mod encoded_words;
mod fields;
mod html;
mod identity;
mod mailbox;
mod maildir;
mod mime;
mod moment;
mod record;
mod settings;
mod source;
mod text;
mod transfer;

use mihwar_sdk::{ConfigProblem, Host, ImportPage, ImportRequest, Importer, Plugin, PluginError};

pub use settings::Settings;

/// The channel.
pub struct MailChannel;

impl Plugin for MailChannel {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }
}

impl Importer for MailChannel {
    fn read(host: &Host, settings: &Settings, request: ImportRequest) -> Result<ImportPage, PluginError> {
        source::read_page(host, settings, &request)
    }
}

mihwar_sdk::export!(MailChannel: Importer);

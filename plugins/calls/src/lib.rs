//! Mihwar channel: call records from CSV.
//!
//! | module | what it knows |
//! |---|---|
//! | `source`, `row` | files: lines from any byte on, page by page |
//! | `asterisk`, `mapped` | the two layouts |
//! | `call` | one call becomes one record; who is to be called back |
//! | `number`, `moment` | telephone numbers, times and lengths |

mod asterisk;
mod call;
mod mapped;
mod moment;
mod number;
mod row;
mod settings;
mod source;

use mihwar_sdk::{ConfigProblem, Host, ImportPage, ImportRequest, Importer, Plugin, PluginError};

pub use settings::{Columns, Format, Language, Settings};

/// The channel.
pub struct CallsChannel;

impl Plugin for CallsChannel {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }
}

impl Importer for CallsChannel {
    fn read(host: &Host, settings: &Settings, request: ImportRequest) -> Result<ImportPage, PluginError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(PluginError::Misconfigured(problems));
        }
        source::read_page(host, settings, &request)
    }
}

mihwar_sdk::export!(CallsChannel: Importer);

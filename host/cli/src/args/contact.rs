//! `mihwar contact`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// `mihwar contact`
#[derive(Debug, Subcommand)]
pub(crate) enum Contact {
    /// Write everything that is held about a person into a folder: contact.json, contact.html, and their files.
    Export {
        /// The hub's id of the person, or what they are known by, such as tel:+966501234567.
        #[arg(value_name = "CONTACT|IDENTIFIER")]
        who: String,
        /// The folder, which must not be there yet; left out: contact-ID, here.
        #[arg(long, short, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Language of the page.
        #[arg(long, value_enum, default_value_t = PageLanguage::En)]
        language: PageLanguage,
    },
    /// Destroy everything personal that is held about a person, and have departments destroy theirs. There is no way back.
    Erase {
        /// The hub's id of the person, or what they are known by, such as tel:+966501234567.
        #[arg(value_name = "CONTACT|IDENTIFIER")]
        who: String,
        /// Why, as one word such as subject-request: it stands in the ledger for ever, so it names nobody.
        #[arg(long, value_name = "SLUG")]
        reason: String,
    },
}

/// Languages that a page for people can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PageLanguage {
    /// English.
    En,
    /// Arabic.
    Ar,
}

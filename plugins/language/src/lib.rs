//! Mihwar enricher: language and script.
//!
//! For each record it sets `language` (BCP 47) when it is sure, the attributes `script` (ISO 15924, or `Mixed`) and
//! `language-confidence` (0 to 1), `arabizi` for Arabic in Latin letters, and the tag `mixed-language` with the
//! attribute `dominant-language` where the author mixes two. Unknown stays unknown.

mod arabic;
mod arabizi;
mod codes;
mod guess;
mod latin;
mod settings;
mod words;

use guess::Finding;
use mihwar_sdk::{
    Attribute, ConfigProblem, Edit, Edits, Host, Plugin, PluginError, Processor, StoredFeedback, Value, Verdict,
};

pub use settings::Settings;

/// The enricher.
pub struct LanguageEnricher;

impl Plugin for LanguageEnricher {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }
}

impl Processor for LanguageEnricher {
    fn process(_: &Host, settings: &Settings, items: Vec<StoredFeedback>) -> Result<Vec<Verdict>, PluginError> {
        Ok(items.into_iter().map(|item| verdict(item, settings)).collect())
    }
}

fn verdict(item: StoredFeedback, settings: &Settings) -> Verdict {
    let feedback = &item.feedback;
    let finding = guess::judge(
        feedback.subject.as_deref().unwrap_or_default(),
        &feedback.body,
        settings,
    );
    let may_set = settings.replace_existing || feedback.language.is_none();
    Verdict::Edited(Edits {
        id: item.id,
        edits: edits(&finding, may_set),
    })
}

fn edits(finding: &Finding, may_set_language: bool) -> Vec<Edit> {
    let attribute = |name: &str, value: Value| {
        Edit::SetAttribute(Attribute {
            name: name.to_owned(),
            value,
        })
    };
    let mut edits = Vec::new();
    let Some(script) = finding.script else {
        return edits;
    };
    edits.push(attribute("script", script.into()));
    // Two digits are more than the figure is worth already.
    edits.push(attribute(
        "language-confidence",
        ((finding.confidence * 100.0).round() / 100.0).into(),
    ));
    if let Some(language) = finding.language.filter(|_| may_set_language) {
        edits.push(Edit::SetLanguage(language.to_owned()));
    }
    if finding.is_arabizi {
        edits.push(attribute("arabizi", true.into()));
    }
    if finding.is_mixed {
        edits.push(Edit::AddTag("mixed-language".to_owned()));
    }
    if let Some(language) = finding.dominant {
        edits.push(attribute("dominant-language", language.into()));
    }
    edits
}

mihwar_sdk::export!(LanguageEnricher: Processor);

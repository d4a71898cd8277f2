//! Mihwar enricher: masks card numbers, IBANs, Saudi ids, addresses and telephone numbers before a record is stored.
//!
//! Each text of a record comes as the `body` of an item, and the verdict holds a span for each finding, labelled with its
//! kind. Digits may be those of any script; marks of direction and the stroke that stretches Arabic words may stand
//! between them, and one line break. Where a number can check itself it must. A mask is passed over, so nothing is masked
//! twice.

mod card;
mod context;
mod email;
mod iban;
mod letters;
mod line;
mod national_id;
mod numbers;
mod phone;
mod scan;
mod seam;
mod settings;

use std::collections::BTreeMap;

use mihwar_sdk::{ConfigProblem, Edit, Edits, Host, Plugin, PluginError, Processor, StoredFeedback, Verdict};
use scan::Scanner;

pub use settings::{Kind, Settings, Visible};

/// The enricher.
pub struct Redactor;

impl Plugin for Redactor {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }
}

impl Processor for Redactor {
    fn process(host: &Host, settings: &Settings, items: Vec<StoredFeedback>) -> Result<Vec<Verdict>, PluginError> {
        let scanner = Scanner::new(settings);
        let (mut verdicts, mut counts) = (Vec::with_capacity(items.len()), BTreeMap::<String, u64>::new());
        for item in items {
            let spans = scanner.spans(&item.feedback.body);
            for span in &spans {
                *counts.entry(span.label.clone()).or_default() += 1;
            }
            verdicts.push(Verdict::Edited(Edits {
                id: item.id,
                edits: spans.into_iter().map(Edit::Redact).collect(),
            }));
        }
        for (kind, count) in counts {
            host.count("masked", count, &[("kind", kind.as_str())]);
        }
        Ok(verdicts)
    }
}

mihwar_sdk::export!(Redactor: Processor);

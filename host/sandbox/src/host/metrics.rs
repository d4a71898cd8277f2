//! `metrics`: a bounded number of names, label values and samples, all of them names that a scrape can carry.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::metrics::Host;
use crate::effects::{Measurement, MeasurementKind};
use crate::host::CallState;
use crate::limits::{METRIC_LABEL_VALUES, METRIC_NAMES, METRIC_SAMPLES};

/// Longest metric name, label name or label value in bytes.
const TEXT_BYTES: usize = 64;
/// Most labels of one sample.
const LABELS: usize = 4;

/// Written by the hub itself, or by Prometheus for the parts of a distribution. Labels that begin with `__`,
/// Prometheus's own, fall to the rule that a label begins with a letter.
const RESERVED_LABELS: [&str; 3] = ["instance", "le", "quantile"];

/// The samples of one call.
#[derive(Default)]
pub(super) struct Samples {
    pub(super) taken: Vec<Measurement>,
    pub(super) dropped: u64,
    label_values: BTreeMap<String, BTreeSet<String>>,
}

impl Samples {
    fn take(&mut self, name: String, kind: MeasurementKind, labels: Vec<(String, String)>) {
        if self.fits(&name, kind, &labels) {
            let values = self.label_values.entry(name.clone()).or_default();
            values.extend(labels.iter().map(|(_, value)| value.clone()));
            self.taken.push(Measurement { name, kind, labels });
        } else {
            self.dropped += 1;
        }
    }

    fn fits(&self, name: &str, kind: MeasurementKind, labels: &[(String, String)]) -> bool {
        let finite = match kind {
            MeasurementKind::Add(_) => true,
            MeasurementKind::Set(value) | MeasurementKind::Observe(value) => value.is_finite(),
        };
        let known = self.label_values.get(name);
        let room = known.is_some() || self.label_values.len() < METRIC_NAMES;
        let new_values: BTreeSet<&str> = labels
            .iter()
            .map(|(_, value)| value.as_str())
            .filter(|value| known.is_none_or(|known| !known.contains(*value)))
            .collect();
        finite
            && room
            && is_name(name)
            && self.taken.len() < METRIC_SAMPLES
            && labels_fit(labels)
            && known.map_or(0, BTreeSet::len) + new_values.len() <= METRIC_LABEL_VALUES
    }
}

fn is_name(text: &str) -> bool {
    (1..=TEXT_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// Whether these labels can stand in a scrape beside the hub's own. One series with a doubled or reserved label
/// makes the whole scrape unreadable, the hub's figures with it.
fn labels_fit(labels: &[(String, String)]) -> bool {
    let mut seen = BTreeSet::new();
    labels.len() <= LABELS
        && labels.iter().all(|(label, value)| {
            // A scrape has no hyphens: `a-b` and `a_b` are one label there, and `--x` is `__x`.
            let scraped = label.replace('-', "_");
            is_name(label)
                && label.starts_with(|letter: char| letter.is_ascii_lowercase())
                && !RESERVED_LABELS.contains(&label.as_str())
                && value.len() <= TEXT_BYTES
                && seen.insert(scraped)
        })
}

impl Host for CallState {
    fn add(&mut self, name: String, by: u64, labels: Vec<(String, String)>) {
        self.samples.take(name, MeasurementKind::Add(by), labels);
    }

    fn set(&mut self, name: String, to: f64, labels: Vec<(String, String)>) {
        self.samples.take(name, MeasurementKind::Set(to), labels);
    }

    fn observe(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        self.samples.take(name, MeasurementKind::Observe(value), labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(value: &str) -> Vec<(String, String)> {
        vec![("kind".to_owned(), value.to_owned())]
    }

    #[test]
    fn names_values_and_samples_are_bounded() {
        let mut samples = Samples::default();
        for number in 0..100 {
            samples.take(format!("name_{number}"), MeasurementKind::Add(1), Vec::new());
        }
        assert_eq!((samples.taken.len(), samples.dropped), (METRIC_NAMES, 36));
        for number in 0..20 {
            samples.take(
                "name_0".to_owned(),
                MeasurementKind::Add(1),
                label(&format!("قيمة{number}")),
            );
        }
        assert_eq!(samples.dropped, 36 + 12);
        samples.take("name_1".to_owned(), MeasurementKind::Set(f64::NAN), Vec::new());
        assert_eq!(samples.dropped, 36 + 13);
        for _ in 0..5000 {
            samples.take("name_2".to_owned(), MeasurementKind::Observe(1.0), Vec::new());
        }
        assert_eq!(samples.taken.len(), METRIC_SAMPLES);
    }

    #[test]
    fn labels_that_a_scrape_cannot_carry_are_dropped() {
        let take = |labels: &[(&str, &str)]| {
            let labels = labels
                .iter()
                .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
                .collect();
            let mut samples = Samples::default();
            samples.take("items".to_owned(), MeasurementKind::Add(1), labels);
            (samples.taken.len(), samples.dropped)
        };
        for reserved in [
            "le", "quantile", "instance", "__name__", "__x", "--x", "_x", "9x", "Kind", "نوع", "",
        ] {
            assert_eq!(take(&[(reserved, "شكوى")]), (0, 1), "{reserved}");
        }
        assert_eq!(take(&[("kind", "شكوى"), ("kind", "ثناء")]), (0, 1));
        assert_eq!(take(&[("a-b", "1"), ("a_b", "2")]), (0, 1));
        assert_eq!(take(&[("kind", "شكوى"), ("level-2", "le")]), (1, 0));
    }
}

//! Long work over the whole ledger: how far it is, and how fast it was.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use mihwar_hub::{StageProgress, StageTime};

use crate::output::line;

/// A bar on a terminal, with rate and time left; nothing elsewhere.
pub(super) struct StageBar {
    bar: Option<ProgressBar>,
    stage: String,
}

impl StageBar {
    pub(super) fn new(as_json: bool) -> Self {
        let bar = (!as_json && std::io::stderr().is_terminal()).then(|| {
            let template = "{msg}  {bar:30} {human_pos}/{human_len}  {per_sec}  {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self {
            bar,
            stage: String::new(),
        }
    }

    pub(super) fn step(&mut self, progress: StageProgress) {
        let Some(bar) = &self.bar else {
            return;
        };
        if self.stage != progress.stage {
            // Rate and time left are those of the stage.
            bar.reset();
            bar.set_message(progress.stage.clone());
            self.stage = progress.stage;
        }
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How long each stage took, one to a line.
pub(super) fn tell_times(stages: &[StageTime]) -> anyhow::Result<()> {
    for stage in stages {
        line(format_args!("  {}", time(stage)))?;
    }
    Ok(())
}

fn time(stage: &StageTime) -> String {
    let StageTime {
        stage,
        unit,
        count,
        millis,
    } = stage;
    let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
    let rate = count.saturating_mul(1000) / (*millis).max(1);
    format!("{stage}: {count} {unit} in {seconds}.{tenths} s ({rate} {unit}/s)")
}

#[cfg(test)]
mod tests {
    use super::time;
    use mihwar_hub::StageTime;

    #[test]
    fn a_stage_is_told_with_its_rate() {
        let stage = |count, millis| StageTime {
            stage: "folding".into(),
            unit: "events".into(),
            count,
            millis,
        };
        assert_eq!(
            time(&stage(1_000_000, 12_560)),
            "folding: 1000000 events in 12.5 s (79617 events/s)"
        );
        assert_eq!(time(&stage(3, 0)), "folding: 3 events in 0.0 s (3000 events/s)");
    }
}

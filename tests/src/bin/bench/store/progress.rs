//! How far a load is, while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

pub(super) use crate::say;

/// A bar on a terminal; elsewhere a line every few seconds. Who works only counts: drawing costs them nothing.
pub(super) struct Progress {
    what: String,
    bar: ProgressBar,
    done: Arc<AtomicU64>,
    ticker: JoinHandle<()>,
}

impl Progress {
    /// Begins a load of so many records.
    pub(super) fn start(what: &str, records: u64) -> Self {
        let bar = ProgressBar::new(records).with_message(what.to_owned());
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let done = Arc::new(AtomicU64::new(0));
        let ticker = tokio::spawn(tell(bar.clone(), done.clone()));
        Self {
            what: what.to_owned(),
            bar,
            done,
            ticker,
        }
    }

    /// Where those who work count what they have done.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.done.clone()
    }

    /// Ends it, with what came out.
    pub(super) fn end(self, result: &str) {
        self.ticker.abort();
        self.bar.finish_and_clear();
        say(&format!("{}: {result}", self.what));
    }
}

async fn tell(bar: ProgressBar, done: Arc<AtomicU64>) {
    let pause = Duration::from_secs(if bar.is_hidden() { 10 } else { 1 });
    loop {
        tokio::time::sleep(pause).await;
        bar.set_position(done.load(Ordering::Relaxed));
        if bar.is_hidden() {
            eprintln!(
                "    {}: {} of {}",
                bar.message(),
                bar.position(),
                bar.length().unwrap_or_default()
            );
        }
    }
}

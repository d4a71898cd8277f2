//! Figures: measured with the real binary and the real plugins, printed with what was measured.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints, and stops where it cannot go on"
)]

mod calls;
mod export;
mod intake;
mod overload;
mod provable;
mod rebuild;
mod routing;
mod start;
mod store;

use std::time::Duration;

use clap::Parser;

/// Prints a figure beside the one to reach.
pub(crate) fn figure(name: &str, measured: &str, to_reach: &str) {
    println!("{name:<58} {measured:>16}   (to reach: {to_reach})");
}

/// Says what is being done.
pub(crate) fn say(what: &str) {
    eprintln!("==> {what}");
}

/// The value at this share of sorted samples.
pub(crate) fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into the samples"
    )]
    let index = ((samples.len() as f64 - 1.0) * share).round() as usize;
    samples.get(index).copied().unwrap_or_default()
}

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.first().is_some_and(|word| word == "store") {
        store::run(&store::Options::parse_from(&wanted)).await;
        return;
    }
    if wanted.first().is_some_and(|word| word == "provable") {
        provable::run(&provable::Options::parse_from(&wanted)).await;
        return;
    }
    if wanted.iter().any(|word| word == "--help") {
        println!(
            "bench [calls] [routing] [start] [mail] [bulk] [overload] [export] [million] [rebuild]: without a name, all but the last three"
        );
        println!("bench store [OPTIONS]: durable intake beside PostgreSQL; `bench store --help` lists its options");
        println!(
            "bench provable [--records N]: verification, receipts, bundles, figures and an erasure at a million events"
        );
        return;
    }
    let is_long = |name: &str| ["export", "million", "rebuild"].contains(&name);
    let runs = |name: &str| wanted.is_empty() && !is_long(name) || wanted.iter().any(|word| word == name);
    if runs("calls") {
        calls::fresh_call().await;
        calls::enricher_batch().await;
    }
    if runs("routing") {
        routing::five_hundred_rules();
    }
    if runs("start") {
        start::with_twenty_plugins();
    }
    if runs("mail") {
        intake::mail();
    }
    if runs("bulk") {
        intake::bulk(100_000).await;
    }
    let all_kept = if runs("overload") {
        overload::flood().await
    } else {
        true
    };
    if runs("export") {
        export::export(200_000).await;
    }
    if runs("million") {
        intake::bulk(1_000_000).await;
    }
    if runs("rebuild") {
        // About a million events.
        rebuild::rebuild(330_000).await;
    }
    // A figure that is not reached is only told; what was promised and is not there is no figure.
    if !all_kept {
        std::process::exit(1);
    }
}

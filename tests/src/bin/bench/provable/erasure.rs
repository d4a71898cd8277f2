//! The erasure of a person who said much, by the command, while the hub serves.

use mihwar_tests::Site;

use super::receipts::Kept;
use super::{OF_ONE, records};
use crate::intake::{Feeder, counter};
use crate::rebuild::timed;
use crate::{figure, say};

/// What the store counts, and what that is.
const COUNTED: [(&str, &str); 5] = [
    ("mihwar_store_fsyncs_total", "fsyncs"),
    ("mihwar_store_commits_total", "commits"),
    ("mihwar_store_batches_total{outcome=\"applied\"}", "batches in them"),
    ("mihwar_store_rows_written_total", "rows"),
    ("mihwar_store_journal_entries_total", "events"),
];

/// Times it; afterwards an older receipt must still hold.
pub(super) async fn measure(site: &Site, feeder: &Feeder<'_>, kept: &Kept) {
    say("erasing");
    let before = feeder.get("/metrics").await;
    let (erased, took) = timed(
        site,
        &["contact", "erase", records::THE_ONE, "--reason", "subject-request"],
    );
    let after = feeder.get("/metrics").await;
    for counted in ["records", "contents"] {
        assert_eq!(erased[counted], OF_ONE, "{erased}");
    }
    figure(
        &format!("contact erase, {OF_ONE} items, process and all"),
        &format!("{took:.2?}"),
        "1 s",
    );
    for (name, what) in COUNTED {
        let more = counter(&after, name).saturating_sub(counter(&before, name));
        // Lists follow the ledger meanwhile; what that writes is counted with it.
        figure(
            &format!("  {what} of the store meanwhile, lists too"),
            &more.to_string(),
            "-",
        );
    }
    let took = kept.check(site);
    figure(
        "ledger verify of an older RECEIPT of an erased item",
        &format!("holds, {took:.2?}"),
        "holds",
    );
}

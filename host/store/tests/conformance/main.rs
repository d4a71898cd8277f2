//! One suite for every engine: what the contract promises, whatever lies below it. A new engine is one more arm of
//! [`Engine`] and one more module in the macro.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod guards;
mod journal;
mod limits;
mod removed;
mod rows;
mod snapshots;
mod support;

use mihwar_store::Execution;
use support::{Engine, run};

macro_rules! conformance {
    ($($subject:ident::$test:ident,)*) => {
        mod memory {
            $(#[test] fn $test() { crate::run(crate::Engine::Memory, crate::$subject::$test); })*
        }
        mod redb {
            $(#[test] fn $test() { crate::run(crate::Engine::Redb(crate::Execution::Threads), crate::$subject::$test); })*
        }
        mod redb_inline {
            $(#[test] fn $test() { crate::run(crate::Engine::Redb(crate::Execution::Inline), crate::$subject::$test); })*
        }
        mod scratch {
            $(#[test] fn $test() { crate::run(crate::Engine::Scratch, crate::$subject::$test); })*
        }
    };
}

conformance! {
    rows::what_was_put_is_read_back,
    rows::a_put_replaces_and_a_delete_removes,
    rows::later_edits_of_a_batch_see_earlier_ones,
    rows::scans_follow_byte_order_and_half_open_ranges,
    rows::pages_join_to_the_whole_range_in_both_orders,
    rows::a_page_ends_early_when_its_bytes_are_many,
    rows::organisations_and_spaces_do_not_mix,
    rows::long_runs_behind_the_end_are_there_with_all_that_lies_before,
    rows::counters_add_up_and_refuse_nonsense,
    guards::a_failed_guard_leaves_nothing_behind,
    guards::versions_grow_and_tell_the_last_writer,
    guards::no_update_is_lost_under_eight_writers,
    guards::only_one_of_many_claims_an_absent_row,
    guards::guarded_reads_prevent_write_skew,
    guards::one_batch_waiting_behind_another_is_judged_after_it,
    snapshots::a_view_never_changes,
    snapshots::a_view_never_shows_half_a_batch,
    snapshots::an_answered_batch_is_in_the_next_view,
    snapshots::open_views_are_counted,
    snapshots::a_closed_store_refuses,
    journal::sequences_have_no_gaps_as_a_tailer_sees_them,
    journal::entries_of_refused_batches_take_no_number,
    journal::reading_starts_and_stops_where_told,
    journal::rows_say_which_entry_tells_of_them,
    journal::the_tree_is_that_of_the_entries,
    journal::tiles_are_those_of_the_entries,
    journal::proofs_verify_at_every_kind_of_size,
    removed::deletions_are_noted_with_their_last_commit,
    limits::the_largest_of_everything_is_kept_whole,
    limits::one_byte_more_is_refused,
    limits::a_batch_over_its_limit_is_refused,
    limits::the_spaces_of_the_store_and_keys_without_an_organisation_are_closed,
}

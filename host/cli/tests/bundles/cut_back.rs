//! Bundles that are shorter than what was signed later.

use crate::bench::Bench;

/// Checkpoints of these sizes in one file, as in a witness file.
fn witness(bench: &Bench, name: &str, sizes: &[usize]) -> String {
    let notes: Vec<String> = sizes.iter().map(|size| bench.note(*size)).collect();
    bench.file(name, notes.join("\n"))
}

#[test]
fn a_bundle_that_was_cut_back_is_refused_by_both_programs() {
    let bench = Bench::new();
    // With its signature: the hub signed that, once.
    let cut = bench.bundle_of(9, &[bench.note(5)], |_| Vec::new());
    let cut = bench.file("مبتور.tar", cut);
    let earlier = witness(&bench, "5.txt", &[5]);
    let whole = witness(&bench, "21.txt", &[21]);
    let all = witness(&bench, "شاهد.txt", &[5, 9, 12, 21]);
    let (earlier, whole, all) = (earlier.as_str(), whole.as_str(), all.as_str());
    let words = "the bundle is of a shorter history";
    for checkpoints in [&[whole][..], &[all], &[earlier, whole], &[whole, earlier]] {
        bench.both_refuse(&cut, checkpoints, words);
        bench.both_refuse(&cut, checkpoints, "It is NOT the whole ledger");
    }
    let key = bench.key();
    let where_it_is =
        "شاهد.txt, line 13: the bundle is of a shorter history: it has 9 entries, and the checkpoint speaks of 12";
    bench.refused(&[&cut, "--checkpoint", all], where_it_is);
    bench.refused(&["--json", &cut, "--checkpoint", all, "--key", &key], "\"ok\": false");
}

#[test]
fn a_bundle_that_tells_of_a_newer_checkpoint_itself_is_refused_by_both_programs() {
    let bench = Bench::new();
    for newer in [10, 21] {
        let telling = bench.bundle_of(9, &[bench.note(5), bench.note(newer)], |_| Vec::new());
        let telling = bench.file("مبتور.tar", telling);
        let both = bench.by_both(&telling, &[]);
        let [ours, rest @ ..] = both.as_slice() else {
            panic!("nothing was run")
        };
        ours.assert_refused(
            "its checkpoint is of a shorter history, of 9 entries, than what it holds (checkpoints/000",
        );
        for theirs in rest {
            theirs.assert_refused("checkpoints/000: a checkpoint does not belong there");
        }
    }
}

/// Nothing is wrong with a bundle that was exported before a checkpoint was signed: it is the ledger of its time.
#[test]
fn an_older_bundle_is_proved_by_both_programs_with_what_was_signed_until_then() {
    let bench = Bench::new();
    let older = bench.bundle_of(9, &[bench.note(5)], |_| Vec::new());
    let older = bench.file("قديم.tar", older);
    let all = [5, 9, 12, 21].map(|size| bench.note(size)).join("\n");
    // The refusal says that line 13 is the first that is too new.
    let until_then: Vec<&str> = all.lines().take(12).collect();
    let until_then = bench.file("حتى-ذلك.txt", until_then.join("\n"));
    let words = ["these are the 9 entries that were signed, and no other"];
    bench.both_prove(&older, &[&until_then], &words);
    bench.both_prove(&older, &[], &words);
    let compared = "2 checkpoints, the largest of 9 entries, of the same history";
    bench.proved(&[&older, "--checkpoint", &until_then], &[compared]);
}

//! What is damaged, foreign or doctored.

use mihwar_ledger::{Checkpoint, Signer};

use crate::bench::{Bench, ORIGIN};

#[test]
fn what_is_damaged_foreign_or_doctored_is_refused_and_named() {
    let bench = Bench::new();
    let (good, key) = (bench.bundle(""), bench.key());
    let other = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    // A bad rating dropped, and everything made anew with the right key.
    let mut doctored = Bench::new();
    doctored.entries.remove(3);
    let mut undecodable = Bench::new();
    undecodable.entries[4] = "كلام آخر".into();
    let mut tar = good.clone();
    tar[0] = b'x';
    for (name, bytes, words) in [
        ("مقطوع.tar", good[..good.len() - 1500].to_vec(), "it was cut short"),
        ("أجنبي.tar", tar, "it is no bundle of a ledger"),
        ("مقطوع-أوله.tar", good[..600].to_vec(), "it was cut short"),
        (
            "لا-حدث.tar",
            undecodable.bundle(""),
            "entry 4 is no event of this ledger's format",
        ),
    ] {
        let file = bench.file(name, bytes);
        bench.refused(&[&file, "--key", &key], words);
        bench.refused(&[&file, "--key", &key], name);
        bench.refused(&["--json", &file, "--key", &key], "\"ok\": false");
    }
    let file = bench.file("دفتر.tar", &good);
    bench.refused(&[&file, "--key", &other.verifying_key().to_string()], "no signature by");
    let foreign = bench.checkpoint(21).sign(&other).unwrap().to_string();
    let foreign = bench.file("foreign.txt", foreign);
    bench.refused(
        &[&file, "--checkpoint", &foreign],
        "foreign.txt, line 1: the checkpoint does not verify",
    );
    bench.refused(&[&file, "--checkpoint", &file], "دفتر.tar");
    let nothing = bench.file("nothing.txt", "لا شيء\n");
    bench.refused(&[&file, "--checkpoint", &nothing], "no signed checkpoint in it");
    let longer = Checkpoint {
        size: 90,
        ..bench.checkpoint(21)
    };
    let longer = bench.file("90.txt", longer.sign(&bench.signer).unwrap().to_string());
    bench.refused(
        &[&file, "--checkpoint", &longer],
        "the bundle is of a shorter history: it has 21 entries",
    );

    let doctored = bench.file("مزور.tar", doctored.bundle(""));
    bench.proved(&[&doctored, "--key", &key], &["these are the 20 entries"]);
    let held = bench.file("9.txt", bench.note(9));
    bench.refused(
        &[&doctored, "--checkpoint", &held, "--key", &key],
        "the first 9 entries have the root",
    );
    let same = bench.file("21.txt", bench.note(21));
    bench.refused(
        &[&doctored, "--checkpoint", &same, "--key", &key],
        "the bundle is of a shorter history: it has 20 entries",
    );
    bench.refused(
        &[&file, "--checkpoint", &held, "--consistency", &held],
        "--consistency is not needed",
    );
}

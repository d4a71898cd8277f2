//! `mihwar ledger verify BUNDLE` on a machine that has nothing but the binary and the files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

mod bench;
mod content;
mod cut_back;
mod order;
mod refusals;

use serde_json::Value;

use bench::Bench;

#[test]
fn a_bundle_is_proved_and_counted_with_nothing_but_files() {
    let bench = Bench::new();
    let file = bench.file("دفتر.tar", bench.bundle(""));
    let (own, earlier) = (bench.file("21.txt", bench.note(21)), bench.file("5.txt", bench.note(5)));
    let counted = [
        "ledger محور.example/ledger, 21 entries",
        "1 checkpoint that the hub had kept",
        "20  received",
        "1  withdrawn",
        "20 pieces of feedback, 1 of them withdrawn and 0 erased; 0 later revisions",
        "20  complaint, form",
        "20  رضا from 0 to 10: mean 0.5000",
        "nothing that people said",
        "Proved: these are the 21 entries",
    ];
    bench.proved(&[&file, "--key", &bench.key()], &counted);
    bench.proved(&[&file, "--checkpoint", &own], &["the key that the file itself names"]);
    bench.proved(
        &[&file, "--checkpoint", &earlier, "--key", &bench.key()],
        &["the largest of 5 entries", "what came after these 5 rests on"],
    );
    let several = format!("{}\n{}", bench.note(5), bench.note(9));
    let several = bench.file("شاهد.txt", several);
    bench.proved(
        &[&file, "--checkpoint", &several],
        &["2 checkpoints, the largest of 9 entries"],
    );
    let json = bench.verify(&["--json", &file, "--checkpoint", &own, "--key", &bench.key()]);
    let json: Value = serde_json::from_str(&json.said).unwrap();
    assert_eq!(
        (&json["ok"], &json["size"], &json["contents"]),
        (&true.into(), &21.into(), &0.into())
    );
    assert_eq!(
        (&json["events"]["received"], &json["kinds"][0]["count"]),
        (&20.into(), &20.into())
    );
    assert_eq!(
        (&json["scores"][0]["mean"], &json["key_given"]),
        (&0.5.into(), &true.into())
    );
}

#[test]
fn without_anything_to_trust_nothing_is_checked() {
    let bench = Bench::new();
    let file = bench.file("دفتر.tar", bench.bundle(""));
    assert_eq!(bench.verify(&[&file]).status, 2);
    let receipt = bench.file("receipt.json", "{}");
    bench.refused(&[&receipt, "--key", &bench.key()], "name one with --checkpoint");
}

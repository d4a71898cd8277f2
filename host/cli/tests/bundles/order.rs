//! Reading and counting go on side by side. What is told is the first thing that is wrong in the file, whoever is faster.

use crate::bench::{Bench, received};

/// How often each is checked: a race would not be lost every time.
const TIMES: usize = 8;

/// What is done to a bundle.
type Damage = fn(&[u8]) -> Vec<u8>;

/// 600 entries in three groups, of which these are no events, though they were signed.
fn bench(no_events: &[usize]) -> Bench {
    let numbers = (0..600_usize).map(|number| u8::try_from(number % 250).unwrap());
    let mut entries: Vec<Vec<u8>> = numbers.map(received).collect();
    for place in no_events {
        entries[*place] = format!("كلام آخر {place}").into_bytes();
    }
    Bench::of(entries)
}

/// With the first byte of a file within it changed.
fn changed(bundle: &[u8], name: &str) -> Vec<u8> {
    let head = [name.as_bytes(), &[0]].concat();
    let mut blocks = (0..bundle.len()).step_by(512);
    let head = blocks.find(|at| bundle[*at..].starts_with(&head)).unwrap();
    let mut changed = bundle.to_vec();
    changed[head + 512] ^= 1;
    changed
}

#[test]
fn the_first_thing_that_is_wrong_in_the_file_is_told_every_time() {
    let tile: Damage = |bundle| changed(bundle, "tile/0/001");
    let later_tile: Damage = |bundle| changed(bundle, "tile/0/002.p/88");
    let cut: Damage = |bundle| bundle[..bundle.len() - 1500].to_vec();
    let nothing: Damage = <[u8]>::to_vec;
    let not_hashed = "entry 256 (counted from 0) is not the one whose hash stands in tile/0/001";
    let wrong: [(&[usize], Damage, &str); 6] = [
        (&[300], later_tile, "entry 300 is no event"),
        (&[3], cut, "entry 3 is no event"),
        (&[3, 300], nothing, "entry 3 is no event"),
        // What is hashed wrong is not looked into.
        (&[300], tile, not_hashed),
        (&[520], tile, not_hashed),
        (&[], later_tile, "entry 512 (counted from 0) is not the one"),
    ];
    for (no_events, damage, words) in wrong {
        let bench = bench(no_events);
        let file = bench.file("دفتر.tar", damage(&bench.bundle("")[..]));
        let first = bench.verify(&[&file, "--key", &bench.key()]);
        first.assert_refused(words);
        for _ in 1..TIMES {
            assert_eq!(bench.verify(&[&file, "--key", &bench.key()]), first);
        }
    }
}

#[test]
fn a_ledger_of_many_groups_is_counted_to_its_end() {
    let bench = bench(&[]);
    let file = bench.file("دفتر.tar", bench.bundle(""));
    // 100 of the 250 pieces of feedback came three times, the others twice.
    let counted = [
        "600  received",
        "250 pieces of feedback, 0 of them withdrawn and 0 erased; 350 later revisions",
        "Proved: these are the 600 entries",
    ];
    bench.both_prove(&file, &[], &counted);
}

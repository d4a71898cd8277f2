//! What people said, in bundles that tell it.

use crate::bench::{Bench, content, line};

#[test]
fn what_people_said_is_held_against_what_its_entry_commits_to() {
    let bench = Bench::new();
    let lines = line(0, 0).to_line().unwrap() + &line(19, 19).to_line().unwrap();
    let whole = bench.file("مع-المحتوى.tar", bench.bundle(&lines));
    bench.proved(&[&whole, "--key", &bench.key()], &["what people said, 2 times"]);
    let twice = lines.repeat(2);
    let other = line(1, 0).to_line().unwrap();
    let none = line(20, 2).to_line().unwrap();
    let mut salted = line(4, 4);
    salted.salt = [4; 32];
    let salted = salted.to_line().unwrap();
    let mut shown = line(4, 4);
    shown.says = content(5).says();
    let shown = shown.to_line().unwrap();
    for (lines, words) in [
        (twice.as_str(), "by entry 0 belongs to no entry there, or is told twice"),
        (other.as_str(), "is not what entry 1 commits to"),
        (none.as_str(), "by entry 20 belongs to no entry"),
        (salted.as_str(), "is not what entry 4 commits to"),
        (shown.as_str(), "is not what was said"),
        ("{\"entry\":1}\n", "what people said: it is damaged"),
    ] {
        let file = bench.file("محتوى-خاطئ.tar", bench.bundle(lines));
        bench.refused(&[&file, "--key", &bench.key()], words);
    }
}

//! What people said, in bundles that tell it.

use mihwar_ledger::MissingContent;
use serde_json::Value;

use crate::bench::{Bench, content, id, line, received};

fn missing(entry: u64, number: u8) -> MissingContent {
    MissingContent {
        entry,
        feedback: id(number).to_string(),
        revision: 1,
        why: "content does not open: المحتوى تالف\u{1b}[2J".to_owned(),
    }
}

/// A bundle that tells the words of the first and the last of 20, and says that it lacks these.
fn lacking(bench: &Bench, missing: &[MissingContent]) -> String {
    let lines = line(0, 0).to_line().unwrap() + &line(19, 19).to_line().unwrap();
    let bytes = bench.bundle_of(21, &[], |writer| {
        let mut bytes = writer.content(lines.as_bytes()).unwrap();
        bytes.extend(writer.missing(missing).unwrap());
        bytes
    });
    bench.file("ناقص.tar", bytes)
}

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

#[test]
fn both_programs_tell_what_a_bundle_lacks() {
    let bench = Bench::new();
    let file = lacking(&bench, &[missing(4, 4), missing(7, 7)]);
    let (fourth, seventh) = (id(4), id(7));
    let words = [
        "What the hub could not read is not in it (contents: 2):",
        &format!("feedback {fourth}, revision 1 (entry 4): content does not open: المحتوى تالف"),
        &format!("feedback {seventh}, revision 1 (entry 7)"),
        "these are the 21 entries that were signed",
    ];
    for ended in bench.by_both(&file, &[]) {
        ended.assert_proved(&words);
        assert!(!ended.said.contains('\u{1b}'), "{}", ended.said);
    }
    bench.proved(&[&file, "--key", &bench.key()], &["what people said, 2 times"]);
    let json = bench.verify(&["--json", &file, "--key", &bench.key()]);
    assert_eq!(json.status, 0, "{}", json.said);
    let json: Value = serde_json::from_str(&json.said).unwrap();
    assert_eq!((&json["contents"], &json["contents_missing"]), (&2.into(), &2.into()));
    assert_eq!(
        (&json["missing"][1]["entry"], &json["missing"][1]["feedback"]),
        (&7.into(), &seventh.to_string().into())
    );
}

#[test]
fn what_is_said_to_be_missing_has_to_be_of_its_entry() {
    let bench = Bench::new();
    let mut of_later_revision = missing(4, 4);
    of_later_revision.revision = 2;
    // Of another feedback, of another revision, of an entry that commits to nothing, of one that is not there.
    for wrong in [missing(4, 5), of_later_revision, missing(20, 2), missing(21, 4)] {
        let file = lacking(&bench, &[wrong]);
        for ended in bench.by_both(&file, &[]) {
            assert_eq!(ended.status, 1, "{}", ended.said);
            assert!(ended.said.contains("NOT proved"), "{}", ended.said);
        }
    }
    // What is told is not missing.
    let told = lacking(&bench, &[missing(0, 0)]);
    bench.refused(&[&told, "--key", &bench.key()], "is told twice");
    let twice = lacking(&bench, &[missing(4, 4), missing(4, 4)]);
    bench.both_refuse(&twice, &[], "entry 4 does not belong there");
}

#[test]
fn of_many_missing_contents_the_first_are_told() {
    let bench = Bench::of((0..30).map(received).collect());
    let all: Vec<MissingContent> = (0..30).map(|number: u8| missing(number.into(), number)).collect();
    let bytes = bench.bundle_of(30, &[], |writer| writer.missing(&all).unwrap());
    let file = bench.file("ناقص.tar", bytes);
    for ended in bench.by_both(&file, &[]) {
        ended.assert_proved(&["(contents: 30)", "(entry 19)", "and 10 more"]);
        assert!(!ended.said.contains("(entry 20)"), "{}", ended.said);
    }
}

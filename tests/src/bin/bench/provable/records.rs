//! What people say: in Arabic and English, over several channels, with an answer to each of the questions that the shipped
//! metrics count.

use std::fmt::Write as _;

use crate::intake::PIECE;

/// What the person is known by who says more than anybody else.
pub(super) const THE_ONE: &str = "crm:of-one";

/// Records of a thousand people, from a number on.
pub(super) fn of_many(first: u64) -> String {
    lines(first, |number| format!("c{}", number % 1000))
}

/// Records of one person, from a number on.
pub(super) fn of_one(first: u64) -> String {
    lines(first, |_| "of-one".to_owned())
}

fn lines(first: u64, author: impl Fn(u64) -> String) -> String {
    let mut text = String::new();
    for number in first..first + PIECE {
        writeln!(text, "{}", record(&number.to_string(), number, &author(number))).unwrap();
    }
    text
}

/// A record of this name; the number decides what is in it.
pub(super) fn record(name: &str, number: u64, author: &str) -> String {
    let channel = one_of(&["form", "survey", "branch-visit", "call"], number);
    let kind = one_of(&["complaint", "suggestion", "enquiry", "praise"], number / 4);
    format!(
        r#"{{"external_id":"provable-{name}","channel":"{channel}","kind":"{kind}","occurred_at":"2026-{:02}-{:02}T10:00:00Z","author":{{"name":"ليلى {number}","identifiers":[{{"scheme":"crm","id":"{author}"}}]}},"body":"رأي رقم {number}: وصلت الشحنة متأخرة أسبوعاً كاملاً ولم يرد علي أحد، ثم اعتذر الموظف وعوّضني. The courier left my parcel in the rain.","scores":[{{"metric":"nps","value":{},"min":0,"max":10}},{{"metric":"csat","value":{},"min":1,"max":5}},{{"metric":"ces","value":{},"min":1,"max":7}}]}}"#,
        1 + number % 10,
        1 + number % 28,
        number % 11,
        1 + number % 5,
        1 + number % 7
    )
}

fn one_of<'a>(words: &[&'a str], number: u64) -> &'a str {
    let place = usize::try_from(number).unwrap() % words.len();
    words[place]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{THE_ONE, of_many, of_one};
    use crate::intake::PIECE;

    #[test]
    fn every_line_is_a_record_of_its_own_and_one_person_says_them_all_or_many_do() {
        for (text, by_one) in [(of_many(2_000), false), (of_one(2_000), true)] {
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len() as u64, PIECE);
            assert_eq!(lines[0]["external_id"], "provable-2000");
            assert_eq!(lines[1]["scores"].as_array().unwrap().len(), 3);
            let author = |line: &Value| line["author"]["identifiers"][0]["id"].clone();
            assert_eq!(author(&lines[0]) == author(&lines[1]), by_one);
            let known_by = format!("crm:{}", author(&lines[0]).as_str().unwrap());
            assert_eq!(known_by == THE_ONE, by_one);
        }
    }
}

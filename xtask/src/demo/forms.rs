//! Form answers, one JSON object to a line.

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::dates::Moment;
use super::mime::is_arabic;
use super::texts::{People, Row};

/// The submissions of all tables, mixed as they would come in. A row holds theme, scores and author, and maybe a text.
pub(super) fn file(people: &People, tables: &[Vec<Row>]) -> Result<String> {
    let longest = tables.iter().map(Vec::len).max().unwrap_or(0);
    let mut lines = String::new();
    let mut number = 0;
    for at in 0..longest {
        for row in tables.iter().filter_map(|table| table.get(at)) {
            lines.push_str(&submission(people, row, number)?.to_string());
            lines.push('\n');
            number += 1;
        }
    }
    Ok(lines)
}

fn submission(people: &People, row: &Row, number: i64) -> Result<Value> {
    let [theme, scores, author, text @ ..] = row.as_slice() else {
        anyhow::bail!("a form answer has three columns")
    };
    let at = Moment::day(2026, 10, 2).plus(number * 11 * 3_613 + 7 * 3_600);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("submission-id", format!("waha-{:04}", 1_001 + number).into());
    put("submitted-at", at.rfc3339().into());
    put("topic", theme.as_str().into());
    for score in scores.split_whitespace() {
        let (name, value) = score
            .split_once('=')
            .with_context(|| format!("`{score}` is no score"))?;
        put(
            name,
            value
                .parse::<u8>()
                .with_context(|| format!("`{score}` is no score"))?
                .into(),
        );
    }
    if author != "-" {
        let person = people
            .get(author)
            .with_context(|| format!("nobody is called `{author}`"))?;
        put("name", person.name.as_str().into());
        put("email", person.address.as_str().into());
    }
    if let Some(text) = text.first() {
        put("message", text.as_str().into());
        if theme == "thanks" {
            put("kind", if is_arabic(text) { "شكر" } else { "praise" }.into());
        }
    }
    Ok(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_mixed_and_numbered() {
        let row = |text: &str| -> Row { ["thanks", "nps=10", "-", text].map(str::to_owned).into() };
        let file = file(
            &People::new(),
            &[vec![row("شكرًا لكم"), row("تسلم")], vec![row("thanks")]],
        )
        .unwrap();
        let lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            (lines[0]["kind"].as_str(), lines[1]["message"].as_str()),
            (Some("شكر"), Some("thanks"))
        );
        assert_eq!(
            (lines[2]["submission-id"].as_str(), lines[2]["nps"].as_u64()),
            (Some("waha-1003"), Some(10))
        );
    }

    #[test]
    fn an_unknown_author_is_an_error() {
        let row: Row = ["app", "nps=1", "nobody", "x"].map(str::to_owned).into();
        assert!(file(&People::new(), &[vec![row]]).is_err());
    }
}

//! Labels each line of the standard input: `cargo run -p plugin-language --example label_lines < texts.txt`.

use std::io::{self, BufRead, Write};

use mihwar_sdk::{
    ChannelKind, Edit, Feedback, Verdict,
    testing::{self, FakeHost},
};
use plugin_language::LanguageEnricher;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lines = io::stdin().lock().lines().collect::<Result<Vec<_>, _>>()?;
    let items = lines
        .iter()
        .map(|line| testing::stored("", Feedback::new("1", ChannelKind::Form).body(line)))
        .collect();
    let verdicts = testing::process::<LanguageEnricher>(&FakeHost::new().host(), &serde_json::json!({}), items)?;
    let mut out = io::stdout().lock();
    for (line, verdict) in lines.iter().zip(&verdicts) {
        writeln!(out, "{}\t{line}", label(verdict))?;
    }
    Ok(())
}

fn label(verdict: &Verdict) -> String {
    let Verdict::Edited(edits) = verdict else {
        return "failed".to_owned();
    };
    let found = edits.edits.iter().find_map(|edit| match edit {
        Edit::SetLanguage(language) => Some(language.clone()),
        Edit::AddTag(tag) => Some(tag.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| "unknown".to_owned())
}

//! Texts in wiki notation, which Data Center takes. What a customer wrote is shown as it was written, and does nothing.

use crate::text::Text;

/// The notation of a text.
pub(crate) fn notation(text: &Text) -> String {
    let mut page = String::new();
    if let Some(intro) = &text.intro {
        page.push_str(&format!("{}\n\n", escaped(intro)));
    }
    if let Some(quote) = &text.quote {
        page.push_str("{quote}\n");
        for line in quote.lines() {
            page.push_str(&escaped(line));
            page.push('\n');
        }
        page.push_str("{quote}\n");
    }
    if let Some(cut) = &text.cut {
        page.push_str(&format!("{}\n", escaped(cut)));
    }
    for (name, value) in &text.facts {
        page.push_str(&format!("* *{name}:* {}\n", escaped(value)));
    }
    if let Some(mark) = &text.mark {
        page.push_str(&format!("\n{}\n", escaped(mark)));
    }
    page
}

/// A line in which nothing is notation: no macros, no links, no mentions (`[~name]`), no pictures.
fn escaped(line: &str) -> String {
    let mut safe = String::with_capacity(line.len() + 8);
    for letter in line.chars() {
        match letter {
            '\\' | '{' | '}' | '[' | ']' | '*' | '_' | '?' | '^' | '~' | '+' | '-' | '#' | '|' | '!' => {
                safe.push('\\');
                safe.push(letter);
            }
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::notation;
    use crate::text::Text;

    #[test]
    fn nothing_that_a_customer_writes_is_notation() {
        let text = Text {
            intro: None,
            quote: Some("{code}x{code}\n[~admin] !a.png!\nخُصم *مرتين*".into()),
            cut: None,
            facts: vec![("النوع", "a|b".into())],
            mark: None,
        };
        let expected =
            "{quote}\n\\{code\\}x\\{code\\}\n\\[\\~admin\\] \\!a.png\\!\nخُصم \\*مرتين\\*\n{quote}\n* *النوع:* a\\|b\n";
        assert_eq!(notation(&text), expected);
    }
}

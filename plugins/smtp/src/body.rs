//! What a mail says: the same page as text and as HTML.
//!
//! Whatever customers wrote is text, never markup: it is escaped, and set apart so that its direction and its marks do not
//! reach what stands beside it.

use crate::header::one_line;

/// One mail's page.
pub(crate) struct Page<'a> {
    pub(crate) language: &'a str,
    pub(crate) direction: &'a str,
    pub(crate) title: String,
    /// Stands before everything else.
    pub(crate) notice: Option<&'a str>,
    pub(crate) sections: Vec<Section<'a>>,
    /// Lines at the end.
    pub(crate) rest: Vec<String>,
    pub(crate) footer: &'a str,
}

/// One item of feedback.
pub(crate) struct Section<'a> {
    /// Only where there are several.
    pub(crate) heading: Option<String>,
    pub(crate) rows: Vec<(&'a str, String)>,
    pub(crate) words: Option<Quoted>,
    /// What it is called, and the address.
    pub(crate) link: Option<(&'a str, String)>,
}

/// What somebody said.
pub(crate) struct Quoted {
    pub(crate) text: String,
    pub(crate) language: Option<String>,
    pub(crate) direction: &'static str,
}

impl Page<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.title);
        if let Some(notice) = self.notice {
            text.push_str(&format!("{notice}\n\n"));
        }
        for section in &self.sections {
            if let Some(heading) = &section.heading {
                text.push_str(&format!("——— {}\n", isolated(heading)));
            }
            for (label, value) in &section.rows {
                text.push_str(&format!("{label}: {}\n", isolated(value)));
            }
            if let Some(words) = &section.words {
                text.push_str(&format!("\n{}\n", words.text));
            }
            if let Some((label, address)) = &section.link {
                text.push_str(&format!("\n{label}: {address}\n"));
            }
            text.push('\n');
        }
        for line in &self.rest {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&format!("\n-- \n{}\n", self.footer));
        text
    }

    pub(crate) fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"{}\" dir=\"{}\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body style=\"font-family:sans-serif\">\n<h1 style=\"font-size:1.2em\"><bdi>{title}</bdi></h1>\n",
            self.language, self.direction
        );
        if let Some(notice) = self.notice {
            html.push_str(&format!("<p>{}</p>\n", escaped(notice)));
        }
        for section in &self.sections {
            section.push_html(&mut html);
        }
        if !self.rest.is_empty() {
            let lines: Vec<String> = self.rest.iter().map(|line| escaped(line)).collect();
            html.push_str(&format!("<p>{}</p>\n", lines.join("<br>\n")));
        }
        html.push_str(&format!(
            "<p style=\"color:#666;font-size:0.9em\">{}</p>\n</body>\n</html>\n",
            escaped(self.footer)
        ));
        html
    }
}

impl Section<'_> {
    fn push_html(&self, html: &mut String) {
        if let Some(heading) = &self.heading {
            html.push_str(&format!(
                "<h2 style=\"font-size:1em\"><bdi>{}</bdi></h2>\n",
                escaped(heading)
            ));
        }
        html.push_str("<table>\n");
        for (label, value) in &self.rows {
            html.push_str(&format!(
                "<tr><th style=\"text-align:start;vertical-align:top;padding-inline-end:1em\">{}</th><td><bdi>{}</bdi></td></tr>\n",
                escaped(label),
                escaped(value)
            ));
        }
        html.push_str("</table>\n");
        if let Some(words) = &self.words {
            let language = words
                .language
                .as_deref()
                .map_or_else(String::new, |tag| format!(" lang=\"{}\"", escaped(tag)));
            html.push_str(&format!(
                "<blockquote dir=\"{}\"{language} style=\"white-space:pre-wrap;margin:1em 0;padding-inline-start:1em;border-inline-start:3px solid #ccc\">{}</blockquote>\n",
                words.direction,
                escaped(&words.text)
            ));
        }
        if let Some((label, address)) = &self.link {
            html.push_str(&format!(
                "<p><a href=\"{}\">{}</a></p>\n",
                escaped(address),
                escaped(label)
            ));
        }
    }
}

/// Text with nothing in it that HTML takes for its own.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A value on one line, between marks that keep its direction to itself.
fn isolated(value: &str) -> String {
    format!("\u{2068}{value}\u{2069}")
}

/// A value on one line, without marks of direction of its own.
pub(crate) fn value(text: &str) -> String {
    let is_mark = |letter: &char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = text.chars().filter(|letter| !is_mark(letter)).collect();
    one_line(&plain)
}

/// A text of several lines: at most so many letters, and no control characters but line ends and tabs.
pub(crate) fn lines(text: &str, most: usize, cut: &str) -> String {
    let plain = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut letters = plain
        .chars()
        .filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'));
    let mut kept: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        kept.push_str("…\n");
        kept.push_str(cut);
    }
    kept.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_cut_between_letters_and_say_so() {
        assert_eq!(lines("شكوى\r\nسطر\0\u{1b}[2J\rثالث", 100, "x"), "شكوى\nسطر[2J\nثالث");
        assert_eq!(lines("شكوى طويلة", 4, "[قُطع]"), "شكوى…\n[قُطع]");
        assert_eq!(value("a\r\nb\u{202e}c\u{2069}"), "a bc");
    }

    proptest! {
        /// What customers wrote makes no tag, ends no attribute, and is there when it is read again.
        #[test]
        fn nothing_that_was_said_is_markup(text in "(\\PC|<script>|\"|'|&amp;){0,60}") {
            let safe = escaped(&text);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']), "{}", safe);
            let again = safe
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            prop_assert_eq!(again, text);
        }
    }
}

//! The words of a text that say something about its language, by script.

/// Letters of a text that are looked at; languages do not change behind them often enough to pay for more.
const MAX_LETTERS: usize = 1_000;

/// A script by its ISO 15924 code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Script(pub(crate) &'static str);

pub(crate) const ARABIC: Script = Script("Arab");
pub(crate) const LATIN: Script = Script("Latn");

/// One word, in one script.
#[derive(Debug)]
pub(crate) struct Word<'t> {
    pub(crate) text: &'t str,
    pub(crate) script: Script,
    /// Letters of that script.
    pub(crate) letters: usize,
}

/// The words of a text that its author wrote.
#[derive(Debug, Default)]
pub(crate) struct Words<'t> {
    pub(crate) list: Vec<Word<'t>>,
    pub(crate) letters: usize,
}

impl<'t> Words<'t> {
    /// Reads subject and body. Quoted lines, addresses and links are somebody else's words, or nobody's.
    pub(crate) fn of(subject: &'t str, body: &'t str) -> Self {
        let mut words = Self::default();
        for line in body.lines().filter(|line| !is_quoted(line)) {
            words.add_line(line);
        }
        if words.letters < MAX_LETTERS / 10 {
            words.add_line(subject);
        }
        if words.letters == 0 {
            // Nothing but a quotation: better than nothing.
            body.lines().for_each(|line| words.add_line(line));
        }
        words
    }

    fn add_line(&mut self, line: &'t str) {
        let parts = line
            .split_whitespace()
            .filter(|token| !is_address(token))
            .flat_map(|token| token.split(['/', '،', ',', '؛', '…']));
        for part in parts {
            if self.letters >= MAX_LETTERS {
                return;
            }
            let text = part.trim_matches(|c: char| !c.is_alphanumeric());
            if let Some((script, letters)) = main_script(text) {
                self.letters += letters;
                self.list.push(Word { text, script, letters });
            }
        }
    }

    /// Letters in words of that script.
    pub(crate) fn letters_in(&self, script: Script) -> usize {
        self.list
            .iter()
            .filter(|word| word.script == script)
            .map(|word| word.letters)
            .sum()
    }

    /// The words of that script.
    pub(crate) fn of_script(&self, script: Script) -> impl Iterator<Item = &Word<'t>> {
        self.list.iter().filter(move |word| word.script == script)
    }

    /// Scripts with their letters, most letters first.
    pub(crate) fn scripts(&self) -> Vec<(Script, usize)> {
        let mut found: Vec<(Script, usize)> = Vec::new();
        for word in &self.list {
            match found.iter_mut().find(|(script, _)| *script == word.script) {
                Some((_, letters)) => *letters += word.letters,
                None => found.push((word.script, word.letters)),
            }
        }
        found.sort_by_key(|(_, letters)| std::cmp::Reverse(*letters));
        found
    }

    /// The words of that script as one text.
    pub(crate) fn text_of(&self, script: Script) -> String {
        self.of_script(script)
            .map(|word| word.text)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

fn is_address(token: &str) -> bool {
    token.contains('@') || token.contains("://") || token.starts_with("www.") || token.starts_with('#')
}

fn main_script(text: &str) -> Option<(Script, usize)> {
    let first = text.chars().find_map(script_of)?;
    let letters = text.chars().filter(|c| script_of(*c) == Some(first)).count();
    Some((first, letters))
}

/// The script of a letter; `None` for digits, signs and marks.
fn script_of(c: char) -> Option<Script> {
    let code = match u32::from(c) {
        0x41..=0x5a | 0x61..=0x7a | 0xc0..=0x24f | 0x1e00..=0x1eff => "Latn",
        // Without Arabic digits, punctuation and vowel signs.
        0x620..=0x64a
        | 0x66e..=0x6d3
        | 0x6d5
        | 0x6fa..=0x6ff
        | 0x750..=0x77f
        | 0x8a0..=0x8c9
        | 0xfb50..=0xfdff
        | 0xfe70..=0xfefc => "Arab",
        0x370..=0x3ff | 0x1f00..=0x1fff => "Grek",
        0x400..=0x52f => "Cyrl",
        0x531..=0x58f => "Armn",
        0x5d0..=0x5f2 => "Hebr",
        0x900..=0x963 | 0x970..=0x97f => "Deva",
        0x980..=0x9e5 => "Beng",
        0xa00..=0xa65 => "Guru",
        0xb80..=0xbe5 => "Taml",
        0xc00..=0xc65 => "Telu",
        0xd00..=0xd65 => "Mlym",
        0xe01..=0xe4f => "Thai",
        0x10a0..=0x10ff => "Geor",
        0x1200..=0x137f => "Ethi",
        0x3041..=0x30ff => "Jpan",
        0x4e00..=0x9fff | 0x3400..=0x4dbf => "Hani",
        0xac00..=0xd7a3 | 0x1100..=0x11ff => "Hang",
        _ => return None,
    };
    Some(Script(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_author_s_own_words_count() {
        let words = Words::of(
            "",
            "التطبيق slow جدًا sara@example.com https://a.example/x\n> quoted text\n12 ٣٤",
        );
        let found: Vec<(&str, &str)> = words.list.iter().map(|word| (word.text, word.script.0)).collect();
        assert_eq!(found, [("التطبيق", "Arab"), ("slow", "Latn"), ("جدًا", "Arab")]);
        assert_eq!(words.letters_in(ARABIC), 10);
    }

    #[test]
    fn a_short_body_takes_its_subject_along() {
        assert_eq!(Words::of("شكوى عن التوصيل", "كما كتبت").list.len(), 5);
        assert_eq!(Words::of("", "> only quoted").list.len(), 2);
    }

    #[test]
    fn long_texts_are_sampled() {
        let text = "كلمة ".repeat(10_000);
        assert!(Words::of("", &text).letters <= MAX_LETTERS + 10);
    }
}

//! What is thought of one text.

use crate::{
    Settings, arabic,
    arabizi::Signs,
    codes,
    latin::{self, English, ratio},
    words::{ARABIC, LATIN, Script, Words},
};

/// A language with how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Guess {
    /// BCP 47; `und` when none fits.
    pub(crate) language: &'static str,
    /// 0 to 1.
    pub(crate) confidence: f64,
}

/// The finding for one text.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    /// BCP 47; `None` rather than a guess.
    pub(crate) language: Option<&'static str>,
    /// 0 to 1, of the likeliest language also when it was too little.
    pub(crate) confidence: f64,
    /// ISO 15924, or `Mixed`; `None` when the text holds no letter.
    pub(crate) script: Option<&'static str>,
    /// The likelier language of a mixed text.
    pub(crate) dominant: Option<&'static str>,
    pub(crate) is_mixed: bool,
    pub(crate) is_arabizi: bool,
}

/// Judges one text.
pub(crate) fn judge(subject: &str, body: &str, settings: &Settings) -> Finding {
    let words = Words::of(subject, body);
    let scripts = words.scripts();
    let Some((main, _)) = scripts.first().copied() else {
        return Finding {
            language: None,
            confidence: 0.0,
            script: None,
            dominant: None,
            is_mixed: false,
            is_arabizi: false,
        };
    };
    let signs = Signs::of(&words);
    let english = English::of(&words);
    let is_arabizi = main == LATIN && signs.speak_for_arabizi();
    let mixes_scripts = mixes_scripts(&words, main, english.own);
    // Two or more English words among Latin-letter Arabic: the author switches between the two.
    let mixes_in_latin = is_arabizi && english.own >= 2 && signs.confidence(english.own) < settings.min_confidence;
    let guess = guess(&words, main, is_arabizi, &signs, english);
    let enough = words.letters >= usize::try_from(settings.min_letters).unwrap_or(usize::MAX);
    let is_mixed = enough && (mixes_scripts || mixes_in_latin);
    let confidence = if enough { guess.confidence } else { 0.0 };
    let is_sure = enough && confidence >= settings.min_confidence && guess.language != "und";
    Finding {
        language: (is_sure && !is_mixed).then_some(guess.language),
        confidence,
        script: Some(if mixes_scripts { "Mixed" } else { main.0 }),
        dominant: (is_sure && is_mixed).then_some(guess.language),
        is_mixed,
        is_arabizi,
    }
}

fn guess(words: &Words<'_>, main: Script, is_arabizi: bool, signs: &Signs, english: English) -> Guess {
    let found = match main {
        ARABIC => arabic::guess(words),
        LATIN if is_arabizi => Some(Guess {
            language: "ar-Latn",
            confidence: signs.confidence(english.own),
        }),
        LATIN => latin::guess(words, english),
        other => codes::guess_by_script(other, words),
    };
    found.unwrap_or(Guess {
        language: "und",
        confidence: 0.0,
    })
}

/// Whether two languages are really mixed. A brand name or two in Arabic text mix nothing; an Arabic word in an
/// English sentence does.
fn mixes_scripts(words: &Words<'_>, main: Script, english: usize) -> bool {
    let arabic = words.letters_in(ARABIC);
    let latin = words.letters_in(LATIN);
    let all = words.letters.max(1);
    match main {
        ARABIC => {
            let plain = words.of_script(LATIN).filter(|word| is_plain(word.text)).count();
            (plain >= 2 || english >= 1 && plain >= 1) && ratio(latin, all) >= 0.15
        }
        LATIN => words.of_script(ARABIC).any(|word| word.letters >= 3) && ratio(arabic, all) >= 0.12,
        _ => false,
    }
}

/// Written like a common word rather than a name.
fn is_plain(word: &str) -> bool {
    word.len() >= 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '\'')
}

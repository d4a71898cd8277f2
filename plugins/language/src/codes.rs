//! Language codes, and the scripts that one language owns.

use whatlang::Lang;

use crate::{
    guess::Guess,
    words::{Script, Words},
};

/// ISO 639-3 codes and their two-letter forms.
const CODES: [(&str, &str); 69] = [
    ("epo", "eo"),
    ("eng", "en"),
    ("rus", "ru"),
    ("cmn", "zh"),
    ("spa", "es"),
    ("por", "pt"),
    ("ita", "it"),
    ("ben", "bn"),
    ("fra", "fr"),
    ("deu", "de"),
    ("ukr", "uk"),
    ("kat", "ka"),
    ("ara", "ar"),
    ("hin", "hi"),
    ("jpn", "ja"),
    ("heb", "he"),
    ("yid", "yi"),
    ("pol", "pl"),
    ("amh", "am"),
    ("jav", "jv"),
    ("kor", "ko"),
    ("nob", "nb"),
    ("dan", "da"),
    ("swe", "sv"),
    ("fin", "fi"),
    ("tur", "tr"),
    ("nld", "nl"),
    ("hun", "hu"),
    ("ces", "cs"),
    ("ell", "el"),
    ("bul", "bg"),
    ("bel", "be"),
    ("mar", "mr"),
    ("kan", "kn"),
    ("ron", "ro"),
    ("slv", "sl"),
    ("hrv", "hr"),
    ("srp", "sr"),
    ("mkd", "mk"),
    ("lit", "lt"),
    ("lav", "lv"),
    ("est", "et"),
    ("tam", "ta"),
    ("vie", "vi"),
    ("urd", "ur"),
    ("tha", "th"),
    ("guj", "gu"),
    ("uzb", "uz"),
    ("pan", "pa"),
    ("aze", "az"),
    ("ind", "id"),
    ("tel", "te"),
    ("pes", "fa"),
    ("mal", "ml"),
    ("ori", "or"),
    ("mya", "my"),
    ("nep", "ne"),
    ("sin", "si"),
    ("khm", "km"),
    ("tuk", "tk"),
    ("aka", "ak"),
    ("zul", "zu"),
    ("sna", "sn"),
    ("afr", "af"),
    ("lat", "la"),
    ("slk", "sk"),
    ("cat", "ca"),
    ("tgl", "tl"),
    ("hye", "hy"),
];

/// The BCP 47 tag, which wants the two-letter code where there is one.
pub(crate) fn bcp47(language: Lang) -> &'static str {
    let code = language.code();
    CODES
        .iter()
        .find(|(three, _)| *three == code)
        .map_or(code, |(_, two)| two)
}

/// Scripts of one language need no statistics; the others are asked of the trigrams.
pub(crate) fn guess_by_script(script: Script, words: &Words<'_>) -> Option<Guess> {
    let certain = |language| {
        Some(Guess {
            language,
            confidence: 1.0,
        })
    };
    match script.0 {
        "Grek" => certain("el"),
        "Armn" => certain("hy"),
        "Geor" => certain("ka"),
        "Thai" => certain("th"),
        "Hang" => certain("ko"),
        "Jpan" => certain("ja"),
        "Taml" => certain("ta"),
        "Telu" => certain("te"),
        "Mlym" => certain("ml"),
        // Japanese writes names and whole headlines in Han characters too.
        "Hani" if words.scripts().iter().any(|(other, _)| other.0 == "Jpan") => certain("ja"),
        "Hani" => certain("zh"),
        _ => {
            let info = whatlang::detect(&words.text_of(script))?;
            Some(Guess {
                language: bcp47(info.lang()),
                confidence: info.confidence(),
            })
        }
    }
}

//! Arabic, Persian and Urdu, which share a script.
//!
//! Each has letters that the others lack, and small words that no text does without. People type Persian and Urdu on
//! Arabic keyboards too, so letters alone are not enough.

use whatlang::Lang;

use crate::{
    guess::Guess,
    words::{ARABIC, Words},
};

/// What the letters and small words of a text speak for.
#[derive(Debug, Default)]
struct Evidence {
    arabic: f64,
    persian: f64,
    urdu: f64,
    /// Kurdish, Pashto, Sindhi, Uyghur: letters that none of the three has.
    other: f64,
}

const ARABIC_WORDS: [&str; 62] = [
    "في",
    "فى",
    "من",
    "على",
    "علي",
    "إلى",
    "الى",
    "عن",
    "هذا",
    "هذه",
    "ذلك",
    "التي",
    "الذي",
    "ما",
    "لم",
    "لا",
    "لن",
    "لكن",
    "ليس",
    "كان",
    "كانت",
    "قد",
    "بعد",
    "قبل",
    "مع",
    "كل",
    "أن",
    "ان",
    "أو",
    "او",
    "ثم",
    "هل",
    "جدا",
    "جدًا",
    "شكرا",
    "شكرًا",
    "مو",
    "مش",
    "موب",
    "ليش",
    "ليه",
    "وين",
    "فين",
    "شو",
    "ايش",
    "وش",
    "ابي",
    "أبي",
    "ابغى",
    "أبغى",
    "عايز",
    "عشان",
    "علشان",
    "كده",
    "كدا",
    "هيك",
    "كتير",
    "مره",
    "مرة",
    "احنا",
    "والله",
    "بس",
];
const PERSIAN_WORDS: [&str; 42] = [
    "است", "که", "كه", "را", "به", "از", "این", "اين", "آن", "برای", "براي", "با", "می", "مي", "شد", "شده", "شود",
    "بود", "های", "هاي", "ها", "نمی", "نمي", "هم", "ولی", "ولي", "خیلی", "خيلي", "کرد", "كرد", "کردم", "كردم", "کنید",
    "كنيد", "من", "شما", "باید", "بايد", "هیچ", "هيچ", "نیست", "نيست",
];
const URDU_WORDS: [&str; 40] = [
    "ہے", "ہیں", "تھا", "تھی", "کے", "کی", "کا", "کو", "میں", "نے", "سے", "اور", "پر", "نہیں", "یہ", "وہ", "بہت", "ہو",
    "گیا", "گئی", "مجھے", "میرا", "میری", "آپ", "بھی", "لیکن", "تو", "کر", "ہم", "رہا", "رہی", "کیا", "کوئی", "ابھی",
    "اب", "تک", "ساتھ", "والا", "ھے", "نہي",
];

/// The language of the Arabic-script words.
pub(crate) fn guess(words: &Words<'_>) -> Option<Guess> {
    let letters = words.letters_in(ARABIC);
    if letters == 0 {
        return None;
    }
    let mut evidence = Evidence::default();
    for word in words.of_script(ARABIC) {
        evidence.add_word(word.text);
    }
    if !evidence.is_clear() {
        evidence.ask_trigrams(&words.text_of(ARABIC));
    }
    Some(evidence.decide())
}

impl Evidence {
    fn add_word(&mut self, word: &str) {
        let plain: String = word
            .chars()
            .filter(|c| !matches!(c, '\u{64b}'..='\u{652}' | '\u{640}'))
            .collect();
        let bare = plain
            .strip_prefix('و')
            .filter(|rest| rest.chars().count() >= 2)
            .unwrap_or(&plain);
        if ARABIC_WORDS.contains(&plain.as_str()) || ARABIC_WORDS.contains(&bare) {
            self.arabic += 1.0;
        }
        if PERSIAN_WORDS.contains(&plain.as_str()) {
            self.persian += 1.0;
        }
        if URDU_WORDS.contains(&plain.as_str()) {
            self.urdu += 1.0;
        }
        const ARTICLES: [&str; 5] = ["ال", "وال", "بال", "لل", "فال"];
        if ARTICLES.iter().any(|article| {
            plain
                .strip_prefix(article)
                .is_some_and(|rest| rest.chars().count() >= 3)
        }) {
            self.arabic += 0.8;
        }
        for c in plain.chars() {
            match c {
                'ٹ' | 'ڈ' | 'ڑ' | 'ں' | 'ے' | 'ہ' | 'ھ' | 'ۓ' => self.urdu += 0.6,
                'پ' | 'چ' | 'ژ' | 'گ' => {
                    self.persian += 0.4;
                    self.urdu += 0.3;
                }
                'ک' | 'ی' => {
                    self.persian += 0.25;
                    self.urdu += 0.25;
                }
                'ة' => self.arabic += 0.6,
                'أ' | 'إ' | 'ى' | 'ي' | 'ك' => self.arabic += 0.25,
                'ض' | 'ظ' | 'ث' | 'ذ' | 'ط' => self.arabic += 0.15,
                'ێ' | 'ۆ' | 'ڵ' | 'ڕ' | 'ښ' | 'ږ' | 'ځ' | 'څ' | 'ټ' | 'ډ' | 'ړ' | 'ې' | 'ۍ' | 'ڪ' | 'ڻ' | 'ڳ' | 'ٻ'
                | 'ۇ' | 'ۈ' | 'ۋ' | 'ە' => self.other += 1.0,
                // A zero-width non-joiner, which Persian needs inside words.
                '\u{200c}' => self.persian += 0.8,
                _ => {}
            }
        }
    }

    fn ranked(&self) -> [(f64, &'static str); 3] {
        let mut ranked = [(self.arabic, "ar"), (self.persian, "fa"), (self.urdu, "ur")];
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranked
    }

    fn is_clear(&self) -> bool {
        let [(first, _), (second, _), _] = self.ranked();
        first >= 3.0 && first >= second * 2.5
    }

    fn ask_trigrams(&mut self, text: &str) {
        if let Some(info) = whatlang::detect(text) {
            let weight = info.confidence() * 2.0;
            match info.lang() {
                Lang::Ara => self.arabic += weight,
                Lang::Pes => self.persian += weight,
                Lang::Urd => self.urdu += weight,
                _ => {}
            }
        }
    }

    fn decide(&self) -> Guess {
        let [(first, language), (second, _), _] = self.ranked();
        if self.other >= 2.0 || self.other > first {
            return Guess {
                language: "und",
                confidence: 0.0,
            };
        }
        // How far ahead it is, held down while there is little to go by.
        let lead = if first > 0.0 { (first - second) / first } else { 0.0 };
        let weight = (first / 2.5).min(1.0);
        Guess {
            language,
            confidence: lead * weight,
        }
    }
}

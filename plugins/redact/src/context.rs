//! What the words around a number say that it is.

use crate::line::Line;

/// Most letters that are looked at on one side of a number.
const LETTERS_MAX: usize = 48;
/// Most words that are looked at on one side of a number.
const WORDS_MAX: usize = 4;

/// What a number is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// That of an order, an invoice, a parcel, a thing.
    Thing,
    /// That of a person's identity document.
    Identity,
    /// That of a telephone.
    Phone,
}

/// Parts of Arabic words: they stand with articles and endings, `لطلبي` and `طلباتكم`.
static ARABIC: [(&str, Said); 37] = [
    ("طلب", Said::Thing),
    ("فاتور", Said::Thing),
    ("فواتير", Said::Thing),
    ("شحن", Said::Thing),
    ("بوليص", Said::Thing),
    ("تذكر", Said::Thing),
    ("بلاغ", Said::Thing),
    ("شكوى", Said::Thing),
    ("تتبع", Said::Thing),
    ("مرجع", Said::Thing),
    ("معامل", Said::Thing),
    ("عملي", Said::Thing),
    ("حجز", Said::Thing),
    ("تسلسل", Said::Thing),
    ("باركود", Said::Thing),
    ("موديل", Said::Thing),
    ("منتج", Said::Thing),
    ("جهاز", Said::Thing),
    ("عقد", Said::Thing),
    ("عداد", Said::Thing),
    ("اشتراك", Said::Thing),
    ("قسيم", Said::Thing),
    ("إصدار", Said::Thing),
    ("هوي", Said::Identity),
    ("إقام", Said::Identity),
    ("اقام", Said::Identity),
    ("مدني", Said::Identity),
    ("أحوال", Said::Identity),
    ("احوال", Said::Identity),
    ("جوال", Said::Phone),
    ("هاتف", Said::Phone),
    ("تلفون", Said::Phone),
    ("موبايل", Said::Phone),
    ("واتس", Said::Phone),
    ("اتصل", Said::Phone),
    ("اتصال", Said::Phone),
    ("كلمون", Said::Phone),
];

/// English words, whole and without the `s` at their end.
static ENGLISH: [(&str, Said); 42] = [
    ("order", Said::Thing),
    ("invoice", Said::Thing),
    ("bill", Said::Thing),
    ("ticket", Said::Thing),
    ("case", Said::Thing),
    ("complaint", Said::Thing),
    ("tracking", Said::Thing),
    ("shipment", Said::Thing),
    ("parcel", Said::Thing),
    ("awb", Said::Thing),
    ("waybill", Said::Thing),
    ("reference", Said::Thing),
    ("ref", Said::Thing),
    ("booking", Said::Thing),
    ("reservation", Said::Thing),
    ("transaction", Said::Thing),
    ("receipt", Said::Thing),
    ("serial", Said::Thing),
    ("sku", Said::Thing),
    ("barcode", Said::Thing),
    ("model", Said::Thing),
    ("item", Said::Thing),
    ("product", Said::Thing),
    ("contract", Said::Thing),
    ("policy", Said::Thing),
    ("meter", Said::Thing),
    ("version", Said::Thing),
    ("build", Said::Thing),
    ("timestamp", Said::Thing),
    ("po", Said::Thing),
    ("iqama", Said::Identity),
    ("national", Said::Identity),
    ("identity", Said::Identity),
    ("nid", Said::Identity),
    ("resident", Said::Identity),
    ("residence", Said::Identity),
    ("phone", Said::Phone),
    ("mobile", Said::Phone),
    ("tel", Said::Phone),
    ("call", Said::Phone),
    ("whatsapp", Said::Phone),
    ("cell", Said::Phone),
];

/// Parts of Arabic and Persian words for a card to pay with.
const CARDS_ARABIC: [&str; 6] = ["بطاق", "فيزا", "ماستر", "مدى", "كارت", "کارت"];

/// The same in English.
const CARDS_ENGLISH: [&str; 7] = ["card", "visa", "mastercard", "mada", "amex", "maestro", "unionpay"];

/// Currencies and units: what stands before them is an amount.
const AMOUNTS: [&str; 17] = [
    "ريال",
    "ريالا",
    "ريالًا",
    "دولار",
    "درهم",
    "دينار",
    "جنيه",
    "يورو",
    "sar",
    "sr",
    "usd",
    "aed",
    "egp",
    "kwd",
    "eur",
    "riyal",
    "riyals",
];

/// What the nearest telling word before a place says, in the same sentence and with no other number between.
pub(crate) fn before(line: &Line, place: usize) -> Option<Said> {
    let mut names_an_id = false;
    for word in words_before(line, place) {
        // An `id` may be that of an order: the word before it tells.
        names_an_id |= word == "id";
        if let Some(said) = meaning(&word) {
            return Some(said);
        }
    }
    names_an_id.then_some(Said::Identity)
}

/// Whether the nearest telling word before a place is one for a card to pay with.
pub(crate) fn names_a_card(line: &Line, place: usize) -> bool {
    let words = words_before(line, place);
    let is_card = |word: &String| {
        let stem = word.strip_suffix('s').unwrap_or(word);
        CARDS_ENGLISH.contains(&stem) || CARDS_ARABIC.iter().any(|part| word.contains(part))
    };
    let nearest = words.iter().find(|word| meaning(word).is_some() || is_card(word));
    nearest.is_some_and(is_card)
}

/// Whether a number is an amount of money: a currency stands right before or behind it.
pub(crate) fn is_amount(line: &Line, start: usize, end: usize) -> bool {
    let sign = |place: Option<usize>| place.and_then(|place| line.free(place));
    let is_currency = |sign: Option<char>| matches!(sign, Some('$' | '€' | '£' | '﷼'));
    let blank = usize::from(line.free(end) == Some(' '));
    let mut word = String::new();
    for place in (end + blank..line.len()).take(LETTERS_MAX) {
        match line.free(place) {
            Some(letter) if letter.is_alphabetic() => word.extend(letter.to_lowercase()),
            _ => break,
        }
    }
    let behind = AMOUNTS.contains(&word.as_str()) || is_currency(sign(Some(end + blank)));
    let before = words_before(line, start).into_iter().next();
    behind
        || is_currency(sign(start.checked_sub(1)))
        || is_currency(sign(start.checked_sub(2)))
        || before.is_some_and(|word| AMOUNTS.contains(&word.as_str()))
}

fn meaning(word: &str) -> Option<Said> {
    let stem = word.strip_suffix('s').unwrap_or(word);
    let english = ENGLISH.iter().find(|(known, _)| *known == stem || *known == word);
    let arabic = || ARABIC.iter().find(|(part, _)| word.contains(*part));
    english.or_else(arabic).map(|(_, said)| *said)
}

/// The words before a place, the nearest first, up to the end of a sentence, a number, or what is taken.
fn words_before(line: &Line, place: usize) -> Vec<String> {
    let (mut words, mut word): (Vec<String>, Vec<char>) = (Vec::new(), Vec::new());
    for earlier in (0..place).rev().take(LETTERS_MAX) {
        let sign = line.free(earlier);
        match sign {
            Some(letter) if letter.is_alphabetic() || is_vowel_sign(letter) => word.extend(letter.to_lowercase()),
            Some(' ' | ':' | '#' | '-' | '/' | '=' | '(' | '"' | '_' | '№') => end_word(&mut words, &mut word),
            _ => break,
        }
        if words.len() == WORDS_MAX {
            break;
        }
    }
    end_word(&mut words, &mut word);
    words
}

/// Short vowels, which people write or leave away.
fn is_vowel_sign(letter: char) -> bool {
    matches!(letter, '\u{64b}'..='\u{652}')
}

fn end_word(words: &mut Vec<String>, backwards: &mut Vec<char>) {
    let word: String = backwards
        .drain(..)
        .rev()
        .filter(|letter| !is_vowel_sign(*letter))
        .collect();
    if !word.is_empty() {
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<Said> {
        let mut line = Line::default();
        line.read(text, 0);
        before(&line, line.len())
    }

    #[test]
    fn the_nearest_telling_word_says_what_a_number_is() {
        assert_eq!(said("رقم طلبي هو "), Some(Said::Thing));
        assert_eq!(said("طلبت تحديث هويتي رقم "), Some(Said::Identity));
        assert_eq!(said("Order ID: "), Some(Said::Thing));
        assert_eq!(said("my id is "), Some(Said::Identity));
        assert_eq!(said("orders/"), Some(Said::Thing));
        assert_eq!(said("جَوَّالي "), Some(Said::Phone));
        assert_eq!(said("the order is late. "), None);
        assert_eq!(said("order 7 and "), None);
        assert_eq!(said(""), None);
    }

    #[test]
    fn cards_have_names() {
        let named = |text: &str| {
            let mut line = Line::default();
            line.read(text, 0);
            names_a_card(&line, line.len())
        };
        assert!(named("بطاقتي رقم ") && named("my old cards: ") && named("شماره کارت من ") && named("طلب بالفيزا "));
        // An identity card is none.
        assert!(!named("بطاقة الهوية ") && !named("card for order ") && !named("cardboard ") && !named(""));
    }

    #[test]
    fn amounts_have_a_currency() {
        let amount = |text: &str| {
            let mut line = Line::default();
            line.read(text, 0);
            let digits: Vec<usize> = (0..line.len())
                .filter(|place| line.sign(*place).is_some_and(|sign| sign.is_ascii_digit()))
                .collect();
            is_amount(&line, digits[0], digits[digits.len() - 1] + 1)
        };
        assert!(amount("دفعت ١٠٠٠ ريال") && amount("SAR 1000") && amount("1000$") && amount("1000 usd."));
        assert!(!amount("رقمي ١٠٠٠ شكراً") && !amount("1000") && !amount("number 1000 sardines"));
    }
}

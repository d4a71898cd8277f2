//! Text for matching. Never for display: what people wrote stays as they wrote it.

/// Folds what does not matter when words are looked for: case, Arabic diacritics (U+064B to U+0652,
/// U+0670), tatweel, the forms of alef, alef maqsura, teh marbuta, Persian yeh and kaf, and the shapes of
/// digits.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            '\u{064B}'..='\u{0652}' | '\u{0670}' | '\u{0640}' => {}
            'أ' | 'إ' | 'آ' | 'ٱ' => folded.push('ا'),
            'ى' | 'ی' => folded.push('ي'),
            'ة' => folded.push('ه'),
            'ک' => folded.push('ك'),
            '٠'..='٩' => folded.push(digit(letter, '٠')),
            '۰'..='۹' => folded.push(digit(letter, '۰')),
            other => folded.push(other),
        }
    }
    folded
}

fn digit(letter: char, zero: char) -> char {
    char::from_digit(u32::from(letter).saturating_sub(u32::from(zero)), 10).unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn spellings_of_the_same_word_meet() {
        assert_eq!(fold("الشَّكْوَى"), fold("الشكوي"));
        assert_eq!(fold("إسـتجابة"), fold("استجابه"));
        assert_eq!(fold("طلب ١٢٣"), fold("طلب 123"));
        assert_eq!(fold("کیفیت"), fold("كيفيت"));
        assert_eq!(fold("Delivery"), "delivery");
        assert_ne!(fold("فاتورة"), fold("فاتور"));
    }
}

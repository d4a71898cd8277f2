//! Telephone numbers.

use crate::Settings;

/// Fewer digits than this are an extension inside the house.
const SHORTEST_PUBLIC: usize = 7;
/// ITU-T E.164.
const LONGEST_E164: usize = 15;
const SHORTEST_E164: usize = 8;

/// A caller's number, as far as it can be understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    /// `+` and up to 15 digits.
    International(String),
    /// A public number whose country nobody knows.
    National(String),
    /// An extension inside the house.
    Extension(String),
    /// The caller hides it, or it holds no number.
    Withheld,
}

impl Number {
    /// Reads a number as people and exchanges write it, Arabic-Indic digits included.
    pub(crate) fn read(text: &str, settings: &Settings) -> Self {
        let text = ascii_digits(text);
        let is_international = text
            .trim_start_matches(['\u{202a}', '\u{202d}', '\u{2066}', '(', ' '])
            .starts_with('+');
        let has_letters = text.chars().any(char::is_alphabetic);
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.is_empty() || has_letters {
            return Self::Withheld;
        }
        if is_international {
            return international(digits);
        }
        if let Some(rest) = digits.strip_prefix("00") {
            return international(rest.to_owned());
        }
        if digits.len() < SHORTEST_PUBLIC {
            return Self::Extension(digits);
        }
        let code = settings.default_country_code.as_str();
        if code.is_empty() {
            return Self::National(digits);
        }
        let trunk = settings.trunk_prefix.as_str();
        if let Some(rest) = digits.strip_prefix(trunk).filter(|_| !trunk.is_empty()) {
            return international(format!("{code}{rest}"));
        }
        // Exchanges often hand over the country code without `+` or `00`.
        let has_code = digits
            .strip_prefix(code)
            .is_some_and(|rest| rest.len() >= SHORTEST_E164);
        international(if has_code { digits } else { format!("{code}{digits}") })
    }

    /// Scheme and id of the handle, if the number is one.
    pub(crate) fn handle(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::International(number) => Some(("tel", number)),
            Self::National(number) => Some(("tel-national", number)),
            Self::Extension(number) => Some(("extension", number)),
            Self::Withheld => None,
        }
    }

    /// For people, kept in its order inside right-to-left text.
    pub(crate) fn shown(&self) -> Option<String> {
        self.handle().map(|(_, number)| format!("\u{2066}{number}\u{2069}"))
    }
}

fn international(digits: String) -> Number {
    let starts_well = !digits.starts_with('0');
    if starts_well && (SHORTEST_E164..=LONGEST_E164).contains(&digits.len()) {
        Number::International(format!("+{digits}"))
    } else if digits.is_empty() {
        // `00` and nothing behind it.
        Number::Withheld
    } else {
        Number::National(digits)
    }
}

/// Arabic-Indic and Persian digits as ASCII digits; everything else stays.
pub(crate) fn ascii_digits(text: &str) -> String {
    text.chars()
        .map(|c| {
            let value = match c {
                '\u{660}'..='\u{669}' => u32::from(c) - 0x660,
                '\u{6f0}'..='\u{6f9}' => u32::from(c) - 0x6f0,
                _ => return c,
            };
            char::from_digit(value, 10).unwrap_or(c)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, country: &str, expected: &str) {
        let settings = Settings {
            default_country_code: country.to_owned(),
            ..Settings::default()
        };
        let number = Number::read(text, &settings);
        let shown = number
            .handle()
            .map_or("withheld".to_owned(), |(scheme, id)| format!("{scheme}:{id}"));
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn international_numbers_in_every_spelling() {
        for text in [
            "+966 50 123 4567",
            "00966501234567",
            "٠٠٩٦٦٥٠١٢٣٤٥٦٧",
            "0501234567",
            "501234567",
            "966501234567",
        ] {
            check(text, "966", "tel:+966501234567");
        }
        check("(+44) 20 7946 0018", "966", "tel:+442079460018");
        check("۰۵۰۱۲۳۴۵۶۷", "966", "tel:+966501234567");
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        check("0501234567", "", "tel-national:0501234567");
        check("104", "966", "extension:104");
        check("anonymous", "966", "withheld");
        check("", "966", "withheld");
        check("00", "966", "withheld");
        check("٠٠", "966", "withheld");
        check("+12", "966", "tel-national:12");
        check("0000000000000000000000", "966", "tel-national:00000000000000000000");
    }
}

//! Counted nouns: the plural forms of CLDR for the two languages.

use super::settings::{Settings, Tongue};

/// A noun in all the forms that counting asks for. `{}` stands for the number.
pub(super) struct Counted {
    /// zero, one, two, few (3 to 10), many (11 to 99), other.
    pub(super) ar: [&'static str; 6],
    /// one, other.
    pub(super) en: [&'static str; 2],
}

/// Minutes that have passed.
pub(super) const MINUTES_AGO: Counted = Counted {
    ar: [
        "الآن",
        "قبل دقيقة",
        "قبل دقيقتين",
        "قبل {} دقائق",
        "قبل {} دقيقة",
        "قبل {} دقيقة",
    ],
    en: ["{} minute ago", "{} minutes ago"],
};
/// Hours that have passed.
pub(super) const HOURS_AGO: Counted = Counted {
    ar: [
        "الآن",
        "قبل ساعة",
        "قبل ساعتين",
        "قبل {} ساعات",
        "قبل {} ساعة",
        "قبل {} ساعة",
    ],
    en: ["{} hour ago", "{} hours ago"],
};
/// Days that have passed.
pub(super) const DAYS_AGO: Counted = Counted {
    ar: [
        "اليوم",
        "قبل يوم",
        "قبل يومين",
        "قبل {} أيام",
        "قبل {} يومًا",
        "قبل {} يوم",
    ],
    en: ["{} day ago", "{} days ago"],
};
/// Attempts to deliver.
pub(super) const ATTEMPTS: Counted = Counted {
    ar: [
        "بلا محاولة",
        "محاولة واحدة",
        "محاولتان",
        "{} محاولات",
        "{} محاولة",
        "{} محاولة",
    ],
    en: ["{} attempt", "{} attempts"],
};
/// Calls into a plugin.
pub(super) const CALLS: Counted = Counted {
    ar: [
        "بلا استدعاءات",
        "استدعاء واحد",
        "استدعاءان",
        "{} استدعاءات",
        "{} استدعاءً",
        "{} استدعاء",
    ],
    en: ["{} call", "{} calls"],
};
/// Calls that failed.
pub(super) const FAILED: Counted = Counted {
    ar: [
        "بلا إخفاق",
        "إخفاق واحد",
        "إخفاقان",
        "{} إخفاقات",
        "{} إخفاقًا",
        "{} إخفاق",
    ],
    en: ["{} failed", "{} failed"],
};
/// Work that waits.
pub(super) const WAITING: Counted = Counted {
    ar: [
        "لا شيء ينتظر",
        "عنصر ينتظر",
        "عنصران ينتظران",
        "{} عناصر تنتظر",
        "{} عنصرًا ينتظر",
        "{} عنصر ينتظر",
    ],
    en: ["{} waiting", "{} waiting"],
};
/// Dead letters.
pub(super) const DEAD: Counted = Counted {
    ar: [
        "بلا رسائل عالقة",
        "رسالة عالقة",
        "رسالتان عالقتان",
        "{} رسائل عالقة",
        "{} رسالة عالقة",
        "{} رسالة عالقة",
    ],
    en: ["{} dead letter", "{} dead letters"],
};
/// Seconds of a call.
pub(super) const SECONDS: Counted = Counted {
    ar: ["أقل من ثانية", "ثانية", "ثانيتان", "{} ثوانٍ", "{} ثانية", "{} ثانية"],
    en: ["{} second", "{} seconds"],
};

impl Settings {
    /// `count` of these.
    pub(super) fn counted(self, count: u64, noun: &Counted) -> String {
        let form = match self.tongue {
            Tongue::Arabic => noun.ar[arabic_category(count)],
            Tongue::English => noun.en[usize::from(count != 1)],
        };
        form.replace("{}", &self.number(count))
    }

    /// A number, in groups of three.
    pub(super) fn number(self, number: u64) -> String {
        let digits = number.to_string();
        let separator = if self.arabic_digits { '٬' } else { ',' };
        let mut text = String::with_capacity(digits.len() * 2);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                text.push(separator);
            }
            text.push(digit);
        }
        self.digits(&text)
    }

    /// Any text with its digits as wanted.
    pub(super) fn digits(self, text: &str) -> String {
        if !self.arabic_digits {
            return text.to_owned();
        }
        let shown = |c: char| match c.to_digit(10) {
            Some(digit) => char::from_u32(0x0660 + digit).unwrap_or(c),
            None if c == '.' => '٫',
            None => c,
        };
        text.chars().map(shown).collect()
    }
}

/// Which of the six forms a number asks for in Arabic (CLDR: zero, one, two, few, many, other).
const fn arabic_category(count: u64) -> usize {
    match (count, count % 100) {
        (0, _) => 0,
        (1, _) => 1,
        (2, _) => 2,
        (_, 3..=10) => 3,
        (_, 11..=99) => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::{DAYS_AGO, MINUTES_AGO, Settings, Tongue};

    const fn settings(tongue: Tongue, arabic_digits: bool) -> Settings {
        Settings {
            tongue,
            arabic_digits,
            refresh: false,
        }
    }

    #[test]
    fn arabic_counts_in_six_forms() {
        let ar = settings(Tongue::Arabic, false);
        for (count, text) in [
            (0, "اليوم"),
            (1, "قبل يوم"),
            (2, "قبل يومين"),
            (3, "قبل 3 أيام"),
            (10, "قبل 10 أيام"),
            (11, "قبل 11 يومًا"),
            (99, "قبل 99 يومًا"),
            (100, "قبل 100 يوم"),
            (103, "قبل 103 أيام"),
        ] {
            assert_eq!(ar.counted(count, &DAYS_AGO), text);
        }
        assert_eq!(settings(Tongue::Arabic, true).counted(12, &MINUTES_AGO), "قبل ١٢ دقيقة");
    }

    #[test]
    fn english_counts_in_two_and_numbers_are_grouped() {
        let en = settings(Tongue::English, false);
        assert_eq!(en.counted(1, &DAYS_AGO), "1 day ago");
        assert_eq!(en.counted(0, &DAYS_AGO), "0 days ago");
        assert_eq!(en.number(1_234_567), "1,234,567");
        assert_eq!(en.number(12), "12");
        assert_eq!(settings(Tongue::Arabic, true).number(1_234), "١٬٢٣٤");
    }
}

//! Numbers as text, whose digits are the same everywhere.

/// `numerator / denominator` with `places` digits after the point, computed in whole numbers; a half is rounded away from
/// zero. `None` where there is nothing to divide by. Exact while the numerator times 10^`places` fits into 126 bits.
#[must_use]
pub fn ratio(numerator: i128, denominator: u64, places: u32) -> Option<String> {
    if denominator == 0 {
        return None;
    }
    let denominator = u128::from(denominator);
    let scale = 10_u128.saturating_pow(places);
    let doubled = numerator.unsigned_abs().saturating_mul(scale).saturating_mul(2);
    let scaled = doubled.saturating_add(denominator) / (denominator * 2);
    let (whole, rest) = (scaled / scale, scaled % scale);
    let sign = if numerator < 0 && scaled > 0 { "-" } else { "" };
    Some(if places == 0 {
        format!("{sign}{whole}")
    } else {
        let width = usize::try_from(places).unwrap_or(usize::MAX);
        format!("{sign}{whole}.{rest:0width$}")
    })
}

/// A number with `places` digits after the point: those of its exact binary value, a half rounded to the even digit. There
/// is no `-0`. What is no finite number gives an empty text, which the hub refuses.
#[must_use]
pub fn fixed(number: f64, places: usize) -> String {
    if !number.is_finite() {
        return String::new();
    }
    let text = format!("{number:.places$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|byte| matches!(byte, b'0' | b'.')) => zero.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{fixed, ratio};

    #[test]
    fn whole_numbers_divide_exactly() {
        for (numerator, denominator, places, text) in [
            (3_000, 100, 1, "30.0"),
            (100, 3, 3, "33.333"),
            (200, 3, 3, "66.667"),
            (-200, 3, 3, "-66.667"),
            (1, 2, 0, "1"),
            (-1, 2, 0, "-1"),
            (-1, 1_000_000, 2, "0.00"),
            (1, 8, 2, "0.13"),
            (0, 7, 2, "0.00"),
            (100 * 999_999_999_999, 1_000_000_000_000, 3, "100.000"),
        ] {
            assert_eq!(
                ratio(numerator, denominator, places).as_deref(),
                Some(text),
                "{numerator}"
            );
        }
        assert_eq!(ratio(1, 0, 2), None);
    }

    #[test]
    fn a_rounded_number_has_no_negative_zero() {
        assert_eq!(fixed(-1e-17, 2), "0.00");
        assert_eq!(fixed(0.125, 2), "0.12");
        assert_eq!(fixed(-12.345_678, 3), "-12.346");
        assert_eq!(fixed(100.0, 0), "100");
        assert_eq!(fixed(f64::NAN, 2), "");
    }
}

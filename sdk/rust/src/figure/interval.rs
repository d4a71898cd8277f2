//! Intervals that several figures use.

/// The normal distribution's quantile for an interval of 95 %.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// The Wilson score interval of a share: `successes` of `n`, each between 0 and 1. `None` without answers.
#[must_use]
pub fn wilson(successes: u64, n: u64, z: f64) -> Option<(f64, f64)> {
    if n == 0 {
        return None;
    }
    let (share, n) = (successes as f64 / n as f64, n as f64);
    let squared = z * z;
    let stretch = 1.0 + squared / n;
    let centre = (share + squared / (2.0 * n)) / stretch;
    let half = z / stretch * (share * (1.0 - share) / n + squared / (4.0 * n * n)).sqrt();
    Some(((centre - half).max(0.0), (centre + half).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::{Z_95, wilson};
    use crate::figure::fixed;

    #[test]
    fn wilsons_interval_is_that_of_the_known_vectors() {
        for (successes, n, low, high) in [
            (0, 10, "0.00", "27.75"),
            (9, 10, "59.58", "98.21"),
            (45, 50, "78.64", "95.65"),
            (430, 500, "82.68", "88.77"),
            (1, 1, "20.65", "100.00"),
        ] {
            let (found_low, found_high) = wilson(successes, n, Z_95).unwrap();
            let found = (fixed(found_low * 100.0, 2), fixed(found_high * 100.0, 2));
            assert_eq!(found, (low.to_owned(), high.to_owned()), "{successes}/{n}");
        }
        assert_eq!(wilson(0, 0, Z_95), None);
    }
}

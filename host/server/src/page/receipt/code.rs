//! QR codes as a drawing within the page.

use std::fmt::Write;

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around a code, without which readers do not find it.
const QUIET: usize = 4;

/// A code, drawn in units of its modules.
pub(super) struct Code {
    /// Modules along each side, with the quiet zone.
    pub(super) side: usize,
    /// The dark modules, as the commands of an SVG path.
    pub(super) path: String,
}

impl Code {
    /// The code of a text; `None` when it has more than a QR code holds (2953 bytes).
    pub(super) fn of(text: &str) -> Option<Self> {
        let code = QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Low).ok()?;
        let size = code.size();
        let mut path = String::new();
        for y in 0..size {
            let mut x = 0;
            while x < size {
                let length = (x..size).take_while(|x| code.get_module(*x, y)).count();
                if length > 0 {
                    draw(&mut path, x, y, length).ok()?;
                }
                // The module behind a run is light.
                x += i32::try_from(length).ok()? + 1;
            }
        }
        Some(Self {
            side: usize::try_from(size).ok()? + 2 * QUIET,
            path,
        })
    }
}

fn draw(path: &mut String, x: i32, y: i32, length: usize) -> std::fmt::Result {
    let quiet = i32::try_from(QUIET).unwrap_or_default();
    write!(path, "M{} {}h{length}v1h-{length}z", x + quiet, y + quiet)
}

#[cfg(test)]
mod tests {
    use super::{Code, QUIET};
    use qrcodegen::{QrCode, QrCodeEcc};

    /// Paints the path's runs on a field and compares module by module.
    #[test]
    fn the_drawing_has_every_dark_module_and_no_other() {
        let text = "إيصال: mihwar-receipt/1";
        let code = Code::of(text).unwrap();
        let expected = QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Low).unwrap();
        let mut field = vec![vec![false; code.side]; code.side];
        for run in code.path.split('M').filter(|run| !run.is_empty()) {
            let (place, rest) = run.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (length, _) = rest.split_once('v').unwrap();
            let (x, y, length): (usize, usize, usize) =
                (x.parse().unwrap(), y.parse().unwrap(), length.parse().unwrap());
            field[y][x..x + length].fill(true);
        }
        for (y, row) in field.iter().enumerate() {
            for (x, dark) in row.iter().enumerate() {
                // Outside of the code its library says light.
                let at = |place: usize| i32::try_from(place).unwrap() - i32::try_from(QUIET).unwrap();
                assert_eq!(*dark, expected.get_module(at(x), at(y)), "{x} {y}");
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_has_no_code() {
        assert!(Code::of(&"a".repeat(2953)).is_some());
        assert!(Code::of(&"a".repeat(2954)).is_none());
    }
}

//! Content made shorter before it is sealed: what is sealed does not compress any more.
//!
//! Most contents are a few hundred bytes, too few to learn from: the usual methods, which look for repetitions, find
//! none in them. So what is known beforehand is known to the code: how often each byte follows each class of bytes in
//! Arabic and English text (`table`). Frequent bytes take a few bits by that, rare ones twelve (asymmetric numeral
//! systems, Duda 2013, in the variant that moves whole bytes). What room a letter takes depends on the two bytes before
//! it alone: whoever puts a text of theirs beside somebody's secret learns nothing of it from how long both are together.

mod table;

use std::sync::LazyLock;

use table::FREQUENCIES;

/// Frequencies are out of two to this power.
const SCALE_BITS: u32 = 12;
const SCALE: u32 = 1 << SCALE_BITS;
/// The coder's state lies between this and 256 times as much whenever a byte was coded. Where it begins, and where reading
/// must end.
const FLOOR: u32 = 1 << 23;
/// Longer contents are kept as they are.
const PLAIN_BYTES_MAX: usize = 1 << 20;
/// In the place of a length: what follows is kept as it is.
const AS_IT_IS: u8 = 0;

/// The bytes that may follow one class of bytes.
struct Class {
    frequencies: &'static [u16; 256],
    /// Where each byte's share of the scale begins.
    starts: [u16; 256],
    /// Whose share each place of the scale is in.
    bytes: Vec<u8>,
}

static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| FREQUENCIES.iter().map(Class::of).collect());

impl Class {
    fn of(frequencies: &'static [u16; 256]) -> Self {
        let (mut starts, mut bytes, mut sum) = ([0; 256], Vec::with_capacity(1 << SCALE_BITS), 0);
        for ((byte, frequency), start) in (0..=u8::MAX).zip(frequencies).zip(&mut starts) {
            *start = sum;
            sum += *frequency;
            bytes.resize(usize::from(sum), byte);
        }
        Self {
            frequencies,
            starts,
            bytes,
        }
    }

    /// How large the share of a byte is, and where it begins.
    fn share(&self, byte: u8) -> (u32, u32) {
        let byte = usize::from(byte);
        (u32::from(self.frequencies[byte]), u32::from(self.starts[byte]))
    }
}

/// The last byte, and the one before it.
#[derive(Debug, Clone, Copy, Default)]
struct Before(u8, u8);

impl Before {
    /// Which line of the table tells what comes next.
    const fn class_after(self) -> usize {
        match self {
            Self(0..=0x1F, _) => 0,
            Self(b' ', _) => 1,
            Self(b'0'..=b'9', _) => 2,
            Self(b'A'..=b'Z', _) => 3,
            Self(b'a' | b'e' | b'i' | b'o' | b'u', _) => 4,
            Self(b'a'..=b'z', _) => 5,
            Self(..=0x7F, _) => 6,
            Self(0xD8, _) => 7,
            Self(0xD9, _) => 8,
            Self(0xC0.., _) => 9,
            Self(_, 0xD8) => 10,
            Self(_, 0xD9) => 11,
            Self(..) => 12,
        }
    }

    const fn then(self, byte: u8) -> Self {
        Self(byte, self.0)
    }
}

/// Makes a content shorter, or leaves it as it is where that is not to be had: then it is a byte longer.
pub(crate) fn pack(plain: &[u8]) -> Vec<u8> {
    if plain.len() <= PLAIN_BYTES_MAX {
        let packed = coded(plain);
        if packed.len() <= plain.len() {
            return packed;
        }
    }
    let mut kept = Vec::with_capacity(plain.len() + 1);
    kept.push(AS_IT_IS);
    kept.extend_from_slice(plain);
    kept
}

/// What was packed; `None` for bytes that nobody packed.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = read_length(packed)?;
    if length == 0 {
        return Some(rest.to_vec());
    }
    let (state, rest) = rest.split_first_chunk()?;
    let (mut state, mut rest) = (u32::from_be_bytes(*state), rest.iter());
    let (mut plain, mut before) = (Vec::with_capacity(length), Before::default());
    let classes: &[Class] = &CLASSES;
    for _ in 0..length {
        let class = classes.get(before.class_after())?;
        let place = state % SCALE;
        let byte = *class.bytes.get(usize::try_from(place).ok()?)?;
        let (share, start) = class.share(byte);
        // Below 2^32 whatever the state was: the share is below the scale.
        state = share * (state / SCALE) + place - start;
        while state < FLOOR {
            state = (state << 8) | u32::from(*rest.next()?);
        }
        plain.push(byte);
        before = before.then(byte);
    }
    (state == FLOOR && rest.next().is_none()).then_some(plain)
}

/// The length, the state that reading begins with, and the bytes that it takes up on its way back to where coding began:
/// the last byte of a content is coded first.
fn coded(plain: &[u8]) -> Vec<u8> {
    let (mut after, mut before) = (Vec::with_capacity(plain.len()), Before::default());
    for byte in plain {
        after.push(before.class_after());
        before = before.then(*byte);
    }
    let (mut state, mut backwards) = (FLOOR, Vec::with_capacity(plain.len()));
    let classes: &[Class] = &CLASSES;
    for (byte, class) in plain.iter().zip(after).rev() {
        let (share, start) = classes[class].share(*byte);
        while state >= (FLOOR / SCALE) * 256 * share {
            backwards.push(lowest(state));
            state >>= 8;
        }
        state = (state / share) * SCALE + state % share + start;
    }
    backwards.extend_from_slice(&state.to_le_bytes());
    let mut packed = length(plain.len());
    packed.extend(backwards.iter().rev());
    packed
}

const fn lowest(number: u32) -> u8 {
    let [lowest, ..] = number.to_le_bytes();
    lowest
}

/// Seven bits a byte, lowest first; all but the last with the highest bit set.
fn length(of: usize) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(5 + of), of);
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            bytes.push(low & 0x7F);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (mut length, mut shift, mut rest) = (0, 0, bytes);
    loop {
        let (byte, after) = rest.split_first()?;
        length |= usize::from(byte & 0x7F) << shift;
        (rest, shift) = (after, shift + 7);
        if length > PLAIN_BYTES_MAX || shift > 21 {
            return None;
        }
        if byte & 0x80 == 0 {
            return Some((length, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::table::FREQUENCIES;
    use super::{PLAIN_BYTES_MAX, SCALE, pack, unpack};

    const TEXT: &str = "وصل الطلب متأخراً. Where is my order?";

    #[test]
    fn every_byte_has_a_share_and_all_of_them_are_the_scale() {
        for shares in &FREQUENCIES {
            assert!(shares.iter().all(|share| *share > 0));
            assert_eq!(shares.iter().map(|share| u32::from(*share)).sum::<u32>(), SCALE);
        }
    }

    #[test]
    fn what_was_packed_once_is_packed_like_that_for_ever() {
        let packed = pack(TEXT.as_bytes());
        assert_eq!(
            hex::encode(&packed),
            "3409682fbe14e92db093bf6412be390206df444754bbd581a93b00"
        );
        assert_eq!(unpack(&packed).unwrap(), TEXT.as_bytes());
    }

    #[test]
    fn text_of_a_person_takes_half_the_room() {
        let text = "الفاتورة التي وصلتني هذا الشهر أعلى من المعتاد، وأريد أن أعرف السبب. My bill went up again and nobody \
            can tell me why.";
        assert!(pack(text.as_bytes()).len() * 2 < text.len() + 10);
    }

    #[test]
    fn what_cannot_be_made_shorter_costs_one_byte() {
        let noise: Vec<u8> = (0..200_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let long = vec![b'a'; PLAIN_BYTES_MAX + 1];
        for plain in [b"".as_slice(), b"\xff", &noise, &long] {
            let packed = pack(plain);
            assert_eq!(packed.len(), plain.len() + 1);
            assert_eq!(unpack(&packed).unwrap(), plain);
        }
    }

    #[test]
    fn what_nobody_packed_is_refused() {
        let packed = pack(TEXT.as_bytes());
        assert_eq!(unpack(&[]), None);
        assert_eq!(unpack(&[0xFF; 30]), None);
        assert_eq!(unpack(&packed[..packed.len() - 1]), None);
        assert_eq!(unpack(&[packed.as_slice(), b"x"].concat()), None);
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(plain in prop::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,200}") {
            prop_assert_eq!(unpack(&pack(&plain)), Some(plain));
            prop_assert_eq!(unpack(&pack(text.as_bytes())), Some(text.into_bytes()));
        }

        #[test]
        fn reading_anything_ends(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(plain) = unpack(&bytes) {
                prop_assert!(plain.len() <= PLAIN_BYTES_MAX);
            }
        }
    }
}

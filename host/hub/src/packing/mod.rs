//! Content made shorter before it is sealed: what is sealed does not compress any more.
//!
//! Most contents are a few hundred bytes, too few for repetitions within them. So Zstandard is given a dictionary of
//! what such contents are likely to hold: their CBOR, and words of customers in Arabic and English. A row keeps one
//! byte that says how it is packed, then the frame (RFC 8878) without what is the same for all: no magic number, no id
//! of the dictionary, no checksum (the seal is one). Each content is packed by itself. How long it is then tells
//! something of what else is in it, but all of that came with one item: nobody can put a text of theirs beside what
//! came with another.
//!
//! What was packed with a dictionary is read with that one only: it never changes. A better one becomes a file, a first
//! byte and a decoder beside those that are there. The first one was made like this:
//!
//! 1. Some 6 800 contents, each in a file, as `rows::encode` writes them, in the shapes of the plugins for forms, mails
//!    and calls and of the API: 6 000 of one to four sentences drawn from 230 authored ones, with things, places, times
//!    and sums put into them (deliveries, bills, shops, apps, banks, offices, health; English, and Arabic with some
//!    dialect); several times each, three quarters of the texts in `config/demo` and of the Universal Declaration of
//!    Human Rights in both languages. Invented addresses and numbers were cut short, so that none is somebody's.
//!    Nothing had three words in a row that stand in the benchmark's text.
//! 2. `zstd --train-cover=k=120,d=6 --maxdict=15360 contents/* -o dictionary-1.zstd-dict`. Below 15.5 KiB the library
//!    takes its parameters for inputs of up to 16 KiB, which are better here and take less memory than the next ones.
//! 3. What had been left out took 40 % of its length at [`LEVEL`], the benchmark's contents 46 %, in some ten
//!    microseconds each.

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

const DICTIONARY_1: &[u8] = include_bytes!("dictionary-1.zstd-dict");
/// The next ones take twice the time and gain nothing; the one before takes a tenth more room.
const LEVEL: i32 = 4;
/// Contents with more bytes are packed at [`LEVEL_OF_LONG`]: they hold repetitions of their own, and looking for the best ones
/// took a mail more time than sealing and writing it.
const SHORT_BYTES_MAX: usize = 1 << 10;
const LEVEL_OF_LONG: i32 = 1;
/// Longer contents are kept as they are, and nothing that claims to be longer is unpacked.
const PLAIN_BYTES_MAX: usize = 1 << 16;
/// What every frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// First byte: what follows is kept as it is.
const AS_IT_IS: u8 = 0;
/// First byte: a frame without [`MAGIC`], by [`DICTIONARY_1`].
const BY_DICTIONARY_1: u8 = 1;

static ENCODER: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL));
static ENCODER_OF_LONG: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL_OF_LONG));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_1));

thread_local! {
    // Each has some 100 KB: one for a thread instead of one for a content.
    static COMPRESSOR: RefCell<io::Result<Compressor<'static>>> = RefCell::new(compressor(&ENCODER));
    static COMPRESSOR_OF_LONG: RefCell<io::Result<Compressor<'static>>> = RefCell::new(compressor(&ENCODER_OF_LONG));
    static DECOMPRESSOR: RefCell<io::Result<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER));
}

fn compressor(encoder: &'static EncoderDictionary<'static>) -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::with_prepared_dictionary(encoder)?;
    // The length stays in the frame: memory is taken by it when the content is read.
    compressor.include_contentsize(true)?;
    compressor.include_dictid(false)?;
    compressor.include_checksum(false)?;
    Ok(compressor)
}

/// Makes a content shorter, or leaves it as it is where that is not to be had: then it is a byte longer.
pub(crate) fn pack(plain: &[u8]) -> Vec<u8> {
    if plain.len() <= PLAIN_BYTES_MAX
        && let Some(packed) = compressed(plain)
        && packed.len() <= plain.len()
    {
        return packed;
    }
    let mut kept = Vec::with_capacity(plain.len() + 1);
    kept.push(AS_IT_IS);
    kept.extend_from_slice(plain);
    kept
}

fn compressed(plain: &[u8]) -> Option<Vec<u8>> {
    let compressor = if plain.len() > SHORT_BYTES_MAX {
        &COMPRESSOR_OF_LONG
    } else {
        &COMPRESSOR
    };
    let frame = compressor.with_borrow_mut(|compressor| compressor.as_mut().ok()?.compress(plain).ok())?;
    let rest = frame.strip_prefix(&MAGIC)?;
    let mut packed = Vec::with_capacity(rest.len() + 1);
    packed.push(BY_DICTIONARY_1);
    packed.extend_from_slice(rest);
    Some(packed)
}

/// What was packed; `None` for bytes that nobody packed.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    match packed.split_first()? {
        (&AS_IT_IS, plain) => Some(plain.to_vec()),
        (&BY_DICTIONARY_1, rest) => {
            let frame = [MAGIC.as_slice(), rest].concat();
            DECOMPRESSOR.with_borrow_mut(|decompressor| {
                let decompressor = decompressor.as_mut().ok()?;
                decompressor.decompress(&frame, PLAIN_BYTES_MAX).ok()
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AS_IT_IS, BY_DICTIONARY_1, PLAIN_BYTES_MAX, compressed, pack, unpack};

    const TEXT: &str = "وصل الطلب متأخراً. Where is my order?";

    #[test]
    fn what_was_packed_once_can_be_read_for_ever() {
        // `zstd -D dictionary-1.zstd-dict --no-check --no-dictID`, at level 4 and at level 19.
        for frame in [
            "2034bd000010573f07fc8028f79a9df76c149f95a1cbf9c8de890ea1",
            "2034c5000020d985573f06fc8028f79a3bef6ba328db236cd92f618d11",
        ] {
            let frame = hex::decode(frame).unwrap();
            let packed = [[BY_DICTIONARY_1].as_slice(), &frame].concat();
            assert_eq!(unpack(&packed).unwrap(), TEXT.as_bytes());
        }
        assert_eq!(unpack(b"\0as it is").unwrap(), b"as it is");
    }

    #[test]
    fn text_of_a_person_takes_half_the_room() {
        let text = "الفاتورة التي وصلتني هذا الشهر أعلى من المعتاد، وأريد أن أعرف السبب. My bill went up again and nobody \
            can tell me why.";
        assert!(pack(text.as_bytes()).len() * 2 < text.len());
    }

    #[test]
    fn long_texts_are_packed_too_and_come_back() {
        let text = "لم يصل طلبي رقم ٤٥٦ بعد، وانتظرت أسبوعين. My order has not arrived after two weeks. ".repeat(20);
        let packed = pack(text.as_bytes());
        assert!(text.len() > super::SHORT_BYTES_MAX && packed.len() * 4 < text.len());
        assert_eq!(unpack(&packed).unwrap(), text.as_bytes());
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
            assert_eq!(packed.first(), Some(&AS_IT_IS));
            assert_eq!(unpack(&packed).unwrap(), plain);
        }
    }

    #[test]
    fn what_nobody_packed_is_refused() {
        let packed = pack(TEXT.as_bytes());
        assert_eq!(packed.first(), Some(&BY_DICTIONARY_1));
        assert_eq!(unpack(&[]), None);
        assert_eq!(unpack(&[0xFF; 30]), None);
        assert_eq!(unpack(&[BY_DICTIONARY_1]), None);
        assert_eq!(unpack(&packed[..packed.len() - 1]), None);
        assert_eq!(unpack(&[packed.as_slice(), b"x"].concat()), None);
    }

    #[test]
    fn nothing_is_unpacked_that_is_longer_than_what_is_packed() {
        let most = vec![b'a'; PLAIN_BYTES_MAX];
        assert_eq!(unpack(&pack(&most)).unwrap(), most);
        let bomb = compressed(&vec![b'a'; 100 * PLAIN_BYTES_MAX]).unwrap();
        assert!(bomb.len() < 2_000);
        assert_eq!(unpack(&bomb), None);
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(plain in prop::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,200}") {
            prop_assert_eq!(unpack(&pack(&plain)), Some(plain));
            prop_assert_eq!(unpack(&pack(text.as_bytes())), Some(text.into_bytes()));
        }

        #[test]
        fn reading_anything_ends(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let frame = [[BY_DICTIONARY_1].as_slice(), &bytes].concat();
            for plain in [unpack(&bytes), unpack(&frame)].into_iter().flatten() {
                prop_assert!(plain.len() <= PLAIN_BYTES_MAX);
            }
        }

        #[test]
        fn a_damaged_frame_is_read_to_its_end_or_refused(at in 1_usize..29, bit in 0_u32..8) {
            let mut packed = pack(TEXT.as_bytes());
            let at = at % packed.len();
            packed[at] ^= 1 << bit;
            if let Some(plain) = unpack(&packed) {
                prop_assert!(plain.len() <= PLAIN_BYTES_MAX);
            }
        }
    }
}

//! How a number is written: a whole one as an integer, any other as a float of 8 bytes. Read are both, whichever it is:
//! older versions wrote floats only.

use minicbor::data::Type;
use minicbor::decode::Error;
use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

/// Up to here every whole number is a float, too.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

pub(crate) fn encode<C, W: Write>(
    number: &f64,
    encoder: &mut Encoder<W>,
    _: &mut C,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    let is_whole = number.fract() == 0.0 && number.abs() <= WHOLE_MAX;
    // An integer has no zero below zero.
    if !is_whole || (*number == 0.0 && number.is_sign_negative()) {
        return encoder.f64(*number)?.ok();
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    let whole = *number as i64;
    encoder.i64(whole)?.ok()
}

pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<f64, Error> {
    match decoder.datatype()? {
        Type::F16 | Type::F32 | Type::F64 => decoder.f64(),
        _ => decoder.i64().map(|whole| whole as f64),
    }
}

#[cfg(test)]
mod tests {
    use crate::Score;

    fn score(number: f64) -> Score {
        Score {
            metric: "nps".into(),
            value: number,
            min: -number,
            max: 10.0,
        }
    }

    #[test]
    fn every_number_comes_back_as_it_was() {
        for number in [
            0.0,
            -0.0,
            7.0,
            -3.0,
            0.5,
            9e15,
            1e16,
            1e300,
            f64::MIN_POSITIVE,
            f64::MAX,
        ] {
            let bytes = minicbor::to_vec(score(number)).unwrap();
            let back: Score = minicbor::decode(&bytes).unwrap();
            assert_eq!(back.value.to_bits(), number.to_bits());
            assert_eq!(back.min.to_bits(), (-number).to_bits());
        }
    }

    #[test]
    fn a_whole_number_takes_little_room_and_floats_are_read_as_well() {
        let short = minicbor::to_vec(score(7.0)).unwrap();
        assert_eq!(short, [0x84, 0x63, b'n', b'p', b's', 7, 0x26, 10]);
        let [seven, minus_seven, ten] = [7.0_f64, -7.0, 10.0].map(|number| minicbor::to_vec(number).unwrap());
        let long = [&short[..5], &seven, &minus_seven, &ten].concat();
        assert_eq!(minicbor::decode::<Score>(&long).unwrap(), score(7.0));
    }
}

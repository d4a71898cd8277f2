//! Changing an input: bytes, words of the format, lines, and pieces of other inputs.

use crate::dice::Dice;

/// Longest input that is made, unless a seed is longer.
const BYTES_MAX: usize = 64 << 10;
/// What breaks parsers of any format.
const HOSTILE: [&str; 28] = [
    "\0",
    "\r",
    "\n",
    "\r\n\r\n",
    "\u{feff}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "ملاحظة",
    "٤٢",
    "é",
    "\u{1F600}",
    "\"",
    "'",
    "\\",
    "%00",
    "{",
    "[",
    "]]]]",
    "-1",
    "0",
    "9223372036854775808",
    "1e400",
    "NaN",
    "9999-12-31T23:59:60Z",
    "null",
    "true",
    " ",
];

/// Changes `input` one to six times. `words` are those of the format, `other` another input of it.
pub(crate) fn mutate(dice: &mut Dice, input: &mut Vec<u8>, words: &[&str], other: &[u8]) {
    for _ in 0..=dice.below(6) {
        once(dice, input, words, other);
    }
    input.truncate(BYTES_MAX.max(other.len()));
}

fn once(dice: &mut Dice, input: &mut Vec<u8>, words: &[&str], other: &[u8]) {
    let at = dice.below(input.len() + 1);
    match dice.below(12) {
        0 => flip(dice, input),
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = dice.byte();
            }
        }
        2 => {
            let end = (at + 1 + dice.below(16)).min(input.len());
            input.drain(at..end.max(at));
        }
        3 => input.truncate(at),
        4 => {
            let piece = some_piece(dice, input, 64);
            insert(input, at, &piece);
        }
        5 => {
            // Long runs find what counts, recurses or grows by squares.
            let piece = some_piece(dice, input, 8);
            let times = 1 + dice.below(400);
            insert(input, at, &piece.repeat(times));
        }
        6 => {
            let piece = some_piece(dice, other, 256);
            insert(input, at, &piece);
        }
        7 => {
            input.truncate(at);
            let from = dice.below(other.len() + 1);
            input.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        8 => lines(dice, input),
        9 => number(dice, input),
        10 => {
            let word = dice.pick(&HOSTILE).copied().unwrap_or_default();
            insert(input, at, word.as_bytes());
        }
        _ => {
            let word = dice.pick(words).copied().unwrap_or_default();
            insert(input, at, word.as_bytes());
        }
    }
}

fn flip(dice: &mut Dice, input: &mut [u8]) {
    let at = dice.below(input.len());
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << dice.below(8);
    }
}

fn some_piece(dice: &mut Dice, from: &[u8], most: usize) -> Vec<u8> {
    let start = dice.below(from.len());
    let length = 1 + dice.below(most);
    from.iter().skip(start).take(length).copied().collect()
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, piece.iter().copied());
}

/// Doubles, drops or swaps a line.
fn lines(dice: &mut Dice, input: &mut Vec<u8>) {
    let mut all: Vec<Vec<u8>> = input
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if all.is_empty() {
        return;
    }
    let (one, two) = (dice.below(all.len()), dice.below(all.len()));
    match dice.below(3) {
        0 => all.insert(two, all.get(one).cloned().unwrap_or_default()),
        1 => drop(all.remove(one)),
        _ => all.swap(one, two),
    }
    *input = all.concat();
}

/// Replaces a run of digits by a number at an edge.
fn number(dice: &mut Dice, input: &mut Vec<u8>) {
    let starts: Vec<usize> = (0..input.len())
        .filter(|at| input[*at].is_ascii_digit() && (*at == 0 || !input[*at - 1].is_ascii_digit()))
        .collect();
    let Some(start) = dice.pick(&starts).copied() else {
        return;
    };
    let end = start + input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let edges = [
        "0",
        "1",
        "-1",
        "255",
        "65536",
        "4294967296",
        "9223372036854775807",
        "18446744073709551616",
        "0000001",
    ];
    let edge = dice.pick(&edges).copied().unwrap_or_default();
    input.splice(start..end, edge.bytes());
}

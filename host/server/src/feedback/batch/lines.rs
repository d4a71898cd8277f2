//! Cuts a stream of bytes into lines without ever holding more than one line's worth.

use bytes::Bytes;

/// One line of the input, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1; empty lines count.
    pub(super) number: u64,
    /// What stands in it.
    pub(super) text: LineText,
}

/// What stands in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LineText {
    /// All of it.
    Whole(Vec<u8>),
    /// More than a line may have; its bytes were counted and dropped.
    TooLong(u64),
}

/// Takes chunks in, gives lines out.
#[derive(Debug)]
pub(super) struct Splitter {
    chunk: Bytes,
    /// The beginning of a line whose end has not come yet.
    carried: Vec<u8>,
    /// Bytes of the present line that were dropped because it is too long.
    dropped: u64,
    number: u64,
    bytes_max: usize,
    ended: bool,
}

impl Splitter {
    /// Lines of up to `bytes_max` bytes.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            chunk: Bytes::new(),
            carried: Vec::new(),
            dropped: 0,
            number: 0,
            bytes_max,
            ended: false,
        }
    }

    /// Takes the next chunk. Only after [`Self::next_line`] gave `None`.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// No further chunk will come.
    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    /// Whether everything was given out.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.chunk.is_empty() && self.carried.is_empty() && self.dropped == 0
    }

    /// The next line; `None` when more input is needed.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        if let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
            let piece = self.chunk.split_to(end + 1);
            self.carry(piece.get(..end).unwrap_or_default());
            return Some(self.take());
        }
        let rest = std::mem::take(&mut self.chunk);
        self.carry(&rest);
        let begun = !self.carried.is_empty() || self.dropped > 0;
        (self.ended && begun).then(|| self.take())
    }

    fn carry(&mut self, piece: &[u8]) {
        if self.dropped == 0 && self.carried.len() + piece.len() <= self.bytes_max {
            self.carried.extend_from_slice(piece);
        } else {
            self.dropped += (self.carried.len() + piece.len()) as u64;
            self.carried = Vec::new();
        }
    }

    fn take(&mut self) -> Line {
        self.number += 1;
        let carried = std::mem::take(&mut self.carried);
        let text = match std::mem::take(&mut self.dropped) {
            0 => LineText::Whole(carried),
            dropped => LineText::TooLong(dropped),
        };
        Line {
            number: self.number,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, LineText, Splitter};
    use bytes::Bytes;

    /// All lines of `input`, handed over in chunks of `size` bytes.
    fn lines(input: &str, size: usize, bytes_max: usize) -> Vec<Line> {
        let mut splitter = Splitter::new(bytes_max);
        let mut found = Vec::new();
        for chunk in input.as_bytes().chunks(size) {
            splitter.feed(Bytes::copy_from_slice(chunk));
            while let Some(line) = splitter.next_line() {
                found.push(line);
            }
        }
        splitter.end();
        while let Some(line) = splitter.next_line() {
            found.push(line);
        }
        assert!(splitter.is_done());
        found
    }

    #[test]
    fn chunks_do_not_change_the_lines() {
        let input = "شكوى\n\nsecond line\nبلا نهاية";
        let whole: Vec<Line> = input
            .split('\n')
            .zip(1..)
            .map(|(text, number)| Line {
                number,
                text: LineText::Whole(text.into()),
            })
            .collect();
        for size in 1..=input.len() {
            assert_eq!(lines(input, size, 100), whole, "chunks of {size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_the_next_is_read() {
        let input = format!("{}\nok\n", "ط".repeat(50));
        for size in [1, 7, 64, 1000] {
            let found = lines(&input, size, 20);
            assert_eq!(found[0].text, LineText::TooLong(100), "chunks of {size}");
            assert_eq!(
                found[1],
                Line {
                    number: 2,
                    text: LineText::Whole(b"ok".to_vec())
                }
            );
            assert_eq!(found.len(), 2);
        }
        assert_eq!(lines("", 1, 20), []);
    }
}

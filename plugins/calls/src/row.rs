//! Lines of a CSV file, one after the other, from any byte on.
//!
//! Columns may hold line ends inside quotes. A quote that is opened and never closed would swallow the rest of the
//! file; so a record that spans several lines and does not fit is given up, its first line refused, and reading goes on
//! with the second.

use std::io::{self, Read};

use csv::{ByteRecord, ReaderBuilder};
use mihwar_sdk::{BlobError, Host};

/// Longest single record.
const MAX_RECORD_BYTES: usize = 256 << 10;
const CHUNK_BYTES: u32 = 256 << 10;

/// The fields of one line.
pub(crate) struct Row<'r> {
    pub(crate) fields: &'r [String],
}

impl Row<'_> {
    /// The field in that column, or nothing.
    pub(crate) fn at(&self, column: Option<usize>) -> &str {
        column.and_then(|at| self.fields.get(at)).map_or("", String::as_str)
    }
}

/// Why a line is refused.
#[derive(Debug, PartialEq)]
pub(crate) struct Bad {
    pub(crate) code: &'static str,
    /// The column, if one is to blame.
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
}

impl Bad {
    /// A line as a whole is wrong.
    pub(crate) fn line(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            code,
            column: None,
            reason: reason.into(),
        }
    }

    /// One field is wrong.
    pub(crate) fn field(code: &'static str, column: &str, reason: impl Into<String>) -> Self {
        Self {
            code,
            column: Some(column.to_owned()),
            reason: reason.into(),
        }
    }
}

/// A record, where it stands and where the next one begins.
pub(crate) struct Record {
    /// `Err`: not in UTF-8, or not a record at all.
    pub(crate) fields: Result<Vec<String>, Bad>,
    pub(crate) line: u64,
    /// It covers more than one line of the file.
    pub(crate) spans_lines: bool,
    pub(crate) after: Place,
    /// Behind the first line of the record.
    pub(crate) after_first_line: Place,
}

/// A place between two lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    /// Number of the line that begins here, from 1.
    pub(crate) line: u64,
}

/// The file as a byte source with a position.
pub(crate) struct Bytes<'h> {
    host: &'h Host,
    blob: &'h str,
    size: u64,
    /// The part of the file that is in memory, and where it begins.
    chunk: Vec<u8>,
    chunk_at: u64,
    offset: u64,
    /// Bytes that may still be handed out for the current record.
    budget: usize,
    failure: Option<BlobError>,
}

impl<'h> Bytes<'h> {
    pub(crate) fn new(host: &'h Host, blob: &'h str, size: u64) -> Self {
        Self {
            host,
            blob,
            size,
            chunk: Vec::new(),
            chunk_at: 0,
            offset: 0,
            budget: 0,
            failure: None,
        }
    }

    /// The next record from `place` on; `None` at the end of the file.
    pub(crate) fn record(&mut self, place: Place, separator: u8) -> Result<Option<Record>, BlobError> {
        self.offset = place.offset;
        self.budget = MAX_RECORD_BYTES;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .buffer_capacity(4 << 10)
            .from_reader(&mut *self);
        let mut fields = ByteRecord::new();
        let outcome = reader.read_byte_record(&mut fields);
        let (length, lines) = (reader.position().byte(), reader.position().line() - 1);
        drop(reader);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let fields = match outcome {
            Ok(true) => text_of(&fields),
            Ok(false) => return Ok(None),
            Err(_) => Err(Bad::line(
                "record-too-long",
                format!("the record is longer than {MAX_RECORD_BYTES} bytes; a quote is probably not closed"),
            )),
        };
        let start = self.skip_blank_lines(place)?;
        let first = self.first_line_length(start.offset)?;
        let after = match &fields {
            Ok(_) => Place {
                offset: place.offset + length,
                line: place.line + lines,
            },
            Err(_) => Place {
                offset: start.offset + first,
                line: start.line + 1,
            },
        };
        Ok(Some(Record {
            spans_lines: after.offset > start.offset + first,
            fields,
            line: start.line,
            after,
            after_first_line: Place {
                offset: start.offset + first,
                line: start.line + 1,
            },
        }))
    }

    /// The CSV reader jumps over empty lines before a record; so do we, to name the right line.
    fn skip_blank_lines(&mut self, mut place: Place) -> Result<Place, BlobError> {
        loop {
            match self.byte(place.offset)? {
                Some(b'\n') => {
                    place = Place {
                        offset: place.offset + 1,
                        line: place.line + 1,
                    }
                }
                Some(b'\r') => place.offset += 1,
                _ => return Ok(place),
            }
        }
    }

    fn first_line_length(&mut self, from: u64) -> Result<u64, BlobError> {
        let mut at = from;
        while let Some(byte) = self.byte(at)? {
            at += 1;
            if byte == b'\n' {
                break;
            }
        }
        Ok(at - from)
    }

    fn byte(&mut self, at: u64) -> Result<Option<u8>, BlobError> {
        if at >= self.size {
            return Ok(None);
        }
        self.load(at)?;
        Ok(usize::try_from(at - self.chunk_at)
            .ok()
            .and_then(|index| self.chunk.get(index))
            .copied())
    }

    /// Brings the byte at `at` into memory.
    fn load(&mut self, at: u64) -> Result<(), BlobError> {
        if at < self.chunk_at || at >= self.chunk_at + self.chunk.len() as u64 {
            self.chunk = self.host.blob_read(self.blob, at, CHUNK_BYTES)?;
            self.chunk_at = at;
        }
        Ok(())
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.offset >= self.size {
            return Ok(0);
        }
        if self.budget == 0 {
            return Err(io::Error::other("record too long"));
        }
        if let Err(error) = self.load(self.offset) {
            self.failure = Some(error);
            return Err(io::Error::other("the file cannot be read"));
        }
        let from = usize::try_from(self.offset - self.chunk_at).unwrap_or(usize::MAX);
        let rest = self.chunk.get(from..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(self.budget);
        if let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(source);
        }
        self.budget -= count;
        self.offset += count as u64;
        Ok(count)
    }
}

fn text_of(record: &ByteRecord) -> Result<Vec<String>, Bad> {
    record
        .iter()
        .enumerate()
        .map(|(at, field)| match std::str::from_utf8(field) {
            // A NUL would make the hub refuse the record.
            Ok(text) => Ok(text.replace('\0', "\u{fffd}")),
            Err(_) => Err(Bad::field(
                "not-utf-8",
                &format!("#{}", at + 1),
                "is not in UTF-8: save the file as UTF-8",
            )),
        })
        .collect()
}

//! `log`: bounded, masked, on one line, kept with the call.

use crate::contract::log::{Host, Level};
use crate::effects::{LogLevel, LogLine};
use crate::failure::kept;
use crate::host::{CallState, Panic};
use crate::limits::{FAILURE_BYTES, LOG_BYTES, LOG_RECORDS};
use crate::secrets::Masker;

/// Most fields of one record.
const FIELDS: usize = 32;
/// Fewer bytes than this tell nothing of a value: the mark of a cut alone takes three.
const LEAST_VALUE_BYTES: usize = 3;

impl Host for CallState {
    fn enabled(&mut self, level: Level) -> bool {
        // Below `info` a record is kept only while somebody looks for a fault.
        LogLevel::from(level) >= LogLevel::Info || tracing::enabled!(tracing::Level::DEBUG)
    }

    fn emit(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        if self.log.len() >= LOG_RECORDS {
            self.log_dropped += 1;
            return;
        }
        let line = record(level.into(), message, fields, &self.bound.masker);
        self.log.push(line);
    }

    fn panicked(&mut self, message: String, location: String) {
        // The first one counts: a panic while panicking says less.
        if self.panic.is_none() {
            let masker = &self.bound.masker;
            self.panic = Some(Panic {
                // Masked before it is cut: half a secret would not be found any more.
                message: kept(message, masker, FAILURE_BYTES),
                place: kept(location, masker, 256),
            });
        }
    }
}

/// One record of at most [`LOG_BYTES`], message and fields together. Fields that do not fit are left out.
fn record(level: LogLevel, message: String, fields: Vec<(String, String)>, masker: &Masker) -> LogLine {
    let message = kept(message, masker, LOG_BYTES);
    let mut left = LOG_BYTES.saturating_sub(message.len());
    let mut shown = Vec::new();
    for (name, value) in fields.into_iter().take(FIELDS) {
        let name = kept(name, masker, LOG_BYTES);
        let room = left.saturating_sub(name.len());
        if room < LEAST_VALUE_BYTES {
            break;
        }
        let value = kept(value, masker, room);
        left = room.saturating_sub(value.len());
        shown.push((name, value));
    }
    LogLine {
        level,
        message,
        fields: shown,
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masker() -> Masker {
        Masker::new(std::iter::empty(), std::iter::once("s3cret-value".to_owned()))
    }

    fn length(line: &LogLine) -> usize {
        let fields = line.fields.iter().map(|(name, value)| name.len() + value.len());
        line.message.len() + fields.sum::<usize>()
    }

    #[test]
    fn fields_are_masked_on_one_line_and_cut() {
        let fields = vec![
            ("رمز".to_owned(), "s3cret-value".to_owned()),
            ("two\nlines".to_owned(), "أ\nب".to_owned()),
            ("long".to_owned(), "ط".repeat(LOG_BYTES)),
            ("no room".to_owned(), "x".to_owned()),
        ];
        let line = record(LogLevel::Info, "تم".to_owned(), fields, &masker());
        assert_eq!(line.fields[0], ("رمز".to_owned(), "•••".to_owned()));
        assert_eq!(line.fields[1], ("two lines".to_owned(), "أ ب".to_owned()));
        assert!(line.fields[2].1.ends_with('…'));
        assert_eq!(line.fields.len(), 3);
    }

    proptest! {
        /// However little room the message leaves, a record keeps to its bytes.
        #[test]
        fn a_record_never_has_more_bytes_than_it_may(
            short_of_full in 0_usize..40,
            fields in prop::collection::vec(("[a-zء-ي]{0,9}", "[a-zء-ي\n]{0,40}"), 0..40),
        ) {
            let message = "m".repeat(LOG_BYTES - short_of_full);
            let line = record(LogLevel::Info, message.clone(), fields, &masker());
            prop_assert_eq!(&line.message, &message);
            prop_assert!(length(&line) <= LOG_BYTES);
        }
    }
}

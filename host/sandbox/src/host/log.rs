//! `log`: bounded, masked, kept with the call.

use crate::contract::log::{Host, Level};
use crate::effects::{LogLevel, LogLine};
use crate::failure::cut;
use crate::host::{CallState, Panic};
use crate::limits::{FAILURE_BYTES, LOG_BYTES, LOG_RECORDS};

/// Most fields of one record.
const FIELDS: usize = 32;

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
        let masker = &self.bound.masker;
        let message = cut(masker.text(message), LOG_BYTES);
        let mut left = LOG_BYTES - message.len();
        let mut kept = Vec::new();
        for (name, value) in fields.into_iter().take(FIELDS) {
            if name.len() >= left {
                break;
            }
            left -= name.len();
            let value = cut(masker.text(value), left);
            left -= value.len();
            kept.push((name, value));
        }
        self.log.push(LogLine {
            level: level.into(),
            message,
            fields: kept,
        });
    }

    fn panicked(&mut self, message: String, location: String) {
        // The first one counts: a panic while panicking says less.
        if self.panic.is_none() {
            self.panic = Some(Panic {
                message: cut(message, FAILURE_BYTES),
                place: cut(location, 256),
            });
        }
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

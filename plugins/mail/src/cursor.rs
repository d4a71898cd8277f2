//! The cursor between two pages of an mbox.

use mihwar_sdk::PluginError;

/// Where the next page of an mbox begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) offset: u64,
    /// Messages before `offset`.
    pub(crate) messages: u64,
    /// Inside a message that is too large: where that began.
    pub(crate) skipping_from: Option<u64>,
}

impl Cursor {
    /// Before the first message, which begins at `offset`.
    pub(crate) fn at(offset: u64) -> Self {
        Self {
            offset,
            messages: 0,
            skipping_from: None,
        }
    }

    /// Reads what [`Cursor::print`] wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, PluginError> {
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
        let mut parts = text.split(':');
        match (number(parts.next()), number(parts.next()), parts.next(), parts.next()) {
            (Some(offset), Some(messages), None, None) => Ok(Self {
                offset,
                messages,
                skipping_from: None,
            }),
            (Some(offset), Some(messages), Some(start), None) if start.parse::<u64>().is_ok() => Ok(Self {
                offset,
                messages,
                skipping_from: start.parse().ok(),
            }),
            _ => Err(PluginError::permanent(
                "bad-cursor",
                "the cursor is not one of this plugin: import the file anew",
            )),
        }
    }

    /// As text, for the hub to keep.
    pub(crate) fn print(self) -> String {
        match self.skipping_from {
            Some(start) => format!("{}:{}:{start}", self.offset, self.messages),
            None => format!("{}:{}", self.offset, self.messages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_printing() {
        for cursor in [
            Cursor {
                offset: 7,
                messages: 2,
                skipping_from: None,
            },
            Cursor {
                offset: 9,
                messages: 3,
                skipping_from: Some(4),
            },
        ] {
            assert_eq!(Cursor::parse(&cursor.print()).unwrap(), cursor);
        }
        for broken in ["", "7", "x:1", "1:2:3:4", "1:2:"] {
            assert_eq!(
                Cursor::parse(broken).unwrap_err().code(),
                Some("bad-cursor"),
                "{broken}"
            );
        }
    }
}

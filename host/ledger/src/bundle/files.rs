//! The files of a bundle, one after the other.

use std::io::{self, BufReader, Read};

use super::tar::{BLOCK_BYTES, END_BYTES, Member};
use super::{BUNDLE_FORMAT, BundleError, MARK, STOPPED};

/// Bytes of the first file.
const MARK_BYTES_MAX: u64 = 1_000;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 16;
/// Bytes of a reason.
const STOPPED_BYTES_MAX: u64 = 100_000;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ahead {
    Unread,
    File(Member),
    End,
}

/// Reads files by the names that they must have.
#[derive(Debug)]
pub(super) struct Files<R> {
    input: BufReader<R>,
    ahead: Ahead,
    /// Name of the file that was read last.
    last: String,
}

impl<R: Read> Files<R> {
    /// Begins with the file that says what this is.
    pub(super) fn begin(input: R) -> Result<Self, BundleError> {
        let mut files = Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            ahead: Ahead::Unread,
            last: "its beginning".to_owned(),
        };
        let mark = match files.take_if(MARK, MARK_BYTES_MAX) {
            Ok(Some(mark)) => one_line(&String::from_utf8_lossy(&mark)).to_owned(),
            Err(BundleError::Input(error)) => return Err(error.into()),
            Err(BundleError::Cut { file }) if file == MARK => return Err(cut(MARK)),
            Ok(None) | Err(_) => return Err(BundleError::Foreign),
        };
        let sort = |text: &str| text.split('/').next().map(ToOwned::to_owned);
        if mark == BUNDLE_FORMAT {
            Ok(files)
        } else if sort(&mark) == sort(BUNDLE_FORMAT) {
            Err(BundleError::Version { found: mark })
        } else {
            Err(BundleError::Foreign)
        }
    }

    /// The next file, if it has this name.
    pub(super) fn take_if(&mut self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, BundleError> {
        let member = match self.peek()? {
            Ahead::File(member) if member.name == name => member.clone(),
            _ => return Ok(None),
        };
        let bytes = self.body(&member, bytes_max)?;
        self.last = member.name;
        self.ahead = Ahead::Unread;
        Ok(Some(bytes))
    }

    /// The next file, which must have this name.
    pub(super) fn expect(&mut self, name: &str, bytes_max: u64) -> Result<Vec<u8>, BundleError> {
        match self.take_if(name, bytes_max)? {
            Some(bytes) => Ok(bytes),
            None => Err(self.out_of_order(name)),
        }
    }

    /// As [`Files::expect`], of a file that holds text.
    pub(super) fn expect_text(&mut self, name: &str, bytes_max: u64) -> Result<String, BundleError> {
        let bytes = self.expect(name, bytes_max)?;
        String::from_utf8(bytes).map_err(|_| BundleError::damaged(name, "it is no UTF-8 text"))
    }

    /// There must be nothing more.
    pub(super) fn end(&mut self) -> Result<(), BundleError> {
        if *self.peek()? != Ahead::End {
            return Err(self.out_of_order("its end"));
        }
        let mut rest = Vec::new();
        let more = (END_BYTES - BLOCK_BYTES) as u64;
        // One byte more than should be there.
        self.input.by_ref().take(more + 1).read_to_end(&mut rest)?;
        if (rest.len() as u64) < more {
            return Err(cut("its end"));
        }
        if rest.len() as u64 > more || rest.iter().any(|byte| *byte != 0) {
            return Err(BundleError::damaged("its end", "something follows it"));
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<&Ahead, BundleError> {
        if self.ahead == Ahead::Unread {
            let mut block = [0; BLOCK_BYTES];
            if let Err(error) = self.input.read_exact(&mut block) {
                let place = format!("the file after {}", self.last);
                return Err(failed(error, &place));
            }
            self.ahead = if block == [0; BLOCK_BYTES] {
                Ahead::End
            } else {
                let member = Member::from_block(&block).ok_or_else(|| {
                    let what = "it has no head as a bundle has it: it was changed, or packed again by another program";
                    BundleError::damaged(format!("the file after {}", self.last), what)
                })?;
                Ahead::File(member)
            };
            self.expect_going_on()?;
        }
        Ok(&self.ahead)
    }

    fn expect_going_on(&mut self) -> Result<(), BundleError> {
        let member = match &self.ahead {
            Ahead::File(member) if member.name == STOPPED => member.clone(),
            _ => return Ok(()),
        };
        let reason = self.body(&member, STOPPED_BYTES_MAX)?;
        Err(BundleError::Stopped {
            reason: String::from_utf8_lossy(&reason).into_owned(),
        })
    }

    /// What reads the bundle.
    pub(super) fn into_input(self) -> R {
        self.input.into_inner()
    }

    fn body(&mut self, member: &Member, bytes_max: u64) -> Result<Vec<u8>, BundleError> {
        let Member { name, size } = member;
        if *size > bytes_max {
            let what = format!("it has {size} bytes, and at most {bytes_max} belong in it");
            return Err(BundleError::damaged(name, what));
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(*size).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != *size {
            return Err(cut(name));
        }
        let mut padding = vec![0; member.padding()];
        if let Err(error) = self.input.read_exact(&mut padding) {
            return Err(failed(error, name));
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(BundleError::damaged(
                name,
                "something follows it that belongs to no file",
            ));
        }
        Ok(bytes)
    }

    fn out_of_order(&self, expected: &str) -> BundleError {
        BundleError::Order {
            after: self.last.clone(),
            expected: expected.to_owned(),
            found: match &self.ahead {
                Ahead::File(member) => member.name.clone(),
                Ahead::End | Ahead::Unread => "its end".to_owned(),
            },
        }
    }
}

fn failed(error: io::Error, place: &str) -> BundleError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        cut(place)
    } else {
        error.into()
    }
}

fn cut(place: &str) -> BundleError {
    BundleError::Cut { file: place.to_owned() }
}

/// The text of a file that has one line.
pub(super) fn one_line(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

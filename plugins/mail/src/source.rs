//! Reading a file page by page.

use std::cell::Cell;

use mihwar_sdk::{Change, Host, ImportPage, ImportRequest, PluginError, Refusal, SourceFile};

use crate::{
    Settings,
    cursor::Cursor,
    fields::Fields,
    mailbox::{self, Search},
    maildir::{is_housekeeping, is_unfinished_delivery},
    record::{Problem, Reader, is_mail},
};

const CHUNK_BYTES: u32 = 1 << 20;
/// The beginning of a file, which shows what it is.
const HEAD_BYTES: u32 = 4 << 10;
/// A page ends when its mails have this many bytes together.
const PAGE_BYTES: u64 = 8 << 20;

/// One page of a file: a single mail, or the next mails of an mbox.
pub(crate) fn read_page(host: &Host, settings: &Settings, request: &ImportRequest) -> Result<ImportPage, PluginError> {
    let file = &request.file;
    if is_unfinished_delivery(&file.name) {
        host.debug("skipped a file below `tmp/`: its delivery to the Maildir is not finished");
        return Ok(end_of_file(file, Vec::new(), Vec::new()));
    }
    let head = host.blob_read(&file.content, 0, HEAD_BYTES)?;
    let reader = Reader {
        host,
        settings,
        fallback: settings.fallback(),
        may_leave_out: false,
        stored_bytes: Cell::new(0),
    };
    if let Some(start) = mailbox::beginning(&head) {
        let cursor = request
            .cursor
            .as_deref()
            .map_or_else(|| Ok(Cursor::at(start as u64)), Cursor::parse)?;
        let page = Page::new(reader, file, cursor, request.max_items)?;
        return if request.skip > 0 {
            page.pass_over(request.skip)
        } else {
            page.read()
        };
    }
    if request.skip > 0 {
        return Ok(end_of_file(file, Vec::new(), Vec::new()));
    }
    if is_housekeeping(&file.name) && !is_mail(&Fields::of_mail(&head).0) {
        host.debug("skipped a file that a mail server keeps beside the mails");
        return Ok(end_of_file(file, Vec::new(), Vec::new()));
    }
    single(reader, file)
}

fn end_of_file(file: &SourceFile, changes: Vec<Change>, refusals: Vec<Refusal>) -> ImportPage {
    ImportPage {
        changes,
        refusals,
        cursor: None,
        more: false,
        position: file.size,
    }
}

fn single(mut reader: Reader<'_>, file: &SourceFile) -> Result<ImportPage, PluginError> {
    const PLACE: &str = "whole file";
    if file.size > reader.settings.max_message_bytes {
        return Ok(end_of_file(
            file,
            Vec::new(),
            vec![too_large(PLACE, file.size, reader.settings)],
        ));
    }
    // Nothing else is on this page, so waiting for the next one would not help.
    reader.may_leave_out = true;
    let mail = reader
        .host
        .read_blob_to_end(&file.content, reader.settings.max_message_bytes)?;
    let length = mail.len() as u64;
    if length < file.size {
        return Err(shrunk(file, length));
    }
    let (mut changes, mut refusals) = (Vec::new(), Vec::new());
    match reader.read(&mail) {
        Ok(feedback) => changes.push(feedback.into()),
        Err(problem) => refusals.push(refused(problem, PLACE)?),
    }
    Ok(end_of_file(file, changes, refusals))
}

/// Asking again would find the same: what is missing does not come back, and what is left may be something else.
fn shrunk(file: &SourceFile, end: u64) -> PluginError {
    PluginError::permanent(
        "file-changed",
        format!(
            "the file had {} bytes and now ends at byte {end}: it changed while it was read, import it anew",
            file.size
        ),
    )
}

fn too_large(place: &str, size: u64, settings: &Settings) -> Refusal {
    let limit = settings.max_message_bytes;
    Refusal::new(
        place,
        "message-too-large",
        format!("the mail has {size} bytes, the limit is {limit}; raise `max_message_bytes` and import the file again"),
    )
}

fn refused(problem: Problem, place: &str) -> Result<Refusal, PluginError> {
    match problem {
        Problem::NotMail => Ok(Refusal::new(
            place,
            "not-a-mail",
            "the first lines hold no header field of a mail, such as `From:` or `Subject:`",
        )),
        Problem::Empty => Ok(Refusal::new(
            place,
            "empty-mail",
            "the mail has a header, but neither subject nor text nor attachment",
        )),
        Problem::BlobQuota => Err(PluginError::transient(
            "blob-quota",
            "no room for attachments in this call",
        )),
        Problem::Failed(error) => Err(error),
    }
}

/// One page of an mbox in the making.
struct Page<'h> {
    reader: Reader<'h>,
    file: &'h SourceFile,
    cursor: Cursor,
    /// Bytes of the file from `cursor.offset` on, as far as they are read.
    window: Vec<u8>,
    max_items: usize,
    first_offset: u64,
    /// Stop when less than this is left of the call.
    reserve_ms: u64,
    changes: Vec<Change>,
    refusals: Vec<Refusal>,
}

/// What lies at the cursor.
enum Piece {
    /// A message of that many bytes, in the window.
    Message(usize),
    /// A message of the size that was just skipped.
    TooLarge(u64),
    /// Time is short.
    Later,
}

impl<'h> Page<'h> {
    fn new(reader: Reader<'h>, file: &'h SourceFile, cursor: Cursor, max_items: u32) -> Result<Self, PluginError> {
        if cursor.offset > file.size {
            return Err(PluginError::permanent(
                "file-changed",
                format!(
                    "the file has {} bytes, but was read up to {}: import it anew",
                    file.size, cursor.offset
                ),
            ));
        }
        Ok(Self {
            reserve_ms: reader.host.remaining_ms() / 3,
            reader,
            file,
            cursor,
            window: Vec::new(),
            max_items: usize::try_from(max_items.max(1)).unwrap_or(usize::MAX),
            first_offset: cursor.offset,
            changes: Vec::new(),
            refusals: Vec::new(),
        })
    }

    fn read(mut self) -> Result<ImportPage, PluginError> {
        while self.cursor.offset < self.file.size && self.has_room() {
            match self.next_piece()? {
                Piece::Message(length) => {
                    if !self.take(length)? {
                        break;
                    }
                }
                Piece::TooLarge(size) => {
                    let start = self.cursor.offset - size;
                    self.cursor.messages += 1;
                    self.refusals.push(too_large(
                        &place(self.cursor.messages, start),
                        size,
                        self.reader.settings,
                    ));
                }
                Piece::Later => break,
            }
        }
        Ok(self.end())
    }

    /// Passes over `count` messages. They are not parsed, because that is what ended an earlier call.
    fn pass_over(mut self, count: u32) -> Result<ImportPage, PluginError> {
        for _ in 0..count {
            if self.cursor.offset >= self.file.size {
                break;
            }
            match self.next_piece()? {
                Piece::Message(length) => self.advance(length),
                Piece::TooLarge(_) => {}
                Piece::Later => break,
            }
            self.cursor.messages += 1;
        }
        Ok(self.end())
    }

    fn end(self) -> ImportPage {
        let more = self.cursor.offset < self.file.size;
        ImportPage {
            changes: self.changes,
            refusals: self.refusals,
            cursor: more.then(|| self.cursor.print()),
            more,
            position: self.cursor.offset,
        }
    }

    fn items(&self) -> usize {
        self.changes.len() + self.refusals.len()
    }

    fn has_room(&self) -> bool {
        self.items() == 0
            || (self.items() < self.max_items
                && self.cursor.offset - self.first_offset < PAGE_BYTES
                && self.reader.host.remaining_ms() > self.reserve_ms)
    }

    /// Makes a record of the message at the cursor. False: the page is full and the message stays for the next.
    fn take(&mut self, length: usize) -> Result<bool, PluginError> {
        let message = self.window.get(..length).unwrap_or_default();
        let mail = mailbox::unwrap_message(message);
        // With other mails before it, the next page has more room.
        self.reader.may_leave_out = self.items() == 0;
        let outcome = self.reader.read(&mail);
        if matches!(outcome, Err(Problem::BlobQuota)) {
            return Ok(false);
        }
        let at = place(self.cursor.messages + 1, self.cursor.offset);
        match outcome {
            Ok(feedback) => self.changes.push(feedback.into()),
            Err(problem) => self.refusals.push(refused(problem, &at)?),
        }
        self.cursor.messages += 1;
        self.advance(length);
        Ok(true)
    }

    /// Finds the end of the message at the cursor, which stays where it is unless the message is too large.
    fn next_piece(&mut self) -> Result<Piece, PluginError> {
        // The message's own `From ` line is not the next one's.
        let mut searched = if self.cursor.skipping_from.is_some() { 0 } else { 1 };
        loop {
            let is_end = self.file.size <= self.cursor.offset + self.window.len() as u64;
            match mailbox::next_message(&self.window, searched, is_end) {
                Search::Found(at) => return Ok(self.piece(at)),
                Search::NotBefore(_) if is_end => return Ok(self.piece(self.window.len())),
                Search::NotBefore(at) => searched = at.max(searched),
            }
            if self.window.len() as u64 > self.reader.settings.max_message_bytes || self.cursor.skipping_from.is_some()
            {
                self.skip(&mut searched);
                let has_moved = self.cursor.offset > self.first_offset;
                if has_moved && self.reader.host.remaining_ms() <= self.reserve_ms {
                    return Ok(Piece::Later);
                }
            }
            self.fill()?;
        }
    }

    fn piece(&mut self, length: usize) -> Piece {
        match self.cursor.skipping_from {
            None if length as u64 <= self.reader.settings.max_message_bytes => Piece::Message(length),
            start => {
                let start = start.unwrap_or(self.cursor.offset);
                self.cursor.skipping_from = None;
                self.advance(length);
                Piece::TooLarge(self.cursor.offset - start)
            }
        }
    }

    /// Forgets what was searched of a message that is too large.
    fn skip(&mut self, searched: &mut usize) {
        self.cursor.skipping_from.get_or_insert(self.cursor.offset);
        // A single endless line holds no beginning of a message: all of it can go.
        let line_is_endless = self.window.len() - *searched > usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX) / 2;
        let done = if line_is_endless { self.window.len() } else { *searched };
        self.advance(done);
        *searched = 0;
    }

    fn advance(&mut self, length: usize) {
        self.window.drain(..length);
        self.cursor.offset += length as u64;
    }

    fn fill(&mut self) -> Result<(), PluginError> {
        let from = self.cursor.offset + self.window.len() as u64;
        let chunk = self.reader.host.blob_read(&self.file.content, from, CHUNK_BYTES)?;
        if chunk.is_empty() {
            return Err(shrunk(self.file, from));
        }
        self.window.extend_from_slice(&chunk);
        Ok(())
    }
}

fn place(number: u64, offset: u64) -> String {
    format!("message {number} at byte {offset}")
}

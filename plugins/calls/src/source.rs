//! Reading a file of call records page by page.

use jiff::tz::TimeZone;
use mihwar_sdk::{Change, Host, ImportPage, ImportRequest, PluginError, Refusal, SourceFile};

use crate::{
    Settings, asterisk, mapped,
    row::{Bad, Bytes, Place, Record, Row},
    settings::Format,
};

/// How lines are understood.
enum Layout {
    Asterisk,
    Mapped { places: mapped::Places, width: usize },
}

impl Layout {
    fn width(&self) -> usize {
        match self {
            Self::Asterisk => asterisk::COLUMNS.len(),
            Self::Mapped { width, .. } => *width,
        }
    }
}

/// One page of a file.
pub(crate) fn read_page(host: &Host, settings: &Settings, request: &ImportRequest) -> Result<ImportPage, PluginError> {
    let file = &request.file;
    let zone = zone(host, settings)?;
    let mut bytes = Bytes::new(host, &file.content, file.size);
    let top = Place {
        offset: if starts_with_mark(host, file)? { 3 } else { 0 },
        line: 1,
    };
    let (layout, first) = match layout(&mut bytes, settings, top)? {
        Ok(found) => found,
        Err(refusal) => {
            return Ok(ImportPage {
                changes: Vec::new(),
                refusals: vec![refusal],
                cursor: None,
                more: false,
                position: file.size,
            });
        }
    };
    let start = request
        .cursor
        .as_deref()
        .map_or(Ok(first), |cursor| resume(cursor, file.size))?;
    let page = Page {
        host,
        settings,
        zone,
        layout,
        place: start,
        changes: Vec::new(),
        refusals: Vec::new(),
    };
    if request.skip > 0 {
        return page.pass_over(&mut bytes, file.size, request.skip);
    }
    page.read(
        &mut bytes,
        file.size,
        usize::try_from(request.max_items.max(1)).unwrap_or(usize::MAX),
    )
}

fn zone(host: &Host, settings: &Settings) -> Result<TimeZone, PluginError> {
    let instance = host.instance().time_zone;
    let name = if settings.time_zone.is_empty() {
        instance.as_str()
    } else {
        settings.time_zone.as_str()
    };
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        PluginError::misconfigured(
            "time_zone",
            format!("unknown time zone `{name}`; use a name such as `Asia/Riyadh`"),
        )
    })
}

fn starts_with_mark(host: &Host, file: &SourceFile) -> Result<bool, PluginError> {
    Ok(host.blob_read(&file.content, 0, 3)? == b"\xef\xbb\xbf")
}

/// The layout and the place of the first call. A file without the columns that the settings name is refused as a whole.
fn layout(
    bytes: &mut Bytes<'_>,
    settings: &Settings,
    top: Place,
) -> Result<Result<(Layout, Place), Refusal>, PluginError> {
    let first = bytes.record(top, settings.separator_byte())?;
    let after = first.as_ref().map_or(top, |record| record.after);
    let line: &[String] = match &first {
        Some(Record { fields: Ok(fields), .. }) => fields,
        _ => &[],
    };
    if settings.format == Format::AsteriskCdr {
        let start = if asterisk::is_header(line) { after } else { top };
        return Ok(Ok((Layout::Asterisk, start)));
    }
    if first.is_none() {
        return Ok(Ok((
            Layout::Mapped {
                places: mapped::Places::default(),
                width: 0,
            },
            top,
        )));
    }
    match mapped::Places::find(&settings.columns, line) {
        Ok(places) => {
            let start = if mapped::has_header(&settings.columns) {
                after
            } else {
                top
            };
            Ok(Ok((
                Layout::Mapped {
                    places,
                    width: line.len(),
                },
                start,
            )))
        }
        Err(reason) => Ok(Err(Refusal::new("line 1", "missing-column", reason))),
    }
}

fn resume(cursor: &str, size: u64) -> Result<Place, PluginError> {
    let numbers = cursor
        .split_once(':')
        .and_then(|(offset, line)| Some((offset.parse().ok()?, line.parse().ok()?)));
    match numbers {
        Some((offset, line)) if offset <= size => Ok(Place { offset, line }),
        Some((offset, _)) => Err(PluginError::permanent(
            "file-changed",
            format!("the file has {size} bytes, but was read up to {offset}: import it anew"),
        )),
        None => Err(PluginError::permanent(
            "bad-cursor",
            "the cursor is not one of this plugin: import the file anew",
        )),
    }
}

/// One page in the making.
struct Page<'h> {
    host: &'h Host,
    settings: &'h Settings,
    zone: TimeZone,
    layout: Layout,
    place: Place,
    changes: Vec<Change>,
    refusals: Vec<Refusal>,
}

/// How far a record reaches.
struct Extent {
    /// It has the columns of one call.
    is_whole: bool,
    /// Where the next record begins.
    next: Place,
}

impl Page<'_> {
    fn read(mut self, bytes: &mut Bytes<'_>, size: u64, max_items: usize) -> Result<ImportPage, PluginError> {
        let reserve_ms = self.host.remaining_ms() / 3;
        let mut more = false;
        while let Some(record) = bytes.record(self.place, self.settings.separator_byte())? {
            let items = self.changes.len() + self.refusals.len();
            if items >= max_items || (items > 0 && self.host.remaining_ms() <= reserve_ms) {
                more = true;
                break;
            }
            self.take(bytes, record)?;
        }
        Ok(self.end(more, size))
    }

    /// Passes over `count` records without making calls of them.
    fn pass_over(mut self, bytes: &mut Bytes<'_>, size: u64, count: u32) -> Result<ImportPage, PluginError> {
        let separator = self.settings.separator_byte();
        for _ in 0..count {
            let Some(record) = bytes.record(self.place, separator)? else {
                break;
            };
            self.place = self.extent(bytes, &record)?.next;
        }
        let more = bytes.record(self.place, separator)?.is_some();
        Ok(self.end(more, size))
    }

    fn end(self, more: bool, size: u64) -> ImportPage {
        ImportPage {
            changes: self.changes,
            refusals: self.refusals,
            cursor: more.then(|| format!("{}:{}", self.place.offset, self.place.line)),
            more,
            position: if more { self.place.offset } else { size },
        }
    }

    /// Where a record ends. A stray quote joins lines that are good by themselves: then only the first is given up.
    fn extent(&self, bytes: &mut Bytes<'_>, record: &Record) -> Result<Extent, PluginError> {
        let is_whole = match &record.fields {
            Ok(fields) if fields.len() != self.layout.width() => false,
            Ok(_) => !record.spans_lines || !self.hides_a_call(bytes, record)?,
            Err(_) => true,
        };
        let next = if is_whole || !record.spans_lines {
            record.after
        } else {
            record.after_first_line
        };
        Ok(Extent { is_whole, next })
    }

    fn take(&mut self, bytes: &mut Bytes<'_>, record: Record) -> Result<(), PluginError> {
        let extent = self.extent(bytes, &record)?;
        self.place = extent.next;
        let outcome = match record.fields {
            Ok(fields) if !extent.is_whole => Err(wrong_width(fields.len(), &self.layout, record.spans_lines)),
            Ok(fields) => self.call(&fields),
            Err(bad) => Err(bad),
        };
        match outcome {
            Ok(change) => self.changes.push(change),
            Err(bad) => {
                let place = match &bad.column {
                    Some(column) => format!("line {}, column {column}", record.line),
                    None => format!("line {}", record.line),
                };
                self.refusals.push(Refusal::new(place, bad.code, bad.reason));
            }
        }
        Ok(())
    }

    /// Whether a line inside a record of several lines is a whole call by itself: then a stray quote swallowed it, even
    /// if the number of columns happens to be right.
    fn hides_a_call(&self, bytes: &mut Bytes<'_>, record: &Record) -> Result<bool, PluginError> {
        const MAX_LINES: usize = 64;
        let mut place = record.after_first_line;
        for _ in 0..MAX_LINES {
            if place.offset >= record.after.offset {
                break;
            }
            let Some(inner) = bytes.record(place, self.settings.separator_byte())? else {
                break;
            };
            if let Ok(fields) = &inner.fields
                && !inner.spans_lines
                && fields.len() == self.layout.width()
                && self.call(fields).is_ok()
            {
                return Ok(true);
            }
            place = inner.after_first_line;
        }
        Ok(false)
    }

    fn call(&self, fields: &[String]) -> Result<Change, Bad> {
        let row = Row { fields };
        let call = match &self.layout {
            Layout::Asterisk => asterisk::read(&row, self.settings, &self.zone)?,
            Layout::Mapped { places, .. } => mapped::read(&row, places, self.settings, &self.zone)?,
        };
        Ok(call.into_feedback(fields, self.settings, &self.zone).into())
    }
}

fn wrong_width(found: usize, layout: &Layout, spans_lines: bool) -> Bad {
    let wanted = layout.width();
    let mut reason = format!("the line has {found} columns, {wanted} are needed");
    if spans_lines {
        reason.push_str("; a quote is opened here and not closed on this line");
    } else if matches!(layout, Layout::Asterisk) && (16..18).contains(&found) {
        reason.push_str("; set `loguniqueid = yes` and `loguserfield = yes` in cdr.conf");
    } else if found == 1 {
        reason.push_str("; is the setting `separator` right?");
    }
    Bad::line("wrong-columns", reason)
}

//! A block: the records whose ids lie next to each other, and for each code which of them have it.
//!
//! Its row holds how many records there are, less one (a byte); how many codes (a varint); for each code, ascending, the
//! code (4 bytes, big endian), how many records have it, less one (a byte), and which (nothing when all have it; else the
//! shorter of their places, a byte each, and a bit for every place); then the ids, ascending: the milliseconds since the
//! record before (a varint) and the ten bytes after those of the time.

use super::places::Places;
use super::{Code, Id, Wanted};
use crate::fault::Fault;

/// Records in a block: places in it are a byte.
pub(super) const RECORDS_MAX: usize = 256;
/// A block with so many is closed to what comes after all of them. Records come in about the order of their ids, so that
/// the rest is for those that come late; and the usual row of a closed block just fits a page of the store's file.
pub(super) const APPENDED_MAX: usize = 192;

/// Where an id has found its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Insertion {
    /// It was there.
    Known,
    /// In the block.
    Here,
    /// In a new block that begins with this id; the block is as it was.
    Beside(Id, Block),
    /// In the block or in a new one that begins with this id and has the upper half of its records.
    Split(Id, Block),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Ascending.
    ids: Vec<Id>,
    /// Ascending; every code has a place at least.
    having: Vec<(Code, Places)>,
}

impl Block {
    /// A block of one record that has no codes yet.
    pub(super) fn of(id: Id) -> Self {
        Self {
            ids: vec![id],
            having: Vec::new(),
        }
    }

    /// A block of records, at most [`RECORDS_MAX`] of them, whose ids ascend and whose codes do.
    pub(super) fn of_all(records: &[(Id, Vec<Code>)]) -> Self {
        let mut block = Self {
            ids: records.iter().map(|(id, _)| *id).collect(),
            having: Vec::new(),
        };
        for (id, codes) in records {
            block.set(*id, codes);
        }
        block
    }

    /// Makes a place for a record, which has no codes there yet.
    pub(super) fn insert(&mut self, id: Id) -> Insertion {
        let Err(place) = self.ids.binary_search(&id) else {
            return Insertion::Known;
        };
        let count = self.ids.len();
        if place == count
            && count >= APPENDED_MAX
            && let Some(first) = self.ids.last().and_then(following)
        {
            return Insertion::Beside(first, Self::of(id));
        }
        if count < RECORDS_MAX {
            self.insert_at(place, id);
            return Insertion::Here;
        }
        let mut upper = self.split();
        let first = upper.ids.first().copied().unwrap_or(id);
        let half = if id < first { &mut *self } else { &mut upper };
        let (Ok(place) | Err(place)) = half.ids.binary_search(&id);
        half.insert_at(place, id);
        Insertion::Split(first, upper)
    }

    fn insert_at(&mut self, place: usize, id: Id) {
        let is_last = place == self.ids.len();
        self.ids.insert(place, id);
        if !is_last && let Ok(place) = u8::try_from(place) {
            self.having.iter_mut().for_each(|(_, places)| places.open(place));
        }
    }

    /// Takes the upper half of a full block away.
    fn split(&mut self) -> Self {
        let ids = self.ids.split_off(RECORDS_MAX / 2);
        let mut having = Vec::new();
        for (code, places) in &mut self.having {
            let upper = places.take_upper_half();
            if !upper.is_empty() {
                having.push((*code, upper));
            }
        }
        self.forget_empty();
        Self { ids, having }
    }

    /// Gives a record these codes, which ascend, and no others. Whether that changes anything; an unknown record has none.
    pub(super) fn set(&mut self, id: Id, codes: &[Code]) -> bool {
        let found = self.ids.binary_search(&id).ok();
        let Some(place) = found.and_then(|place| u8::try_from(place).ok()) else {
            return false;
        };
        let mut has_changed = false;
        for (code, places) in &mut self.having {
            if places.contains(place) != codes.binary_search(code).is_ok() {
                places.toggle(place);
                has_changed = true;
            }
        }
        for code in codes {
            if let Err(at) = self.find(*code) {
                self.having.insert(at, (*code, Places::only(place)));
                has_changed = true;
            }
        }
        if has_changed {
            self.forget_empty();
        }
        has_changed
    }

    fn find(&self, code: Code) -> Result<usize, usize> {
        self.having.binary_search_by_key(&code, |(code, _)| *code)
    }

    fn forget_empty(&mut self) {
        self.having.retain(|(_, places)| !places.is_empty());
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let records = self.ids.len();
        let mut row = Vec::with_capacity(4096);
        row.push(less_one(records));
        put_varint(&mut row, self.having.len() as u64);
        for (code, places) in &self.having {
            row.extend_from_slice(&code.to_be_bytes());
            put_places(&mut row, *places, records);
        }
        let mut before = 0;
        for id in &self.ids {
            let [a, b, c, d, e, f, rest @ ..] = id;
            let millis = u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]);
            // They ascend.
            put_varint(&mut row, millis.wrapping_sub(before));
            row.extend_from_slice(rest);
            before = millis;
        }
        row
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Fault> {
        Self::read(row).ok_or_else(damaged)
    }

    fn read(row: &[u8]) -> Option<Self> {
        let mut rest = Rest(row);
        let records = usize::from(rest.byte()?) + 1;
        let having = rest.having(records)?;
        let ids = rest.ids(records)?;
        Some(Self { ids, having })
    }
}

/// What a block's row says of a filter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passing {
    /// Records in the block.
    pub(crate) records: usize,
    /// Those that the filter may want, ascending.
    pub(crate) ids: Vec<Id>,
}

impl Passing {
    /// Reads a block's row, and the ids in it only if there is need.
    pub(crate) fn read(row: &[u8], wanted: &Wanted) -> Result<Self, Fault> {
        Self::try_read(row, wanted).ok_or_else(damaged)
    }

    fn try_read(row: &[u8], wanted: &Wanted) -> Option<Self> {
        let mut rest = Rest(row);
        let records = usize::from(rest.byte()?) + 1;
        let passing = wanted.passing(&rest.having(records)?);
        if passing.is_empty() {
            let ids = Vec::new();
            return Some(Self { records, ids });
        }
        let all = rest.ids(records)?;
        let ids = passing.iter().filter_map(|place| all.get(usize::from(place)).copied());
        Some(Self {
            records,
            ids: ids.collect(),
        })
    }
}

fn damaged() -> Fault {
    Fault::Damaged {
        what: "a read model",
        detail: "a block of facets is not one that was written".to_owned(),
    }
}

/// The id after this one.
fn following(id: &Id) -> Option<Id> {
    u128::from_be_bytes(*id).checked_add(1).map(u128::to_be_bytes)
}

/// A number from 1 to 256 as a byte.
fn less_one(number: usize) -> u8 {
    u8::try_from(number.saturating_sub(1)).unwrap_or(u8::MAX)
}

/// Bytes with a bit for each of so many places.
const fn width(records: usize) -> usize {
    records.div_ceil(8)
}

fn put_places(row: &mut Vec<u8>, places: Places, records: usize) {
    let count = places.count();
    row.push(less_one(count));
    if count == records {
        return;
    }
    if count < width(records) {
        row.extend(places.iter());
    } else {
        row.extend(places.to_bytes().into_iter().take(width(records)));
    }
}

fn put_varint(row: &mut Vec<u8>, mut number: u64) {
    loop {
        let [.., low] = number.to_be_bytes();
        number >>= 7;
        if number == 0 {
            row.push(low & 0x7F);
            return;
        }
        row.push(low | 0x80);
    }
}

/// The part of a row that is not read yet. `None` says that the row is not one that was written.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let [byte] = self.array::<1>()?;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0_u32..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn having(&mut self, records: usize) -> Option<Vec<(Code, Places)>> {
        let count = usize::try_from(self.varint()?).ok()?;
        // A damaged row may claim any number; a code takes five bytes at least.
        let mut having: Vec<(Code, Places)> = Vec::with_capacity(count.min(self.0.len() / 5));
        for _ in 0..count {
            let code = Code::from_be_bytes(self.array()?);
            if having.last().is_some_and(|(last, _)| *last >= code) {
                return None;
            }
            having.push((code, self.places(records)?));
        }
        Some(having)
    }

    fn places(&mut self, records: usize) -> Option<Places> {
        let (count, all) = (usize::from(self.byte()?) + 1, Places::first(records));
        let places = if count == records {
            all
        } else if count < width(records) {
            let places = self.take(count)?.iter().map(|place| Places::only(*place));
            places.fold(Places::default(), Places::or)
        } else {
            Places::from_bytes(self.take(width(records))?)?
        };
        (places.count() == count && places.and(all) == places).then_some(places)
    }

    fn ids(&mut self, records: usize) -> Option<Vec<Id>> {
        let mut ids: Vec<Id> = Vec::with_capacity(records);
        let mut millis = 0_u64;
        for _ in 0..records {
            millis = millis.checked_add(self.varint()?)?;
            let [0, 0, a, b, c, d, e, f] = millis.to_be_bytes() else {
                return None;
            };
            let mut id = [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            id[6..].copy_from_slice(&self.array::<10>()?);
            if ids.last().is_some_and(|last| *last >= id) {
                return None;
            }
            ids.push(id);
        }
        self.0.is_empty().then_some(ids)
    }
}

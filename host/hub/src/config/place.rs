//! Where a key stands in the file.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Line of a byte offset, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The key on the line of a byte offset, if that line sets one.
pub(super) fn key_at(text: &str, offset: usize) -> Option<String> {
    let line = text.lines().nth(line_of(text, offset) - 1)?;
    let key = line.split('=').next()?.trim();
    let is_key = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '"'));
    is_key.then(|| key.to_owned())
}

/// Line of a key by its path.
pub(super) fn line_of_path(text: &str, path: &[&str]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let mut value = root.get_ref().get(*first)?;
    for key in rest {
        value = value.get_ref().get(*key)?;
    }
    Some(line_of(text, value.span().start))
}

/// Line of a dotted key within the `index`th `[[list]]`; the nearest one above it that exists.
pub(super) fn line_of_entry(text: &str, list: &str, index: usize, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let entries = root.get_ref().get(list)?.get_ref().as_array()?;
    let mut value: &Spanned<DeValue<'_>> = entries.get(index)?;
    for part in key.split(['.', '/', '[', ']']).filter(|part| !part.is_empty()) {
        let next = match part.parse::<usize>() {
            Ok(position) => value.get_ref().as_array().and_then(|array| array.get(position)),
            Err(_) => value.get_ref().as_table().and_then(|table| table.get(part)),
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    Some(line_of(text, value.span().start))
}

/// Sets a dotted key, reading the value as TOML where it is TOML and as text where it is not.
pub(super) fn set(table: &mut Table, key: &str, value: &str) -> Result<(), String> {
    let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok();
    let parsed = parsed.and_then(|mut parsed| parsed.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let mut parts = key.split('.').peekable();
    let mut at = table;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            at.insert(part.to_owned(), value);
            return Ok(());
        }
        at = at
            .entry(part)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("\"{part}\" is no section; lists such as [[instance]] are set in the file only"))?;
    }
    Err("names no key".into())
}

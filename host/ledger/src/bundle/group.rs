//! A group of entries as a file: each behind its length in two bytes, or in four where one is too long for two.

use super::{BundleError, MAX_ENTRY_BYTES};

/// Puts entries together, of which the first has the place `first` in the ledger.
pub(super) fn join(first: u64, entries: &[Vec<u8>], is_long: bool) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    for (index, entry) in (first..).zip(entries) {
        put_length(&mut bytes, index, entry.len(), is_long)?;
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

fn put_length(out: &mut Vec<u8>, index: u64, length: usize, is_long: bool) -> Result<(), BundleError> {
    let too_long = || BundleError::Unfit {
        what: format!("entry {index} has {length} bytes, and at most {MAX_ENTRY_BYTES} fit a bundle"),
    };
    if length > MAX_ENTRY_BYTES {
        return Err(too_long());
    }
    if is_long {
        let length = u32::try_from(length).map_err(|_| too_long())?;
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        let length = u16::try_from(length).map_err(|_| too_long())?;
        out.extend_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// Takes a group of `width` entries apart.
pub(super) fn split(file: &str, bytes: &[u8], width: usize, is_long: bool) -> Result<Vec<Vec<u8>>, BundleError> {
    let mut entries = Vec::with_capacity(width);
    let mut rest = bytes;
    while !rest.is_empty() && entries.len() < width {
        let taken = split_first(rest, is_long).ok_or_else(|| {
            let what = format!("the {}th entry in it is longer than what is there", entries.len() + 1);
            BundleError::damaged(file, what)
        });
        let (entry, after) = taken?;
        entries.push(entry.to_vec());
        rest = after;
    }
    if entries.len() != width || !rest.is_empty() {
        let found = if rest.is_empty() { "fewer" } else { "more" };
        let what = format!("it has {found} entries than the {width} that belong in it");
        return Err(BundleError::damaged(file, what));
    }
    if entries.iter().any(|entry| entry.len() > MAX_ENTRY_BYTES) {
        let what = format!("an entry in it has more than {MAX_ENTRY_BYTES} bytes");
        return Err(BundleError::damaged(file, what));
    }
    if is_long && entries.iter().all(|entry| entry.len() <= usize::from(u16::MAX)) {
        return Err(BundleError::damaged(
            file,
            "none of its entries is too long for tile/entries",
        ));
    }
    Ok(entries)
}

fn split_first(bytes: &[u8], is_long: bool) -> Option<(&[u8], &[u8])> {
    if is_long {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
    } else {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    }
}

//! The little of the tar format (POSIX ustar) that a bundle needs: files, whose heads are the same in every bundle but for
//! name and size.

/// Everything in a tar file is filled up to a multiple of this many bytes.
pub(super) const BLOCK_BYTES: usize = 512;
/// Zeros that the file ends with.
pub(super) const END_BYTES: usize = 2 * BLOCK_BYTES;

const NAME_BYTES: usize = 100;
const SIZE_MAX: u64 = (1 << 33) - 1;
/// 1980-01-01: the same bundle twice is the same bytes twice, and no tool finds the date implausible.
const MODIFIED: u64 = 315_532_800;

/// Block of zeros or head of a file.
pub(super) type Block = [u8; BLOCK_BYTES];

/// A file's name and its size in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
}

impl Member {
    /// The block that stands before the file's bytes; `None` when name or size does not fit it.
    pub(super) fn to_block(&self) -> Option<Block> {
        let name = self.name.as_bytes();
        if name.is_empty() || name.len() >= NAME_BYTES || name.contains(&0) || self.size > SIZE_MAX {
            return None;
        }
        let (size, modified) = (format!("{:011o}", self.size), format!("{MODIFIED:011o}"));
        let mut block: Block = [0; BLOCK_BYTES];
        let mut put = |at: usize, bytes: &[u8]| {
            let place = block.get_mut(at..at + bytes.len());
            place.into_iter().for_each(|place| place.copy_from_slice(bytes));
        };
        put(0, name);
        put(100, b"0000644");
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, size.as_bytes());
        put(136, modified.as_bytes());
        // The sum is taken with spaces in its own place.
        put(148, b"        ");
        put(156, b"0");
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().copied().map(u32::from).sum();
        let sum = format!("{sum:06o}\0 ");
        block[148..156].copy_from_slice(sum.as_bytes());
        Some(block)
    }

    /// Reads the block before a file. A block that is not exactly as [`Member::to_block`] writes it is none.
    pub(super) fn from_block(block: &Block) -> Option<Self> {
        let name = block.get(..NAME_BYTES)?.split(|byte| *byte == 0).next()?;
        let size = std::str::from_utf8(block.get(124..135)?).ok()?;
        let member = Self {
            name: std::str::from_utf8(name).ok()?.to_owned(),
            size: u64::from_str_radix(size, 8).ok()?,
        };
        (member.to_block().as_ref() == Some(block)).then_some(member)
    }

    /// Zeros after the file's bytes.
    pub(super) fn padding(&self) -> usize {
        let over = usize::try_from(self.size % BLOCK_BYTES as u64).unwrap_or(0);
        (BLOCK_BYTES - over) % BLOCK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, Member};

    fn member(name: &str, size: u64) -> Member {
        Member {
            name: name.to_owned(),
            size,
        }
    }

    #[test]
    fn heads_are_read_as_they_were_written_and_nothing_else_is() {
        for one in [member("a", 0), member("tile/entries/x001/000.p/7", 8_589_934_591)] {
            let block = one.to_block().unwrap();
            assert_eq!(Member::from_block(&block), Some(one));
            for place in 0..BLOCK_BYTES {
                let mut other = block;
                other[place] ^= 1;
                let read = Member::from_block(&other);
                assert_eq!(read, None, "byte {place}");
            }
        }
        assert_eq!(member("", 1).to_block(), None);
        assert_eq!(member(&"م".repeat(50), 1).to_block(), None);
        assert_eq!(member("a", 1 << 33).to_block(), None);
        assert_eq!(Member::from_block(&[0; BLOCK_BYTES]), None);
    }

    #[test]
    fn files_are_filled_up_to_whole_blocks() {
        for (size, padding) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), (8_000_000_001, 511)] {
            assert_eq!(member("a", size).padding(), padding, "{size}");
        }
    }
}

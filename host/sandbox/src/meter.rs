//! Memory and tables of one call, counted over everything that the call's component creates.

use std::fmt;

use wasmtime::ResourceLimiter;

/// Counts what a call's memories and tables grow to and refuses growth over the limits.
///
/// wasmtime's own `StoreLimits` counts per memory; a component can hold several.
pub(crate) struct Meter {
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    table: usize,
    /// Most bytes of memory at any time.
    pub(crate) memory_peak: usize,
}

/// Growth that was refused; carried as the error of the trap it causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Bytes of linear memory that the guest wanted in all.
    Memory(usize),
    /// Table elements that the guest wanted in all.
    Table(usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(to, "wanted {bytes} bytes of memory"),
            Self::Table(elements) => write!(to, "wanted {elements} table elements"),
        }
    }
}

impl std::error::Error for Exceeded {}

impl Meter {
    pub(crate) fn new(memory_limit: u64, table_limit: u64) -> Self {
        Self {
            memory_limit: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            table_limit: usize::try_from(table_limit).unwrap_or(usize::MAX),
            memory: 0,
            table: 0,
            memory_peak: 0,
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_limit {
            return Err(wasmtime::Error::new(Exceeded::Memory(wanted)));
        }
        self.memory = wanted;
        self.memory_peak = self.memory_peak.max(wanted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // The engine could not give what the limit allowed; the guest must not go on half-fed.
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.table.saturating_add(desired.saturating_sub(current));
        if wanted > self.table_limit {
            return Err(wasmtime::Error::new(Exceeded::Table(wanted)));
        }
        self.table = wanted;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_counted_over_all_memories_and_tables() {
        let mut meter = Meter::new(100, 10);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(meter.memory_growing(0, 40, None).unwrap());
        let error = meter.memory_growing(60, 61, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Memory(101)));
        assert_eq!(meter.memory_peak, 100);
        assert!(meter.table_growing(0, 10, None).unwrap());
        let error = meter.table_growing(10, 11, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Table(11)));
        assert!(meter.memory_growing(usize::MAX - 1, usize::MAX, None).is_err());
    }
}

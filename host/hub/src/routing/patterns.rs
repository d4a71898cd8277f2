//! `matches` for rules: as in CEL's standard library, but a pattern is compiled once and not for every record.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use cel::common::types::{CelBool, CelString};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

/// Patterns that are kept. Rules name a few; one that makes its pattern of the record must not fill the memory.
const KEPT_MAX: usize = 512;

/// Memory for one pattern. Words are a few kilobytes; what takes more repeats whole alphabets hundreds of times.
const PATTERN_BYTES_MAX: usize = 2 << 20;

/// CEL calls plain functions, so what they remember is the process's.
static COMPILED: LazyLock<Mutex<HashMap<String, Result<Regex, String>>>> = LazyLock::new(Mutex::default);

/// Makes `text.matches(pattern)` and `matches(text, pattern)` known.
pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    cel::add_overload!(env, fn matches: (CelString<'_>, CelString<'_>) -> Result<CelBool>, id = "matches")?;
    cel::add_member_overload!(env, fn matches: (CelString<'_>, CelString<'_>) -> Result<CelBool>)
}

fn matches(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    match compiled(pattern.inner()) {
        Ok(regex) => Ok(CelBool::from(regex.is_match(text.inner()))),
        Err(message) => Err(ExecutionError::FunctionError {
            function: "matches".to_owned(),
            message,
        }),
    }
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = compiled.get(pattern) {
        return known.clone();
    }
    if compiled.len() >= KEPT_MAX {
        compiled.clear();
    }
    let regex = read(pattern);
    compiled.insert(pattern.to_owned(), regex.clone());
    regex
}

/// Compiles a pattern, for whoever keeps it.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build();
    regex.map_err(|error| format!("'{pattern}' is no regular expression: {error}"))
}

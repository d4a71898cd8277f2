//! Turning the end of a call into its result.

use std::any::Any;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::call::Done;
use crate::effects::Cost;
use crate::error::{CallError, CallFailure};
use crate::failure::{cleaned, cut, kept, kept_lines};
use crate::host::CallState;
use crate::limits::{FAILURE_BYTES, setting};
use crate::meter::Exceeded;

/// A call that returned: its effects are handed on.
pub(crate) fn finished<T>(value: T, state: CallState, cost: Cost) -> Done<T> {
    Done {
        value,
        effects: state.into_effects(),
        cost,
    }
}

/// A call that failed: of its effects only the log and what is told of its requests remain.
pub(crate) fn failed(failure: CallFailure, state: CallState, cost: Cost) -> CallError {
    let masker = &state.bound.masker;
    let failure = match failure {
        CallFailure::Plugin(error) => CallFailure::Plugin(cleaned(error, masker)),
        other => other,
    };
    let stderr = kept_lines(state.stdio.text(), masker);
    let effects = state.into_effects();
    CallError {
        failure: Box::new(failure),
        stderr,
        log: effects.log,
        cost,
        told: effects.told.into(),
    }
}

/// Why a guest stopped.
pub(crate) fn classify(error: &wasmtime::Error, during: &'static str, state: &CallState) -> CallFailure {
    let limits = &state.bound.limits;
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        return match *exceeded {
            Exceeded::Memory(wanted) => CallFailure::MemoryLimit {
                wanted: wide(wanted),
                limit: limits.memory,
                setting: limits.memory_setting(&state.bound.plugin.engine.ceiling),
            },
            Exceeded::Table(wanted) => CallFailure::TableLimit {
                wanted: wide(wanted),
                limit: limits.table,
                setting: setting::TABLE,
            },
        };
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return CallFailure::TimeLimit {
            limit: limits.time,
            setting: setting::TIME,
        };
    }
    // wasmtime keeps this error's type to itself; a test watches over the words.
    if error
        .chain()
        .any(|cause| cause.to_string().contains("fuel allocated for hostcalls"))
    {
        return CallFailure::OutputTooLarge {
            limit: limits.output,
            unit: "bytes",
            setting: setting::OUTPUT,
        };
    }
    trap(error, during, state)
}

fn trap(error: &wasmtime::Error, during: &'static str, state: &CallState) -> CallFailure {
    let masked = |text: String| kept(text, &state.bound.masker, FAILURE_BYTES);
    let (message, place) = match (
        &state.panic,
        error.downcast_ref::<I32Exit>(),
        error.downcast_ref::<Trap>(),
    ) {
        (Some(panic), _, _) => (panic.message.clone(), Some(panic.place.clone())),
        (None, Some(exit), _) => (format!("it ended itself with exit status {}", exit.0), None),
        (None, None, Some(Trap::UnreachableCodeReached)) => (
            "it reached code that it declares unreachable, as a panic without message does".to_owned(),
            None,
        ),
        (None, None, Some(trap)) => (trap.to_string(), None),
        (None, None, None) => (error.root_cause().to_string(), None),
    };
    CallFailure::Trap {
        during,
        message: masked(message),
        place: place.map(masked),
        frames: frames(error),
    }
}

/// Function names of the backtrace, innermost first, without the machinery between a panic and the trap.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let names: Vec<String> = trace
        .frames()
        .iter()
        .map(|frame| {
            let named = frame.symbols().iter().find_map(|symbol| symbol.name());
            match named.or_else(|| frame.func_name()) {
                Some(name) => cut(
                    format!("{:#}", rustc_demangle::demangle(name)).replace(char::is_control, " "),
                    200,
                ),
                None => format!("function {}", frame.func_index()),
            }
        })
        .collect();
    let machinery = names
        .iter()
        .rposition(|name| name.contains("core::panicking::") || name.contains("rust_begin_unwind"));
    names.into_iter().skip(machinery.map_or(0, |at| at + 1)).collect()
}

/// The text of a host panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

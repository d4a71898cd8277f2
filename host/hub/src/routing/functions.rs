//! The functions and operators of rules, and what they take and answer.

use cel::common::ast::{CallExpr, IdedExpr, operators};

use super::checking::{TypeFault, is_a, text, unified};
use super::patterns;
use super::schema::{Type, or_nearest};

/// Called on a text, with a text: `record.body.contains('x')`.
const OF_TEXT: [&str; 4] = ["contains", "startsWith", "endsWith", "matches"];
/// Called on a timestamp or a duration.
const OF_TIME: [&str; 10] = [
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];
/// Called on what may or may not be there.
const OF_OPTIONAL: [&str; 4] = ["hasValue", "value", "or", "orValue"];
/// Makers of it.
const OPTIONAL: [&str; 3] = ["of", "none", "ofNonZeroValue"];
/// Called with what they are about.
const GLOBAL: [&str; 12] = [
    "size",
    "matches",
    "has",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "timestamp",
    "duration",
    "dyn",
];
/// Called on a list, with a variable and what is asked of it.
const OF_LISTS: [&str; 6] = ["exists", "all", "exists_one", "existsOne", "filter", "map"];

type Found = Result<Type, TypeFault>;

/// Whether a name stands for a type: `type(x) == string`.
pub(super) fn is_type_name(name: &str) -> bool {
    [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "type",
        "null_type",
    ]
    .contains(&name)
}

/// `name(args)`.
pub(super) fn global(part: &IdedExpr, name: &str, args: &[IdedExpr], types: &[Type]) -> Found {
    match (name, args, types) {
        ("size", [of], [found]) => sized(part, of, found),
        ("matches", [of, pattern], [found, by]) => matching(part, "matches", (of, found), (pattern, by)),
        ("int", [_], _) => Ok(Type::Int),
        ("uint", [_], _) => Ok(Type::Uint),
        ("double", [_], _) => Ok(Type::Double),
        ("string", [_], _) => Ok(Type::Text),
        ("bool", [_], _) => Ok(Type::Bool),
        ("bytes", [_], _) => Ok(Type::Bytes),
        ("timestamp", [_], _) => Ok(Type::Timestamp),
        ("duration", [_], _) => Ok(Type::Duration),
        ("dyn", [_], _) => Ok(Type::Dyn),
        ("type", [_], _) => Ok(Type::OfTypes),
        (name, args, _) if GLOBAL.contains(&name) || name == "type" => {
            let message = format!("{name}() does not take {} values", args.len());
            Err(TypeFault::at(part, message))
        }
        (name, ..) if OF_TEXT.contains(&name) || OF_LISTS.contains(&name) => {
            let message = format!("{name} is called on something: record.tags.{name}(…)");
            Err(TypeFault::at(part, message))
        }
        (name, ..) => Err(unknown(part, name)),
    }
}

/// `optional.name(args)`.
pub(super) fn optional(part: &IdedExpr, name: &str) -> Found {
    if OPTIONAL.contains(&name) {
        Ok(Type::Dyn)
    } else {
        Err(unknown(part, name))
    }
}

/// `target.name(args)`.
pub(super) fn member(part: &IdedExpr, (target, of): (&IdedExpr, &Type), call: &CallExpr, types: &[Type]) -> Found {
    let name = call.func_name.as_str();
    match (call.args.as_slice(), types) {
        ([pattern], [by]) if OF_TEXT.contains(&name) => matching(part, name, (target, of), (pattern, by)),
        ([], _) if name == "size" => sized(part, target, of),
        (args, _) if OF_TIME.contains(&name) && args.len() <= 1 => match of {
            Type::Timestamp | Type::Duration | Type::Dyn => Ok(Type::Int),
            other => {
                let message = format!("{}, and {name}() is asked of a timestamp", is_a(target, other));
                Err(TypeFault::at(part, message))
            }
        },
        _ if OF_OPTIONAL.contains(&name) => Ok(Type::Dyn),
        (args, _) if OF_TEXT.contains(&name) || name == "size" => {
            let message = format!("{name}() does not take {} values", args.len());
            Err(TypeFault::at(part, message))
        }
        _ if OF_LISTS.contains(&name) => {
            let message = format!("{name} takes a variable and what is asked of it: {name}(one, one == 'x')");
            Err(TypeFault::at(part, message))
        }
        _ => Err(unknown(part, name)),
    }
}

/// A text that is asked for another.
fn matching(part: &IdedExpr, name: &str, (of, found): (&IdedExpr, &Type), (pattern, by): (&IdedExpr, &Type)) -> Found {
    if let Type::List(_) = found {
        let message = format!(
            "{}, and {name}() is asked of a string; ask whether something is in a list by `in`",
            is_a(of, found)
        );
        return Err(TypeFault::at(part, message));
    }
    for (one, of_one) in [(of, found), (pattern, by)] {
        if !matches!(of_one, Type::Text | Type::Dyn) {
            let message = format!("{}, and {name}() needs a string", is_a(one, of_one));
            return Err(TypeFault::at(one, message));
        }
    }
    if name == "matches"
        && let Some(written) = text(pattern)
    {
        patterns::read(written).map_err(|message| TypeFault::at(pattern, message))?;
    }
    Ok(Type::Bool)
}

fn sized(part: &IdedExpr, of: &IdedExpr, found: &Type) -> Found {
    match found {
        Type::Text | Type::Bytes | Type::List(_) | Type::Map(_) | Type::Object(_) | Type::Dyn => Ok(Type::Int),
        other => {
            let message = format!("{}, and size() is asked of a string, a list or a map", is_a(of, other));
            Err(TypeFault::at(part, message))
        }
    }
}

fn unknown(part: &IdedExpr, name: &str) -> TypeFault {
    let known = OF_TEXT.iter().chain(&OF_TIME).chain(&GLOBAL).chain(&OF_LISTS).copied();
    let message = format!("there is no function `{name}`{}", or_nearest(name, known));
    TypeFault::at(part, message)
}

/// Whether `==` and `in` may ever find two values of these types equal.
pub(super) fn may_be_equal(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn, _)
        | (_, Type::Dyn)
        | (Type::List(_), Type::List(_))
        | (Type::Map(_) | Type::Object(_), Type::Map(_) | Type::Object(_)) => true,
        (a, b) => a == b || (a.is_number() && b.is_number()),
    }
}

/// Whether `<` and the like compare values of these types.
pub(super) fn have_order(a: &Type, b: &Type) -> bool {
    let has_order = |of: &Type| {
        matches!(
            of,
            Type::Text | Type::Bool | Type::Bytes | Type::Duration | Type::Timestamp
        )
    };
    match (a, b) {
        (Type::Dyn, other) | (other, Type::Dyn) => *other == Type::Dyn || other.is_number() || has_order(other),
        (a, b) => (a.is_number() && b.is_number()) || (a == b && has_order(a)),
    }
}

/// What an operator makes of two values; `None` where it takes no such two.
pub(super) fn computed(operator: &str, a: &Type, b: &Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Dyn, Int, List, Text, Timestamp, Uint};
    match (operator, a, b) {
        (_, Dyn, _) | (_, _, Dyn) => Some(Dyn),
        (_, Int, Int) => Some(Int),
        (_, Uint, Uint) => Some(Uint),
        (operators::MODULO, _, _) => None,
        (_, Double, Double) => Some(Double),
        (operators::ADD | operators::SUBSTRACT, Duration, Duration) | (operators::SUBSTRACT, Timestamp, Timestamp) => {
            Some(Duration)
        }
        (operators::ADD | operators::SUBSTRACT, Timestamp, Duration) | (operators::ADD, Duration, Timestamp) => {
            Some(Timestamp)
        }
        (operators::ADD, Text, Text) => Some(Text),
        (operators::ADD, Bytes, Bytes) => Some(Bytes),
        (operators::ADD, List(a), List(b)) => Some(Type::list(unified(Some((**a).clone()), (**b).clone()))),
        _ => None,
    }
}

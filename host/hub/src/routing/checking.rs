//! Types, checked before a rule is ever carried out: what would fail on every record, and what could never be true.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};

use super::functions::{self, computed, have_order, may_be_equal};
use super::schema::{Type, Vocabulary};

/// What is wrong with a rule, and with which part of it.
#[derive(Debug)]
pub(super) struct TypeFault {
    /// The part, by the parser's number.
    pub(super) part: u64,
    pub(super) message: String,
}

impl TypeFault {
    pub(super) fn at(part: &IdedExpr, message: impl Into<String>) -> Self {
        Self {
            part: part.id,
            message: message.into(),
        }
    }
}

/// Checks a whole rule.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn check(vocabulary: &Vocabulary, rule: &IdedExpr) -> Result<(), TypeFault> {
    let mut checker = Checker {
        vocabulary,
        scope: Vec::new(),
    };
    match checker.type_of(rule)? {
        Type::Bool | Type::Dyn => Ok(()),
        other => {
            let message = format!("{}; a rule has to answer true or false (bool)", is_a(rule, &other));
            Err(TypeFault::at(rule, message))
        }
    }
}

type Found = Result<Type, TypeFault>;

struct Checker<'v> {
    vocabulary: &'v Vocabulary,
    /// Variables of `exists`, `all` and the like, the innermost last.
    scope: Vec<(String, Type)>,
}

impl Checker<'_> {
    fn type_of(&mut self, part: &IdedExpr) -> Found {
        match &part.expr {
            Expr::Unspecified => Err(TypeFault::at(part, "something is missing here")),
            Expr::Literal(value) => Ok(literal(value)),
            Expr::Ident(name) => self.ident(part, name),
            Expr::Select(select) => self.select(part, select),
            Expr::Call(call) => self.call(part, call),
            Expr::List(list) => {
                let of = self.common(&list.elements)?;
                Ok(Type::list(of))
            }
            Expr::Map(map) => {
                let mut values = None;
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.type_of(&entry.key)?;
                        values = Some(unified(values, self.type_of(&entry.value)?));
                    }
                }
                Ok(Type::map(values.unwrap_or(Type::Dyn)))
            }
            Expr::Struct(made) => {
                let message = format!("there is no type `{}`", made.type_name);
                Err(TypeFault::at(part, message))
            }
            Expr::Comprehension(all) => self.comprehension(all),
        }
    }

    /// The type of several parts, if they have one in common.
    fn common(&mut self, parts: &[IdedExpr]) -> Found {
        let mut common = None;
        for part in parts {
            common = Some(unified(common, self.type_of(part)?));
        }
        Ok(common.unwrap_or(Type::Dyn))
    }

    fn ident(&self, part: &IdedExpr, name: &str) -> Found {
        let name = name.trim_start_matches('.');
        let local = self.scope.iter().rev().find(|(known, _)| known == name);
        if let Some((_, of)) = local {
            return Ok(of.clone());
        }
        if functions::is_type_name(name) {
            return Ok(Type::OfTypes);
        }
        self.vocabulary
            .variable(name)
            .map_err(|message| TypeFault::at(part, message))
    }

    fn select(&mut self, part: &IdedExpr, select: &SelectExpr) -> Found {
        let of = self.type_of(&select.operand)?;
        let field = self.field(part, &select.operand, &of, &select.field)?;
        Ok(if select.test { Type::Bool } else { field })
    }

    fn field(&self, part: &IdedExpr, operand: &IdedExpr, of: &Type, name: &str) -> Found {
        match of {
            Type::Object(object) => self
                .vocabulary
                .field(*object, name)
                .map_err(|message| TypeFault::at(part, message)),
            Type::Map(values) => Ok((**values).clone()),
            Type::Dyn => Ok(Type::Dyn),
            other => {
                let message = format!("{}, which has no field `{name}`", is_a(operand, other));
                Err(TypeFault::at(part, message))
            }
        }
    }

    fn call(&mut self, part: &IdedExpr, call: &CallExpr) -> Found {
        if let Some(target) = &call.target {
            return self.member(part, call, target);
        }
        let name = call.func_name.trim_start_matches('.');
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, args) => {
                for arg in args {
                    self.boolean(arg, name)?;
                }
                Ok(Type::Bool)
            }
            (operators::NOT_STRICTLY_FALSE, args) => {
                self.common(args)?;
                Ok(Type::Bool)
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.boolean(condition, "?")?;
                let yes = self.type_of(yes)?;
                Ok(unified(Some(yes), self.type_of(no)?))
            }
            (operators::INDEX, [of, key]) => self.index(part, of, key),
            (operators::OPT_INDEX | operators::OPT_SELECT, args) => {
                self.common(args)?;
                Ok(Type::Dyn)
            }
            (operators::IN, [wanted, within]) => self.membership(part, wanted, within),
            (operators::NEGATE, [of]) => {
                let found = self.type_of(of)?;
                match found {
                    Type::Int | Type::Double | Type::Dyn => Ok(found),
                    other => Err(TypeFault::at(part, format!("{}; - needs a number", is_a(of, &other)))),
                }
            }
            (operator, [a, b]) if is_operator(operator) => self.binary(part, operator, a, b),
            (name, args) => {
                let types = self.types(args)?;
                functions::global(part, name, args, &types)
            }
        }
    }

    fn types(&mut self, parts: &[IdedExpr]) -> Result<Vec<Type>, TypeFault> {
        parts.iter().map(|part| self.type_of(part)).collect()
    }

    fn member(&mut self, part: &IdedExpr, call: &CallExpr, target: &IdedExpr) -> Found {
        let args = self.types(&call.args)?;
        if matches!(&target.expr, Expr::Ident(name) if name == "optional") {
            return functions::optional(part, &call.func_name);
        }
        let of = self.type_of(target)?;
        functions::member(part, (target, &of), call, &args)
    }

    fn boolean(&mut self, part: &IdedExpr, operator: &str) -> Result<(), TypeFault> {
        match self.type_of(part)? {
            Type::Bool | Type::Dyn => Ok(()),
            other => {
                let message = format!(
                    "{}, and {} needs true or false (bool)",
                    is_a(part, &other),
                    sign(operator)
                );
                Err(TypeFault::at(part, message))
            }
        }
    }

    fn index(&mut self, part: &IdedExpr, of: &IdedExpr, key: &IdedExpr) -> Found {
        let (found, by) = (self.type_of(of)?, self.type_of(key)?);
        if let (Type::Object(_), Some(name)) = (&found, text(key)) {
            return self.field(part, of, &found, name);
        }
        match (&found, &by) {
            (Type::List(of), Type::Dyn) => Ok((**of).clone()),
            (Type::List(of), by) if by.is_number() => Ok((**of).clone()),
            (Type::Map(values), Type::Text | Type::Dyn) => Ok((**values).clone()),
            (Type::Object(_), Type::Text | Type::Dyn) | (Type::Dyn, _) => Ok(Type::Dyn),
            (Type::List(_), by) => {
                let message = format!("{}, and {}: a list is asked by number", is_a(of, &found), is_a(key, by));
                Err(TypeFault::at(part, message))
            }
            (Type::Map(_) | Type::Object(_), by) => {
                let message = format!("{}, and {}: a map is asked by name", is_a(of, &found), is_a(key, by));
                Err(TypeFault::at(part, message))
            }
            (other, _) => {
                let message = format!("{}, of which nothing can be asked by [ ]", is_a(of, other));
                Err(TypeFault::at(part, message))
            }
        }
    }

    fn membership(&mut self, part: &IdedExpr, wanted: &IdedExpr, within: &IdedExpr) -> Found {
        let (found, of) = (self.type_of(wanted)?, self.type_of(within)?);
        let elements = match &of {
            Type::List(elements) => (**elements).clone(),
            Type::Map(_) | Type::Object(_) => Type::Text,
            Type::Dyn => return Ok(Type::Bool),
            other => {
                let message = format!("{}; `in` needs a list or a map", is_a(within, other));
                return Err(TypeFault::at(part, message));
            }
        };
        if may_be_equal(&found, &elements) {
            return Ok(Type::Bool);
        }
        let message = format!("{}, and {}: it is never in it", is_a(wanted, &found), is_a(within, &of));
        Err(TypeFault::at(part, message))
    }

    fn binary(&mut self, part: &IdedExpr, operator: &str, a: &IdedExpr, b: &IdedExpr) -> Found {
        let (of_a, of_b) = (self.type_of(a)?, self.type_of(b)?);
        let both = || format!("{}, and {}", is_a(a, &of_a), is_a(b, &of_b));
        let sign = sign(operator);
        let refused = match operator {
            operators::EQUALS | operators::NOT_EQUALS if may_be_equal(&of_a, &of_b) => return Ok(Type::Bool),
            operators::EQUALS | operators::NOT_EQUALS => format!("{}: they are never equal", both()),
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
                if have_order(&of_a, &of_b) {
                    return Ok(Type::Bool);
                }
                format!("{}: {sign} does not compare them", both())
            }
            _ => match computed(operator, &of_a, &of_b) {
                Some(of) => return Ok(of),
                None if of_a.is_number() && of_b.is_number() => format!(
                    "{}: {sign} takes two of one type; write 2.0 for a double, or double(…)",
                    both()
                ),
                None => format!("{}: there is no {sign} for them", both()),
            },
        };
        Err(TypeFault::at(part, refused))
    }

    /// `exists`, `all`, `filter` and the like, as the parser writes them out.
    fn comprehension(&mut self, all: &ComprehensionExpr) -> Found {
        let element = match self.type_of(&all.iter_range)? {
            Type::List(of) => *of,
            Type::Map(_) | Type::Object(_) => Type::Text,
            Type::Dyn => Type::Dyn,
            other => {
                let message = format!("{}; only a list or a map has elements", is_a(&all.iter_range, &other));
                return Err(TypeFault::at(&all.iter_range, message));
            }
        };
        let begin = self.type_of(&all.accu_init)?;
        let outer = self.scope.len();
        self.scope.push((all.iter_var.clone(), element));
        self.scope
            .extend(all.iter_var2.iter().map(|name| (name.clone(), Type::Dyn)));
        self.scope.push((all.accu_var.clone(), begin));
        let found = self.looped(all);
        self.scope.truncate(outer);
        found
    }

    fn looped(&mut self, all: &ComprehensionExpr) -> Found {
        self.type_of(&all.loop_cond)?;
        let step = self.type_of(&all.loop_step)?;
        if let Some((_, accumulated)) = self.scope.last_mut() {
            *accumulated = step;
        }
        self.type_of(&all.result)
    }
}

fn literal(value: &LiteralValue) -> Type {
    match value {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// A text that stands in the rule itself.
pub(super) fn text(part: &IdedExpr) -> Option<&str> {
    match &part.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

pub(super) fn unified(known: Option<Type>, next: Type) -> Type {
    match known {
        Some(known) if known != next => Type::Dyn,
        _ => next,
    }
}

fn is_operator(name: &str) -> bool {
    name.starts_with('_') && name.ends_with('_')
}

/// An operator as it is written.
fn sign(operator: &str) -> &str {
    operator.trim_matches('_')
}

/// `record.body is a string`.
pub(super) fn is_a(part: &IdedExpr, of: &Type) -> String {
    let name = named(part).unwrap_or_else(|| "what stands here".to_owned());
    format!("{name} is {}", of.told())
}

/// A part as it is called in a sentence, if it is short.
fn named(part: &IdedExpr) -> Option<String> {
    const CHARS_MAX: usize = 40;
    let name = match &part.expr {
        Expr::Ident(name) if !name.starts_with('@') => name.clone(),
        Expr::Select(select) if select.test => format!("has({}.{})", named(&select.operand)?, select.field),
        Expr::Select(select) => format!("{}.{}", named(&select.operand)?, select.field),
        Expr::Literal(LiteralValue::String(text)) => format!("'{}'", text.inner()),
        Expr::Literal(LiteralValue::Int(number)) => number.inner().to_string(),
        Expr::Literal(LiteralValue::UInt(number)) => format!("{}u", number.inner()),
        Expr::Literal(LiteralValue::Double(number)) => format!("{:?}", number.inner()),
        Expr::Literal(LiteralValue::Boolean(value)) => value.inner().to_string(),
        Expr::Literal(LiteralValue::Null) => "null".to_owned(),
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [of, key] => format!("{}[{}]", named(of)?, named(key)?),
            _ => return None,
        },
        _ => return None,
    };
    (name.chars().count() <= CHARS_MAX).then_some(name)
}

#[cfg(test)]
#[path = "checking_tests.rs"]
mod tests;

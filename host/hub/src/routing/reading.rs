//! A rule as it is read: not so long that the parser needs more stack than it has, and not so deep that whoever carries it
//! out does.

use cel::common::ast::{EntryExpr, Expr};
use cel::{Env, IdedExpr, ParseErrors, Program};

use super::spans::Place;

/// What the parser needs of the stack. It refuses what lies more than 96 levels deep, and calls itself a score of times for
/// each: more than a thread usually has, and an overflow would end the process.
const PARSER_STACK_BYTES: usize = 128 << 20;

/// Characters of a rule. The parser's limit counts brackets and not operators, of which each lays what stands before it one
/// level deeper: so many of them fit its stack.
pub(super) const CHARS_MAX: usize = 4_000;
/// Levels of a rule that is kept. It is carried out, and dropped at last, on the stack of a usual thread.
const LEVELS_MAX: usize = 100;
/// Characters of what the parser says that are told.
const PARSER_CHARS_MAX: usize = 300;

/// Why a rule cannot be used.
pub(super) struct Unusable {
    /// Where in the rule, if that is known.
    pub(super) place: Option<Place>,
    pub(super) message: String,
}

impl Unusable {
    fn as_a_whole(message: impl Into<String>) -> Self {
        Self {
            place: None,
            message: message.into(),
        }
    }
}

/// Compiles one rule on a stack of its own.
pub(super) fn compiled(env: &Env, rule: &str) -> Result<Program, Unusable> {
    let chars = rule.chars().count();
    if chars > CHARS_MAX {
        return Err(Unusable::as_a_whole(format!(
            "it has {chars} characters, and at most {CHARS_MAX} are read; write several rules instead"
        )));
    }
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES);
        let parsing = parser
            .spawn_scoped(scope, || {
                flat_enough(env.compile(rule).map_err(|errors| misread(&errors))?)
            })
            .map_err(|error| Unusable::as_a_whole(format!("no thread could be started to read it: {error}")))?;
        parsing
            .join()
            .unwrap_or_else(|_| Err(Unusable::as_a_whole("the parser failed on it; write it in another way")))
    })
}

/// The first thing that the parser stumbled over.
fn misread(errors: &ParseErrors) -> Unusable {
    let placed = errors.errors.iter().find_map(|error| {
        let (line, column) = error.pos;
        let line = usize::try_from(line).ok().filter(|line| *line > 0)?;
        let place = Place {
            line,
            column: usize::try_from(column).ok()?.max(1),
        };
        Some((place, &error.msg))
    });
    match placed {
        Some((place, message)) => Unusable {
            place: Some(place),
            message: message.chars().take(PARSER_CHARS_MAX).collect(),
        },
        None => Unusable::as_a_whole("it is no CEL expression, or its brackets lie too deep in one another"),
    }
}

/// Refuses a rule whose operators lie too deep in one another. One that is refused is dropped here, where it has room.
fn flat_enough(program: Program) -> Result<Program, Unusable> {
    let levels = levels(program.expression());
    if levels > LEVELS_MAX {
        return Err(Unusable::as_a_whole(format!(
            "its operators lie {levels} levels deep in one another, and at most {LEVELS_MAX} are carried out; write several \
             rules instead"
        )));
    }
    Ok(program)
}

fn levels(expression: &IdedExpr) -> usize {
    1 + parts(&expression.expr).into_iter().map(levels).max().unwrap_or(0)
}

/// What an expression consists of.
pub(super) fn parts(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(all) => vec![
            &all.iter_range,
            &all.accu_init,
            &all.loop_cond,
            &all.loop_step,
            &all.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map
            .entries
            .iter()
            .flat_map(|entry| parts_of_entry(&entry.expr))
            .collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::Struct(fields) => fields
            .entries
            .iter()
            .flat_map(|entry| parts_of_entry(&entry.expr))
            .collect(),
    }
}

fn parts_of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::InstanceName;

    use super::super::{RouteSource, RuleSet, RulesSource};

    /// Why a rule is refused, if it is.
    fn refused(when: String) -> Option<String> {
        let route = RouteSource {
            name: "عميقة".to_owned(),
            when,
            to: vec![InstanceName::new("service").unwrap()],
        };
        let (_, problems) = RuleSet::read(RulesSource {
            routes: vec![route],
            ..RulesSource::default()
        });
        problems.into_iter().next().map(|problem| problem.message)
    }

    #[test]
    fn what_would_take_the_parser_too_deep_is_refused() {
        let brackets = |depth: usize| format!("{}record.body == 'شكوى'{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(refused(brackets(80)), None);
        // Also behind brackets that are only text.
        let quoted = format!("record.body == '{}' && ({})", ")".repeat(500), brackets(500));
        for deep in [brackets(200), brackets(20_000), quoted, "true ? ".repeat(20_000)] {
            let message = refused(deep).unwrap();
            assert!(message.contains("عميقة"), "{message}");
        }
    }

    #[test]
    fn a_rule_that_would_be_carried_out_too_deep_is_refused_and_a_long_choice_is_not() {
        let sum = |ones: usize| format!("{}1 > 0", "1+".repeat(ones));
        assert_eq!(refused(sum(40)), None);
        assert!(refused(sum(1_900)).is_some());
        assert!(refused(format!("record{} == 1", ".a".repeat(1_900))).is_some());
        // Choices are laid out as a tree, however many there are.
        assert_eq!(refused(format!("{}true", "true||".repeat(600))), None);
        // Characters are counted, and not bytes.
        let words = |chars: usize| format!("record.body.matches('{}')", "ش".repeat(chars));
        assert_eq!(refused(words(3_900)), None);
        assert!(refused(words(4_001)).unwrap().contains("4000"));
    }
}

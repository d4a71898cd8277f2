//! Places in a rule: where something stands, and the text of a part of it as it was written.

use std::fmt;
use std::ops::Range;

use cel::common::ast::{Expr, LiteralValue, SourceInfo};
use cel::{IdedExpr, Program};

use super::reading::parts;

/// Line and column in a rule, from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where a part of a rule stands: its beginning or, of an operator, the sign itself.
pub(super) fn place(program: &Program, id: u64) -> Option<Place> {
    let info = program.source_info();
    let (start, _) = info.offset_for(id)?;
    let rule = info.source.as_str();
    let start = rule.floor_char_boundary(usize::try_from(start).ok()?);
    let before = rule.get(..start)?;
    let line_begin = before.rfind('\n').map_or(0, |end| end + 1);
    Some(Place {
        line: before.matches('\n').count() + 1,
        column: before.get(line_begin..)?.chars().count() + 1,
    })
}

/// A part of a rule as it was written.
pub(super) fn snippet<'p>(program: &'p Program, part: &IdedExpr) -> &'p str {
    let info = program.source_info();
    let rule = info.source.as_str();
    let snippet = span(info, part).and_then(|span| {
        let mut texts = Vec::new();
        literals(info, program.expression(), &mut texts);
        let whole = balanced(rule.as_bytes(), span, &texts);
        rule.get(with_function_name(rule.as_bytes(), whole))
    });
    snippet.unwrap_or(rule).trim()
}

/// From the first to behind the last sign of a part, without brackets that only close it.
fn span(info: &SourceInfo, part: &IdedExpr) -> Option<Range<usize>> {
    let mut span = own(info, part.id);
    for inner in parts(&part.expr) {
        span = joined(span, self::span(info, inner));
    }
    // The name of a field follows its point, and stands in no sign of its own.
    if let (Expr::Select(select), Some(known)) = (&part.expr, span.as_mut()) {
        let after = self::span(info, &select.operand).map_or(known.end, |operand| operand.end);
        let name = info.source.get(after..).and_then(|rest| rest.find(&select.field));
        if let Some(name) = name {
            known.end = known.end.max(after + name + select.field.len());
        }
    }
    span
}

fn own(info: &SourceInfo, id: u64) -> Option<Range<usize>> {
    let (first, last) = info.offset_for(id)?;
    Some(usize::try_from(first).ok()?..usize::try_from(last).ok()?.saturating_add(1))
}

fn joined(a: Option<Range<usize>>, b: Option<Range<usize>>) -> Option<Range<usize>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.start.min(b.start)..a.end.max(b.end)),
        (a, b) => a.or(b),
    }
}

/// Where texts stand in a rule, in which brackets mean nothing.
fn literals(info: &SourceInfo, expression: &IdedExpr, found: &mut Vec<Range<usize>>) {
    // Only texts: a macro such as `exists` brings a `false` of its own, whose place is the macro's bracket.
    if let (Expr::Literal(LiteralValue::String(_) | LiteralValue::Bytes(_)), Some(range)) =
        (&expression.expr, own(info, expression.id))
    {
        found.push(range);
    }
    for inner in parts(&expression.expr) {
        literals(info, inner, found);
    }
}

/// A span with the brackets that belong to those within it.
fn balanced(rule: &[u8], span: Range<usize>, texts: &[Range<usize>]) -> Range<usize> {
    let step = |at: usize| match rule.get(at) {
        _ if texts.iter().any(|text| text.contains(&at)) => 0,
        Some(b'(' | b'[' | b'{') => 1,
        Some(b')' | b']' | b'}') => -1,
        _ => 0,
    };
    let (mut open, mut lowest) = (0_i32, 0_i32);
    for at in span.clone() {
        open += step(at);
        lowest = lowest.min(open);
    }
    let Range { mut start, mut end } = span;
    let (mut unopened, mut unclosed) = (-lowest, open - lowest);
    while unclosed > 0 && end < rule.len() {
        unclosed += step(end);
        end += 1;
    }
    while unopened > 0 && start > 0 {
        start -= 1;
        unopened -= step(start);
    }
    start..end
}

/// A call begins with its bracket, as far as the parser knows.
fn with_function_name(rule: &[u8], mut span: Range<usize>) -> Range<usize> {
    if rule.get(span.start) == Some(&b'(') {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        while span
            .start
            .checked_sub(1)
            .and_then(|before| rule.get(before))
            .is_some_and(is_name)
        {
            span.start -= 1;
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use cel::common::ast::Expr;
    use cel::{Env, IdedExpr, Program};

    use super::{Place, place, snippet};
    use crate::routing::reading::parts;

    fn program(rule: &str) -> Program {
        Env::stdlib().compile(rule).unwrap()
    }

    /// Texts of all parts of a rule.
    fn snippets(rule: &str) -> Vec<String> {
        fn walk(program: &Program, part: &IdedExpr, found: &mut Vec<String>) {
            found.push(snippet(program, part).to_owned());
            if !matches!(part.expr, Expr::Comprehension(_)) {
                parts(&part.expr)
                    .into_iter()
                    .for_each(|inner| walk(program, inner, found));
            }
        }
        let (program, mut found) = (program(rule), Vec::new());
        walk(&program, program.expression(), &mut found);
        found
    }

    #[test]
    fn parts_are_told_as_they_were_written() {
        let rule = "record.body.contains('فاتورة (1)') && (has(record.scores.nps) || 1 / size(record.tags) > 2)";
        let found = snippets(rule);
        assert_eq!(found[0], rule);
        for part in [
            "record.body.contains('فاتورة (1)')",
            "has(record.scores.nps) || 1 / size(record.tags) > 2",
            "has(record.scores.nps)",
            "1 / size(record.tags) > 2",
            "size(record.tags)",
            "record.scores",
        ] {
            assert!(found.iter().any(|text| text == part), "{part}: {found:#?}");
        }
        let rule = "(record.subject + ' ' + record.body).matches('فاتورة|\\\\)') && record.attributes['masked-phone'] > 0 && record.tags.exists(t, t == 'عاجل')";
        let found = snippets(rule);
        for part in [
            "(record.subject + ' ' + record.body).matches('فاتورة|\\\\)')",
            "record.attributes['masked-phone'] > 0",
            "record.tags.exists(t, t == 'عاجل')",
            "record.subject + ' '",
        ] {
            assert!(found.iter().any(|text| text == part), "{part}: {found:#?}");
        }
    }

    #[test]
    fn places_count_characters_from_one() {
        let program = program("record.body == 'فاتورة' &&\n  record.revision > 3");
        let Expr::Call(and) = &program.expression().expr else {
            panic!("no call");
        };
        let places: Vec<_> = and.args.iter().map(|part| place(&program, part.id).unwrap()).collect();
        let at = |line, column| Place { line, column };
        assert_eq!(places, [at(1, 13), at(2, 19)]);
        assert_eq!(place(&program, program.expression().id), Some(at(1, 25)));
    }
}

//! From a rule as the parser gives it to its [`Predicate`].

use std::collections::HashSet;
use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators};

use super::checking::text;
use super::patterns;
use super::predicate::{FactTest, Number, NumberOf, Order, Predicate, Presence, TextTest, Written};
use super::schema::{Object, Vocabulary};
use super::seen::{FactOf, ListOf, Piece, TextOf};

/// Compiles the rules of one set.
pub(super) struct Compiler<'v> {
    vocabulary: &'v Vocabulary,
    /// Joined texts that rules ask, each once.
    joined: Vec<Vec<Piece>>,
}

/// Something of a record that is compared.
enum Operand {
    Text(TextOf),
    Number(NumberOf),
    Fact(FactOf),
}

impl<'v> Compiler<'v> {
    pub(super) const fn new(vocabulary: &'v Vocabulary) -> Self {
        Self {
            vocabulary,
            joined: Vec::new(),
        }
    }

    /// The joined texts, by the numbers that the predicates have.
    pub(super) fn into_joined(self) -> Vec<Vec<Piece>> {
        self.joined
    }

    /// A rule that was checked. What is not understood here is left to the interpreter.
    pub(super) fn predicate(&mut self, part: &IdedExpr) -> Predicate {
        let understood = match &part.expr {
            Expr::Literal(LiteralValue::Boolean(value)) => Some(Predicate::Constant(*value.inner())),
            Expr::Select(select) if select.test => presence(select).map(Predicate::Has),
            Expr::Call(call) => self.call(call).or_else(|| is_true(part)),
            Expr::Comprehension(all) => self.elements(all),
            _ => is_true(part),
        };
        understood.unwrap_or_else(|| Predicate::Interpreted(Box::new(part.clone())))
    }

    fn call(&mut self, call: &CallExpr) -> Option<Predicate> {
        if let Some(target) = &call.target {
            let test = text_test(&call.func_name, call.args.first()?)?;
            return self.tested(target, test);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [part]) => Some(Predicate::Not(Box::new(self.predicate(part)))),
            (operators::LOGICAL_AND, [a, b]) => Some(Predicate::Both(Box::new((self.predicate(a), self.predicate(b))))),
            (operators::LOGICAL_OR, [a, b]) => {
                Some(Predicate::Either(Box::new((self.predicate(a), self.predicate(b)))))
            }
            (operators::EQUALS, [a, b]) => self.compared(Order::Equal, a, b),
            (operators::NOT_EQUALS, [a, b]) => {
                let equal = self.compared(Order::Equal, a, b)?;
                Some(Predicate::Not(Box::new(equal)))
            }
            (operators::LESS, [a, b]) => self.compared(Order::Less, a, b),
            (operators::LESS_EQUALS, [a, b]) => self.compared(Order::LessEqual, a, b),
            (operators::GREATER, [a, b]) => self.compared(Order::Greater, a, b),
            (operators::GREATER_EQUALS, [a, b]) => self.compared(Order::GreaterEqual, a, b),
            (operators::IN, [wanted, within]) => self.membership(wanted, within),
            ("matches", [of, pattern]) => {
                let test = text_test("matches", pattern)?;
                self.tested(of, test)
            }
            _ => None,
        }
    }

    /// A text, or what may be one, and a question to it.
    fn tested(&mut self, of: &IdedExpr, test: TextTest) -> Option<Predicate> {
        match self.operand(of)? {
            Operand::Text(of) => Some(Predicate::Text(of, test)),
            Operand::Fact(of) => Some(Predicate::Fact(of, FactTest::Text(test))),
            Operand::Number(_) => None,
        }
    }

    fn compared(&mut self, order: Order, a: &IdedExpr, b: &IdedExpr) -> Option<Predicate> {
        let (of, order, written) = match (written(a), written(b)) {
            (None, Some(written)) => (self.operand(a)?, order, written),
            (Some(written), None) => (self.operand(b)?, order.turned(), written),
            _ => return None,
        };
        match (of, written) {
            (Operand::Text(of), Written::Text(text)) if order == Order::Equal => {
                Some(Predicate::Text(of, TextTest::Equals(text)))
            }
            (Operand::Number(of), Written::Number(number)) => Some(Predicate::Number(of, order, number)),
            (Operand::Fact(of), written) if order == Order::Equal => {
                Some(Predicate::Fact(of, FactTest::Equals(written)))
            }
            (Operand::Fact(of), Written::Number(number)) => {
                Some(Predicate::Fact(of, FactTest::Compares(order, number)))
            }
            _ => None,
        }
    }

    fn membership(&mut self, wanted: &IdedExpr, within: &IdedExpr) -> Option<Predicate> {
        if let Some(wanted) = text(wanted) {
            let path = path(within)?;
            if let Some(of) = list_of(&path) {
                return Some(Predicate::Any(of, TextTest::Equals(wanted.to_owned()), false));
            }
            return match path.as_slice() {
                ["record", map] => named(map, wanted).map(Predicate::Has),
                _ => None,
            };
        }
        let among = self.among(within)?;
        match self.operand(wanted)? {
            Operand::Text(of) => Some(Predicate::Text(of, among)),
            Operand::Fact(of) => Some(Predicate::Fact(of, FactTest::Among(among))),
            Operand::Number(_) => None,
        }
    }

    /// Whether a text is one of a list that stands in the rule or in the configuration.
    fn among(&self, within: &IdedExpr) -> Option<TextTest> {
        if let Expr::List(list) = &within.expr {
            let texts = list.elements.iter().map(|one| text(one).map(ToOwned::to_owned));
            let is_plain = list.optional_indices.is_empty();
            return texts.collect::<Option<_>>().filter(|_| is_plain).map(TextTest::OneOf);
        }
        self.listed(within).map(TextTest::Listed)
    }

    fn listed(&self, within: &IdedExpr) -> Option<Arc<HashSet<String>>> {
        match path(within)?.as_slice() {
            ["lists", name] => self.vocabulary.list(name).map(Arc::clone),
            _ => None,
        }
    }

    /// `list.exists(one, …)` and `list.all(one, …)` with one question to a text.
    fn elements(&self, all: &ComprehensionExpr) -> Option<Predicate> {
        let of = list_of(&path(&all.iter_range)?)?;
        let (Expr::Literal(LiteralValue::Boolean(begin)), Expr::Call(step)) =
            (&all.accu_init.expr, &all.loop_step.expr)
        else {
            return None;
        };
        let is_exists = match (*begin.inner(), step.func_name.as_str()) {
            (false, operators::LOGICAL_OR) => true,
            (true, operators::LOGICAL_AND) => false,
            _ => return None,
        };
        let [accumulated, asked] = step.args.as_slice() else {
            return None;
        };
        // A variable of the name of something else hides it.
        let hides = all.iter_var2.is_some() || Object::is_name(&all.iter_var);
        if hides || !is_variable(accumulated, &all.accu_var) || !is_variable(&all.result, &all.accu_var) {
            return None;
        }
        let (test, turned) = self.element(asked, &all.iter_var)?;
        Some(if is_exists {
            Predicate::Any(of, test, turned)
        } else {
            // All are such when none is not.
            Predicate::Not(Box::new(Predicate::Any(of, test, !turned)))
        })
    }

    /// One question to an element, and whether its answer is turned round.
    fn element(&self, asked: &IdedExpr, variable: &str) -> Option<(TextTest, bool)> {
        let Expr::Call(call) = &asked.expr else {
            return None;
        };
        let is_it = |part: &IdedExpr| is_variable(part, variable);
        match (call.target.as_deref(), call.func_name.as_str(), call.args.as_slice()) {
            (None, operators::LOGICAL_NOT, [inner]) => {
                let (test, turned) = self.element(inner, variable)?;
                Some((test, !turned))
            }
            (Some(target), name, [arg]) if is_it(target) => Some((text_test(name, arg)?, false)),
            (None, sign @ (operators::EQUALS | operators::NOT_EQUALS), [a, b]) => {
                let other = match (is_it(a), is_it(b)) {
                    (true, false) => b,
                    (false, true) => a,
                    _ => return None,
                };
                Some((equals(other)?, sign == operators::NOT_EQUALS))
            }
            (None, operators::IN, [wanted, within]) if is_it(wanted) => Some((self.among(within)?, false)),
            _ => None,
        }
    }

    fn operand(&mut self, part: &IdedExpr) -> Option<Operand> {
        if let Some(pieces) = pieces(part) {
            let number = self.joined.iter().position(|known| *known == pieces);
            let number = number.unwrap_or_else(|| {
                self.joined.push(pieces);
                self.joined.len() - 1
            });
            return Some(Operand::Text(TextOf::Joined(number)));
        }
        if let Some(of) = sized(part) {
            return self.size(of).map(Operand::Number);
        }
        let path = path(part)?;
        if let Some(of) = text_of(&path) {
            return Some(Operand::Text(of));
        }
        let number = match path.as_slice() {
            ["record", "sentiment"] => NumberOf::Sentiment,
            ["record", "attachments"] => NumberOf::Attachments,
            ["record", "revision"] => NumberOf::Revision,
            ["record", "received_at"] => NumberOf::ReceivedAt,
            ["record", map, name] => {
                return Some(match named(map, name)? {
                    Presence::Score(metric) => Operand::Number(NumberOf::Score(metric)),
                    Presence::Fact(of) => Operand::Fact(of),
                    Presence::Sentiment => return None,
                });
            }
            _ => return None,
        };
        Some(Operand::Number(number))
    }

    fn size(&mut self, of: &IdedExpr) -> Option<NumberOf> {
        if let Some(list) = path(of).and_then(|path| list_of(&path)) {
            return Some(NumberOf::Elements(list));
        }
        match self.operand(of)? {
            Operand::Text(of) => Some(NumberOf::Letters(of)),
            Operand::Number(_) | Operand::Fact(_) => None,
        }
    }
}

/// What `size(…)` or `….size()` is asked of.
fn sized(part: &IdedExpr) -> Option<&IdedExpr> {
    match &part.expr {
        Expr::Call(call) if call.func_name == "size" => match (call.target.as_deref(), call.args.as_slice()) {
            (None, [of]) | (Some(of), []) => Some(of),
            _ => None,
        },
        _ => None,
    }
}

fn is_variable(part: &IdedExpr, name: &str) -> bool {
    matches!(&part.expr, Expr::Ident(found) if found == name)
}

fn list_of(path: &[&str]) -> Option<ListOf> {
    match path {
        ["record", "tags"] => Some(ListOf::Tags),
        ["department", "asked"] => Some(ListOf::Asked),
        ["contact", "identifiers"] => Some(ListOf::Identifiers),
        ["contact", "domains"] => Some(ListOf::Domains),
        _ => None,
    }
}

/// `record.attributes.x` as an answer of its own.
fn is_true(part: &IdedExpr) -> Option<Predicate> {
    match path(part)?.as_slice() {
        ["record", map, name] => match named(map, name)? {
            Presence::Fact(of) => Some(Predicate::Fact(of, FactTest::True)),
            Presence::Score(_) | Presence::Sentiment => None,
        },
        _ => None,
    }
}

/// `has(record.scores.nps)`.
fn presence(select: &SelectExpr) -> Option<Presence> {
    match (path(&select.operand)?.as_slice(), select.field.as_str()) {
        (["record"], "sentiment") => Some(Presence::Sentiment),
        (["record", map], name) => named(map, name),
        _ => None,
    }
}

/// What stands under a name in one of the record's maps.
fn named(map: &str, name: &str) -> Option<Presence> {
    match map {
        "scores" => Some(Presence::Score(name.to_owned())),
        "attributes" => Some(Presence::Fact(FactOf::Attribute(name.to_owned()))),
        "given" => Some(Presence::Fact(FactOf::Given(name.to_owned()))),
        _ => None,
    }
}

fn text_of(path: &[&str]) -> Option<TextOf> {
    match path {
        ["record", "instance"] => Some(TextOf::Instance),
        ["record", "channel"] => Some(TextOf::Channel),
        ["record", "kind"] => Some(TextOf::Kind),
        ["record", "language"] => Some(TextOf::Language),
        ["record", "subject"] => Some(TextOf::Subject),
        ["record", "body"] => Some(TextOf::Body),
        ["contact", "name"] => Some(TextOf::ContactName),
        ["contact", "locale"] => Some(TextOf::ContactLocale),
        _ => None,
    }
}

/// The pieces of texts that are added to one another: at least one of the record among them, and nothing but texts.
fn pieces(part: &IdedExpr) -> Option<Vec<Piece>> {
    fn gather(part: &IdedExpr, found: &mut Vec<Piece>) -> Option<()> {
        if let Expr::Call(call) = &part.expr
            && call.target.is_none()
            && call.func_name == operators::ADD
        {
            return call.args.iter().try_for_each(|arg| gather(arg, found));
        }
        let piece = match text(part) {
            Some(written) => Piece::Written(written.to_owned()),
            None => Piece::Of(text_of(&path(part)?)?),
        };
        found.push(piece);
        Some(())
    }
    let mut found = Vec::new();
    gather(part, &mut found)?;
    let asks_the_record = found.iter().any(|piece| matches!(piece, Piece::Of(_)));
    (found.len() > 1 && asks_the_record).then_some(found)
}

/// `record.attributes['masked-phone']` as its names, from the outermost.
pub(super) fn path(part: &IdedExpr) -> Option<Vec<&str>> {
    match &part.expr {
        Expr::Ident(name) => Some(vec![name.trim_start_matches('.')]),
        Expr::Select(select) if !select.test => extended(&select.operand, &select.field),
        Expr::Call(call) if call.target.is_none() && call.func_name == operators::INDEX => {
            let [of, key] = call.args.as_slice() else {
                return None;
            };
            extended(of, text(key)?)
        }
        _ => None,
    }
}

fn extended<'e>(of: &'e IdedExpr, name: &'e str) -> Option<Vec<&'e str>> {
    let mut path = path(of)?;
    path.push(name);
    Some(path)
}

/// A value that stands in the rule.
fn written(part: &IdedExpr) -> Option<Written> {
    let Expr::Literal(literal) = &part.expr else {
        return None;
    };
    match literal {
        LiteralValue::Boolean(value) => Some(Written::Bool(*value.inner())),
        LiteralValue::Int(number) => Some(Written::Number(Number::Int(*number.inner()))),
        LiteralValue::Double(number) => Some(Written::Number(Number::Double(*number.inner()))),
        LiteralValue::String(text) => Some(Written::Text(text.inner().to_owned())),
        LiteralValue::Bytes(_) | LiteralValue::Null | LiteralValue::UInt(_) => None,
    }
}

fn equals(part: &IdedExpr) -> Option<TextTest> {
    text(part).map(|written| TextTest::Equals(written.to_owned()))
}

/// A question to a text by the name of its function, with what stands in the rule.
fn text_test(function: &str, arg: &IdedExpr) -> Option<TextTest> {
    let written = text(arg)?;
    match function {
        "contains" => Some(TextTest::Contains(written.to_owned())),
        "startsWith" => Some(TextTest::StartsWith(written.to_owned())),
        "endsWith" => Some(TextTest::EndsWith(written.to_owned())),
        "matches" => patterns::read(written).ok().map(TextTest::Matches),
        _ => None,
    }
}

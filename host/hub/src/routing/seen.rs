//! One record as rules see it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::Val;
use cel::{Context, Env, IdedExpr, Value};
use mihwar_model::{Author, Content, FactValue, Identifier, InstanceName, Kind, Language, Scalar, Tag};

use super::failure::Failure;
use super::schema::{Object, Vocabulary};
use super::source::ContactField;
use crate::rows::Head;

/// A text of a record that rules ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TextOf {
    Instance,
    Channel,
    Kind,
    Language,
    Subject,
    Body,
    ContactName,
    ContactLocale,
    /// Several texts, one behind the other: which, the rule set knows by this number.
    Joined(usize),
}

/// A piece of a joined text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Of(TextOf),
    Written(String),
}

/// A list of texts of a record that rules ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListOf {
    Tags,
    Asked,
    Identifiers,
    Domains,
}

/// A value that a record may have under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FactOf {
    /// What enrichers found.
    Attribute(String),
    /// What the source said beyond the common fields.
    Given(String),
}

/// Such a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fact<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
}

/// What a record is routed by.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) head: &'a Head,
    pub(super) content: &'a Content,
    /// Departments that enrichers asked for, each with who did.
    pub(super) asked: &'a [(InstanceName, InstanceName)],
}

/// What rules of a set have in common.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) env: &'a Arc<Env>,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) joined: &'a [Vec<Piece>],
}

/// A record with what was worked out of it so far.
pub(super) struct Seen<'a> {
    subject: Subject<'a>,
    around: Surroundings<'a>,
    joined: Vec<OnceCell<String>>,
    identifiers: OnceCell<Vec<String>>,
    domains: OnceCell<Vec<String>>,
    /// Made for the first rule that must be interpreted.
    context: OnceCell<Context<'a, 'a>>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(subject: Subject<'a>, around: Surroundings<'a>) -> Self {
        Self {
            subject,
            around,
            joined: around.joined.iter().map(|_| OnceCell::new()).collect(),
            identifiers: OnceCell::new(),
            domains: OnceCell::new(),
            context: OnceCell::new(),
        }
    }

    pub(super) const fn head(&self) -> &'a Head {
        self.subject.head
    }

    pub(super) fn text(&self, of: TextOf) -> &str {
        let Subject { head, content, .. } = self.subject;
        match of {
            TextOf::Instance => head.instance.as_str(),
            TextOf::Channel => head.channel.as_str(),
            TextOf::Kind => head.kind.map_or("", Kind::as_str),
            TextOf::Language => head.language.as_ref().map_or("", Language::as_str),
            TextOf::Subject => content.subject.as_deref().unwrap_or_default(),
            TextOf::Body => content.body.as_str(),
            TextOf::ContactName => author_text(content, |author| author.name.as_deref()),
            TextOf::ContactLocale => author_text(content, |author| author.locale.as_deref()),
            TextOf::Joined(number) => match self.joined.get(number) {
                Some(joined) => joined.get_or_init(|| self.join(number)).as_str(),
                None => "",
            },
        }
    }

    fn join(&self, number: usize) -> String {
        let pieces = self.around.joined.get(number).map(Vec::as_slice).unwrap_or_default();
        let texts = pieces.iter().map(|piece| match piece {
            Piece::Of(of) => self.text(*of),
            Piece::Written(text) => text.as_str(),
        });
        texts.collect()
    }

    pub(super) fn list(&self, of: ListOf) -> impl Iterator<Item = &str> {
        let Subject { head, content, asked } = self.subject;
        let tags = head.tags.iter().filter(move |_| of == ListOf::Tags).map(Tag::as_str);
        let asked = asked.iter().filter(move |_| of == ListOf::Asked);
        let asked = asked.map(|(_, department)| department.as_str());
        let made: &[String] = match of {
            ListOf::Tags | ListOf::Asked => &[],
            ListOf::Identifiers => self.identifiers.get_or_init(|| identifiers(content).collect()),
            ListOf::Domains => self.domains.get_or_init(|| domains(content).collect()),
        };
        tags.chain(asked).chain(made.iter().map(String::as_str))
    }

    pub(super) fn score(&self, metric: &str) -> Option<f64> {
        let mut scores = self.subject.head.scores.iter().rev();
        scores.find(|score| score.metric == metric).map(|score| score.value)
    }

    pub(super) fn fact(&self, of: &FactOf) -> Option<Fact<'a>> {
        let Subject { head, content, .. } = self.subject;
        match of {
            FactOf::Attribute(name) => {
                let mut found = head.attributes.iter().rev();
                found
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| found_out(value))
            }
            FactOf::Given(name) => {
                let mut found = content.attributes.iter().rev();
                found.find(|one| one.name == *name).map(|one| given(&one.value))
            }
        }
    }

    /// Lets the interpreter carry out a part of a rule.
    pub(super) fn interpreted(&self, part: &IdedExpr) -> Result<bool, Failure> {
        let value = Value::resolve_val(part, self.context()).map_err(|error| Failure::of(&error))?;
        let answer = value.downcast_ref::<CelBool>().map(|answer| *answer.inner());
        answer.ok_or(Failure::NotBoolean)
    }

    /// What a part of a rule comes to, for people.
    pub(super) fn value(&self, part: &IdedExpr) -> Result<Value, Failure> {
        Value::resolve(part, self.context()).map_err(|error| Failure::of(&error))
    }

    fn context(&self) -> &Context<'a, 'a> {
        self.context.get_or_init(|| {
            let Surroundings { env, vocabulary, .. } = self.around;
            let mut context = Context::with_env(Arc::clone(env));
            context.set_variable_resolver(vocabulary);
            context.add_variable_as_val(Object::Record.as_str(), record(self.subject));
            context.add_variable_as_val(Object::Contact.as_str(), contact(self.subject, &vocabulary.granted));
            context.add_variable_as_val(Object::Department.as_str(), department(self.subject, vocabulary));
            context
        })
    }
}

fn author_text<'a>(content: &'a Content, text: impl Fn(&'a Author) -> Option<&'a str>) -> &'a str {
    content.author.as_ref().and_then(text).unwrap_or_default()
}

type Boxed<'a> = Box<dyn Val + 'a>;

fn record(Subject { head, content, .. }: Subject<'_>) -> Boxed<'_> {
    let tags = head.tags.iter().map(|tag| text(tag.as_str()));
    let scores = head.scores.iter();
    let scores = scores.map(|score| (score.metric.as_str(), double(score.value)));
    let attributes = head.attributes.iter();
    let attributes = attributes.map(|(name, value)| (name.as_str(), fact(found_out(value))));
    let said = content.attributes.iter();
    let said = said.map(|one| (one.name.as_str(), fact(given(&one.value))));
    let mut fields: Vec<(&str, Boxed<'_>)> = vec![
        ("id", owned(head.feedback.to_string())),
        ("instance", text(head.instance.as_str())),
        ("channel", text(head.channel.as_str())),
        ("kind", text(head.kind.map_or("", Kind::as_str))),
        ("language", text(head.language.as_ref().map_or("", Language::as_str))),
        ("subject", text(content.subject.as_deref().unwrap_or_default())),
        ("body", text(&content.body)),
        ("tags", list(tags)),
        ("scores", map(scores)),
        ("attributes", map(attributes)),
        ("given", map(said)),
        ("attachments", int(i64::from(head.attachments))),
        ("revision", int(i64::from(head.revision))),
        ("received_at", int(head.received_at.0)),
    ];
    if let Some(sentiment) = head.sentiment {
        fields.push(("sentiment", double(sentiment)));
    }
    map(fields.into_iter())
}

/// The handles of whoever said something.
fn handles(content: &Content) -> &[Identifier] {
    let author = content.author.as_ref();
    author.map(|author| author.identifiers.as_slice()).unwrap_or_default()
}

fn identifiers(content: &Content) -> impl Iterator<Item = String> {
    let handles = handles(content).iter();
    handles.map(|Identifier { scheme, id }| format!("{scheme}:{id}"))
}

/// What stands behind the `@` of handles that have one.
fn domains(content: &Content) -> impl Iterator<Item = String> {
    let parted = handles(content).iter().filter_map(|one| one.id.rsplit_once('@'));
    parted.map(|(_, domain)| domain.to_lowercase())
}

/// What is granted, and nothing else.
fn contact<'a>(Subject { head, content, .. }: Subject<'a>, granted: &[ContactField]) -> Boxed<'a> {
    let field = |field: &ContactField| {
        let value: Boxed<'a> = match field {
            ContactField::Id => owned(head.contact.to_string()),
            ContactField::Name => text(author_text(content, |author| author.name.as_deref())),
            ContactField::Locale => text(author_text(content, |author| author.locale.as_deref())),
            ContactField::Identifiers => list(identifiers(content).map(owned)),
            ContactField::Domains => list(domains(content).map(owned)),
        };
        (field.as_str(), value)
    };
    map(granted.iter().map(field))
}

fn department<'a>(subject: Subject<'a>, vocabulary: &'a Vocabulary) -> Boxed<'a> {
    let asked = subject.asked.iter().map(|(_, department)| text(department.as_str()));
    let names = vocabulary.departments.iter().map(|name| text(name.as_str()));
    map([("asked", list(asked)), ("names", list(names))].into_iter())
}

fn text(text: &str) -> Boxed<'_> {
    Box::new(CelString::from(text))
}

fn owned<'a>(text: String) -> Boxed<'a> {
    Box::new(CelString::from(text))
}

fn int<'a>(number: i64) -> Boxed<'a> {
    Box::new(CelInt::from(number))
}

fn double<'a>(number: f64) -> Boxed<'a> {
    Box::new(CelDouble::from(number))
}

fn list<'a>(elements: impl Iterator<Item = Boxed<'a>>) -> Boxed<'a> {
    Box::new(CelList::from(elements.collect::<Vec<_>>()))
}

fn map<'a>(entries: impl Iterator<Item = (&'a str, Boxed<'a>)>) -> Boxed<'a> {
    let entries = entries.map(|(name, value)| (CelMapKey::from(name), value));
    Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
}

fn found_out(value: &FactValue) -> Fact<'_> {
    match value {
        FactValue::Boolean(value) => Fact::Bool(*value),
        FactValue::Integer(value) => Fact::Int(*value),
        FactValue::Decimal(value) => Fact::Double(*value),
        FactValue::Code(value) => Fact::Text(value),
    }
}

fn given(value: &Scalar) -> Fact<'_> {
    match value {
        Scalar::Boolean(value) => Fact::Bool(*value),
        Scalar::Integer(value) => Fact::Int(*value),
        Scalar::Decimal(value) => Fact::Double(*value),
        Scalar::Text(value) => Fact::Text(value),
    }
}

fn fact(value: Fact<'_>) -> Boxed<'_> {
    match value {
        Fact::Bool(value) => Box::new(CelBool::from(value)),
        Fact::Int(value) => int(value),
        Fact::Double(value) => double(value),
        Fact::Text(value) => text(value),
    }
}

//! What rules can ask for, and of which type it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use cel::common::types::{CelList, CelMap, CelMapKey, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use mihwar_model::InstanceName;

use super::lists::name_in_rules;
use super::source::{ContactField, RulesSource};

/// The type of an expression, in CEL's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Duration,
    Timestamp,
    /// A type itself, as `type(x)` answers it.
    OfTypes,
    List(Box<Self>),
    /// Values by name.
    Map(Box<Self>),
    Object(Object),
    /// Known only when the rule is carried out.
    Dyn,
}

/// Something with fields of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Record,
    Contact,
    Department,
    Lists,
}

impl Object {
    const ALL: [Self; 4] = [Self::Record, Self::Contact, Self::Department, Self::Lists];

    /// Whether it is the name of one.
    pub(super) fn is_name(name: &str) -> bool {
        Self::ALL.into_iter().any(|object| object.as_str() == name)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Contact => "contact",
            Self::Department => "department",
            Self::Lists => "lists",
        }
    }
}

impl Type {
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    pub(super) fn map(of: Self) -> Self {
        Self::Map(Box::new(of))
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// As it stands in a sentence.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Int => "an int".to_owned(),
            other => format!("a {other}"),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Null => "null",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::OfTypes => "type",
            Self::List(of) => return write!(f, "list({of})"),
            Self::Map(of) => return write!(f, "map(string, {of})"),
            Self::Object(object) => return write!(f, "map of the fields of {}", object.as_str()),
            Self::Dyn => "dyn",
        };
        f.write_str(name)
    }
}

/// The fields of `record`.
fn record_fields() -> [(&'static str, Type); 15] {
    [
        ("id", Type::Text),
        ("instance", Type::Text),
        ("channel", Type::Text),
        ("kind", Type::Text),
        ("language", Type::Text),
        ("subject", Type::Text),
        ("body", Type::Text),
        ("tags", Type::list(Type::Text)),
        ("scores", Type::map(Type::Double)),
        ("attributes", Type::map(Type::Dyn)),
        ("given", Type::map(Type::Dyn)),
        ("attachments", Type::Int),
        ("revision", Type::Int),
        ("received_at", Type::Int),
        ("sentiment", Type::Double),
    ]
}

fn contact_type(field: ContactField) -> Type {
    match field {
        ContactField::Id | ContactField::Name | ContactField::Locale => Type::Text,
        ContactField::Identifiers | ContactField::Domains => Type::list(Type::Text),
    }
}

/// What the rules of one set can ask for besides the record.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    /// Sorted, each once.
    pub(super) granted: Vec<ContactField>,
    /// Everyone whom a rule or the default names; sorted, each once.
    pub(super) departments: Vec<InstanceName>,
    lists: BTreeMap<String, Arc<HashSet<String>>>,
    /// `lists` as the interpreter sees it.
    value: CelMap<'static>,
}

impl Vocabulary {
    pub(super) fn of(source: &RulesSource) -> Self {
        let mut granted = source.contact_fields.clone();
        granted.sort_unstable();
        granted.dedup();
        let named = source.routes.iter().flat_map(|route| &route.to).chain(&source.default);
        let mut departments: Vec<_> = named.cloned().collect();
        departments.sort_unstable();
        departments.dedup();
        let (mut lists, mut values) = (BTreeMap::new(), HashMap::new());
        for (name, entries) in &source.lists {
            let name = name_in_rules(name);
            values.insert(CelMapKey::from(name.clone()), list(entries));
            lists.insert(name, Arc::new(entries.iter().cloned().collect()));
        }
        Self {
            granted,
            departments,
            lists,
            value: CelMap::from(values),
        }
    }

    /// The entries of a list.
    pub(super) fn list(&self, name: &str) -> Option<&Arc<HashSet<String>>> {
        self.lists.get(name)
    }

    /// The type of a variable.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) fn variable(&self, name: &str) -> Result<Type, String> {
        if let Some(object) = Object::ALL.into_iter().find(|object| object.as_str() == name) {
            return Ok(Type::Object(object));
        }
        let known = Object::ALL.map(Object::as_str);
        Err(format!(
            "there is no `{name}`{}; a rule sees {}",
            or_nearest(name, known),
            known.join(", ")
        ))
    }

    /// The type of a field.
    ///
    /// # Errors
    /// There is none of this name, or rules may not see it.
    pub(super) fn field(&self, object: Object, name: &str) -> Result<Type, String> {
        match object {
            Object::Record => {
                let fields = record_fields();
                let found = fields.iter().find(|(field, _)| *field == name);
                let names = || fields.iter().map(|(field, _)| *field).collect::<Vec<_>>();
                found
                    .map(|(_, of)| of.clone())
                    .ok_or_else(|| no_field(object, name, &names()))
            }
            Object::Department => match name {
                "asked" | "names" => Ok(Type::list(Type::Text)),
                _ => Err(no_field(object, name, &["asked", "names"])),
            },
            Object::Contact => self.contact_field(name),
            Object::Lists if self.lists.contains_key(name) => Ok(Type::list(Type::Text)),
            Object::Lists => Err(self.no_list(name)),
        }
    }

    fn contact_field(&self, name: &str) -> Result<Type, String> {
        let Ok(field) = name.parse::<ContactField>() else {
            let known = ContactField::ALL.map(ContactField::as_str);
            return Err(no_field(Object::Contact, name, &known));
        };
        if self.granted.contains(&field) {
            return Ok(contact_type(field));
        }
        Err(format!(
            "contact.{name} is not granted to rules; if they are to see it of everybody, add \"{name}\" to contact-fields of \
             [routing]"
        ))
    }

    fn no_list(&self, name: &str) -> String {
        let known: Vec<&str> = self.lists.keys().map(String::as_str).collect();
        if known.is_empty() {
            return format!("there is no list `{name}`; lists stand under [routing.lists], and there are none");
        }
        let nearest = or_nearest(name, known.iter().copied());
        format!("there is no list `{name}`{nearest}; there are {}", known.join(", "))
    }
}

impl VariableResolver for Vocabulary {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == Object::Lists.as_str()).then_some(CowVal::Borrowed(&self.value))
    }
}

fn list(entries: &[String]) -> Box<dyn Val> {
    let entries = entries
        .iter()
        .map(|entry| Box::new(CelString::from(entry.clone())) as Box<dyn Val>);
    Box::new(CelList::from(entries.collect::<Vec<_>>()))
}

fn no_field(object: Object, name: &str, known: &[&str]) -> String {
    format!(
        "{} has no field `{name}`{}; it has {}",
        object.as_str(),
        or_nearest(name, known.iter().copied()),
        known.join(", ")
    )
}

/// `(did you mean …?)`, if one of the known names is much like the one that stands there.
pub(crate) fn or_nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let most = (name.chars().count() / 3).max(1);
    let near = known.into_iter().map(|known| (distance(name, known), known));
    match near.min_by_key(|(distance, _)| *distance) {
        Some((distance, known)) if distance <= most => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    }
}

/// How many letters must be put in, left out or changed to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.chars().enumerate() {
        // What stood above and to the left; what stands to the left.
        let (mut corner, mut left) = (index, index + 1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (corner + usize::from(letter != *other)).min(above + 1).min(left + 1);
            corner = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, or_nearest};

    #[test]
    fn the_nearest_name_is_told_and_a_far_one_is_not() {
        assert_eq!(
            (distance("chanel", "channel"), distance("", "نعم"), distance("لا", "لا")),
            (1, 3, 0)
        );
        assert_eq!(or_nearest("chanel", ["kind", "channel"]), " (did you mean `channel`?)");
        assert_eq!(or_nearest("tagz", ["tags", "kind"]), " (did you mean `tags`?)");
        assert_eq!(or_nearest("priority", ["kind", "channel"]), "");
    }
}

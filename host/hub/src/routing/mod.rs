//! Routing: rules in CEL over the record choose the departments that receive it.

mod patterns;
mod reading;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, DeclarationError, Env, ExecutionError, Program, Value};
use mihwar_model::{Content, FactValue, InstanceName, Kind, Language};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::rows::Head;
use reading::compiled;

/// `[routing]`: what holds for all rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct RoutingSection {
    /// Who receives what no rule chose, so that nothing falls through.
    pub(crate) default: Vec<InstanceName>,
    /// `all` rules that match add their departments, or only the `first`.
    pub(crate) matching: Matching,
}

/// See [`RoutingSection::matching`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Matching {
    /// Every rule that matches adds its departments.
    #[default]
    All,
    /// The first rule that matches decides.
    First,
}

/// `[[route]]`: one rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteSection {
    /// Its name, as it stands beside every decision.
    pub(crate) name: String,
    /// CEL over `record`, of at most [`reading::CHARS_MAX`] characters.
    pub(crate) when: String,
    /// Departments.
    pub(crate) to: Vec<InstanceName>,
}

/// Compiled rules.
#[derive(Default)]
pub struct RuleSet {
    env: Arc<Env>,
    rules: Vec<Rule>,
    default: Vec<InstanceName>,
    matching: Matching,
    fingerprint: u64,
}

struct Rule {
    name: String,
    program: Program,
    to: Vec<InstanceName>,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.rules.iter().map(|rule| &rule.name))
            .finish()
    }
}

/// One department and the rule that chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) destination: InstanceName,
    pub(crate) rule: String,
}

/// Name of the rule that stands for `routing.default`.
const DEFAULT_RULE: &str = "default";

fn env() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib();
    patterns::declare(&mut env)?;
    Ok(env)
}

impl RuleSet {
    /// Compiles rules. The error carries the index of the rule and what is wrong with it.
    pub(crate) fn compile(routes: &[RouteSection], routing: &RoutingSection) -> Result<Self, (usize, String)> {
        let env = env().map_err(|error| (0, error.to_string()))?;
        let mut rules = Vec::with_capacity(routes.len());
        let mut hash = Sha256::new();
        for (index, route) in routes.iter().enumerate() {
            let program = compiled(&env, &route.when).map_err(|error| {
                let message = format!("rule \"{}\" is no CEL expression: {error}", route.name);
                (index, message)
            })?;
            let references = program.references();
            if let Some(name) = references.variables().into_iter().find(|name| *name != "record") {
                return Err((
                    index,
                    format!(
                        "rule \"{}\" asks for `{name}`; what a rule sees is `record`",
                        route.name
                    ),
                ));
            }
            hash.update(format!("{route:?}"));
            rules.push(Rule {
                name: route.name.clone(),
                program,
                to: route.to.clone(),
            });
        }
        hash.update(format!("{routing:?}"));
        let digest: [u8; 32] = hash.finalize().into();
        let fingerprint = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Ok(Self {
            env: Arc::new(env),
            rules,
            default: routing.default.clone(),
            matching: routing.matching,
            fingerprint,
        })
    }

    /// First 8 bytes of the SHA-256 of the rules.
    pub(crate) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Everyone whom a rule or the default names; some more than once.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &InstanceName> {
        self.rules.iter().flat_map(|rule| &rule.to).chain(&self.default)
    }

    /// Chooses who receives a record: by the rules, by what enrichers asked for, else the default.
    pub(crate) fn decide(
        &self,
        head: &Head,
        content: &Content,
        asked: &[(InstanceName, InstanceName)],
    ) -> Vec<Decision> {
        let mut decisions: Vec<Decision> = Vec::new();
        let mut add = |destination: &InstanceName, rule: &str| {
            if !decisions.iter().any(|known| known.destination == *destination) {
                decisions.push(Decision {
                    destination: destination.clone(),
                    rule: rule.to_owned(),
                });
            }
        };
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("record", record(head, content));
        for rule in &self.rules {
            if matches(rule, &context) {
                rule.to.iter().for_each(|destination| add(destination, &rule.name));
                if self.matching == Matching::First {
                    break;
                }
            }
        }
        for (enricher, destination) in asked {
            add(destination, &format!("enricher {enricher}"));
        }
        if decisions.is_empty() {
            return self
                .default
                .iter()
                .map(|destination| Decision {
                    destination: destination.clone(),
                    rule: DEFAULT_RULE.to_owned(),
                })
                .collect();
        }
        decisions
    }
}

/// A rule that asks for something the record lacks does not match; any other error is logged, since the
/// admin meant something else.
fn matches(rule: &Rule, context: &Context<'_, '_>) -> bool {
    match rule.program.execute(context) {
        Ok(Value::Bool(answer)) => answer,
        Err(ExecutionError::NoSuchKey(_)) => false,
        Ok(other) => {
            tracing::warn!(
                rule = rule.name,
                "a rule answered {:?} instead of true or false",
                other.type_of()
            );
            false
        }
        Err(error) => {
            metrics::counter!("mihwar_routing_rule_errors_total", "rule" => rule.name.clone()).increment(1);
            // The error itself may quote the record.
            let sort = format!("{error:?}");
            let sort = sort
                .split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap_or_default()
                .to_owned();
            tracing::warn!(
                rule = rule.name,
                sort,
                "a rule failed on a record; it asks for something that its fields cannot answer"
            );
            false
        }
    }
}

/// What a rule sees.
fn record(head: &Head, content: &Content) -> Value {
    let text = |text: &str| Value::from(text.to_owned());
    let scores = head
        .scores
        .iter()
        .map(|score| (score.metric.clone(), Value::Float(score.value)));
    let attributes = head.attributes.iter().map(|(name, value)| (name.clone(), fact(value)));
    let mut fields: BTreeMap<&str, Value> = BTreeMap::from([
        ("id", text(&head.feedback.to_string())),
        ("instance", text(head.instance.as_str())),
        ("channel", text(head.channel.as_str())),
        ("kind", text(head.kind.map_or("", Kind::as_str))),
        ("language", text(head.language.as_ref().map_or("", Language::as_str))),
        ("subject", text(content.subject.as_deref().unwrap_or_default())),
        ("body", text(&content.body)),
        (
            "tags",
            Value::List(Arc::new(head.tags.iter().map(|tag| text(tag.as_str())).collect())),
        ),
        ("scores", map(scores)),
        ("attributes", map(attributes)),
        ("attachments", Value::Int(i64::from(head.attachments))),
        ("revision", Value::Int(i64::from(head.revision))),
        ("received_at", Value::Int(head.received_at.0)),
    ]);
    if let Some(sentiment) = head.sentiment {
        fields.insert("sentiment", Value::Float(sentiment));
    }
    map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)))
}

fn map(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let map = entries
        .map(|(name, value)| (Key::String(Arc::new(name)), value))
        .collect();
    Value::Map(Map { map: Arc::new(map) })
}

fn fact(value: &FactValue) -> Value {
    match value {
        FactValue::Boolean(value) => Value::Bool(*value),
        FactValue::Integer(value) => Value::Int(*value),
        FactValue::Decimal(value) => Value::Float(*value),
        FactValue::Code(value) => Value::from(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{Channel, ContactId, Content, FeedbackId, InstanceName, Kind, Score, Tag, Time};

    use super::{Matching, RouteSection, RoutingSection, RuleSet};
    use crate::rows::Head;

    fn name(text: &str) -> InstanceName {
        InstanceName::new(text).unwrap()
    }

    fn head() -> Head {
        Head {
            feedback: FeedbackId::from_bytes([1; 16]),
            revision: 1,
            contact: ContactId::from_bytes([2; 16]),
            instance: name("form"),
            channel: Channel::new(Tag::new("form").unwrap()),
            kind: Some(Kind::Complaint),
            occurred_at: None,
            received_at: Time(0),
            thread: None,
            language: None,
            sentiment: None,
            scores: vec![Score {
                metric: "nps".into(),
                value: 2.0,
                min: 0.0,
                max: 10.0,
            }],
            tags: vec![Tag::new("فاتورة").unwrap()],
            attributes: vec![],
            call: None,
            attachments: 0,
            body_chars: 0,
            destinations: vec![],
            quarantine: None,
            withdrawn: false,
            entries: crate::head_row::Entries::default(),
            erased_at: None,
            row_bytes: 0,
        }
    }

    fn decide(rules: &[(&str, &str)], matching: Matching) -> Vec<(String, String)> {
        let routes: Vec<_> = rules
            .iter()
            .map(|(to, when)| RouteSection {
                name: (*when).to_owned(),
                when: (*when).to_owned(),
                to: vec![name(to)],
            })
            .collect();
        let routing = RoutingSection {
            default: vec![name("service")],
            matching,
        };
        let rules = RuleSet::compile(&routes, &routing).unwrap();
        let content = Content {
            body: "وصلتني فاتورة خاطئة".into(),
            ..Content::default()
        };
        let decisions = rules.decide(&head(), &content, &[]);
        decisions
            .into_iter()
            .map(|d| (d.destination.to_string(), d.rule))
            .collect()
    }

    #[test]
    fn rules_see_words_scores_and_tags() {
        let text = "record.body.contains('فاتورة')";
        let score = "has(record.scores.nps) && record.scores.nps <= 6.0";
        let tag = "'فاتورة' in record.tags";
        for rule in [text, score, tag, "record.kind == 'complaint'"] {
            assert_eq!(
                decide(&[("billing", rule)], Matching::All),
                [("billing".into(), rule.into())]
            );
        }
    }

    #[test]
    fn what_no_rule_chooses_goes_to_the_default_and_nothing_twice() {
        let missing = "record.scores.csat > 3.0";
        assert_eq!(
            decide(&[("billing", missing)], Matching::All),
            [("service".into(), "default".into())]
        );
        let both = [
            ("billing", "true"),
            ("billing", "record.kind == 'complaint'"),
            ("it", "true"),
        ];
        assert_eq!(decide(&both, Matching::All).len(), 2);
        assert_eq!(decide(&both, Matching::First), [("billing".into(), "true".into())]);
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_named() {
        let compile = |when: &str| {
            let route = RouteSection {
                name: "أولى".into(),
                when: when.into(),
                to: vec![],
            };
            RuleSet::compile(&[route], &RoutingSection::default())
                .map(drop)
                .unwrap_err()
        };
        assert!(compile("record.kind ==").1.contains("أولى"));
        assert!(compile("contact.name == ''").1.contains("contact"));
    }
}

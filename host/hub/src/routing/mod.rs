//! Routing: rules in CEL over a record choose the departments that receive it.
//!
//! A rule is read ([`reading`]), its types are checked ([`checking`], over [`schema`]), and what it is made of is compiled
//! ([`compiling`]) to questions that are put to the record itself ([`predicate`]); only what is left is interpreted. Which
//! rules are asked at all an index says ([`index`]). Why rules chose whom is told by [`explain`], and what another rule set
//! would choose by [`trial`].

mod checking;
mod compiling;
mod explain;
mod failure;
mod functions;
mod index;
mod lists;
mod patterns;
mod predicate;
mod reading;
mod sample;
mod schema;
mod seen;
mod source;
mod spans;
mod story;
mod trial;

use std::fmt;
use std::sync::Arc;

use cel::{Env, Program};
use mihwar_model::{Content, InstanceName, RuleFailure, Time};
use sha2::{Digest, Sha256};

use crate::rows::Head;
use compiling::Compiler;
use failure::{Failure, Logged};
use index::Index;
use predicate::Predicate;
use schema::Vocabulary;
use seen::{Piece, Seen, Subject, Surroundings};

pub use explain::{RuleFailed, RuleVerdict, RulesToday, Verdict};
pub(crate) use lists::resolve as resolve_lists;
pub use sample::RoutingSample;
pub(crate) use schema::or_nearest;
pub(crate) use source::RoutingSection;
pub use source::{ContactField, Matching, RouteSource, RuleProblem, RulesSource};
pub use story::{ChosenDepartment, RoutingDecision, RoutingExplanation};
pub use trial::{RoutingMove, RoutingTrial, RuleTally, TrialProgress};

/// Rules of one set. Each is read by a parser that takes its time, and kept in several forms.
const RULES_MAX: usize = 5_000;
/// Name of the rule that stands for `routing.default`.
const DEFAULT_RULE: &str = "default";

/// Compiled rules.
pub struct RuleSet {
    source: RulesSource,
    env: Arc<Env>,
    vocabulary: Vocabulary,
    joined: Vec<Vec<Piece>>,
    /// One for each route of the source.
    rules: Vec<Rule>,
    index: Index,
    fingerprint: u64,
    logged: Logged,
}

struct Rule {
    /// As it was written and parsed: for explanations.
    program: Program,
    predicate: Predicate,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.source.routes.iter().map(|route| &route.name))
            .finish()
    }
}

/// One department and the rule that chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) destination: InstanceName,
    pub(crate) rule: String,
}

/// What the rules make of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) decisions: Vec<Decision>,
    /// Numbers of the rules that matched.
    matched: Vec<usize>,
    /// Numbers of the rules that have no answer, and why.
    failed: Vec<(usize, Failure)>,
}

fn env() -> Env {
    let mut env = Env::stdlib();
    // Only a second declaration of the same name is refused, and there is none.
    if let Err(error) = patterns::declare(&mut env) {
        tracing::error!("rules go without matches(): {error}");
    }
    env
}

impl RuleSet {
    /// Compiles rules. Those that cannot be used are left out, and told.
    pub fn read(mut source: RulesSource) -> (Self, Vec<RuleProblem>) {
        let (env, vocabulary) = (env(), Vocabulary::of(&source));
        let mut problems = Vec::new();
        if source.routes.len() > RULES_MAX {
            problems.push(RuleProblem {
                route: RULES_MAX,
                message: format!("is one rule too many: at most {RULES_MAX} are taken"),
            });
            source.routes.truncate(RULES_MAX);
        }
        let mut compiler = Compiler::new(&vocabulary);
        let (mut routes, mut rules) = (Vec::new(), Vec::new());
        for (index, route) in source.routes.into_iter().enumerate() {
            match rule(&env, &vocabulary, &mut compiler, &route.when) {
                Ok(rule) => {
                    routes.push(route);
                    rules.push(rule);
                }
                Err(message) => problems.push(RuleProblem {
                    route: index,
                    message: format!("rule \"{}\"{message}", route.name),
                }),
            }
        }
        source.routes = routes;
        let joined = compiler.into_joined();
        let set = Self {
            fingerprint: fingerprint(&source),
            index: Index::of(rules.iter().map(|rule| &rule.predicate)),
            logged: Logged::of(rules.len()),
            env: Arc::new(env),
            source,
            vocabulary,
            joined,
            rules,
        };
        (set, problems)
    }

    /// The rules as they were written, with the entries of their lists.
    #[must_use]
    pub const fn source(&self) -> &RulesSource {
        &self.source
    }

    /// First 8 bytes of the SHA-256 of the rules and of the entries of their lists.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Everyone whom a rule or the default names; some more than once.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &InstanceName> {
        let named = self.source.routes.iter().flat_map(|route| &route.to);
        named.chain(&self.source.default)
    }

    /// Chooses who receives a record: by the rules, by what enrichers asked for (`asked`: who, and for which department),
    /// else the default.
    pub(crate) fn decide(&self, head: &Head, content: &Content, asked: &[(InstanceName, InstanceName)]) -> Decided {
        let seen = self.seen(Subject { head, content, asked });
        let candidates = self.index.candidates(&seen);
        let mut decided = Decided::default();
        for index in candidates.iter() {
            let Some(rule) = self.rules.get(index) else {
                continue;
            };
            match rule.predicate.holds(&seen) {
                Ok(true) => {
                    decided.matched.push(index);
                    if self.source.matching == Matching::First {
                        break;
                    }
                }
                Ok(false) => {}
                Err(failure) => decided.failed.push((index, failure)),
            }
        }
        decided.decisions = self.chosen(&decided.matched, asked);
        decided
    }

    fn seen<'a>(&'a self, subject: Subject<'a>) -> Seen<'a> {
        let around = Surroundings {
            env: &self.env,
            vocabulary: &self.vocabulary,
            joined: &self.joined,
        };
        Seen::new(subject, around)
    }

    /// Whom these rules and enrichers choose, each once, and else the default.
    fn chosen(&self, matched: &[usize], asked: &[(InstanceName, InstanceName)]) -> Vec<Decision> {
        let mut decisions: Vec<Decision> = Vec::new();
        let mut add = |destination: &InstanceName, rule: String| {
            if !decisions.iter().any(|known| known.destination == *destination) {
                let destination = destination.clone();
                decisions.push(Decision { destination, rule });
            }
        };
        for route in matched.iter().filter_map(|index| self.source.routes.get(*index)) {
            route
                .to
                .iter()
                .for_each(|destination| add(destination, route.name.clone()));
        }
        for (enricher, destination) in asked {
            add(destination, format!("enricher {enricher}"));
        }
        if decisions.is_empty() {
            let default = self.source.default.iter();
            let default = default.map(|destination| Decision {
                destination: destination.clone(),
                rule: DEFAULT_RULE.to_owned(),
            });
            decisions.extend(default);
        }
        decisions
    }

    /// The failures of a decision as they are kept beside it: the first sixteen.
    pub(crate) fn failures(&self, decided: &Decided) -> Option<Vec<RuleFailure>> {
        failure::kept(&self.source.routes, &decided.failed)
    }

    /// Counts the failures of a decision, and logs them now and then.
    pub(crate) fn note(&self, decided: &Decided, now: Time) {
        self.logged.note(&self.source.routes, &decided.failed, now);
    }
}

/// One rule, or why there is none: to be put behind its name.
fn rule(env: &Env, vocabulary: &Vocabulary, compiler: &mut Compiler<'_>, when: &str) -> Result<Rule, String> {
    let told = |place: Option<spans::Place>, message: &str| match place {
        Some(place) => format!(" at {place}: {message}"),
        None => format!(": {message}"),
    };
    let program = reading::compiled(env, when).map_err(|unusable| told(unusable.place, &unusable.message))?;
    checking::check(vocabulary, program.expression())
        .map_err(|fault| told(spans::place(&program, fault.part), &fault.message))?;
    Ok(Rule {
        predicate: compiler.predicate(program.expression()),
        program,
    })
}

/// Changes with everything that may change a decision.
fn fingerprint(source: &RulesSource) -> u64 {
    let mut hash = Sha256::new();
    let mut put = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    let names = |names: &[InstanceName]| names.iter().map(InstanceName::as_str).collect::<Vec<_>>().join(",");
    put(source.matching.as_str());
    put(&names(&source.default));
    let granted: Vec<&str> = source.contact_fields.iter().map(|field| field.as_str()).collect();
    put(&granted.join(","));
    for (name, entries) in &source.lists {
        put(name);
        put(&entries.len().to_string());
        entries.iter().for_each(|entry| put(entry));
    }
    for route in &source.routes {
        put(&route.name);
        put(&route.when);
        put(&names(&route.to));
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;

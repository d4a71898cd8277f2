//! How a record was routed, and how it would be today.

use mihwar_model::{DeliveryId, Event, EventBody, FeedbackId, InstanceName, RuleFailure, Time};
use serde::{Deserialize, Serialize};

use super::explain::{RuleFailed, RulesToday, explain};
use super::seen::Subject;
use super::{Decision, RuleSet};
use crate::hub::Hub;
use crate::query::{self, FeedbackRecord, LedgerEvent, QueryError};
use crate::walk::aside;

/// A department, and the rule that chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenDepartment {
    /// The department.
    pub department: String,
    /// The rule's name; `default`, or `enricher NAME` for one that an enricher asked for.
    pub rule: String,
    /// The delivery that was written with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
}

impl From<Decision> for ChosenDepartment {
    fn from(Decision { destination, rule }: Decision) -> Self {
        Self {
            department: destination.to_string(),
            rule,
            delivery: None,
        }
    }
}

/// A decision as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingDecision {
    /// When it was taken.
    pub at: Time,
    /// Its place in the ledger, from 0.
    pub entry: u64,
    /// The revision that it is about.
    pub revision: u32,
    /// Fingerprint of the rules that took it: 16 hexadecimal digits.
    pub rules: String,
    /// Who received it, and why.
    pub departments: Vec<ChosenDepartment>,
    /// Rules that had no answer; the first sixteen.
    pub failed: Vec<RuleFailed>,
}

/// How a piece of feedback was routed, and how it would be by the rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingExplanation {
    /// Its id.
    pub feedback: FeedbackId,
    /// Its newest revision.
    pub revision: u32,
    /// The last decision; `None` while it waits for the first one.
    pub decided: Option<RoutingDecision>,
    /// Fingerprint of the rules in force: 16 hexadecimal digits.
    pub rules: String,
    /// Whether the rules have changed since that decision.
    pub rules_changed: bool,
    /// Departments that enrichers asked for.
    pub asked: Vec<ChosenDepartment>,
    /// What the rules in force say; `None` where they cannot be asked.
    pub today: Option<RulesToday>,
    /// Why they cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_today: Option<String>,
}

impl Hub {
    /// How a piece of feedback was routed, and what each of the rules in force says to it, and why. `None` when there is no
    /// such feedback.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn explain_routing(&self, id: FeedbackId) -> Result<Option<RoutingExplanation>, QueryError> {
        let core = &self.shared.core;
        let Some(record) = query::feedback(core, id).await? else {
            return Ok(None);
        };
        let events = query::whole_history(core, id).await?;
        let config = self.shared.config();
        let explained = aside(move || {
            let known = |name: &InstanceName| config.knows(name);
            explained(&config.rules, record, &events, known)
        });
        Ok(Some(explained.await?))
    }
}

fn explained(
    rules: &RuleSet,
    record: FeedbackRecord,
    events: &[LedgerEvent],
    known: impl Fn(&InstanceName) -> bool,
) -> RoutingExplanation {
    let not_today = unaskable(&record);
    let FeedbackRecord { head, content, .. } = record;
    let told = events.iter().map(|LedgerEvent { event, .. }| event);
    let asked = asked(told, head.revision, known);
    let content = content.filter(|_| not_today.is_none());
    let today = content.map(|content| {
        let subject = Subject {
            head: &head,
            content: &content,
            asked: &asked,
        };
        explain(rules, subject)
    });
    let decided = events.iter().rev().find_map(decision);
    let rules = fingerprint_text(rules.fingerprint());
    RoutingExplanation {
        feedback: head.feedback,
        revision: head.revision,
        rules_changed: decided.as_ref().is_some_and(|decided| decided.rules != rules),
        decided,
        rules,
        asked: asked
            .into_iter()
            .map(|(enricher, department)| ChosenDepartment {
                department: department.to_string(),
                rule: format!("enricher {enricher}"),
                delivery: None,
            })
            .collect(),
        today,
        not_today,
    }
}

/// Why rules cannot be asked about a record, if they cannot.
fn unaskable(record: &FeedbackRecord) -> Option<String> {
    let FeedbackRecord {
        head,
        content,
        is_unreadable,
    } = record;
    if let Some(reason) = &head.quarantine {
        return Some(format!("it is kept and given to nobody (quarantine: {reason})"));
    }
    if head.withdrawn {
        return Some("its source took it back: what rules would ask is gone".to_owned());
    }
    match (content, is_unreadable) {
        (_, true) => Some("its content is damaged; run: mihwar ledger verify".to_owned()),
        (None, false) => Some("its content was erased: what rules would ask is gone".to_owned()),
        (Some(_), false) => None,
    }
}

/// What enrichers asked for when they read this revision: who, and for which department.
pub(super) fn asked<'e>(
    events: impl Iterator<Item = &'e Event>,
    revision: u32,
    known: impl Fn(&InstanceName) -> bool,
) -> Vec<(InstanceName, InstanceName)> {
    let enriched = events.filter_map(|event| match &event.body {
        EventBody::Enriched(enriched) if enriched.revision == revision => Some(enriched),
        _ => None,
    });
    let asked = enriched.flat_map(|enriched| {
        let departments = enriched.routes.iter();
        departments.map(move |department| (enriched.instance.clone(), department.clone()))
    });
    asked.filter(|(_, department)| known(department)).collect()
}

fn decision(told: &LedgerEvent) -> Option<RoutingDecision> {
    let EventBody::Routed(routed) = &told.event.body else {
        return None;
    };
    let departments = routed.routes.iter().map(|route| ChosenDepartment {
        department: route.destination.to_string(),
        rule: route.rule.clone(),
        delivery: Some(route.delivery),
    });
    let failed = routed.failed.iter().flatten();
    let failed = failed.map(|RuleFailure { rule, code }| RuleFailed::of(rule.clone(), code.clone()));
    Some(RoutingDecision {
        at: told.event.at,
        entry: told.sequence,
        revision: routed.revision,
        rules: fingerprint_text(routed.rules),
        departments: departments.collect(),
        failed: failed.collect(),
    })
}

/// A fingerprint of rules for people.
fn fingerprint_text(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

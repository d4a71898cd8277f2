//! A record that is routed to try rules out, and kept nowhere.

use mihwar_model::{ContactId, Content, Draft, FeedbackId, FieldProblem, InstanceName, Time};

use super::explain::RulesToday;
use super::seen::Subject;
use super::{RuleSet, explain};
use crate::head_row::Entries;
use crate::rows::Head;

/// A record as rules would see it if it came in now, before any enricher has read it.
#[derive(Debug, Clone)]
pub struct RoutingSample {
    head: Head,
    content: Content,
}

impl RoutingSample {
    /// The record of a draft that `instance` brings at `at`.
    ///
    /// # Errors
    /// Everything that would keep the draft from being stored.
    pub fn of(draft: Draft, instance: InstanceName, at: Time) -> Result<Self, Vec<FieldProblem>> {
        let problems = draft.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let head = Head {
            // Nothing is kept of it, so it needs no place and no name.
            feedback: FeedbackId::from_bytes([0; 16]),
            revision: 1,
            contact: ContactId::from_bytes([0; 16]),
            instance,
            channel: draft.channel,
            kind: draft.kind,
            occurred_at: draft.occurred_at,
            received_at: at,
            thread: None,
            language: draft.language,
            sentiment: None,
            scores: draft.scores,
            tags: draft.tags,
            attributes: Vec::new(),
            call: None,
            attachments: u32::try_from(draft.attachments.len()).unwrap_or(u32::MAX),
            body_chars: u32::try_from(draft.body.chars().count()).unwrap_or(u32::MAX),
            destinations: Vec::new(),
            quarantine: None,
            withdrawn: false,
            entries: Entries::default(),
            erased_at: None,
            row_bytes: 0,
        };
        let content = Content {
            author: draft.author,
            subject: draft.subject,
            body: draft.body,
            attributes: draft.attributes,
            ..Content::default()
        };
        Ok(Self { head, content })
    }
}

impl RuleSet {
    /// The departments that would receive a sample.
    #[must_use]
    pub fn departments_of(&self, sample: &RoutingSample) -> Vec<InstanceName> {
        let decided = self.decide(&sample.head, &sample.content, &[]);
        let decisions = decided.decisions.into_iter();
        decisions.map(|decision| decision.destination).collect()
    }

    /// What every rule says to a sample, and why.
    #[must_use]
    pub fn explain_sample(&self, sample: &RoutingSample) -> RulesToday {
        explain::explain(
            self,
            Subject {
                head: &sample.head,
                content: &sample.content,
                asked: &[],
            },
        )
    }
}

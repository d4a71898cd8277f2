//! What comes to the intake.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mihwar_model::{AttachmentBytes, Draft, FieldProblem, Masked};

use super::Redaction;

/// Files that were handed over during a call, by the handle that attachments name.
pub(crate) type Files = HashMap<String, Bytes>;

/// What happened to one item at its source.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    /// It is new, or changed.
    Draft {
        draft: Box<Draft>,
        /// Files that were handed over with it.
        files: Arc<Files>,
        /// What was masked in it.
        redaction: Redaction,
    },
    /// It was taken back: everything that names a person is destroyed.
    Withdrawal {
        /// The source's own id of it.
        external_id: String,
    },
}

impl From<Draft> for Arrival {
    fn from(draft: Draft) -> Self {
        Self::with_files(draft, Arc::default())
    }
}

impl Arrival {
    /// A draft with the files that were handed over with it.
    pub(crate) fn with_files(draft: Draft, files: Arc<Files>) -> Self {
        Self::Draft {
            draft: Box::new(draft),
            files,
            redaction: Redaction::default(),
        }
    }

    /// As [`Arrival::with_files`], of a draft that was kept elsewhere since this was masked in it.
    pub(crate) fn masked_before(draft: Draft, files: Arc<Files>, masked: Vec<Masked>) -> Self {
        Self::Draft {
            draft: Box::new(draft),
            files,
            redaction: Redaction::before(masked),
        }
    }

    /// Everything that keeps it from being stored; empty for what can be.
    pub(crate) fn problems(&self) -> Vec<FieldProblem> {
        match self {
            Self::Draft {
                draft,
                files,
                redaction,
            } => {
                let mut problems = draft.problems();
                problems.extend(missing_files(draft, files));
                problems.extend(redaction.refused.clone());
                problems
            }
            Self::Withdrawal { .. } => Vec::new(),
        }
    }

    pub(super) fn draft(&self) -> Option<&Draft> {
        match self {
            Self::Draft { draft, .. } => Some(draft),
            Self::Withdrawal { .. } => None,
        }
    }

    /// The source's own id, where it has one.
    pub(crate) fn external_id(&self) -> Option<&str> {
        match self {
            Self::Draft { draft, .. } => draft.external_id.as_deref(),
            Self::Withdrawal { external_id } => Some(external_id),
        }
    }

    pub(super) fn withdrawn(&self) -> Option<&str> {
        match self {
            Self::Draft { .. } => None,
            Self::Withdrawal { external_id } => Some(external_id),
        }
    }
}

fn missing_files(draft: &Draft, files: &Files) -> Vec<FieldProblem> {
    let attachments = draft.attachments.iter().enumerate();
    let missing = attachments.filter_map(|(i, attachment)| match &attachment.bytes {
        AttachmentBytes::Blob(handle) if !files.contains_key(handle) => Some(FieldProblem::new(
            format!("attachments[{i}]"),
            "names a blob that was not stored in this call",
        )),
        _ => None,
    });
    missing.collect()
}

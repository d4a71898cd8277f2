//! What a plugin returned, as arrivals for the intake, in the order in which the plugin told them, and beside them what a
//! department reports.

use std::sync::Arc;

use mihwar_model::FieldProblem;
use mihwar_sandbox::Effects;
use mihwar_sandbox::contract::types::{Change, StatusUpdate};

use crate::convert;
use crate::intake::{Arrival, Files};

/// What changes came to.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// What can be stored.
    pub(crate) arrivals: Vec<Arrival>,
    /// What became of items in a department's tool.
    pub(crate) reports: Vec<StatusUpdate>,
    /// External id and everything that is wrong, for items that are no record.
    pub(crate) refused: Vec<(String, Vec<FieldProblem>)>,
}

/// Sorts changes out: every item that the intake would refuse is refused here, by name and with every reason.
pub(crate) fn arrivals(changes: Vec<Change>, effects: &Effects) -> Taken {
    let blobs = effects.blobs.iter();
    let files: Files = blobs.map(|blob| (blob.id.clone(), blob.bytes.clone())).collect();
    let files = Arc::new(files);
    let mut taken = Taken::default();
    for change in changes {
        let (item, arrival) = match change {
            Change::Upsert(feedback) => {
                let item = feedback.external_id.clone();
                let draft = convert::draft(feedback).map(|draft| Arrival::with_files(draft, files.clone()));
                (item, draft)
            }
            Change::Erase(external_id) => (external_id.clone(), Ok(Arrival::Withdrawal { external_id })),
            Change::Status(report) => {
                taken.reports.push(report);
                continue;
            }
        };
        match arrival.and_then(checked) {
            Ok(arrival) => taken.arrivals.push(arrival),
            Err(problems) => taken.refused.push((item, problems)),
        }
    }
    taken
}

fn checked(arrival: Arrival) -> Result<Arrival, Vec<FieldProblem>> {
    let problems = arrival.problems();
    if problems.is_empty() {
        Ok(arrival)
    } else {
        Err(problems)
    }
}

/// Problems in one line.
pub(crate) fn list(problems: &[FieldProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What a plugin says, cut to at most `bytes` between two letters before it is kept.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use mihwar_model::Scalar;
    use mihwar_sandbox::contract::types::{
        Attachment, AttachmentSource, Attribute, CallDetails, Change, ChannelKind, Details, Direction, Feedback,
        StatusUpdate, Value, WorkState,
    };
    use mihwar_sandbox::{Effects, NewBlob};

    use super::{arrivals, cut, list};
    use crate::intake::Arrival;

    pub(crate) fn note(id: &str, body: &str) -> Feedback {
        Feedback {
            external_id: id.to_owned(),
            revision: None,
            channel: ChannelKind::Form,
            kind: None,
            occurred_at: None,
            author: None,
            thread_id: None,
            in_reply_to: None,
            subject: None,
            body: body.to_owned(),
            body_html: None,
            language: None,
            scores: Vec::new(),
            tags: Vec::new(),
            attachments: Vec::new(),
            details: Details::None,
            attributes: Vec::new(),
            raw: None,
        }
    }

    fn with_file(id: &str, handle: &str) -> Feedback {
        let recording = Attachment {
            name: "مكالمة.wav".to_owned(),
            media_type: "audio/wav".to_owned(),
            size: None,
            source: AttachmentSource::Blob(handle.to_owned()),
        };
        Feedback {
            attachments: vec![recording],
            ..note(id, "")
        }
    }

    #[test]
    fn the_order_is_kept_and_every_refusal_has_its_reasons() {
        let effects = Effects {
            blobs: vec![NewBlob {
                id: "new:0".to_owned(),
                media_type: "audio/wav".to_owned(),
                bytes: vec![1_u8, 2, 3].into(),
            }],
            ..Effects::default()
        };
        let status = StatusUpdate {
            external_ref: "T-9".to_owned(),
            state: WorkState::Resolved,
            note: None,
            url: None,
            changed_at: 0,
        };
        let taken = arrivals(
            vec![
                Change::Upsert(note("١", "الموظف كان لطيفاً")),
                Change::Erase("٢".to_owned()),
                Change::Upsert(with_file("3", "new:1")),
                Change::Upsert(with_file("4", "new:0")),
                Change::Upsert(note("5", " ")),
                Change::Status(status),
            ],
            &effects,
        );
        let shown: Vec<String> = taken
            .arrivals
            .iter()
            .map(|arrival| match arrival {
                Arrival::Draft { draft, files, .. } => format!("{:?} {}", draft.external_id, files.len()),
                Arrival::Withdrawal { external_id } => format!("- {external_id}"),
            })
            .collect();
        assert_eq!(shown, ["Some(\"١\") 1", "- ٢", "Some(\"4\") 1"]);
        let refused: Vec<_> = taken
            .refused
            .iter()
            .map(|(item, problems)| (item.as_str(), list(problems)))
            .collect();
        assert_eq!(refused[0].0, "3");
        assert!(refused[0].1.contains("attachments[0]: names a blob"), "{refused:?}");
        assert!(refused[1].0 == "5" && refused[1].1.contains("body"), "{refused:?}");
        assert_eq!(refused.len(), 2);
        let reported: Vec<&str> = taken
            .reports
            .iter()
            .map(|report| report.external_ref.as_str())
            .collect();
        assert_eq!(reported, ["T-9"], "whether there is such an item, the store knows");
    }

    #[test]
    fn a_call_brings_its_recording_and_a_time_stays_a_time() {
        let mut recorded = with_file("٦", "new:0");
        let call = CallDetails {
            direction: Direction::Inbound,
            duration_ms: None,
            queue: Some("الدعم الفني".to_owned()),
            agent: None,
            recording: recorded.attachments.pop(),
            transcript: Vec::new(),
        };
        recorded.details = Details::Call(call);
        recorded.attributes = vec![Attribute {
            name: "answered-at".to_owned(),
            value: Value::Timestamp(0),
        }];
        let draft = crate::convert::draft(recorded).unwrap();
        assert_eq!(draft.attachments.len(), 1);
        assert_eq!(draft.attachments[0].name, "مكالمة.wav");
        assert_eq!(
            draft.attributes[0].value,
            Scalar::Text("1970-01-01T00:00:00.000Z".to_owned())
        );
    }

    #[test]
    fn a_cut_never_splits_a_letter() {
        let text = "شكوى عاجلة";
        for bytes in 0..text.len() + 2 {
            let short = cut(text.to_owned(), bytes);
            assert!(short.len() <= bytes && text.starts_with(&short) && short.len() + 1 >= bytes.min(text.len()));
        }
    }
}

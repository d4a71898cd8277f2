//! What of a draft is a fact and may stand in the ledger, and what is personal content.

use mihwar_model::{AttachmentContent, AttachmentFacts, CallFacts, Content, Details, Draft};

pub(super) fn content(draft: &Draft, attachments: Vec<AttachmentContent>) -> Content {
    Content {
        external_id: draft.external_id.clone(),
        revision: draft.revision.clone(),
        author: draft.author.clone(),
        thread: draft.thread.clone(),
        in_reply_to: draft.in_reply_to.clone(),
        subject: draft.subject.clone(),
        body: draft.body.clone(),
        body_html: draft.body_html.clone(),
        attachments,
        details: draft.details.clone(),
        attributes: draft.attributes.clone(),
        raw: draft.raw.clone(),
    }
}

pub(super) fn attachment(content: &AttachmentContent) -> AttachmentFacts {
    AttachmentFacts {
        id: content.id,
        media_type: media_type(&content.media_type),
        size: content.size,
    }
}

pub(super) fn call(details: &Details) -> Option<CallFacts> {
    match details {
        Details::Call(call) => Some(CallFacts {
            direction: call.direction,
            duration_ms: call.duration_ms,
        }),
        _ => None,
    }
}

/// A media type as a fact: type and subtype only, since parameters may carry file names.
fn media_type(given: &str) -> String {
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = essence.len() <= 100
        && essence.split_once('/').is_some_and(|(a, b)| {
            [a, b].iter().all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'+' | b'.' | b'_'))
            })
        });
    if fits {
        essence
    } else {
        "application/octet-stream".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn a_media_type_carries_no_name_into_the_ledger() {
        assert_eq!(media_type("Audio/Wav; name=\"مكالمة هدى.wav\""), "audio/wav");
        assert_eq!(media_type("application/vnd.ms-excel"), "application/vnd.ms-excel");
        for free_text in ["هدى/العلي", "huda@example.com", "", "a/", "image/png/x"] {
            assert_eq!(media_type(free_text), "application/octet-stream", "{free_text}");
        }
    }
}

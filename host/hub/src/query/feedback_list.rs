//! Lists of feedback: which records match.

use mihwar_model::{Channel, ContactId, FeedbackId, InstanceName, Kind, Language, Tag, ThreadId, Time};

use super::candidates::{Candidate, Candidates};
use super::{FeedbackRecord, LOOKED_AT_MAX, QueryError, records};
use crate::core::Core;
use crate::projection;
use crate::rows::Head;

/// Bytes of content on one page.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Contents brought into memory in one go.
const OPENED_TOGETHER: usize = 32;
/// Contents opened for one page when the text is searched.
const OPENED_MAX: usize = 2_000;

/// What is asked for; everything left out matches all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedbackFilter {
    /// Sort of channel.
    pub channel: Option<Channel>,
    /// Channel instance.
    pub instance: Option<InstanceName>,
    /// Kind.
    pub kind: Option<Kind>,
    /// Department that receives it.
    pub destination: Option<InstanceName>,
    /// Who said it.
    pub contact: Option<ContactId>,
    /// Conversation.
    pub thread: Option<ThreadId>,
    /// Received at or after.
    pub from: Option<Time>,
    /// Received before.
    pub to: Option<Time>,
    /// Said at or after.
    pub occurred_from: Option<Time>,
    /// Said before.
    pub occurred_to: Option<Time>,
    /// A score within bounds.
    pub score: Option<ScoreFilter>,
    /// Language; `ar` also finds `ar-SA`.
    pub language: Option<Language>,
    /// Label.
    pub tag: Option<Tag>,
    /// Words contained in subject or body; case, Arabic diacritics, tatweel, letter variants and digit
    /// shapes do not matter.
    pub text: Option<String>,
}

/// A score within bounds, both inclusive.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreFilter {
    /// Which score.
    pub metric: String,
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// A page of feedback, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackPage {
    /// The records.
    pub items: Vec<FeedbackRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
    /// How many records were looked at; those whose facets alone were, are not among them.
    pub scanned: u64,
    /// Those of them that were left out because what lists are made of is damaged of them: whether they match, nobody can
    /// tell. `mihwar doctor --rebuild` puts them right.
    pub damaged: Vec<FeedbackId>,
}

/// One page of feedback.
pub(crate) async fn feedback_page(
    core: &Core,
    filter: &FeedbackFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<FeedbackPage, QueryError> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    let search = filter
        .text
        .as_deref()
        .map(crate::text::fold)
        .filter(|text| !text.is_empty());
    let looked_max = if search.is_some() { OPENED_MAX } else { LOOKED_AT_MAX };
    let mut candidates = Candidates::new(filter, cursor)?;
    let (mut items, mut scanned, mut bytes, mut damaged) = (Vec::new(), 0, 0, Vec::new());
    while items.len() < limit && scanned < looked_max {
        let lacking = limit - items.len();
        let most = lacking.max(64).min(looked_max - scanned);
        let Some(heads) = candidates.next(&*view, lacking, most).await? else {
            break;
        };
        for piece in heads.chunks(OPENED_TOGETHER) {
            let fits = |(_, head): &Candidate| matches!(head, Ok(Some(head)) if matches(filter, head));
            // Without a search, no more are opened than the page has room for.
            let room = search.as_ref().map_or(limit - items.len(), |_| OPENED_TOGETHER);
            let asked = piece.iter().filter(|&candidate| fits(candidate));
            let asked = asked
                .take(room)
                .filter_map(|(_, head)| head.as_ref().ok()?.clone())
                .collect();
            let mut records = records(core, &*view, asked).await?.into_iter();
            for candidate in piece {
                scanned += 1;
                if candidate.1.is_err() {
                    damaged.push(FeedbackId::from_bytes(candidate.0));
                }
                candidates.reach(candidate.0);
                let Some((record, weight)) = fits(candidate).then(|| records.next()).flatten() else {
                    continue;
                };
                if search.as_deref().is_none_or(|search| contains(&record, search)) {
                    items.push(record);
                    bytes += weight;
                }
                if items.len() >= limit || bytes >= PAGE_BYTES_MAX {
                    return Ok(FeedbackPage {
                        items,
                        next: candidates.after_full(),
                        scanned: scanned as u64,
                        damaged,
                    });
                }
            }
        }
    }
    Ok(FeedbackPage {
        items,
        next: candidates.after_all(),
        scanned: scanned as u64,
        damaged,
    })
}

/// Whether the facts of a record are what is asked for.
pub(super) fn matches(filter: &FeedbackFilter, head: &Head) -> bool {
    fn fits<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == found)
    }
    let language = |wanted: &Language| {
        head.language.as_ref().is_some_and(|found| {
            found
                .as_str()
                .strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let score = |wanted: &ScoreFilter| {
        head.scores.iter().any(|score| {
            score.metric == wanted.metric
                && wanted.min.is_none_or(|min| score.value >= min)
                && wanted.max.is_none_or(|max| score.value <= max)
        })
    };
    let occurred = head.occurred_at;
    fits(filter.channel.as_ref(), &head.channel)
        && fits(filter.instance.as_ref(), &head.instance)
        && filter.kind.is_none_or(|kind| head.kind == Some(kind))
        && filter
            .destination
            .as_ref()
            .is_none_or(|name| head.destinations.contains(name))
        && fits(filter.contact.as_ref(), &head.contact)
        && filter.thread.is_none_or(|thread| head.thread == Some(thread))
        && filter
            .occurred_from
            .is_none_or(|from| occurred.is_some_and(|at| at >= from))
        && filter.occurred_to.is_none_or(|to| occurred.is_some_and(|at| at < to))
        && filter.score.as_ref().is_none_or(score)
        && filter.language.as_ref().is_none_or(language)
        && filter.tag.as_ref().is_none_or(|tag| head.tags.contains(tag))
}

fn contains(record: &FeedbackRecord, folded: &str) -> bool {
    record.content.as_ref().is_some_and(|content| {
        let subject = content.subject.as_deref().unwrap_or_default();
        crate::text::fold(&content.body).contains(folded) || crate::text::fold(subject).contains(folded)
    })
}

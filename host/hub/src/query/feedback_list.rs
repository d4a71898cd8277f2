//! Lists of feedback: which records match, and where a page begins.

use mihwar_model::{Channel, ContactId, FeedbackId, InstanceName, Kind, Language, Tag, ThreadId, Time};
use mihwar_store::{Key, KeyRange, Order, View};

use super::{FeedbackRecord, LOOKED_AT_MAX, QueryError, cursor_id, cursor_text, records};
use crate::core::Core;
use crate::fault::Fault;
use crate::head_row;
use crate::keys::{self, Lookup};
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
    /// How many records were looked at.
    pub scanned: u64,
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
    let mut scan = Scan::new(filter, cursor)?;
    let (mut items, mut scanned, mut bytes) = (Vec::new(), 0, 0);
    while items.len() < limit && scanned < looked_max {
        let wanted = (limit - items.len()).max(64).min(looked_max - scanned);
        let Some(heads) = scan.next(&*view, wanted).await? else {
            break;
        };
        for piece in heads.chunks(OPENED_TOGETHER) {
            let matching = |head: &&Head| matches(filter, head);
            let found = |(_, head): &(_, Option<Head>)| head.as_ref().filter(matching).cloned();
            let matched: Vec<Option<Head>> = piece.iter().map(found).collect();
            let asked = matched.iter().flatten().cloned().collect();
            let mut records = records(core, &*view, asked).await?.into_iter();
            for ((position, _), head) in piece.iter().zip(matched) {
                scanned += 1;
                let reached = scan.reach(*position);
                let Some((record, weight)) = head.and_then(|_| records.next()) else {
                    continue;
                };
                if search.as_deref().is_none_or(|search| contains(&record, search)) {
                    items.push(record);
                    bytes += weight;
                }
                if items.len() >= limit || bytes >= PAGE_BYTES_MAX {
                    return Ok(FeedbackPage {
                        items,
                        next: Some(reached),
                        scanned: scanned as u64,
                    });
                }
            }
        }
    }
    let next = if scan.ended { None } else { scan.reached.clone() };
    Ok(FeedbackPage {
        items,
        next,
        scanned: scanned as u64,
    })
}

/// A walk over heads, newest first: over all of them, or over one index.
struct Scan {
    range: Option<KeyRange>,
    indexed: bool,
    bounds: KeyRange,
    reached: Option<String>,
    ended: bool,
}

type Walked = Vec<([u8; 16], Option<Head>)>;

impl Scan {
    fn new(filter: &FeedbackFilter, cursor: Option<&str>) -> Result<Self, QueryError> {
        let lookup = [
            filter.contact.map(Lookup::Contact),
            filter.thread.map(Lookup::Thread),
            filter.destination.clone().map(Lookup::Destination),
            filter.instance.clone().map(Lookup::Instance),
        ];
        let lookup = lookup.into_iter().flatten().next();
        let bounds = keys::heads_between(filter.from, filter.to);
        let mut range = lookup.as_ref().map_or_else(|| bounds.clone(), Lookup::entries);
        if let Some(cursor) = cursor {
            let id = FeedbackId::from_bytes(cursor_id(cursor)?);
            range = range.before(
                &lookup
                    .as_ref()
                    .map_or_else(|| keys::head(id), |lookup| lookup.entry(id)),
            );
        }
        Ok(Self {
            range: Some(range),
            indexed: lookup.is_some(),
            bounds,
            reached: cursor.map(str::to_owned),
            ended: false,
        })
    }

    async fn next(&mut self, view: &dyn View, limit: usize) -> Result<Option<Walked>, Fault> {
        let Some(range) = self.range.take() else {
            self.ended = true;
            return Ok(None);
        };
        let page = view.scan(range, Order::Descending, limit).await?;
        self.range = page.next;
        self.ended = self.range.is_none();
        let ids: Vec<_> = page.rows.iter().filter_map(|row| keys::last_id(&row.key)).collect();
        if !self.indexed {
            let mut walked = Vec::with_capacity(ids.len());
            for (id, row) in ids.into_iter().zip(page.rows) {
                let head = head_row::decode(FeedbackId::from_bytes(id), &row.value.bytes)?;
                walked.push((id, Some(head)));
            }
            return Ok(Some(walked));
        }
        let lookups: Vec<Key> = ids.iter().map(|id| keys::head(FeedbackId::from_bytes(*id))).collect();
        let found = view.get_many(&lookups).await?;
        let mut walked = Vec::with_capacity(ids.len());
        for ((id, key), row) in ids.into_iter().zip(&lookups).zip(found) {
            let row = row.filter(|_| self.bounds.contains(key));
            let head = row.map(|row| head_row::decode(FeedbackId::from_bytes(id), &row.bytes));
            walked.push((id, head.transpose()?));
        }
        Ok(Some(walked))
    }

    fn reach(&mut self, id: [u8; 16]) -> String {
        let text = cursor_text(id);
        self.reached = Some(text.clone());
        text
    }
}

fn matches(filter: &FeedbackFilter, head: &Head) -> bool {
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

//! Redaction: instances that were granted it see the texts of a draft before anything of it is stored, and what they point
//! at is masked. The original is written nowhere by the intake.
//!
//! The contract lets a plugin point into a `body`, so each text goes to it as the body of an item of its own, many at a
//! time. An item is stored only if every text of it was looked at; what happens to it otherwise, the admin chooses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use mihwar_model::{Draft, FieldProblem, InstanceName, Masked, Tag, Time};
use mihwar_sandbox::contract::processor::{StoredFeedback, Verdict};
use mihwar_sandbox::{Call, CallFailure};

use super::Arrival;
use super::masking::mask;
use super::texts;
use super::verdicts::{Text, kept, take};
use crate::config::OnFailure;
use crate::convert::{self, GrantedFields};
use crate::core::Core;
use crate::fault::{Fault, event_code};
use crate::instances::Running;

/// The field of a problem that says so.
pub(crate) const NOT_MASKED: &str = "redaction";
/// Texts of one call.
const TEXTS_MAX: usize = 256;
/// Bytes of the texts of one call; one alone may have more.
const BYTES_MAX: usize = 1 << 20;
/// When what is held back is worth another try.
const HELD_PAUSE: Duration = Duration::from_secs(5);

/// What sees texts before they are stored.
#[async_trait]
pub(crate) trait Redactor: Send + Sync {
    /// The instance.
    fn name(&self) -> &InstanceName;
    /// The texts that it may see.
    fn fields(&self) -> GrantedFields;
    /// What becomes of an item that it cannot look at.
    fn on_failure(&self) -> OnFailure;
    /// Its verdicts on texts, or why there are none.
    async fn look(&self, now: Time, texts: Vec<StoredFeedback>) -> Result<Vec<Verdict>, Unseen>;
}

/// Why texts were not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// Short and stable.
    pub(crate) code: String,
    /// Whether it lies in the hub: fewer texts at once would not help, and no text is to blame.
    pub(crate) is_ours: bool,
}

#[async_trait]
impl Redactor for Running {
    fn name(&self) -> &InstanceName {
        &self.name
    }

    fn fields(&self) -> GrantedFields {
        self.fields
    }

    fn on_failure(&self) -> OnFailure {
        self.config.on_failure
    }

    async fn look(&self, now: Time, texts: Vec<StoredFeedback>) -> Result<Vec<Verdict>, Unseen> {
        // No state: what is written before the records are there would have to be taken back with them.
        let result = self.sandbox.process(texts, Call::empty()).await;
        self.note(now, "process", &result);
        result.map(|done| done.value).map_err(|error| Unseen {
            code: error.code().to_owned(),
            is_ours: matches!(*error.failure, CallFailure::Busy { .. } | CallFailure::Host(_)),
        })
    }
}

/// Those who see texts before they are stored, in the order in which they do.
#[derive(Default)]
pub(crate) struct Redactors(RwLock<Arc<Vec<Arc<dyn Redactor>>>>);

impl Redactors {
    /// From now on these see what comes in.
    pub(crate) fn set(&self, redactors: Vec<Arc<dyn Redactor>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(redactors);
    }

    fn now(&self) -> Arc<Vec<Arc<dyn Redactor>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What redaction did to a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Redaction {
    /// Whether everybody who had to see it has.
    is_done: bool,
    /// What was masked.
    masked: Vec<Masked>,
    /// Who could not look at it, and why, though it is stored.
    pub(super) unseen: Vec<(InstanceName, String)>,
    /// Why it is refused.
    pub(super) refused: Option<FieldProblem>,
}

impl Redaction {
    /// What was masked in a draft that may be looked at once more.
    pub(super) fn before(masked: Vec<Masked>) -> Self {
        Self {
            masked,
            ..Self::default()
        }
    }

    /// What was masked.
    pub(crate) fn masked(&self) -> &[Masked] {
        &self.masked
    }

    fn count(&mut self, instance: &InstanceName, found: BTreeMap<Tag, u32>) {
        self.masked.extend(found.into_iter().map(|(label, count)| Masked {
            instance: instance.clone(),
            label,
            count,
        }));
    }
}

impl Arrival {
    /// A draft that could be stored, unless everybody who must see it has; with what was done to it so far.
    fn unredacted(&mut self) -> Option<(&mut Draft, &mut Redaction)> {
        let could_be_stored = self.problems().is_empty();
        match self {
            Self::Draft { draft, redaction, .. } if could_be_stored && !redaction.is_done => {
                Some((&mut **draft, redaction))
            }
            _ => None,
        }
    }
}

/// Arrivals as they may be stored. Those that were looked at before come back as they are.
///
/// # Errors
/// [`Fault::HeldBack`] when one of them could not be looked at, and must not be stored then. Nothing was changed.
pub(super) async fn redacted<'a>(
    core: &Core,
    instance: &InstanceName,
    arrivals: &'a [Arrival],
) -> Result<Cow<'a, [Arrival]>, Fault> {
    let redactors = core.redactors.now();
    let is_done = |arrival: &Arrival| match arrival {
        Arrival::Draft { redaction, .. } => redaction.is_done,
        Arrival::Withdrawal { .. } => true,
    };
    if redactors.is_empty() || arrivals.iter().all(is_done) {
        return Ok(Cow::Borrowed(arrivals));
    }
    let mut arrivals = arrivals.to_vec();
    for redactor in redactors.iter() {
        Looking::at(core, &**redactor, instance, &mut arrivals)
            .finish(&mut arrivals)
            .await?;
    }
    for arrival in &mut arrivals {
        if let Arrival::Draft { redaction, .. } = arrival {
            redaction.is_done = true;
        }
    }
    Ok(Cow::Owned(arrivals))
}

/// As [`redacted`], of one arrival.
pub(super) async fn redacted_alone(core: &Core, instance: &InstanceName, arrival: Arrival) -> Result<Arrival, Fault> {
    let masked = match redacted(core, instance, std::slice::from_ref(&arrival)).await? {
        Cow::Owned(mut masked) => masked.pop(),
        Cow::Borrowed(_) => None,
    };
    Ok(masked.unwrap_or(arrival))
}

/// One redactor at work on some arrivals.
struct Looking<'a> {
    core: &'a Core,
    redactor: &'a dyn Redactor,
    /// What stands beside the texts of each arrival.
    facts: BTreeMap<usize, StoredFeedback>,
    texts: Vec<Text>,
}

impl<'a> Looking<'a> {
    /// Collects what there is to look at: the texts of what could be stored, and was not looked at before.
    fn at(core: &'a Core, redactor: &'a dyn Redactor, instance: &InstanceName, arrivals: &mut [Arrival]) -> Self {
        let (now, mut facts, mut texts) = (core.clock.now(), BTreeMap::new(), Vec::new());
        for (of, arrival) in arrivals.iter_mut().enumerate() {
            let Some((draft, _)) = arrival.unredacted() else {
                continue;
            };
            facts.insert(of, convert::lone_text(draft, instance, now));
            texts::visit(draft, redactor.fields(), &mut |_, text| {
                texts.extend(Text::all(of, text));
            });
        }
        Self {
            core,
            redactor,
            facts,
            texts,
        }
    }

    /// Lets the redactor look at everything, and masks what it points at.
    async fn finish(mut self, arrivals: &mut [Arrival]) -> Result<(), Fault> {
        let mut start = 0;
        while start < self.texts.len() {
            let end = self.portion(start);
            self.look(start..end).await?;
            start = end;
        }
        let Self { redactor, texts, .. } = self;
        let mut answers = texts.into_iter().peekable();
        for (of, arrival) in arrivals.iter_mut().enumerate() {
            let own = std::iter::from_fn(|| answers.next_if(|text| text.of == of));
            let own = kept(own);
            if let Some((draft, redaction)) = arrival.unredacted() {
                match own {
                    Ok(kept) => redaction.count(redactor.name(), mask(draft, redactor.fields(), kept)),
                    Err(code) => give_up(redactor, redaction, &event_code(&code))?,
                }
            }
            // Of one that failed the rest is of no use.
            while answers.next_if(|text| text.of == of).is_some() {}
        }
        Ok(())
    }

    /// Where the texts of one call end that begin here.
    fn portion(&self, start: usize) -> usize {
        let (mut end, mut bytes) = (start, 0);
        while let Some(text) = self.texts.get(end).filter(|_| end < start + TEXTS_MAX) {
            bytes += text.text.len();
            if bytes > BYTES_MAX && end > start {
                break;
            }
            end += 1;
        }
        end
    }

    /// Some texts as the redactor gets them.
    fn items(&self, range: &Range<usize>) -> Vec<StoredFeedback> {
        let texts = self.texts.get(range.clone()).unwrap_or_default();
        let item = |(number, text): (usize, &Text)| {
            let mut item = self.facts.get(&text.of)?.clone();
            item.id = number.to_string();
            item.feedback.body.clone_from(&text.text);
            Some(item)
        };
        (range.start..).zip(texts).filter_map(item).collect()
    }

    /// Lets the redactor look at some texts; if the call as a whole fails, at halves of them, so that one that it cannot
    /// digest costs only itself.
    async fn look(&mut self, range: Range<usize>) -> Result<(), Fault> {
        let mut parts = vec![range];
        while let Some(part) = parts.pop() {
            let seen = self.redactor.look(self.core.clock.now(), self.items(&part)).await;
            let texts = self.texts.get_mut(part.clone()).unwrap_or_default();
            match seen {
                Ok(verdicts) => take(part.start, texts, verdicts),
                Err(unseen) if unseen.is_ours => return Err(held_back(self.redactor, &unseen.code)),
                Err(_) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([part.start..middle, middle..part.end]);
                }
                // Nothing of what came with it will be stored, so nothing more need be looked at.
                Err(unseen) if self.redactor.on_failure() == OnFailure::Hold => {
                    return Err(held_back(self.redactor, &unseen.code));
                }
                Err(unseen) => texts
                    .iter_mut()
                    .for_each(|text| text.answer = Some(Err(unseen.code.clone()))),
            }
        }
        Ok(())
    }
}

/// What becomes of a draft that could not be looked at.
///
/// # Errors
/// [`Fault::HeldBack`] if it is to be held back.
fn give_up(redactor: &dyn Redactor, redaction: &mut Redaction, code: &str) -> Result<(), Fault> {
    let instance = redactor.name();
    let outcome = match redactor.on_failure() {
        OnFailure::Hold => return Err(held_back(redactor, code)),
        OnFailure::Refuse => "refused",
        OnFailure::Store => "stored",
    };
    metrics::counter!("mihwar_redaction_failures_total", "instance" => instance.to_string(), "then" => outcome)
        .increment(1);
    tracing::error!(%instance, code, "an item could not be looked at by the instance that masks; it is {outcome}, as on-failure says");
    if outcome == "refused" {
        let message = format!("the instance \"{instance}\", which masks texts, could not look at it ({code})");
        redaction.refused = Some(FieldProblem::new(NOT_MASKED, message));
    } else {
        redaction.unseen.push((instance.clone(), code.to_owned()));
    }
    Ok(())
}

fn held_back(redactor: &dyn Redactor, code: &str) -> Fault {
    let instance = redactor.name().clone();
    metrics::counter!("mihwar_redaction_failures_total", "instance" => instance.to_string(), "then" => "held")
        .increment(1);
    Fault::HeldBack {
        instance,
        code: event_code(code),
        retry_after: HELD_PAUSE,
    }
}

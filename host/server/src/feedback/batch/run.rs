//! Takes a stream in: lines are gathered while the group before them is being written, so that the disk and the
//! parser work at the same time and a slow stream still gets its answers at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use mihwar_hub::{Fault, Hub, Intake};
use mihwar_model::{Actor, Draft, InstanceName};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::lines::{Line, LineText, Splitter};
use super::{BatchCounts, BatchSummary, LineResult};
use crate::feedback::accept::Accepted;
use crate::feedback::input::read_feedback;
use crate::http::stream::{Lines, ReaderGone, Stopped};
use crate::http::{Problem, Sort};
use crate::json;

/// Bytes of one line.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Records of one transaction.
const GROUP_RECORDS_MAX: usize = 512;
/// Bytes of one transaction's lines.
const GROUP_BYTES_MAX: usize = 2 << 20;
/// How long a busy hub is waited for before the stream is given up.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// Shortest pause before a busy hub is asked again.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(10);
/// Pause before a group is tried again whose rows others were changing.
const CONTENDED_PAUSE: Duration = Duration::from_millis(100);
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Lines that go into one transaction, in order.
#[derive(Default)]
struct Group {
    entries: Vec<(u64, Result<Draft, Problem>)>,
    bytes: usize,
}

impl Group {
    fn is_full(&self) -> bool {
        self.entries.len() >= GROUP_RECORDS_MAX || self.bytes >= GROUP_BYTES_MAX
    }

    /// Reads a line. Empty ones leave no entry.
    fn add(&mut self, Line { number, text }: Line) {
        let entry = match text {
            LineText::Whole(text) => {
                let start = if number == 1 && text.starts_with(UTF8_MARK) {
                    UTF8_MARK.len()
                } else {
                    0
                };
                let text = text.get(start..).unwrap_or_default();
                if text.trim_ascii().is_empty() {
                    return;
                }
                self.bytes += text.len();
                read_line(text)
            }
            LineText::TooLong(bytes) => {
                let detail = format!("the line has {bytes} bytes; at most {LINE_BYTES_MAX} are read");
                Err(Problem::new(Sort::TooLarge, detail))
            }
        };
        self.entries.push((number, entry));
    }
}

fn read_line(text: &[u8]) -> Result<Draft, Problem> {
    let value = json::parse(text).map_err(|fault| Problem::new(Sort::InvalidJson, fault.to_string()))?;
    read_feedback(value).map_err(Problem::fields)
}

/// A group's lines with what became of each, or why nothing did.
type Written = Result<Vec<(u64, Result<Accepted, Problem>)>, Problem>;

/// Why a run ended before its input did.
enum Broken {
    Reader(ReaderGone),
    Stopped(Problem),
}

impl From<ReaderGone> for Broken {
    fn from(gone: ReaderGone) -> Self {
        Self::Reader(gone)
    }
}

/// One stream being taken in.
pub(super) struct Run {
    hub: Hub,
    /// One for each group that may be at the writer, of all streams together.
    turns: Arc<Semaphore>,
    actor: Actor,
    instance: InstanceName,
    /// Answer every line, or only refused ones.
    all: bool,
    lines: Lines,
    counts: BatchCounts,
}

impl Run {
    pub(super) fn new(
        hub: Hub,
        turns: Arc<Semaphore>,
        actor: Actor,
        instance: InstanceName,
        all: bool,
        lines: Lines,
    ) -> Self {
        Self {
            hub,
            turns,
            actor,
            instance,
            all,
            lines,
            counts: BatchCounts::default(),
        }
    }

    /// Takes the whole stream in and answers it.
    pub(super) async fn drive(mut self, body: Body) {
        let last = match self.take_in(body.into_data_stream()).await {
            Ok(()) => self.lines.send(&BatchSummary { summary: self.counts }).await,
            Err(Broken::Stopped(problem)) => {
                self.lines
                    .send(&Stopped {
                        problem: problem.into_view(),
                    })
                    .await
            }
            Err(Broken::Reader(gone)) => Err(gone),
        };
        if last.is_err() {
            tracing::debug!("the caller of a batch went away");
        }
    }

    async fn take_in(&mut self, mut input: BodyDataStream) -> Result<(), Broken> {
        let mut splitter = Splitter::new(LINE_BYTES_MAX);
        let mut group = Group::default();
        let mut writing: Option<JoinHandle<Written>> = None;
        loop {
            while !group.is_full()
                && let Some(line) = splitter.next_line()
            {
                group.add(line);
            }
            if group.is_full() || splitter.is_done() {
                if let Some(writing) = writing.take() {
                    self.answer(writing.await).await?;
                }
                if group.entries.is_empty() {
                    return Ok(());
                }
                writing = Some(self.write(std::mem::take(&mut group)));
                continue;
            }
            match &mut writing {
                Some(handle) => tokio::select! {
                    written = handle => {
                        writing = None;
                        self.answer(written).await?;
                    }
                    chunk = input.next() => feed(&mut splitter, chunk)?,
                },
                None if group.entries.is_empty() => feed(&mut splitter, input.next().await)?,
                // Nothing is being written and something waits: write as soon as the input pauses.
                None => match input.next().now_or_never() {
                    Some(chunk) => feed(&mut splitter, chunk)?,
                    None => writing = Some(self.write(std::mem::take(&mut group))),
                },
            }
        }
    }

    fn write(&self, group: Group) -> JoinHandle<Written> {
        let turns = self.turns.clone();
        // The caller may leave while this waits, and another be let in. What is not written yet counts as a stream until
        // then: else callers who come, send and leave would each leave a group behind.
        let place = self.lines.place();
        let hub = self.hub.clone();
        let write = write(hub.clone(), self.actor.clone(), self.instance.clone(), group);
        tokio::spawn(async move {
            // Many streams are a press as many single records are.
            let in_line = hub.in_line();
            let _turn = turns.acquire().await.map_err(Problem::internal)?;
            drop(in_line);
            let written = write.await;
            drop(place);
            written
        })
    }

    async fn answer(&mut self, written: Result<Written, tokio::task::JoinError>) -> Result<(), Broken> {
        let results = written
            .map_err(|error| Broken::Stopped(Problem::internal(error)))?
            .map_err(Broken::Stopped)?;
        for (line, result) in results {
            self.answer_line(line, result);
        }
        self.lines.flush().await?;
        Ok(())
    }

    fn answer_line(&mut self, line: u64, result: Result<Accepted, Problem>) {
        self.counts.lines += 1;
        match result {
            Ok(accepted) => {
                match accepted.result.as_str() {
                    "new" => self.counts.new += 1,
                    "revised" => self.counts.revised += 1,
                    _ => self.counts.duplicates += 1,
                }
                if self.all {
                    let Accepted { id, revision, result } = accepted;
                    self.lines.push(&LineResult {
                        line,
                        result,
                        id: Some(id),
                        revision: Some(revision),
                        problem: None,
                    });
                }
            }
            Err(problem) => {
                self.counts.refused += 1;
                let problem = Some(problem.into_view());
                self.lines.push(&LineResult {
                    line,
                    result: "refused".into(),
                    id: None,
                    revision: None,
                    problem,
                });
            }
        }
    }
}

fn feed(splitter: &mut Splitter, chunk: Option<Result<Bytes, axum::Error>>) -> Result<(), Broken> {
    match chunk {
        Some(Ok(chunk)) => splitter.feed(chunk),
        None => splitter.end(),
        Some(Err(error)) => {
            let detail = "the body ended early; every line that was answered is kept";
            return Err(Broken::Stopped(
                Problem::new(Sort::InvalidRequest, detail).with_private(error),
            ));
        }
    }
    Ok(())
}

async fn write(hub: Hub, actor: Actor, instance: InstanceName, group: Group) -> Written {
    let mut drafts = Vec::with_capacity(group.entries.len());
    let take = |(number, entry): (u64, Result<Draft, Problem>)| (number, entry.map(|draft| drafts.push(draft)));
    let lines: Vec<_> = group.entries.into_iter().map(take).collect();
    let intakes = accept_when_free(&hub, &actor, &instance, &drafts).await?;
    let mut taken_in = drafts.iter().zip(intakes);
    let result = |(number, read): (u64, Result<(), Problem>)| {
        let accepted = read.and_then(|()| {
            let (draft, intake) = taken_in.next().ok_or_else(result_missing)?;
            Accepted::from_intake(draft, intake).map(|(_, accepted)| accepted)
        });
        (number, accepted)
    };
    Ok(lines.into_iter().map(result).collect())
}

fn result_missing() -> Problem {
    Problem::internal("an intake gave fewer results than it had records")
}

/// A busy hub makes the stream wait, up to a point: that is the back-pressure of a batch.
async fn accept_when_free(
    hub: &Hub,
    actor: &Actor,
    instance: &InstanceName,
    drafts: &[Draft],
) -> Result<Vec<Intake>, Problem> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let mut waited = Duration::ZERO;
    loop {
        // One copy an attempt, and there is mostly one: the drafts stay here to be tried again, and to say what was
        // wrong with them.
        let fault = match hub.accept(actor, instance, drafts.to_vec()).await {
            Ok(intakes) => return Ok(intakes),
            Err(fault) => fault,
        };
        match pause_before_another(&fault) {
            Some(pause) if waited < BUSY_MAX => {
                tokio::time::sleep(pause).await;
                waited += pause;
            }
            _ => return Err(fault.into()),
        }
    }
}

/// How long to wait after a fault that passes by itself and left nothing behind; `None` after any other.
fn pause_before_another(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Busy { retry_after } => Some((*retry_after).max(BUSY_PAUSE_MIN)),
        Fault::Contended => Some(CONTENDED_PAUSE),
        Fault::HeldBack { retry_after, .. } => Some(*retry_after),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::pause_before_another;
    use mihwar_hub::Fault;
    use mihwar_model::InstanceName;
    use std::time::Duration;

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        let retry_after = Duration::from_millis(700);
        assert_eq!(pause_before_another(&Fault::Busy { retry_after }), Some(retry_after));
        let retry_after = Duration::ZERO;
        assert!(pause_before_another(&Fault::Busy { retry_after }) > Some(Duration::ZERO));
        assert!(pause_before_another(&Fault::Contended) > Some(Duration::ZERO));
        let held = Fault::HeldBack {
            instance: InstanceName::new("redact").unwrap(),
            code: "limit-time".into(),
            retry_after: Duration::from_secs(5),
        };
        assert_eq!(pause_before_another(&held), Some(Duration::from_secs(5)));
        // Sending it again could write it twice.
        assert_eq!(pause_before_another(&Fault::Unknown), None);
        assert_eq!(pause_before_another(&Fault::TooLarge("كبير".into())), None);
    }
}

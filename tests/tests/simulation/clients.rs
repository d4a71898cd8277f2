//! Sources that hand feedback in, and what they were told.

use std::sync::Arc;
use std::time::Duration;

use mihwar_hub::{Fault, Hub, IdempotencyState, InboundError, InboundRequest, Intake};
use mihwar_model::{Actor, FeedbackId, InboundId, InstanceName};

use crate::script::{Post, Script};
use crate::world::World;

/// The instance under whose name sources post.
pub(crate) const KIOSK: &str = "kiosk";
/// The channel that takes requests and is asked for pages.
pub(crate) const NOTES: &str = "notes";

/// What the sources know.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) sayings: Vec<Told>,
    posts: Vec<Attempts>,
    hooks: Vec<Attempts>,
}

/// What is known of one saying.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    /// What the hub answered.
    pub(crate) acknowledged: Option<(FeedbackId, u32)>,
    /// Whether it may have been kept without an answer.
    pub(crate) maybe: bool,
}

/// How far a call has come.
#[derive(Debug, Default, Clone)]
pub(crate) struct Attempts {
    in_flight: bool,
    failures: u64,
    over: bool,
    /// Whether it succeeded in the end.
    pub(crate) acknowledged: bool,
    /// How many attempts may have succeeded without an answer.
    pub(crate) maybe: u64,
}

impl Books {
    pub(crate) fn of(script: &Script) -> Self {
        Self {
            sayings: vec![Told::default(); script.sayings.len()],
            posts: vec![Attempts::default(); script.posts.len()],
            hooks: vec![Attempts::default(); script.hooks.len()],
        }
    }

    pub(crate) fn all_over(&self) -> bool {
        self.posts.iter().chain(&self.hooks).all(|attempts| attempts.over)
    }

    /// The calls that are still to be made.
    fn open(attempts: &[Attempts]) -> Vec<usize> {
        let open = attempts.iter().enumerate().filter(|(_, attempts)| !attempts.over);
        open.map(|(number, _)| number).collect()
    }

    pub(crate) fn hook(&self, number: usize) -> &Attempts {
        &self.hooks[number]
    }
}

impl World {
    /// A life ends: whoever waited for an answer never gets it.
    pub(crate) fn interrupt_clients(&self) {
        let mut state = self.state();
        let books = &mut state.books;
        for (attempts, post) in books.posts.iter_mut().zip(&self.script.posts) {
            if std::mem::take(&mut attempts.in_flight) {
                attempts.maybe += 1;
                post.sayings
                    .iter()
                    .for_each(|number| books.sayings[*number].maybe = true);
            }
        }
        for attempts in &mut books.hooks {
            attempts.maybe += u64::from(std::mem::take(&mut attempts.in_flight));
        }
    }

    /// Sends every source out that has not finished yet.
    pub(crate) fn send_clients(self: &Arc<Self>, hub: &Hub) {
        let (posts, hooks) = {
            let books = &self.state().books;
            (Books::open(&books.posts), Books::open(&books.hooks))
        };
        for number in posts {
            tokio::spawn(post(Arc::clone(self), hub.clone(), number));
        }
        for number in hooks {
            tokio::spawn(ask(Arc::clone(self), hub.clone(), number));
        }
    }

    fn acknowledged(&self, number: usize, answer: (FeedbackId, u32)) {
        let known = self.state().books.sayings[number].acknowledged.replace(answer);
        if known.is_some_and(|known| known != answer) {
            self.violation(format!(
                "saying {number} was acknowledged as {known:?}, and now as {answer:?}"
            ));
        }
    }
}

/// What an intake says of where a saying is kept.
fn kept(intake: &Intake) -> Result<(FeedbackId, u32), String> {
    match intake {
        Intake::New { feedback, revision }
        | Intake::Revised { feedback, revision }
        | Intake::Duplicate { feedback, revision } => Ok((*feedback, *revision)),
        Intake::Refused { problems } => Err(format!("a good draft was refused: {problems:?}")),
        Intake::Damaged { problem } => Err(format!("a draft met damage: {problem}")),
    }
}

async fn post(world: Arc<World>, hub: Hub, number: usize) {
    let post = world.script.posts[number].clone();
    world.until(post.at).await;
    loop {
        world.state().books.posts[number].in_flight = true;
        let sent = send(&world, &hub, &post).await;
        world.state().books.posts[number].in_flight = false;
        let fault = match sent {
            Ok(answers) => {
                world.trace(format!("post {number} {:?} is acknowledged: {answers:?}", post.sayings));
                for (saying, answer) in post.sayings.iter().zip(answers) {
                    match answer {
                        Ok(answer) => world.acknowledged(*saying, answer),
                        Err(why) => world.violation(why),
                    }
                }
                world.state().books.posts[number].over = true;
                return;
            }
            Err(fault) => fault,
        };
        world.trace(format!("post {number} fails: {fault}"));
        {
            let books = &mut world.state().books;
            // Of several the first may have been kept, says the hub's contract; of one, only where that is not known.
            if matches!(fault, Fault::Unknown) || post.sayings.len() > 1 {
                post.sayings
                    .iter()
                    .for_each(|number| books.sayings[*number].maybe = true);
            }
            let attempts = &mut books.posts[number];
            attempts.failures += 1;
            attempts.over = attempts.failures >= post.patience;
            if attempts.over {
                return;
            }
        }
        tokio::time::sleep(pause_after(&fault)).await;
    }
}

async fn send(world: &World, hub: &Hub, post: &Post) -> Result<Vec<Result<(FeedbackId, u32), String>>, Fault> {
    let kiosk = InstanceName::new(KIOSK).unwrap();
    let drafts = post.sayings.iter().map(|number| world.script.sayings[*number].draft());
    let Some(key) = &post.key else {
        let intakes = hub.accept(&Actor::Console, &kiosk, drafts.collect()).await?;
        return Ok(intakes.iter().map(kept).collect());
    };
    let draft = drafts.into_iter().next().unwrap();
    let mut request = [0; 32];
    request[..8].copy_from_slice(&(post.sayings[0] as u64).to_be_bytes());
    match hub.idempotency_check(None, key, request).await? {
        IdempotencyState::Fresh(ticket) => {
            let answer = |intake: &Intake| {
                let (feedback, revision) = kept(intake).ok()?;
                Some((201, format!("{feedback} {revision}").into_bytes()))
            };
            let intake = hub.accept_once(&Actor::Console, &kiosk, draft, &ticket, answer).await?;
            Ok(vec![kept(&intake)])
        }
        IdempotencyState::Replay { body, .. } => {
            let text = String::from_utf8(body).unwrap();
            let (feedback, revision) = text.split_once(' ').unwrap();
            Ok(vec![Ok((feedback.parse().unwrap(), revision.parse().unwrap()))])
        }
        IdempotencyState::Mismatch => Ok(vec![Err(format!("the key {key} is said to be another request's"))]),
        IdempotencyState::Unreadable => Ok(vec![Err(format!("what is kept of the key {key} is damaged"))]),
    }
}

fn pause_after(fault: &Fault) -> Duration {
    match fault {
        Fault::Busy { retry_after } => *retry_after,
        Fault::Contended => Duration::from_millis(50),
        _ => Duration::from_millis(1_500),
    }
}

async fn ask(world: Arc<World>, hub: Hub, number: usize) {
    let hook = world.script.hooks[number].clone();
    world.until(hook.at).await;
    loop {
        let request = InboundRequest {
            instance: InstanceName::new(NOTES).unwrap(),
            endpoint: "note".to_owned(),
            method: "POST".to_owned(),
            path: String::new(),
            query: Vec::new(),
            headers: vec![("content-type".to_owned(), b"text/plain".to_vec())],
            body: hook.text.clone().into_bytes().into(),
        };
        world.state().books.hooks[number].in_flight = true;
        let sent = hub.accept_inbound(request).await;
        let pause = note_answer(&world, number, hook.patience, sent);
        let Some(pause) = pause else { return };
        tokio::time::sleep(pause).await;
    }
}

/// Notes what a request came to. Answers after what pause it is sent again, if it is.
fn note_answer(world: &World, number: usize, patience: u64, sent: Result<InboundId, InboundError>) -> Option<Duration> {
    let (line, pause) = match sent {
        Ok(id) => {
            world.state().books.hooks[number].acknowledged = true;
            (format!("request {number} is acknowledged: {id}"), None)
        }
        Err(InboundError::Fault(fault)) => {
            let attempts = &mut world.state().books.hooks[number];
            attempts.maybe += u64::from(matches!(fault, Fault::Unknown));
            attempts.failures += 1;
            let again = attempts.failures < patience;
            (
                format!("request {number} fails: {fault}"),
                again.then(|| pause_after(&fault)),
            )
        }
        Err(error) => {
            world.violation(format!("request {number} is refused: {error}"));
            (format!("request {number} is refused: {error}"), None)
        }
    };
    {
        let attempts = &mut world.state().books.hooks[number];
        attempts.in_flight = false;
        attempts.over = pause.is_none();
    }
    world.trace(line);
    pause
}

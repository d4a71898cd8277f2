//! What writers do to a store: a seeded sequence of batches as the hub sends them, and what should come of each.

use std::ops::Range;

use mihwar_model::OrgId;
use mihwar_store::{Batch, Commit, Edit, Guard, Key, Space};

use crate::model::Model;
use crate::random::Random;

/// Batches in the order in which they are sent, with the verdict on each and the contents after each applied one.
pub(crate) struct Story {
    pub(crate) steps: Vec<Step>,
    /// `states[n]` is what is there when `n` batches were applied.
    pub(crate) states: Vec<Model>,
    /// Steps that are sent together, so that some share a commit.
    pub(crate) waves: Vec<Range<usize>>,
}

pub(crate) struct Step {
    pub(crate) batch: Batch,
    /// The commit, or the row whose guard does not hold.
    pub(crate) verdict: Result<Commit, Key>,
}

fn row(space: u8, org: OrgId) -> mihwar_store::KeyBuilder {
    Key::space(Space(space), org)
}

impl Story {
    pub(crate) fn new(seed: u64, length: usize) -> Self {
        let mut random = Random::new(seed);
        let mut model = Model::default();
        let mut story = Self {
            steps: Vec::new(),
            states: vec![model.clone()],
            waves: Vec::new(),
        };
        let mut intake = Vec::new();
        for number in 0..u32::try_from(length).unwrap() {
            let batch = match random.below(10) {
                0..=4 => {
                    intake.push(number);
                    received(number, &mut random)
                }
                5 | 6 if !intake.is_empty() => routed(intake[random.below(intake.len())], &mut random, &model),
                7 if !intake.is_empty() => withdrawn(intake[random.below(intake.len())]),
                8 => stale(number, &model),
                _ => counted(number, &mut random),
            };
            let verdict = model.apply(&batch);
            if verdict.is_ok() {
                story.states.push(model.clone());
            }
            story.steps.push(Step { batch, verdict });
        }
        let mut start = 0;
        while start < length {
            let end = (start + 1 + random.below(4)).min(length);
            story.waves.push(start..end);
            start = end;
        }
        story
    }

    /// Number of the step after the one that was applied as the `applied`th: where work goes on.
    pub(crate) fn step_after(&self, applied: usize) -> usize {
        let is_applied = |step: &usize| self.steps[*step].verdict.is_ok();
        match applied.checked_sub(1) {
            None => 0,
            Some(last) => (0..self.steps.len()).filter(is_applied).nth(last).unwrap() + 1,
        }
    }

    /// How many batches were applied before the first of those that were sent together with the `applied`th.
    pub(crate) fn applied_before_the_wave_of(&self, applied: usize) -> usize {
        let last = self.step_after(applied).saturating_sub(1);
        let wave = self.waves.iter().find(|wave| wave.contains(&last)).unwrap();
        let before = &self.steps[..wave.start];
        before.iter().filter(|step| step.verdict.is_ok()).count()
    }
}

fn content(number: u32) -> Key {
    row(0x10, OrgId::FIRST)
        .u32(20_000 + number / 4)
        .text(&format!("سجل {number}"))
        .finish()
}

fn queue(number: u32) -> Key {
    row(0x14, OrgId::FIRST).u32(number).finish()
}

fn count(name: &str) -> Key {
    row(0x25, OrgId::FIRST).text(name).finish()
}

fn entry(kind: &str, number: u32) -> Vec<u8> {
    format!("{kind} القيد {number}").into_bytes()
}

/// As intake does: a content, a de-duplication row that must not be there yet, a place in the queue, an event.
fn received(number: u32, random: &mut Random) -> Batch {
    let mut hash = [0; 16];
    hash.iter_mut()
        .for_each(|byte| *byte = u8::try_from(random.below(256)).unwrap());
    let seen = row(0x13, OrgId::FIRST).u32(20_000).id(hash).finish();
    // Most are short; some fill many pages.
    let length = if random.chance(10) {
        60_000
    } else {
        200 + random.below(2_000)
    };
    Batch {
        guards: vec![Guard::Absent(seen.clone()), Guard::Absent(content(number))],
        edits: vec![
            Edit::Put(content(number), random.text(length)),
            Edit::Put(seen, number.to_be_bytes().to_vec()),
            Edit::PutSequence(queue(number), 0),
            Edit::Add(count("received"), 1),
        ],
        journal: vec![entry("received", number), entry("contact", number)],
    }
}

/// As routing does: the row is changed at the version that was read, and leaves the queue. Refused when it is gone.
fn routed(number: u32, random: &mut Random, model: &Model) -> Batch {
    let key = content(number);
    let read = model.rows.get(&key).map_or(1, |(version, _)| *version);
    Batch {
        guards: vec![Guard::At(key.clone(), read)],
        edits: vec![
            Edit::Put(key, random.text(700)),
            Edit::Delete(queue(number)),
            Edit::Put(row(0x15, OrgId(2)).u32(number).finish(), random.text(150)),
            Edit::Add(count("مسلّم"), 2),
        ],
        journal: vec![entry("routed", number); 3],
    }
}

/// Everything of an item goes, and an event says so.
fn withdrawn(number: u32) -> Batch {
    Batch {
        edits: vec![
            Edit::Delete(content(number)),
            Edit::Delete(queue(number)),
            Edit::Add(count("received"), -1),
        ],
        journal: vec![entry("withdrawn", number)],
        ..Batch::default()
    }
}

/// Decided on something outdated: refused for certain, so nothing of it may ever be there.
fn stale(number: u32, model: &Model) -> Batch {
    let guard = match model.rows.first_key_value() {
        Some((key, (version, _))) if number.is_multiple_of(2) => Guard::At(key.clone(), version + 1_000),
        Some((key, _)) => Guard::Absent(key.clone()),
        None => Guard::At(count("received"), 1_000),
    };
    Batch {
        guards: vec![guard],
        edits: vec![
            Edit::Put(row(0x1F, OrgId::FIRST).text("مرفوض").u32(number).finish(), vec![1; 500]),
            Edit::Add(count("refused"), 1),
        ],
        journal: vec![entry("refused", number)],
    }
}

/// As read models do: many small rows over and over, and many entries, so that tiles fill.
fn counted(number: u32, random: &mut Random) -> Batch {
    let figures = (0..12).map(|name| Edit::Add(count(&format!("{name}")), i64::from(number)));
    let head = row(0x21, OrgId::FIRST).u32(number % 3).finish();
    Batch {
        edits: figures.chain([Edit::Put(head, random.text(40))]).collect(),
        journal: (0..40).map(|_| entry("counted", number)).collect(),
        ..Batch::default()
    }
}

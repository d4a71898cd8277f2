//! What of the outbox is read into a window, and what is done with it.

use mihwar_model::DeliveryId;

use super::super::crowd::Crowd;
use super::{AT_ONCE, Entry, Known, Lane, Lanes, Page, Part, Reach, Survey, Wanted, Window, before};

/// Deliveries known at once in each lane: that many may wait for a retry before those behind them wait, too.
const KNOWN_MAX: usize = 20_000;
/// Rows read in one go.
const PAGE: usize = 1_000;
/// Rows of a survey read in one go.
const SURVEY_PAGE: usize = 5_000;

/// What a survey needs next.
enum Step {
    Read(Wanted),
    /// The live lane has to wait until the back one is known.
    Wait,
    Done,
}

impl Window {
    /// From now on what is there already goes in the back lane, and what has an id from `boundary` on in the live one.
    pub(in super::super) fn begin_catch_up(&mut self, boundary: DeliveryId) {
        // A backlog that is being worked off already is worked off first.
        let is_later = self.boundary.is_none_or(|known| known < boundary);
        if self.is_digest || !is_later || !self.is_back_known() {
            return;
        }
        // What was the live lane is part of the back one.
        self.reach.back = Reach {
            is_end: false,
            ..self.reach.live
        };
        self.reach.live = Reach::from(before(boundary));
        self.boundary = Some(boundary);
        self.survey = None;
        let back = self.known.range(..boundary).count();
        self.counts = Lanes {
            back,
            live: self.known.len() - back,
        };
        self.place_all();
    }

    /// What is to be read so that `most` deliveries of each lane can be picked. A survey is made only if there is room for it.
    pub(in super::super) fn wants(&mut self, most: usize, may_survey: bool) -> Option<Wanted> {
        let rows = most.saturating_mul(2).clamp(16, PAGE);
        let live = Wanted {
            part: Part::Live,
            after: self.reach.live.after,
            before: None,
            rows,
        };
        if self.reach.live.is_behind() {
            return Some(live);
        }
        if !self.is_back_known() {
            let short = self.ready.back.len() < most && self.counts.back < KNOWN_MAX;
            if short || self.reach.back.is_behind() {
                return Some(Wanted {
                    part: Part::Back,
                    after: self.reach.back.after,
                    before: self.boundary,
                    rows,
                });
            }
            match self.survey_step(may_survey) {
                Step::Done => {}
                Step::Read(wanted) => return Some(wanted),
                Step::Wait => return None,
            }
        }
        let short = self.ready.live.len() < most && self.counts.live < KNOWN_MAX;
        (short && !self.reach.live.is_end).then_some(live)
    }

    /// Whether the live lane waits for a survey that is not begun.
    pub(in super::super) fn needs_survey(&self) -> bool {
        !self.is_back_known() && self.survey.is_none()
    }

    /// What the survey needs next.
    fn survey_step(&mut self, may_survey: bool) -> Step {
        if self.survey.is_none() && may_survey {
            let after = self.reach.back.after;
            self.survey = Some(Survey {
                crowd: Crowd::new(),
                reached: after,
                passed: after,
                is_done: false,
            });
        }
        match &self.survey {
            None => Step::Wait,
            Some(survey) if survey.is_done => Step::Done,
            Some(survey) => Step::Read(Wanted {
                part: Part::Survey,
                // The back lane may have been read further meanwhile.
                after: survey.reached.max(survey.passed),
                before: self.boundary,
                rows: SURVEY_PAGE,
            }),
        }
    }

    /// Takes what was read.
    pub(in super::super) fn took(&mut self, wanted: &Wanted, page: &Page) {
        match wanted.part {
            Part::Survey => self.took_survey(wanted, page),
            Part::Back => {
                self.leave_crowd(&page.entries);
                page.entries.iter().for_each(|entry| self.insert(*entry));
                let after = page.reached.or(wanted.after);
                self.reach.back.come_to(after, page.is_end);
                if page.is_end {
                    self.survey = None;
                } else if let Some(survey) = &mut self.survey {
                    survey.passed = survey.passed.max(after);
                }
                self.place_shaded();
            }
            Part::Live => {
                page.entries.iter().for_each(|entry| self.insert(*entry));
                self.reach.live.come_to(page.reached.or(wanted.after), page.is_end);
            }
        }
    }

    fn took_survey(&mut self, wanted: &Wanted, page: &Page) {
        let Some(survey) = &mut self.survey else {
            return;
        };
        for entry in &page.entries {
            if !entry.is_notice && !self.known.contains_key(&entry.id) {
                survey.crowd.add(entry.contact);
            }
        }
        survey.is_done = page.is_end;
        survey.reached = if page.is_end {
            wanted.before.and_then(before)
        } else {
            page.reached.or(wanted.after)
        };
        if page.is_end {
            self.place_shaded();
        }
    }

    /// What the back lane comes by is known one by one from then on.
    fn leave_crowd(&mut self, entries: &[Entry]) {
        let Some(survey) = &mut self.survey else {
            return;
        };
        for entry in entries {
            let was_counted = Some(entry.id) > survey.passed && Some(entry.id) <= survey.reached;
            if was_counted && !entry.is_notice && !self.known.contains_key(&entry.id) {
                survey.crowd.remove(entry.contact);
            }
        }
    }

    /// A delivery was written among those that were read already, or will be; or its row was changed.
    pub(in super::super) fn came(&mut self, entry: Entry) {
        if self.known.contains_key(&entry.id) {
            return self.refresh(&entry);
        }
        let lane = self.lane(entry.id);
        let reach = self.reach.of(lane);
        if Some(entry.id) <= reach.after {
            return self.insert(entry);
        }
        match lane {
            Lane::Live => self.reach.live.is_end = false,
            Lane::Back if self.reach.back.is_end => self.insert(entry),
            Lane::Back => self.join_crowd(&entry),
        }
    }

    /// What its row says now, unless it is on its way.
    fn refresh(&mut self, entry: &Entry) {
        self.unplace(entry.id);
        if let Some(known) = self.known.get_mut(&entry.id).filter(|known| !known.is_flying) {
            known.key = if entry.attempts == 0 { AT_ONCE } else { entry.due };
            (known.due, known.attempts) = (entry.due, entry.attempts);
        }
        self.place(entry.id);
    }

    /// One that lies in the back lane beyond what is known of it one by one.
    fn join_crowd(&mut self, entry: &Entry) {
        let Some(survey) = self.survey.as_mut().filter(|_| !entry.is_notice) else {
            return;
        };
        if Some(entry.id) > survey.reached {
            return;
        }
        survey.crowd.add(entry.contact);
        if let Some(head) = self.head(entry.contact) {
            self.unplace(head);
            self.place(head);
        }
    }

    /// Takes a delivery that is known from now on.
    pub(in super::super) fn insert(&mut self, entry: Entry) {
        if self.known.contains_key(&entry.id) {
            return;
        }
        let lane = self.lane(entry.id);
        *self.counts.of(lane) += 1;
        let known = Known {
            contact: entry.contact,
            key: if entry.attempts == 0 { AT_ONCE } else { entry.due },
            due: entry.due,
            attempts: entry.attempts,
            is_notice: entry.is_notice,
            is_flying: false,
        };
        self.known.insert(entry.id, known);
        if entry.is_notice {
            return self.place(entry.id);
        }
        let head = self.head(entry.contact);
        self.order.insert((entry.contact, entry.id));
        if head.is_none_or(|head| entry.id < head) {
            if let Some(head) = head {
                self.unplace(head);
            }
            self.place(entry.id);
        }
    }

    /// Something was written with ids from `lowest` on, ahead of what was read at the time.
    pub(in super::super) fn came_ahead(&mut self, lowest: DeliveryId) {
        let lane = self.lane(lowest);
        let reach = self.reach.of(lane);
        if reach.after >= Some(lowest) {
            reach.back_to(before(lowest));
        }
        reach.is_end = false;
        self.reach.live.is_end = false;
        if lane == Lane::Back {
            // Whoever it is of may not have been counted.
            self.survey = None;
            self.place_all();
        }
    }

    /// Forgets how far the lanes were read: something may have been written anywhere.
    pub(in super::super) fn rewind(&mut self) {
        self.reach.back.back_to(None);
        self.reach.live.back_to(self.boundary.and_then(before));
        self.survey = None;
        self.place_all();
    }

    /// Whether what was read before is read again, because something came in between: nothing may be picked meanwhile.
    pub(in super::super) fn is_behind(&self) -> bool {
        self.reach.live.is_behind() || (!self.is_back_known() && self.reach.back.is_behind())
    }
}

//! What of the outbox is read into a window, and what is done with it.

use std::ops::Bound;

use mihwar_model::{ContactId, DeliveryId};

use super::super::crowd::Crowd;
use super::{AT_ONCE, Entry, Known, Lane, Lanes, Page, Part, Reach, Survey, Wanted, Window, before};

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
        // What was the live lane is part of the back one; of what a clock that was ahead has made it is known already.
        let known_to = self.reach.live;
        self.reach.back = Reach {
            is_end: false,
            ..known_to
        };
        self.reach.live = Reach {
            after: before(boundary).max(known_to.after),
            is_end: false,
            ..known_to
        };
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
            let short = self.ready.back.len() < most && self.counts.back < self.known_max;
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
        let short = self.ready.live.len() < most && self.counts.live < self.known_max;
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
                self.trim(Lane::Back);
                self.place_shaded();
            }
            Part::Live => {
                page.entries.iter().for_each(|entry| self.insert(*entry));
                self.reach.live.come_to(page.reached.or(wanted.after), page.is_end);
                self.trim(Lane::Live);
            }
        }
    }

    /// Forgets the end of a lane of which too much is known, as far as nothing of it is on its way: it is read again in its
    /// place. Otherwise whatever is written among what was read already, such as a year that is filled up, would stay in memory.
    fn trim(&mut self, lane: Lane) {
        let over = self.counts.of(lane).saturating_sub(self.known_max);
        if over <= self.known_max / 20 {
            return;
        }
        let bounds = match (lane, self.boundary) {
            (_, None) => (Bound::Unbounded, Bound::Unbounded),
            (Lane::Back, Some(boundary)) => (Bound::Unbounded, Bound::Excluded(boundary)),
            (Lane::Live, Some(boundary)) => (Bound::Included(boundary), Bound::Unbounded),
        };
        let all = self.known.range(bounds).rev();
        let resting = all.filter(|(_, known)| !known.is_flying).take(over);
        let last: Vec<(DeliveryId, ContactId)> = resting.map(|(id, known)| (*id, known.contact)).collect();
        let Some((lowest, _)) = last.last().copied() else {
            return;
        };
        let after = before(lowest);
        let reach = self.reach.of(lane);
        (reach.after, reach.is_end) = (reach.after.min(after), false);
        reach.again_until = reach.again_until.min(after);
        if let Some(survey) = self.survey.as_mut().filter(|_| lane == Lane::Back) {
            survey.passed = survey.passed.min(after);
        }
        for (id, _) in &last {
            self.leave(*id);
        }
        for (_, contact) in last {
            if let Some(head) = self.head(contact) {
                self.unplace(head);
                self.place(head);
            }
        }
    }

    /// Forgets one that has not come to its end: it lies beyond what is known one by one.
    pub(super) fn leave(&mut self, id: DeliveryId) {
        let lane = self.lane(id);
        let contact = self
            .known
            .get(&id)
            .filter(|known| !known.is_notice)
            .map(|known| known.contact);
        self.forget(id);
        if let Some(survey) = self.survey.as_mut().filter(|_| lane == Lane::Back)
            && Some(id) <= survey.reached
            && let Some(contact) = contact
        {
            survey.crowd.add(contact);
        }
    }

    /// Whether the lane of this one is known so far, or up to its end.
    pub(super) fn is_read_to(&self, id: DeliveryId) -> bool {
        let reach = match self.lane(id) {
            Lane::Back => &self.reach.back,
            Lane::Live => &self.reach.live,
        };
        reach.is_end || Some(id) <= reach.after.max(reach.again_until)
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
            self.insert(entry);
            return self.trim(lane);
        }
        match lane {
            Lane::Live => self.reach.live.is_end = false,
            Lane::Back if self.reach.back.is_end => {
                self.reach.back.after = Some(entry.id);
                self.insert(entry);
                self.trim(lane);
            }
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

    /// Forgets what is not on its way, and how far the lanes were read: something may have been written anywhere, and much.
    pub(in super::super) fn rewind(&mut self) {
        let resting = self.known.iter().filter(|(_, known)| !known.is_flying);
        let resting: Vec<DeliveryId> = resting.map(|(id, _)| *id).collect();
        resting.into_iter().for_each(|id| self.forget(id));
        self.reach.back = Reach::from(None);
        self.reach.live = Reach::from(self.boundary.and_then(before));
        self.survey = None;
    }

    /// Whether what was read before is read again, because something came in between: nothing may be picked meanwhile.
    pub(in super::super) fn is_behind(&self) -> bool {
        self.reach.live.is_behind() || (!self.is_back_known() && self.reach.back.is_behind())
    }
}

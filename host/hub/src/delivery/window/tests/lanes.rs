//! Lanes, surveys, retries and digests, case by case.

use std::collections::BTreeMap;
use std::time::Duration;

use mihwar_model::DeliveryId;

use super::super::{Entry, Fate, Part, Window};
use super::{LONGEST, Run, START, contact, id_at};

/// A backlog of some contacts and live deliveries of others.
fn with_backlog(size: u32) -> Run {
    let mut run = Run::new(100);
    for number in 0..size {
        let id = run.next_id();
        run.store.put(id, u8::try_from(number % 100).unwrap(), false);
    }
    run.catch_up();
    run
}

#[test]
fn live_deliveries_have_three_places_of_four_beside_a_backlog() {
    let mut run = with_backlog(2_000);
    for whose in 100..200 {
        let id = run.next_id();
        run.store.put(id, whose, false);
        run.window.came_ahead(id);
    }
    run.load(40);
    let picked = run.window.pick(40);
    let live = picked
        .iter()
        .filter(|id| run.store.rows[id].contact >= contact(100))
        .count();
    assert_eq!((picked.len(), live), (40, 30));
}

#[test]
fn whoever_has_something_in_a_long_backlog_waits_for_it_and_nobody_else() {
    let mut run = with_backlog(3_000);
    let mut late = BTreeMap::new();
    for whose in [7, 150] {
        let id = run.next_id();
        let entry = run.store.put(id, whose, false);
        run.tell(entry);
        late.insert(whose, id);
    }
    run.load(20);
    assert!(
        run.window.has_survey(),
        "the backlog is longer than what is known of it"
    );
    let picked = run.window.pick(20);
    assert!(
        picked.contains(&late[&150]) && !picked.contains(&late[&7]),
        "{picked:?}"
    );
    for id in picked {
        run.store.flying.push(id);
    }
    while !run.store.flying.is_empty() {
        run.land(0, false).unwrap();
    }
    run.finish().unwrap();
    assert!(!run.window.has_survey(), "it is not needed any more");
}

#[test]
fn a_long_backlog_is_never_read_from_its_start_again() {
    let mut run = with_backlog(5_000);
    let mut read = BTreeMap::<DeliveryId, u32>::new();
    let mut ended = 0;
    while ended < 5_000 {
        run.window.look(run.now, LONGEST);
        while let Some(wanted) = run.window.wants(50, true) {
            let page = run.store.read(&wanted, 100);
            if wanted.part == Part::Back {
                page.entries
                    .iter()
                    .for_each(|entry| *read.entry(entry.id).or_default() += 1);
            }
            run.window.took(&wanted, &page);
        }
        for id in run.window.pick(50) {
            run.store.rows.remove(&id);
            run.window.ended(id, Fate::Ended);
            ended += 1;
        }
    }
    assert!(read.len() == 5_000 && read.values().all(|times| *times == 1));
}

#[test]
fn what_is_written_among_what_was_read_is_not_all_known_at_once() {
    let mut run = Run::new(1_000);
    let newest = run.next_id();
    run.store.put(newest, 200, false);
    run.load(1);
    // A department is filled up with a year while it takes what comes now.
    for number in 0..30_000 {
        let id = id_at(START.plus_millis(-1_000), number);
        let entry = run.store.put(id, u8::try_from(number % 200).unwrap(), false);
        run.tell(entry);
        assert!(run.window.known.len() <= 21_000);
    }
    run.window.rewind();
    let mut last = BTreeMap::new();
    while !run.store.rows.is_empty() {
        run.load(500);
        assert!(run.window.known.len() <= 21_000);
        let picked = run.window.pick(500);
        assert!(!picked.is_empty(), "{} are left", run.store.rows.len());
        for id in picked {
            let row = run.store.rows.remove(&id).unwrap();
            let before = last.insert(row.contact, id);
            assert!(before.is_none_or(|before| before < id), "{id} of {}", row.contact);
            run.window.ended(id, Fate::Ended);
        }
    }
}

#[test]
fn one_that_waits_holds_up_its_contact_and_an_erasure_holds_up_nobody() {
    let mut run = Run::new(100);
    let later = START.plus_millis(60_000);
    let mut ids = Vec::new();
    for (whose, attempts, due, is_notice) in [
        (1, 1, later, true),
        (1, 0, START, true),
        (1, 0, START, true),
        (1, 0, START, false),
        (1, 0, START, false),
        (2, 1, later, false),
        (2, 0, START, false),
        (3, 0, START, false),
    ] {
        let id = run.next_id();
        let entry = Entry {
            id,
            contact: contact(whose),
            due,
            attempts,
            is_notice,
        };
        run.store.rows.insert(id, entry);
        ids.push(id);
    }
    run.load(10);
    let picked = run.window.pick(10);
    assert_eq!(picked, [ids[1], ids[2], ids[3], ids[7]]);
    assert_eq!(run.window.next(), Some(later));
}

#[test]
fn a_clock_that_is_put_back_strands_nothing() {
    let mut window = Window::new(false);
    let hours = |hours: i64| START.plus_millis(hours * 3_600_000);
    for (number, attempts, due) in [(1, 1, hours(1)), (2, 1, START), (3, 1, hours(24)), (4, 0, hours(1))] {
        window.insert(Entry {
            id: id_at(START, number),
            contact: contact(u8::try_from(number).unwrap()),
            due,
            attempts,
            is_notice: false,
        });
    }
    window.look(START, LONGEST);
    let picked = window.pick(9);
    // As the schedule says; due; put off by a clock that was ahead; never tried.
    assert_eq!(picked, [2, 3, 4].map(|number| id_at(START, number)));
    window.look(START, Duration::MAX);
    assert_eq!(window.next(), Some(hours(1)));
}

#[test]
fn whoever_finds_out_whether_a_department_is_back_takes_the_one_that_was_tried_least() {
    let mut window = Window::new(false);
    for (number, attempts) in [(1, 7), (2, 3), (3, 3)] {
        window.insert(Entry {
            id: id_at(START, number),
            contact: contact(u8::try_from(number).unwrap()),
            due: START,
            attempts,
            is_notice: false,
        });
    }
    window.look(START, LONGEST);
    assert_eq!(window.pick_least_tried(), Some(id_at(START, 2)));
    assert_eq!(window.pick_least_tried(), Some(id_at(START, 3)));
}

#[test]
fn an_edition_takes_all_that_was_written_before_it_in_order() {
    let mut window = Window::new(true);
    let edition = START.plus_millis(10_000);
    for (number, whose, due, attempts) in [
        (1, 1, START, 0),
        (2, 2, START.plus_millis(90_000), 2),
        (3, 1, START, 0),
        (4, 2, START, 0),
        (5, 3, edition, 0),
    ] {
        window.insert(Entry {
            id: id_at(START, number),
            contact: contact(whose),
            due,
            attempts,
            is_notice: false,
        });
    }
    window.look(edition, LONGEST);
    assert!(window.pick(9).is_empty(), "ordinary ones wait for an edition");
    // The second contact's first one is to be tried again later; the last one is for the next edition.
    let picked = window.pick_edition(edition, 9);
    assert_eq!(picked, [1, 3].map(|number| id_at(START, number)));
    assert!(window.pick_edition(edition, 9).is_empty());
    assert_eq!(window.next(), Some(START.plus_millis(90_000)));
}

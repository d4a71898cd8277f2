//! A bounded queue between async callers and a thread: pushing never waits, taking does.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Holds at most `max_items` and `max_bytes`; what does not fit is handed back at once.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    max_items: usize,
    max_bytes: usize,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

impl<T> State<T> {
    fn pop(&mut self, max_items: usize, max_bytes: usize) -> Vec<T> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < max_items && bytes < max_bytes {
            let Some((item, size)) = self.items.pop_front() else {
                break;
            };
            bytes += size;
            taken.push(item);
        }
        self.bytes -= bytes;
        taken
    }
}

/// Why an item was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    Full { waiting: usize },
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                bytes: 0,
                closed: false,
            }),
            changed: Condvar::new(),
            max_items,
            max_bytes,
        }
    }

    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<(), PushError> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        let waiting = state.items.len();
        // An empty queue takes any item, so that one of the largest size is never refused for ever.
        let full = waiting >= self.max_items || state.bytes + bytes > self.max_bytes;
        if full && waiting > 0 {
            return Err(PushError::Full { waiting });
        }
        state.items.push_back((item, bytes));
        state.bytes += bytes;
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts an item before all that wait, whatever the limits are.
    pub(crate) fn push_first(&self, item: T) -> Result<(), PushError> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        state.items.push_front((item, 0));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until something is there, then takes what is waiting: at least one item, at most `max_items`, and no more
    /// after `max_bytes` are reached. `None` when the queue is closed and empty.
    pub(crate) fn take(&self, max_items: usize, max_bytes: usize) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(state.pop(max_items, max_bytes))
    }

    /// As [`Queue::take`], without waiting: nothing when nothing is there.
    pub(crate) fn take_waiting(&self, max_items: usize, max_bytes: usize) -> Vec<T> {
        self.lock().pop(max_items, max_bytes)
    }

    /// Takes in nothing more. What is there can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing under this lock can panic half-way, so a poisoned queue is a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn takes_in_order_up_to_either_limit() {
        let queue = Queue::new(10, 100);
        for number in 0..5 {
            queue.push(number, 10).unwrap();
        }
        assert_eq!(queue.take(2, 100), Some(vec![0, 1]));
        assert_eq!(queue.take(9, 15), Some(vec![2, 3]));
        assert_eq!(queue.take(9, 100), Some(vec![4]));
        assert_eq!(queue.take_waiting(9, 100), Vec::<i32>::new());
        queue.push(5, 10).unwrap();
        assert_eq!(queue.take_waiting(9, 100), vec![5]);
    }

    #[test]
    fn refuses_what_does_not_fit_but_never_the_first_item() {
        let queue = Queue::new(2, 100);
        queue.push("a", 500).unwrap();
        assert_eq!(queue.push("b", 1), Err(PushError::Full { waiting: 1 }));
        assert_eq!(queue.take(9, 9), Some(vec!["a"]));
        queue.push("c", 1).unwrap();
        queue.push("d", 1).unwrap();
        assert_eq!(queue.push("e", 1), Err(PushError::Full { waiting: 2 }));
    }

    #[test]
    fn what_is_put_first_is_taken_first_even_when_the_queue_is_full() {
        let queue = Queue::new(1, 100);
        queue.push("a", 10).unwrap();
        queue.push_first("b").unwrap();
        assert_eq!(queue.take(9, 999), Some(vec!["b", "a"]));
        queue.close();
        assert_eq!(queue.push_first("c"), Err(PushError::Closed));
    }

    #[test]
    fn a_closed_queue_gives_out_the_rest_and_wakes_who_waits() {
        let queue = Arc::new(Queue::new(9, 99));
        queue.push(1, 1).unwrap();
        queue.close();
        assert_eq!(queue.push(2, 1), Err(PushError::Closed));
        assert_eq!(queue.take(9, 9), Some(vec![1]));
        assert_eq!(queue.take(9, 9), None);

        let waiting = Arc::new(Queue::<u8>::new(9, 99));
        let taker = std::thread::spawn({
            let waiting = Arc::clone(&waiting);
            move || waiting.take(9, 9)
        });
        waiting.close();
        assert_eq!(taker.join().unwrap(), None);
    }
}

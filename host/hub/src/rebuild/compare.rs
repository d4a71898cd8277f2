//! Two stores' read models side by side, in the order of their keys.

use std::cmp::Ordering;
use std::iter::Peekable;

use mihwar_store::{KeyRange, MAX_PAGE_ROWS, Order, Row, Space, View};
use serde::{Deserialize, Serialize};

use super::anew::Anew;
use super::mending::Mending;
use crate::fault::Fault;
use crate::keys;

/// Rows of each read model that are named, of those that differ.
const EXAMPLES_MAX: usize = 5;
/// After how many rows whoever waits is told.
const TELL_EVERY: u64 = 5_000;

/// What was found in one read model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Which one.
    pub model: String,
    /// Rows that the ledger gives.
    pub rows: u64,
    /// Rows that were not there.
    pub missing: u64,
    /// Rows that said something else.
    pub different: u64,
    /// Rows of which the ledger knows nothing.
    pub surplus: u64,
    /// A few of all these, named.
    pub examples: Vec<String>,
}

impl ModelReport {
    /// Rows that were not as the ledger says.
    #[must_use]
    pub const fn differences(&self) -> u64 {
        self.missing + self.different + self.surplus
    }

    fn take(&mut self, difference: &Difference) {
        let (count, word, row) = match difference {
            Difference::Missing(row) => (&mut self.missing, "missing", row),
            Difference::Different(row) => (&mut self.different, "different", row),
            Difference::Surplus(row) => (&mut self.surplus, "too many", row),
        };
        *count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{word}: {}", keys::describe(&row.key)));
        }
    }
}

/// A row that is not as the ledger says.
pub(crate) enum Difference {
    /// This one should be there.
    Missing(Row),
    /// It should be like this.
    Different(Row),
    /// This one should not be there.
    Surplus(Row),
}

/// Compares all read models that a view shows with those made anew, and hands every difference to `mending`. Calls `tell`
/// with how many rows are done.
pub(crate) async fn compare(
    there: &dyn View,
    anew: &Anew<'_>,
    mut mending: Option<&mut Mending<'_>>,
    tell: impl Fn(u64),
) -> Result<Vec<ModelReport>, Fault> {
    let anew = anew.view().await?;
    let (mut reports, mut done) = (Vec::new(), 0);
    for space in keys::READ_MODELS {
        let mut report = ModelReport {
            model: keys::model_name(space).to_owned(),
            ..ModelReport::default()
        };
        let mut pair = Pair::new(there, &*anew, space);
        loop {
            match pair.next().await? {
                Step::Same => {}
                Step::Differs(difference) => {
                    report.take(&difference);
                    if let Some(mending) = &mut mending {
                        mending.take(difference).await?;
                    }
                }
                Step::End => break,
            }
            done += 1;
            if done % TELL_EVERY == 0 {
                tell(done);
            }
        }
        report.rows = pair.expected.seen;
        reports.push(report);
    }
    tell(done);
    Ok(reports)
}

/// What the next key of two stores shows.
enum Step {
    Same,
    Differs(Difference),
    End,
}

/// One space of both stores.
struct Pair<'a> {
    there: Rows<'a>,
    expected: Rows<'a>,
}

impl<'a> Pair<'a> {
    fn new(there: &'a dyn View, expected: &'a dyn View, space: Space) -> Self {
        Self {
            there: Rows::new(there, keys::all(space)),
            expected: Rows::new(expected, keys::all(space)),
        }
    }

    async fn next(&mut self) -> Result<Step, Fault> {
        let (there, expected) = (self.there.peek().await?, self.expected.peek().await?);
        let order = match (there, expected) {
            (None, None) => return Ok(Step::End),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(there), Some(expected)) => there.key.cmp(&expected.key),
        };
        let difference = match order {
            Ordering::Less => self.there.take().map(Difference::Surplus),
            Ordering::Greater => self.expected.take().map(Difference::Missing),
            Ordering::Equal => {
                let (there, expected) = (self.there.take(), self.expected.take());
                let bytes = there.map(|row| row.value.bytes);
                let differs = |row: &Row| bytes.as_ref() != Some(&row.value.bytes);
                expected.filter(differs).map(Difference::Different)
            }
        };
        Ok(difference.map_or(Step::Same, Step::Differs))
    }
}

/// Rows of a range one by one.
struct Rows<'a> {
    view: &'a dyn View,
    rest: Option<KeyRange>,
    page: Peekable<std::vec::IntoIter<Row>>,
    seen: u64,
}

impl<'a> Rows<'a> {
    fn new(view: &'a dyn View, range: KeyRange) -> Self {
        Self {
            view,
            rest: Some(range),
            page: Vec::new().into_iter().peekable(),
            seen: 0,
        }
    }

    async fn peek(&mut self) -> Result<Option<&Row>, Fault> {
        while self.page.peek().is_none() {
            let Some(range) = self.rest.take() else {
                return Ok(None);
            };
            let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
            self.rest = page.next;
            self.page = page.rows.into_iter().peekable();
        }
        Ok(self.page.peek())
    }

    fn take(&mut self) -> Option<Row> {
        self.seen += 1;
        self.page.next()
    }
}

//! What departments reported: each report is there as the ledger tells it, until its item is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use mihwar_model::{EventBody, FeedbackId, StatusReported};
use mihwar_store::{Key, Order};

use super::Verification;
use super::contents::CONTENTS_AT_ONCE;
use super::open::{Found, Open};
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, ReportRow};
use crate::status_reports;

impl Verification<'_> {
    /// Looks which of the reports in a page of the ledger are there, and compares what was said with them.
    pub(super) async fn reports(&mut self, bodies: &[EventBody], found: &mut Found) -> Result<(), Fault> {
        let reports = bodies.iter().filter_map(|body| match body {
            EventBody::StatusReported(report) => Some(report),
            _ => None,
        });
        let reports: Vec<&StatusReported> = reports.collect();
        let view = Arc::clone(&self.view);
        for some in reports.chunks(CONTENTS_AT_ONCE) {
            let places: Vec<Key> = some.iter().map(|report| status_reports::place(report)).collect();
            let mut there = Vec::new();
            for ((report, place), row) in some.iter().zip(places.iter()).zip(view.get_many(&places).await?) {
                let Some(row) = row else { continue };
                match rows::decode::<ReportRow>("a department's report", &row.bytes) {
                    Ok(row) => there.push((*report, place, row)),
                    Err(error) => {
                        found.reports.insert(place.clone());
                        self.wrong_report(report, &error.to_string());
                    }
                }
            }
            found.reports.extend(self.same_reports(&there).await?);
        }
        Ok(())
    }

    /// Which of these are what was reported, or cannot be compared, which is told. One that is something else is told when
    /// nothing explains it: the item may have gone, come back, and been reported about anew.
    async fn same_reports(&mut self, there: &[(&StatusReported, &Key, ReportRow)]) -> Result<Vec<Key>, Fault> {
        let contacts = there.iter().map(|(_, _, row)| row.contact).collect();
        let view = Arc::clone(&self.view);
        let contact_keys = self.core.contact_keys_at_rest(&*view, contacts).await?;
        let mut same = Vec::with_capacity(there.len());
        for (report, place, row) in there {
            let commitment = match contact_keys.usable(row.contact) {
                _ if row.words.is_empty() => Ok(None),
                Some(key) => {
                    let opened = status_reports::opened(self.core, key, place, row);
                    opened
                        .map(|opened| opened.map(|(_, commitment)| commitment))
                        .map_err(|error| error.to_string())
                }
                None => Err("its contact's key is gone or damaged".to_owned()),
            };
            match commitment {
                Ok(commitment) if commitment != report.commitment => continue,
                Ok(_) => {}
                Err(detail) => self.wrong_report(report, &detail),
            }
            same.push(Key::clone(place));
        }
        Ok(same)
    }

    fn wrong_report(&mut self, report: &StatusReported, detail: &str) {
        self.report.find(format!(
            "what {} reported about {} (since {}): {detail}",
            report.destination, report.feedback, report.changed_at
        ));
    }

    /// Of withdrawn and erased records, those of which names or reports are there still.
    pub(super) async fn told_still(&self, gone: &[FeedbackId]) -> Result<BTreeSet<FeedbackId>, Fault> {
        let scan = |id: &FeedbackId| self.view.scan(keys::told_of(*id), Order::Ascending, 1);
        let mut still = BTreeSet::new();
        for (id, page) in gone.iter().zip(join_all(gone.iter().map(scan)).await) {
            if !page?.rows.is_empty() {
                still.insert(*id);
            }
        }
        Ok(still)
    }

    /// What is not explained at the end.
    pub(super) fn tell_reports(&mut self, open: &Open) {
        for (id, place) in &open.unsaid {
            self.report.find(format!(
                "a report about {id} is gone or another one, and no event says why ({place})"
            ));
        }
        for id in &open.named {
            self.report.find(format!(
                "{id} was withdrawn or erased, but what departments call it, or reported about it, is still there"
            ));
        }
    }
}

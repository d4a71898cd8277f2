//! What the other system tells back: in order, again, the other way round, unreadable, and not signed.

use std::collections::BTreeSet;

use super::batch::new_items;
use super::bench::Bench;
use super::verdict::Called;
use super::{Finding, Rule, Setup, System, Told};
use crate::{Change, InboundRequest, Outcome, PluginError, StatusUpdate, Verification, WorkState};

/// Between two changes, by the clock of the other system.
const STEP_MS: i64 = 60_000;
/// How long before the hub's clock they begin.
const AGO_MS: i64 = 172_800_000;

/// What the hub keeps of a report: it is known again by all three.
type Kept = (String, i64, String);

/// An item that was delivered, and what is told about it, oldest first.
struct Story<'a, S> {
    bench: Bench<'a, S>,
    delivered: Called,
    told: Vec<(Told, InboundRequest)>,
}

/// Everything that is wrong with how a department reports.
pub(super) fn reports<S: System>(setup: &Setup<S>) -> Vec<Finding> {
    if setup.handle.is_none() {
        return Vec::new();
    }
    let mut story = Story::begin(setup, "what became of an item is told, and nothing goes wrong");
    if story.told.is_empty() {
        let done = "nothing can be tried: the delivery returned no reference, or the model of the other system tells nothing \
                    (`System::tells`)";
        story.bench.find(Rule::Works, &story.delivered, None, done.to_owned());
        return story.bench.findings;
    }
    let mut findings = in_order_and_again(story);
    findings.extend(the_other_way_round(Story::begin(
        setup,
        "what became of an item is told, the newest first",
    )));
    findings.extend(unreadable(Story::begin(setup, "a request comes that cannot be read")));
    findings.extend(forged(Story::begin(
        setup,
        "a request comes that was changed after it was signed: there is a blank more at its end",
    )));
    findings.extend(foreign(Story::begin(
        setup,
        "something is told about what the hub has nothing to do with",
    )));
    findings
}

impl<'a, S: System> Story<'a, S> {
    fn begin(setup: &'a Setup<S>, scene: &str) -> Self {
        let mut bench = Bench::new(setup, scene.to_owned());
        let items = new_items(1, 1);
        let delivered = bench.call(&items, None);
        let mut told = Vec::new();
        if let Some(item) = items.first().map(|parcel| parcel.handed.item.clone())
            && let Some(reference) = bench.references.get(&item).cloned()
        {
            let states = [
                WorkState::Open,
                WorkState::InProgress,
                WorkState::Resolved,
                WorkState::Reopened,
                WorkState::Rejected,
            ];
            let mut changed_at = bench.fake.host().now() - AGO_MS;
            for state in states {
                changed_at += STEP_MS;
                let one = Told {
                    item: item.clone(),
                    reference: reference.clone(),
                    state,
                    changed_at,
                };
                let request = bench.stand().system.tells(&one);
                told.extend(request.map(|request| (one, request)));
            }
        }
        Self { bench, delivered, told }
    }

    fn newest(&self) -> Option<&Told> {
        self.told.last().map(|(told, _)| told)
    }

    /// The newest state of the item by what the hub kept, if there is one that is newest.
    fn newest_is_right(&self, kept: &BTreeSet<Kept>) -> bool {
        let Some(told) = self.newest() else { return true };
        let of_item = kept.iter().filter(|(reference, ..)| *reference == told.reference);
        let newest = of_item.clone().map(|(_, at, _)| *at).max();
        let mut states = of_item
            .filter(|(_, at, _)| Some(*at) == newest)
            .map(|(_, _, state)| state.as_str());
        states.next() == Some(told.state.name()) && states.next().is_none()
    }
}

fn in_order_and_again<S: System>(mut story: Story<'_, S>) -> Vec<Finding> {
    let mut kept = BTreeSet::new();
    for (told, request) in story.told.clone() {
        let (called, result) = story.bench.handle(&request);
        let reports = reports_of(&result);
        let is_right =
            matches!(reports.as_slice(), [one] if one.external_ref == told.reference && one.state == told.state);
        if !is_right {
            let done = format!("`{}` was told, and {}", told.state.name(), shown(&result, &reports));
            story.bench.find(Rule::Report, &called, None, done);
        }
        let problems: Vec<String> = reports.iter().flat_map(StatusUpdate::problems).collect();
        if !problems.is_empty() {
            let done = format!("the hub refuses the report: {}", problems.join("; "));
            story.bench.find(Rule::Report, &called, None, done);
        }
        kept.extend(reports.iter().map(kept_of));
    }
    for (told, request) in story.told.clone() {
        story.bench.pass(3_600_000);
        let again = InboundRequest {
            delivery_id: format!("{}-again", request.delivery_id),
            received_at: story.bench.fake.host().now(),
            ..request
        };
        let (called, result) = story.bench.handle(&again);
        let added: Vec<Kept> = reports_of(&result)
            .iter()
            .map(kept_of)
            .filter(|one| !kept.contains(one))
            .collect();
        if !added.is_empty() {
            let done = format!(
                "`{}` was told for the second time, and became another report",
                told.state.name()
            );
            story.bench.find(Rule::ReportedOnce, &called, None, done);
        }
        kept.extend(added);
    }
    story.bench.findings
}

fn the_other_way_round<S: System>(mut story: Story<'_, S>) -> Vec<Finding> {
    let mut kept = BTreeSet::new();
    let mut last = None;
    for (_, request) in story.told.clone().into_iter().rev() {
        story.bench.pass(3_600_000);
        let request = InboundRequest {
            received_at: story.bench.fake.host().now(),
            ..request
        };
        let (called, result) = story.bench.handle(&request);
        kept.extend(reports_of(&result).iter().map(kept_of));
        last = Some(called);
    }
    let newest = story
        .newest()
        .map(|told| told.state.name().to_owned())
        .unwrap_or_default();
    if let Some(called) = last
        && !story.newest_is_right(&kept)
    {
        let done = format!("the newest state is `{newest}`, and by the reports it is another");
        story.bench.find(Rule::Newest, &called, None, done);
    }
    story.bench.findings
}

fn unreadable<S: System>(mut story: Story<'_, S>) -> Vec<Finding> {
    let Some((_, request)) = story.told.last().cloned() else {
        return Vec::new();
    };
    let half = request.body.get(..request.body.len() / 2).unwrap_or_default().to_vec();
    let text = serde_json::json!(super::batch::quoted()).to_string();
    let bodies = [
        ("empty", Vec::new()),
        ("half of a request", half),
        ("`null`", b"null".to_vec()),
        ("`[]`", b"[]".to_vec()),
        ("`{}`", b"{}".to_vec()),
        ("a text in JSON", text.into_bytes()),
        ("HTML", b"<html>".to_vec()),
        ("no UTF-8", vec![0xff, 0xfe, 0]),
    ];
    for (what, body) in bodies {
        let (called, result) = story.bench.handle(&InboundRequest {
            body,
            ..request.clone()
        });
        let fault = match &result {
            Ok(outcome) if !outcome.changes.is_empty() => Some("it made a change of it".to_owned()),
            Ok(_) | Err(PluginError::Permanent(_) | PluginError::Unsupported(_)) => None,
            Err(error) => Some(format!("it was told as `{}`", super::pause::class(error))),
        };
        if let Some(fault) = fault {
            story.bench.find(
                Rule::Unreadable,
                &called,
                None,
                format!("the body was {what}, and {fault}"),
            );
        }
    }
    story.bench.findings
}

/// What the hub verified by a recipe was verified; what the plugin verifies by itself is tried.
fn forged<S: System>(mut story: Story<'_, S>) -> Vec<Finding> {
    let Some((_, request)) = story.told.last().cloned() else {
        return Vec::new();
    };
    if request.verification != Verification::Unverified {
        return Vec::new();
    }
    let mut body = request.body.clone();
    body.push(b' ');
    let (called, result) = story.bench.handle(&InboundRequest { body, ..request });
    if result.is_ok_and(|outcome| !outcome.changes.is_empty()) {
        let done = "the body is another than the one that was signed, and it was believed".to_owned();
        story.bench.find(Rule::Forged, &called, None, done);
    }
    story.bench.findings
}

fn foreign<S: System>(mut story: Story<'_, S>) -> Vec<Finding> {
    let Some(request) = story.bench.stand().system.tells_of_others() else {
        return Vec::new();
    };
    let (called, result) = story.bench.handle(&request);
    let done = match &result {
        Ok(outcome) if outcome.changes.is_empty() && outcome.refusals.is_empty() => return story.bench.findings,
        Ok(_) => "it made a change or a refusal of it".to_owned(),
        Err(error) => format!("it was told as an error: {}", error.summary()),
    };
    story.bench.find(Rule::Foreign, &called, None, done);
    story.bench.findings
}

fn reports_of(result: &Result<Outcome, PluginError>) -> Vec<StatusUpdate> {
    let changes = result.iter().flat_map(|outcome| &outcome.changes);
    changes
        .filter_map(|change| match change {
            Change::Status(update) => Some(update.clone()),
            Change::Upsert(_) | Change::Erase(_) => None,
        })
        .collect()
}

fn kept_of(update: &StatusUpdate) -> Kept {
    (
        update.external_ref.clone(),
        update.changed_at,
        update.state.name().to_owned(),
    )
}

fn shown(result: &Result<Outcome, PluginError>, reports: &[StatusUpdate]) -> String {
    match result {
        Err(error) => format!("it was told as an error: {}", error.summary()),
        Ok(_) if reports.is_empty() => "there is no report".to_owned(),
        Ok(_) => {
            let states: Vec<&str> = reports.iter().map(|report| report.state.name()).collect();
            format!("the reports say `{}`, or have another reference", states.join("`, `"))
        }
    }
}

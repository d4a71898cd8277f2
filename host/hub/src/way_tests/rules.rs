//! Rules tried on what is stored, page by page.

use std::sync::Arc;

use mihwar_model::{FeedbackId, InstanceName, Kind, Time};
use tokio::sync::mpsc;

use super::{House, accept, complaint, step};
use crate::hub::Hub;
use crate::routing::{RouteSource, RoutingMove, RoutingTrial, RuleSet, RulesSource};

const CONFIG: &str = "[[plugin]]\nid = \"p\"\n\
                      [[instance]]\nname = \"service\"\nplugin = \"p\"\n\
                      [[instance]]\nname = \"billing\"\nplugin = \"p\"\n\
                      [routing]\ndefault = [\"service\"]\n\
                      [[route]]\nname = \"مدح\"\nwhen = \"record.kind == 'praise'\"\nto = [\"billing\"]\n";

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

/// Praise to a department that is not there yet, and a rule that matches nothing.
fn changed() -> Arc<RuleSet> {
    let route = |rule: &str, when: &str| RouteSource {
        name: rule.to_owned(),
        when: when.to_owned(),
        to: vec![name("legal")],
    };
    let (rules, problems) = RuleSet::read(RulesSource {
        default: vec![name("service")],
        routes: vec![
            route("مدح", "record.kind == 'praise'"),
            route("نادر", "record.revision > 7"),
            route("قسمة", "1 / record.attachments == 1"),
        ],
        ..RulesSource::default()
    });
    assert_eq!(problems, []);
    Arc::new(rules)
}

/// A trial, and how many records were done each time that it told of itself.
async fn tried(hub: &Hub, to: Option<Time>) -> (RoutingTrial, Vec<u64>) {
    let (sender, mut progress) = mpsc::channel(16);
    let trial = hub.try_rules(changed(), None, to, sender).await.unwrap();
    let mut told = Vec::new();
    while let Some(step) = progress.recv().await {
        told.push(step.records);
    }
    (trial, told)
}

#[tokio::test]
async fn rules_are_tried_on_the_newest_revision_of_every_record_and_change_nothing() {
    let house = House::new();
    let hub = house.open(CONFIG).await.unwrap();
    let kind = |number: usize| {
        if number.is_multiple_of(3) {
            Kind::Praise
        } else {
            Kind::Complaint
        }
    };
    let drafts = (0..12).map(|number| complaint(&number.to_string(), "a", kind(number)));
    let ids = accept(&hub, drafts.collect()).await;
    accept(&hub, vec![complaint("1", "b", Kind::Praise)]).await;
    while step(&hub).await > 0 {}
    accept(&hub, vec![complaint("جديد", "a", Kind::Praise)]).await;

    let size = house.store.view().await.unwrap().tree().size();
    let (trial, told) = tried(&hub, None).await;
    assert_eq!(told, [5, 10, 13]);
    assert_eq!(
        (trial.records, trial.same, trial.moved, trial.waiting),
        (13, 7, 5, 1),
        "{trial:?}"
    );
    let mut examples = vec![ids[0], ids[1], ids[3], ids[6], ids[9]];
    examples.sort_unstable();
    let moved = RoutingMove {
        from: vec![name("billing")],
        to: vec![name("legal")],
        count: 5,
        examples,
    };
    assert_eq!(trial.moves, [moved]);
    assert_eq!((trial.left_to_default, trial.in_other_moves), (7, 0));
    let tallies: Vec<_> = trial.rules.iter().map(|rule| (rule.matched, rule.failed)).collect();
    assert_eq!(tallies, [(5, 0), (0, 0), (0, 12)]);
    assert_eq!(house.store.view().await.unwrap().tree().size(), size);

    let (trial, told) = tried(&hub, Some(Time(1_790_000_000_000))).await;
    assert_eq!((trial.records, told), (0, Vec::new()));
}

#[tokio::test]
async fn a_decision_is_explained_by_the_rules_that_took_it_and_by_those_of_now() {
    let house = House::new();
    let hub = house.open(CONFIG).await.unwrap();
    let id = accept(&hub, vec![complaint("١", "a", Kind::Praise)]).await[0];
    let waits = hub.explain_routing(id).await.unwrap().unwrap();
    assert!(waits.decided.is_none() && !waits.rules_changed, "{waits:?}");
    assert_eq!(waits.today.unwrap().departments[0].department, "billing");
    step(&hub).await;
    drop(hub);

    let hub = house.open(&CONFIG.replace("'praise'", "'complaint'")).await.unwrap();
    let told = hub.explain_routing(id).await.unwrap().unwrap();
    let decided = told.decided.clone().unwrap();
    assert_eq!(
        (
            decided.departments[0].department.as_str(),
            decided.departments[0].rule.as_str()
        ),
        ("billing", "مدح")
    );
    assert!(told.rules_changed && decided.rules != told.rules, "{told:?}");
    let today = told.today.unwrap();
    assert_eq!(today.departments[0].department, "service");
    assert_eq!(
        today.rules[0].because.as_deref(),
        Some("record.kind == 'complaint' is false: kind is \"praise\"")
    );
    assert_eq!(
        hub.explain_routing(FeedbackId::from_bytes([9; 16])).await.unwrap(),
        None
    );
}

use std::collections::BTreeMap;

use mihwar_model::{
    Attribute, Author, Channel, ContactId, Content, FactValue, FeedbackId, Identifier, InstanceName, Kind, Language,
    Scalar, Score, Tag, Time,
};
use proptest::prelude::*;

use super::explain::{Verdict, explain};
use super::predicate::Predicate;
use super::seen::Subject;
use super::{ContactField, Decided, Matching, RouteSource, RuleSet, RulesSource};
use crate::head_row::Entries;
use crate::rows::Head;

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn head() -> Head {
    Head {
        feedback: FeedbackId::from_bytes([1; 16]),
        revision: 1,
        contact: ContactId::from_bytes([2; 16]),
        instance: name("form"),
        channel: Channel::new(Tag::new("form").unwrap()),
        kind: Some(Kind::Complaint),
        occurred_at: None,
        received_at: Time(0),
        thread: None,
        language: None,
        sentiment: None,
        scores: vec![score("nps", 2.0)],
        tags: vec![Tag::new("فاتورة").unwrap()],
        attributes: vec![("masked-phone".into(), FactValue::Integer(2))],
        call: None,
        attachments: 0,
        body_chars: 0,
        destinations: vec![],
        quarantine: None,
        withdrawn: false,
        entries: Entries::default(),
        erased_at: None,
        row_bytes: 0,
    }
}

fn score(metric: &str, value: f64) -> Score {
    Score {
        metric: metric.into(),
        value,
        min: 0.0,
        max: 10.0,
    }
}

fn content() -> Content {
    Content {
        author: Some(Author {
            name: Some("هدى".into()),
            identifiers: vec![Identifier {
                scheme: "mail".into(),
                id: "Huda@Example.COM".into(),
            }],
            locale: Some("ar-SA".into()),
        }),
        body: "وصلتني فاتورة خاطئة".into(),
        attributes: vec![Attribute {
            name: "plan".into(),
            value: Scalar::Text("ذهبي".into()),
        }],
        ..Content::default()
    }
}

fn source(rules: &[(&str, &str)], matching: Matching) -> RulesSource {
    let routes = rules.iter().map(|(to, when)| RouteSource {
        name: (*when).to_owned(),
        when: (*when).to_owned(),
        to: vec![name(to)],
    });
    RulesSource {
        default: vec![name("service")],
        matching,
        contact_fields: ContactField::ALL.to_vec(),
        lists: BTreeMap::from([("vip-plans".to_owned(), vec!["gold".to_owned(), "ذهبي".to_owned()])]),
        routes: routes.collect(),
    }
}

fn rules(source: RulesSource) -> RuleSet {
    let (rules, problems) = RuleSet::read(source);
    assert_eq!(problems, []);
    rules
}

fn decided(written: &[(&str, &str)], matching: Matching, asked: &[(InstanceName, InstanceName)]) -> (RuleSet, Decided) {
    let rules = rules(source(written, matching));
    let decided = rules.decide(&head(), &content(), asked);
    (rules, decided)
}

fn decide(written: &[(&str, &str)], matching: Matching) -> Vec<(String, String)> {
    let (_, decided) = decided(written, matching, &[]);
    let decisions = decided.decisions.into_iter();
    decisions.map(|d| (d.destination.to_string(), d.rule)).collect()
}

#[test]
fn rules_see_words_scores_tags_lists_contact_and_what_was_given() {
    for rule in [
        "record.body.contains('فاتورة')",
        "has(record.scores.nps) && record.scores.nps <= 6.0",
        "'فاتورة' in record.tags",
        "record.kind == 'complaint'",
        "record.attributes['masked-phone'] > 1",
        "record.given.plan in lists.vip_plans",
        "contact.name == 'هدى' && contact.locale.startsWith('ar')",
        "'example.com' in contact.domains && contact.identifiers == ['mail:Huda@Example.COM']",
        "department.names == ['billing', 'service'] && size(department.asked) == 0",
    ] {
        assert_eq!(
            decide(&[("billing", rule)], Matching::All),
            [("billing".into(), rule.into())]
        );
    }
}

#[test]
fn what_no_rule_chooses_goes_to_the_default_and_nothing_twice() {
    assert_eq!(
        decide(&[("billing", "record.kind == 'praise'")], Matching::All),
        [("service".into(), "default".into())]
    );
    let both = [
        ("billing", "true"),
        ("billing", "record.kind == 'complaint'"),
        ("it", "true"),
    ];
    assert_eq!(decide(&both, Matching::All).len(), 2);
    assert_eq!(decide(&both, Matching::First), [("billing".into(), "true".into())]);
}

#[test]
fn what_enrichers_ask_for_is_seen_and_added() {
    let asked = [(name("language"), name("legal"))];
    let rule = "'legal' in department.asked";
    let (_, decided) = decided(&[("billing", rule)], Matching::All, &asked);
    let told: Vec<_> = decided
        .decisions
        .iter()
        .map(|decision| (decision.destination.as_str(), decision.rule.as_str()))
        .collect();
    assert_eq!(told, [("billing", rule), ("legal", "enricher language")]);
}

#[test]
fn a_rule_that_fails_chooses_nobody_and_its_reason_is_kept() {
    let failing = [
        ("it", "1 / record.attachments == 1"),
        ("it", "record.scores.csat > 3.0"),
        ("it", "record.given.plan > 3"),
        ("it", "record.tags[7] == 'x'"),
        ("it", "int(record.body) == 1"),
        ("it", "record.given.plan"),
        ("billing", "record.revision == 1"),
    ];
    let (rules, decided) = decided(&failing, Matching::All, &[]);
    assert_eq!(decided.decisions.len(), 1);
    let kept = rules.failures(&decided).unwrap();
    let codes: Vec<_> = kept.iter().map(|failure| failure.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "division-by-zero",
            "missing",
            "type",
            "out-of-range",
            "function",
            "not-boolean"
        ]
    );
    assert_eq!(kept[0].rule, "1 / record.attachments == 1");
    // What a false condition stands beside does not count.
    let guarded = "1 / record.attachments == 1 && record.kind == 'praise'";
    let (rules, decided) = self::decided(&[("it", guarded)], Matching::All, &[]);
    assert_eq!(rules.failures(&decided), None);
}

#[test]
fn a_rule_that_cannot_be_used_is_left_out_and_told() {
    let written = [("billing", "record.kind =="), ("billing", "record.kind == 'complaint'")];
    let (rules, problems) = RuleSet::read(source(&written, Matching::All));
    assert_eq!((problems.len(), problems[0].route), (1, 0));
    assert_eq!(rules.decide(&head(), &content(), &[]).decisions.len(), 1);
}

#[test]
fn a_fingerprint_is_that_of_all_that_may_change_a_decision() {
    let written = source(&[("billing", "true")], Matching::All);
    let changed = |change: fn(&mut RulesSource)| {
        let mut other = written.clone();
        change(&mut other);
        rules(other).fingerprint()
    };
    let same = rules(written.clone()).fingerprint();
    assert_eq!(changed(|_| {}), same);
    for other in [
        changed(|source| source.matching = Matching::First),
        changed(|source| source.default = Vec::new()),
        changed(|source| source.contact_fields.truncate(1)),
        changed(|source| source.lists.values_mut().for_each(|list| list.push("فضي".into()))),
        changed(|source| source.routes[0].when = "false".into()),
        changed(|source| source.routes[0].to.push(name("it"))),
    ] {
        assert_ne!(other, same);
    }
}

/// Verdict and reason of each rule.
fn explained(written: &[(&str, &str)], matching: Matching) -> Vec<(Verdict, String)> {
    let rules = rules(source(written, matching));
    let (head, content) = (head(), content());
    let subject = Subject {
        head: &head,
        content: &content,
        asked: &[],
    };
    let today = explain(&rules, subject);
    let verdicts = today.rules.into_iter();
    verdicts
        .map(|told| (told.verdict, told.because.unwrap_or_default()))
        .collect()
}

#[test]
fn each_rule_tells_the_part_that_decided_and_the_values_in_it() {
    for (rule, verdict, because) in [
        (
            "record.channel == 'form' && record.kind == 'praise' && record.revision == 1",
            Verdict::NotMatched,
            "record.kind == 'praise' is false: kind is \"complaint\"",
        ),
        (
            "record.kind == 'praise' || record.scores.nps <= 6.0",
            Verdict::Matched,
            "record.scores.nps <= 6.0 is true: scores.nps is 2",
        ),
        (
            "!(record.kind == 'complaint')",
            Verdict::NotMatched,
            "record.kind == 'complaint' is true: kind is \"complaint\"",
        ),
        (
            "record.body.contains('invoice')",
            Verdict::NotMatched,
            "record.body.contains('invoice') is false: body has 19 letters",
        ),
        (
            "has(record.scores.csat) && record.scores.csat < 2.0",
            Verdict::NotMatched,
            "has(record.scores.csat) is false: scores.csat is not there",
        ),
        (
            "record.revision == 1 && 1 / record.attachments == 1",
            Verdict::Failed,
            "1 / record.attachments == 1 failed: division by zero: attachments is 0",
        ),
        (
            "'عاجل' in record.tags",
            Verdict::NotMatched,
            "'عاجل' in record.tags is false: tags is [\"فاتورة\"]",
        ),
        (
            "record.given.plan in lists.vip_plans",
            Verdict::Matched,
            "record.given.plan in lists.vip_plans is true: given.plan is \"ذهبي\"",
        ),
        (
            "contact.identifiers.exists(one, one.startsWith('tel:'))",
            Verdict::NotMatched,
            "contact.identifiers.exists(one, one.startsWith('tel:')) is false: contact.identifiers are 1",
        ),
    ] {
        let told = explained(&[("billing", rule)], Matching::All);
        assert_eq!(told, [(verdict, because.to_owned())], "{rule}");
    }
    let told = explained(&[("billing", "true"), ("it", "true")], Matching::First);
    assert_eq!(told[1], (Verdict::NotReached, String::new()));
}

const WORDS: [&str; 7] = ["فاتورة", "invoice", "التوصيل", "Late", "ذهبي", "gold", ""];
const CODES: [&str; 5] = ["gold", "Arab", "x", "فضي", ""];

fn pick(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> + Clone {
    proptest::sample::select(texts)
}

fn number() -> impl Strategy<Value = &'static str> + Clone {
    pick(&["0", "1", "2", "7", "-1", "0.0", "2.5", "7.0", "-0.5"])
}

fn order() -> impl Strategy<Value = &'static str> + Clone {
    pick(&["==", "!=", "<", "<=", ">", ">="])
}

/// Questions that are not made of parts.
const OTHERS: [&str; 21] = [
    "true",
    "false",
    "has(record.scores.csat)",
    "'nps' in record.scores",
    "has(record.sentiment)",
    "has(record.given.plan)",
    "'plan' in record.attributes",
    "record.tags.exists(t, t in lists.vip_plans)",
    "record.tags.exists(t, 'gold' == t)",
    "record.tags.all(t, t != 'gold')",
    "record.tags.exists(t, !t.contains('o'))",
    "record.tags.filter(t, t != 'gold').size() > 1",
    "contact.identifiers.exists(one, one.startsWith('mail:'))",
    "size(record.body) > 10",
    "(record.subject + record.body).size() <= 12",
    "record.tags.size() == 2",
    "1 / record.attachments == 1",
    "record.tags[0] == 'gold'",
    "'gold' in department.asked",
    "'example.com' in contact.domains",
    "record.revision % 2 == 0",
];

/// A question that has no other in it.
fn question() -> impl Strategy<Value = String> {
    let text = pick(&[
        "record.subject",
        "record.body",
        "contact.name",
        "(record.subject + ' ' + record.body)",
    ]);
    let code = pick(&[
        "record.kind",
        "record.channel",
        "record.instance",
        "record.language",
        "contact.locale",
    ]);
    let codes = pick(&["complaint", "praise", "form", "بريد", "kiosk", "ar", "ar-SA", ""]);
    let asks = pick(&["contains", "startsWith", "endsWith"]);
    let fact = pick(&[
        "record.attributes.plan",
        "record.attributes['masked-phone']",
        "record.given.plan",
        "record.given.amount",
        "record.given.none",
    ]);
    let value = pick(&["'gold'", "'فضي'", "true", "2", "2.0", "2.5"]);
    let numbers = pick(&[
        "record.scores.nps",
        "record.scores['رضا']",
        "record.sentiment",
        "record.attachments",
        "record.revision",
    ]);
    prop_oneof![
        (code.clone(), pick(&["==", "!="]), codes.clone()).prop_map(|(of, sign, to)| format!("{of} {sign} '{to}'")),
        (codes.clone(), code.clone()).prop_map(|(to, of)| format!("'{to}' == {of}")),
        (code.clone(), codes.clone(), codes).prop_map(|(of, a, b)| format!("{of} in ['{a}', '{b}']")),
        (text.clone(), asks.clone(), pick(&WORDS)).prop_map(|(of, ask, word)| format!("{of}.{ask}('{word}')")),
        (text.clone(), pick(&WORDS), pick(&WORDS)).prop_map(|(of, a, b)| format!("{of}.matches('(?i){a}x?|^{b}')")),
        (text, pick(&WORDS)).prop_map(|(of, word)| format!("{of} == '{word}'")),
        pick(&WORDS).prop_map(|tag| format!("'{tag}' in record.tags")),
        (asks.clone(), pick(&WORDS)).prop_map(|(ask, word)| format!("record.tags.exists(t, t.{ask}('{word}'))")),
        (numbers.clone(), order(), number()).prop_map(|(of, sign, to)| format!("{of} {sign} {to}")),
        (number(), order(), numbers).prop_map(|(to, sign, of)| format!("{to} {sign} {of}")),
        (fact.clone(), pick(&["==", "!="]), value).prop_map(|(of, sign, to)| format!("{of} {sign} {to}")),
        (fact.clone(), order(), number()).prop_map(|(of, sign, to)| format!("{of} {sign} {to}")),
        (fact.clone(), asks, pick(&CODES)).prop_map(|(of, ask, word)| format!("{of}.{ask}('{word}')")),
        (fact.clone(), pick(&CODES)).prop_map(|(of, code)| format!("{of} in ['{code}', 'Arab']")),
        fact.clone().prop_map(|of| format!("{of} in lists.vip_plans")),
        fact.prop_map(ToOwned::to_owned),
        pick(&OTHERS).prop_map(ToOwned::to_owned),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    question().prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn found_out() -> impl Strategy<Value = FactValue> {
    prop_oneof![
        any::<bool>().prop_map(FactValue::Boolean),
        (-1_i64..8).prop_map(FactValue::Integer),
        proptest::sample::select(vec![0.0, 2.0, 2.5, -1.0, f64::NAN]).prop_map(FactValue::Decimal),
        pick(&CODES).prop_map(|code| FactValue::Code(code.to_owned())),
    ]
}

fn given() -> impl Strategy<Value = Scalar> {
    found_out().prop_map(|value| match value {
        FactValue::Boolean(value) => Scalar::Boolean(value),
        FactValue::Integer(value) => Scalar::Integer(value),
        FactValue::Decimal(value) => Scalar::Decimal(value),
        FactValue::Code(value) => Scalar::Text(value),
    })
}

fn some_head() -> impl Strategy<Value = Head> {
    let facts = (
        proptest::option::of(proptest::sample::select(Kind::ALL.to_vec())),
        pick(&["form", "بريد"]),
        pick(&["form", "kiosk"]),
        proptest::option::of(pick(&["ar", "ar-SA", "en"])),
        proptest::collection::vec(pick(&["gold", "عاجل", "invoice", "فاتورة", "ذهبي"]), 0..3),
    );
    let values = (
        proptest::option::of(0_u8..=10),
        proptest::option::of(0_u8..=10),
        proptest::option::of(-1.0_f64..1.0),
        proptest::option::of(found_out()),
        proptest::option::of(found_out()),
        0_u32..3,
        1_u32..3,
    );
    (facts, values).prop_map(|(facts, values)| {
        let (kind, channel, instance, language, tags) = facts;
        let (nps, satisfaction, sentiment, plan, masked, attachments, revision) = values;
        let nps = nps.map(|value| score("nps", f64::from(value)));
        let satisfaction = satisfaction.map(|value| score("رضا", f64::from(value)));
        let plan = plan.map(|value| ("plan".to_owned(), value));
        let masked = masked.map(|value| ("masked-phone".to_owned(), value));
        Head {
            kind,
            channel: Channel::new(Tag::new(channel).unwrap()),
            instance: name(instance),
            language: language.map(|language| Language::new(language).unwrap()),
            tags: tags.into_iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            scores: nps.into_iter().chain(satisfaction).collect(),
            sentiment,
            attributes: plan.into_iter().chain(masked).collect(),
            attachments,
            revision,
            ..head()
        }
    })
}

fn some_content() -> impl Strategy<Value = Content> {
    let words = || proptest::collection::vec(pick(&WORDS), 0..6).prop_map(|words| words.join(" "));
    let author = proptest::option::of(pick(&["هدى", "gold"]));
    let value = || proptest::option::of(given());
    (proptest::option::of(words()), words(), author, value(), value()).prop_map(
        |(subject, body, author, plan, amount)| {
            let attribute = |name: &str, value| Attribute {
                name: name.to_owned(),
                value,
            };
            let plan = plan.map(|value| attribute("plan", value));
            let amount = amount.map(|value| attribute("amount", value));
            let author = author.map(|name| Author {
                name: Some(name.to_owned()),
                ..content().author.unwrap_or_default()
            });
            Content {
                subject,
                body,
                author,
                attributes: plan.into_iter().chain(amount).collect(),
                ..Content::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// What is asked natively, and which rules are asked at all, changes no answer of the interpreter and no failure.
    #[test]
    fn predicates_and_index_say_what_the_interpreter_says(
        written in proptest::collection::vec(rule(), 1..5),
        records in proptest::collection::vec((some_head(), some_content()), 1..12),
        asked in proptest::option::of(pick(&["gold", "legal"])),
    ) {
        let written: Vec<_> = written.iter().map(|rule| ("billing", rule.as_str())).collect();
        let rules = rules(source(&written, Matching::All));
        let asked: Vec<_> = asked.into_iter().map(|to| (name("language"), name(to))).collect();
        for (head, content) in &records {
            let seen = rules.seen(Subject { head, content, asked: &asked });
            let candidates: Vec<usize> = rules.index.candidates(&seen).iter().collect();
            let (mut matched, mut failed) = (Vec::new(), Vec::new());
            for (index, (rule, (_, when))) in rules.rules.iter().zip(&written).enumerate() {
                let whole = Predicate::Interpreted(Box::new(rule.program.expression().clone()));
                let wanted = whole.holds(&seen);
                prop_assert_eq!(rule.predicate.holds(&seen), wanted, "{}", when);
                prop_assert!(wanted == Ok(false) || candidates.contains(&index), "{} is not found", when);
                match wanted {
                    Ok(true) => matched.push(index),
                    Ok(false) => {}
                    Err(failure) => failed.push((index, failure)),
                }
            }
            let decided = rules.decide(head, content, &asked);
            prop_assert_eq!((decided.matched, decided.failed), (matched, failed));
        }
    }
}

#[test]
fn rules_that_cannot_match_are_not_asked() {
    let written: Vec<String> = (0..600)
        .map(|number| match number % 4 {
            0 => format!("record.channel == 'form' && 'tag-{number:03}' in record.tags"),
            1 => format!("record.body.contains('كلمة-{number:03}') || record.subject.contains('word-{number:03}')"),
            2 => format!("(record.subject + ' ' + record.body).matches('(?i)word-{number:03}|كلمة-{number:03}')"),
            _ => format!("record.instance in ['a-{number:03}', 'b-{number:03}']"),
        })
        .collect();
    let written: Vec<_> = written.iter().map(|rule| ("billing", rule.as_str())).collect();
    let rules = rules(source(&written, Matching::All));
    let asked = |head: &Head, content: &Content| -> Vec<usize> {
        let seen = rules.seen(Subject {
            head,
            content,
            asked: &[],
        });
        rules.index.candidates(&seen).iter().collect()
    };
    let (mut head, mut content) = (head(), content());
    assert_eq!(asked(&head, &content), [0; 0]);
    head.tags.push(Tag::new("tag-008").unwrap());
    content.body = "هذه كلمة-597 وهذه WORD-002 أيضًا".into();
    assert_eq!(asked(&head, &content), [2, 8, 597]);
    assert_eq!(rules.decide(&head, &content, &[]).matched, [2, 8, 597]);
}

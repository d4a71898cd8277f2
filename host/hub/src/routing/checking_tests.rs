use std::collections::BTreeMap;

use crate::routing::{ContactField, RouteSource, RuleSet, RulesSource};

/// Why a rule is refused, without its name; `None` if it is taken.
fn refused(when: &str) -> Option<String> {
    let source = RulesSource {
        contact_fields: vec![ContactField::Domains, ContactField::Name],
        lists: BTreeMap::from([("vip-plans".to_owned(), vec!["gold".to_owned(), "ذهبي".to_owned()])]),
        routes: vec![RouteSource {
            name: "قاعدة".into(),
            when: when.into(),
            to: vec!["billing".parse().unwrap()],
        }],
        ..RulesSource::default()
    };
    let (_, problems) = RuleSet::read(source);
    let message = problems.into_iter().next()?.message;
    Some(message.strip_prefix("rule \"قاعدة\"").unwrap().to_owned())
}

/// What can never work, and a part of what is said of it.
const REFUSED: &[(&str, &str)] = &[
    (
        "record.scores.nps == 'x'",
        " at 1:19: record.scores.nps is a double, and 'x' is a string: they are never equal",
    ),
    (
        "record.body > 3",
        " at 1:13: record.body is a string, and 3 is an int: > does not compare them",
    ),
    (
        "record.tags.contains(1)",
        "record.tags is a list(string), and contains() is asked of a string",
    ),
    ("record.body.contains(1)", "1 is an int, and contains() needs a string"),
    (
        "record.chanel == 'form'",
        "record has no field `chanel` (did you mean `channel`?)",
    ),
    ("record['chanel'] == 'form'", "did you mean `channel`?"),
    ("has(record.chanel)", "did you mean `channel`?"),
    (
        "recrod.kind == 'praise'",
        "there is no `recrod` (did you mean `record`?)",
    ),
    (
        "record.kind.length > 3",
        "record.kind is a string, which has no field `length`",
    ),
    (
        "record.given.plan in lists.vip_plan",
        "there is no list `vip_plan` (did you mean `vip_plans`?)",
    ),
    (
        "contact.identifiers.size() > 1",
        "contact.identifiers is not granted to rules",
    ),
    ("contact.phone == '1'", "contact has no field `phone`"),
    ("department.askd.size() > 0", "did you mean `asked`?"),
    (
        "3 in record.tags",
        "3 is an int, and record.tags is a list(string): it is never in it",
    ),
    (
        "'a' in record.body",
        "record.body is a string; `in` needs a list or a map",
    ),
    (
        "record.scores.nps / 2 > 1.0",
        "record.scores.nps is a double, and 2 is an int: / takes two of one type; write 2.0",
    ),
    ("record.body + 1 == 'x'", "there is no + for them"),
    (
        "record.kind && true",
        "record.kind is a string, and && needs true or false",
    ),
    ("!record.tags", "! needs true or false"),
    ("record.kind", "a rule has to answer true or false (bool)"),
    ("record.tags.exists(t, t > 3)", "t is a string, and 3 is an int"),
    ("record.kind.exists(t, true)", "only a list or a map has elements"),
    ("record.body.matches('(')", "is no regular expression"),
    ("record.body.matches('\\\\p{L}{9000}')", "is no regular expression"),
    (
        "record.body.contain('x')",
        "there is no function `contain` (did you mean `contains`?)",
    ),
    ("record.sentiment == null", "they are never equal"),
    ("record.tags['a'] == 'b'", "a list is asked by number"),
    ("record.scores[1] > 2.0", "a map is asked by name"),
    ("Thing{a: 1} == 1", "there is no type `Thing`"),
    ("record.kind == ", " at 1:"),
];

#[test]
fn what_can_never_work_is_told_with_its_place_and_type() {
    for (when, said) in REFUSED {
        let message = refused(when).unwrap_or_else(|| panic!("{when} was taken"));
        assert!(message.contains(said), "{when}: {message}");
    }
}

#[test]
fn what_may_work_is_taken() {
    for when in [
        "has(record.scores.nps) && record.scores.nps <= 6",
        "record.scores['رضا'] > 2.5",
        "(record.subject + ' ' + record.body).matches('(?i)invoice|فاتورة')",
        "record.attributes.vip || record.attributes['plan'] in lists.vip_plans",
        "record.given.amount > 100 && record.given.amount / 2 == 60",
        "'gold' in lists.vip_plans && 'example.com' in contact.domains && contact.name != ''",
        "'legal' in department.asked || size(department.names) > 1",
        "record.tags.exists_one(t, t.startsWith('عا')) || record.tags.all(t, t != 'spam')",
        "record.tags.filter(t, t != 'a').map(t, size(t)).exists(n, n > 3)",
        "record.revision > 1 ? record.kind == 'complaint' : record.attachments % 2 == 0",
        "1 / record.attachments == 1 && -record.revision < 0",
        "string(record.revision) == '2' && int(record.sentiment) == 0 && type(record.kind) == string",
        "timestamp(record.received_at).getHours('Asia/Riyadh') < 9",
        "record.?sentiment.orValue(0.0) < 0.0",
        "'kind' in record && has(record.sentiment)",
        "[1, 2, record.revision].exists(n, n == record.revision)",
        "{'a': record.kind}.a == 'praise'",
        "true",
    ] {
        assert_eq!(refused(when), None, "{when}");
    }
}

//! The channel as the hub calls it: CSV files in, pages out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share fails loudly")]

use mihwar_sdk::{
    CallDetails, Change, ChannelKind, Details, Direction, Feedback, ImportPage, ImportRequest, PluginError, Refusal,
    testing::{self, FakeHost},
};
use plugin_calls::CallsChannel;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

struct Outcome {
    records: Vec<Feedback>,
    refusals: Vec<Refusal>,
    pages: usize,
}

fn collect(pages: Vec<ImportPage>) -> Outcome {
    let mut outcome = Outcome {
        records: Vec::new(),
        refusals: Vec::new(),
        pages: pages.len(),
    };
    for page in pages {
        outcome.refusals.extend(page.refusals);
        for change in page.changes {
            match change {
                Change::Upsert(feedback) => outcome.records.push(feedback),
                other => panic!("a file of calls only adds records, got {other:?}"),
            }
        }
    }
    outcome
}

fn import_by(settings: &Json, bytes: &[u8], page: u32) -> Outcome {
    let host = FakeHost::new().host();
    collect(testing::import_file_by::<CallsChannel>(&host, settings, "calls.csv", bytes, page).unwrap())
}

fn import(settings: &Json, text: &str) -> Outcome {
    import_by(settings, text.as_bytes(), 256)
}

fn asterisk() -> Json {
    json!({"time_zone": "Asia/Riyadh", "default_country_code": "966", "language": "ar", "outbound_contexts": ["out"]})
}

fn details(record: &Feedback) -> &CallDetails {
    match &record.details {
        Details::Call(details) => details,
        other => panic!("{other:?}"),
    }
}

fn place(refusal: &Refusal) -> (&str, &str) {
    (refusal.place.as_str(), refusal.code.as_str())
}

const NAMES: &str = "accountcode,src,dst,dcontext,clid,channel,dstchannel,lastapp,lastdata,start,answer,end,duration,\
    billsec,disposition,amaflags,uniqueid,userfield\n";
const ANSWERED: &str = "\"\",\"0501234567\",\"920000000\",\"in\",\"\"\"سارة العلي\"\" <0501234567>\",\"PJSIP/trunk-1\",\
    \"PJSIP/104-2\",\"Queue\",\"support,t,,,300\",\"2026-01-05 10:15:00\",\"2026-01-05 10:15:20\",\"2026-01-05 10:18:00\",\
    180,160,\"ANSWERED\",\"DOCUMENTATION\",\"1767597300.1\",\"\"\n";
const ABANDONED: &str = "\"\",\"0551112223\",\"920000000\",\"in\",\"\"\"منى\"\" <0551112223>\",\"PJSIP/trunk-3\",\"\",\
    \"Queue\",\"support,t,,,300\",\"2026-01-05 11:00:00\",\"2026-01-05 11:00:00\",\"2026-01-05 11:02:00\",120,120,\
    \"ANSWERED\",\"DOCUMENTATION\",\"1767600000.3\",\"\"\n";
const MISSED: &str = "\"\",\"anonymous\",\"920000000\",\"in\",\"\"\"Anonymous\"\" <anonymous>\",\"PJSIP/trunk-5\",\
    \"PJSIP/105-6\",\"Dial\",\"PJSIP/105,20\",\"2026-01-05 12:00:00\",\"\",\"2026-01-05 12:00:20\",20,0,\"NO ANSWER\",\
    \"DOCUMENTATION\",\"1767603600.5\",\"\"\n";
const OUTBOUND: &str = "\"\",\"104\",\"0559998887\",\"out\",\"\"\"Agent\"\" <104>\",\"PJSIP/104-7\",\"PJSIP/trunk-8\",\
    \"Dial\",\"x\",\"2026-01-05 13:00:00\",\"\",\"2026-01-05 13:00:20\",20,0,\"BUSY\",\"DOCUMENTATION\",\"1767607200.7\",\"\"\n";

#[test]
fn an_answered_call_is_an_observation() {
    let outcome = import(&asterisk(), &format!("\u{feff}{NAMES}{ANSWERED}"));
    assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
    let record = &outcome.records[0];
    assert_eq!(record.channel, ChannelKind::Voice);
    assert_eq!(record.kind.as_deref(), Some("observation"));
    assert_eq!((record.body.as_str(), record.language.as_deref()), ("", None));
    assert_eq!(record.tags, ["answered"]);
    assert_eq!(record.occurred_at, Some(1_767_597_300_000));
    let author = record.author.as_ref().unwrap();
    assert_eq!(author.display_name.as_deref(), Some("سارة العلي"));
    assert_eq!(
        (author.identifiers[0].scheme.as_str(), author.identifiers[0].id.as_str()),
        ("tel", "+966501234567")
    );
    let call = details(record);
    assert_eq!(
        (call.direction, call.duration_ms, call.queue.as_deref()),
        (Direction::Inbound, Some(160_000), Some("support"))
    );
    assert_eq!(call.agent.as_ref().unwrap().id, "104");
}

#[test]
fn abandoned_and_missed_calls_ask_for_a_call_back() {
    let outcome = import(&asterisk(), &format!("{ABANDONED}{MISSED}"));
    let [abandoned, missed] = outcome.records.as_slice() else {
        panic!("{:?}", outcome.refusals)
    };
    assert_eq!(abandoned.tags, ["abandoned", "call-back"]);
    assert_eq!(
        (abandoned.kind.as_deref(), abandoned.language.as_deref()),
        (Some("enquiry"), Some("ar"))
    );
    assert_eq!(
        abandoned.body,
        "مكالمة تركها المتصل في الانتظار من \u{2068}منى\u{2069} \u{2066}+966551112223\u{2069} في \
         \u{2066}2026-01-05 11:00\u{2069}. يرجى معاودة الاتصال بالرقم \u{2066}+966551112223\u{2069}."
    );
    assert!(details(abandoned).agent.is_none());
    assert_eq!(missed.tags, ["missed", "no-number"]);
    assert!(missed.author.is_none());
    let english = import(&json!({"time_zone": "Asia/Riyadh"}), ABANDONED);
    assert!(
        english.records[0]
            .body
            .ends_with("Please call back \u{2066}0551112223\u{2069}."),
        "{}",
        english.records[0].body
    );
}

#[test]
fn outgoing_calls_never_ask_for_a_call_back() {
    let record = import(&asterisk(), OUTBOUND).records.remove(0);
    assert_eq!(record.tags, ["busy"]);
    assert_eq!(details(&record).direction, Direction::Outbound);
    assert_eq!(record.author.unwrap().identifiers[0].id, "+966559998887");
}

#[test]
fn legs_of_one_call_stay_apart_and_repeats_do_not() {
    let first = MISSED.replace("105-6", "106-9");
    let records = import(&asterisk(), &format!("{first}{MISSED}{MISSED}")).records;
    assert_ne!(records[0].external_id, records[1].external_id);
    assert_eq!(records[1].external_id, records[2].external_id);
    assert!(
        records
            .iter()
            .all(|record| record.thread_id.as_deref() == Some("1767603600.5"))
    );
}

#[test]
fn a_bad_line_is_refused_and_the_others_kept() {
    let short = "a,b,c\n";
    let bad_time = ANSWERED.replace("2026-01-05 10:15:00", "yesterday");
    let no_id = ANSWERED.replace("\"1767597300.1\"", "");
    let bad_word = ANSWERED.replace("\"ANSWERED\"", "\"MAYBE\"");
    let long_id = ANSWERED.replace("1767597300.1", &"رقم".repeat(100));
    let text = format!("{NAMES}{ANSWERED}{short}\n{bad_time}{no_id}{bad_word}{long_id}{ABANDONED}");
    for page in [1, 2, 256] {
        let outcome = import_by(&asterisk(), text.as_bytes(), page);
        assert_eq!(outcome.records.len(), 2);
        assert_eq!(
            outcome.refusals.iter().map(place).collect::<Vec<_>>(),
            [
                ("line 3", "wrong-columns"),
                ("line 5, column start", "bad-time"),
                ("line 6, column uniqueid", "no-id"),
                ("line 7, column disposition", "bad-disposition"),
                ("line 8, column uniqueid", "id-too-long"),
            ]
        );
        assert_eq!(outcome.refusals[0].reason, "the line has 3 columns, 18 are needed");
        assert!(page > 2 || outcome.pages > 2);
    }
}

#[test]
fn a_quote_that_is_never_closed_costs_one_line() {
    let broken = MISSED.replace("\"\",\"anonymous\"", "\"\",\"anonymous");
    let mut text = format!("{ANSWERED}{broken}");
    for at in 0..300 {
        text.push_str(&ABANDONED.replace("1767600000.3", &format!("1767600000.{at}")));
    }
    let outcome = import_by(&asterisk(), text.as_bytes(), 50);
    assert_eq!(outcome.records.len(), 301);
    assert_eq!(outcome.refusals.len(), 1);
    assert_eq!(place(&outcome.refusals[0]), ("line 2", "wrong-columns"));
}

/// One page of at most one call, from the cursor on.
fn page(text: &str, cursor: Option<String>, skip: u32) -> ImportPage {
    let host = FakeHost::new().host();
    let request = ImportRequest {
        file: testing::source_file(&host, "calls.csv", text.as_bytes()),
        cursor,
        max_items: 1,
        skip,
    };
    testing::import_page::<CallsChannel>(&host, &asterisk(), request).unwrap()
}

#[test]
fn calls_are_passed_over_unread() {
    let text = format!("{NAMES}{ANSWERED}short,line\n{ABANDONED}");
    let passed = page(&text, None, 2);
    assert_eq!((passed.changes.len(), passed.refusals.len(), passed.more), (0, 0, true));
    let rest = page(&text, passed.cursor, 0);
    assert!(!rest.more);
    assert_eq!(collect(vec![rest]).records[0].tags, ["abandoned", "call-back"]);
    let beyond = page(&text, None, 9);
    assert_eq!(
        (beyond.changes.len(), beyond.more, beyond.position),
        (0, false, text.len() as u64)
    );
}

#[test]
fn a_line_end_inside_quotes_is_part_of_the_field() {
    let with_note = MISSED.replace("\"1767603600.5\",\"\"", "\"1767603600.5\",\"سطر أول\nسطر ثان\"");
    let outcome = import_by(&asterisk(), format!("{with_note}{with_note}bad\n").as_bytes(), 1);
    assert_eq!(outcome.records.len(), 2);
    assert!(
        outcome.records[0].body.ends_with("\n\nسطر أول\nسطر ثان"),
        "{}",
        outcome.records[0].body
    );
    assert_eq!(place(&outcome.refusals[0]), ("line 5", "wrong-columns"));
}

fn mapped() -> Json {
    json!({
        "format": "mapped", "separator": ";", "time_format": "%d/%m/%Y %H:%M", "time_zone": "Asia/Riyadh",
        "default_country_code": "966", "language": "en",
        "columns": {
            "id": "رقم المكالمة", "caller": "رقم المتصل", "started": "الوقت", "caller_name": "الاسم", "duration": "المدة",
            "answered": "الحالة", "queue": "القسم", "agent": "الموظف", "note": "ملاحظة"
        }
    })
}

const MAPPED: &str = "\u{feff}رقم المكالمة;الاسم;رقم المتصل;الوقت;المدة;الحالة;القسم;الموظف;ملاحظة\r\n\
    ١٠١;سارة;٠٥٠١٢٣٤٥٦٧;٠٥/٠١/٢٠٢٦ ١٠:١٥;٣:٢٠;تم الرد;الدعم;خالد;سألت عن الفاتورة\r\n\
    ١٠٢;;٠٥٥١١١٢٢٢٣;٠٥/٠١/٢٠٢٦ ١١:٠٠;٠;متروكة;الدعم;;\r\n\
    ١٠٣;منى;٠٥٥١١١٢٢٢٣;أمس;٠;فائتة;;;\r\n";

#[test]
fn a_mapped_file_with_arabic_names_and_digits() {
    let outcome = import(&mapped(), MAPPED);
    let [answered, abandoned] = outcome.records.as_slice() else {
        panic!("{:?}", outcome.refusals)
    };
    assert!(answered.external_id.starts_with("101#"));
    assert_eq!(
        (answered.body.as_str(), answered.kind.as_deref()),
        ("سألت عن الفاتورة", Some("observation"))
    );
    assert_eq!(answered.occurred_at, Some(1_767_597_300_000));
    assert_eq!(details(answered).duration_ms, Some(200_000));
    assert_eq!(details(answered).agent.as_ref().unwrap().id, "خالد");
    assert_eq!(abandoned.tags, ["abandoned", "call-back"]);
    assert!(
        abandoned
            .body
            .contains("Please call back \u{2066}+966551112223\u{2069}"),
        "{}",
        abandoned.body
    );
    assert_eq!(place(&outcome.refusals[0]), ("line 4, column الوقت", "bad-time"));
}

#[test]
fn a_file_without_the_named_columns_is_refused_as_a_whole() {
    let outcome = import(&mapped(), "id;caller\n1;2\n");
    assert_eq!(place(&outcome.refusals[0]), ("line 1", "missing-column"));
    assert!(outcome.refusals[0].reason.contains("`columns.id`") && outcome.refusals[0].reason.contains("id, caller"));
}

#[test]
fn columns_may_be_given_by_number() {
    let settings =
        json!({"format": "mapped", "time_format": "unix", "columns": {"id": "#1", "caller": "#3", "started": "#2"}});
    let outcome = import(&settings, "7,1767597300,+966501234567\n8,1767597400,+966501234568\n");
    assert_eq!(outcome.records.len(), 2);
    assert_eq!(outcome.records[0].tags, ["missed", "call-back"]);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut bytes = ANSWERED.as_bytes().to_vec();
    bytes.extend_from_slice(b"\xe3\xd1,x\n");
    bytes.extend_from_slice(ABANDONED.as_bytes());
    let outcome = import_by(&asterisk(), &bytes, 256);
    assert_eq!(outcome.records.len(), 2);
    assert_eq!(place(&outcome.refusals[0]), ("line 2, column #1", "not-utf-8"));
    assert!(import(&asterisk(), "").records.is_empty());
}

#[test]
fn settings_are_checked() {
    let wrong =
        json!({"format": "mapped", "separator": "ab", "time_zone": "Mars/Olympus", "default_country_code": "+966"});
    let paths: Vec<String> = testing::validate::<CallsChannel>(&wrong)
        .into_iter()
        .map(|problem| problem.path)
        .collect();
    assert_eq!(
        paths,
        [
            "separator",
            "time_zone",
            "default_country_code",
            "columns.id",
            "columns.caller",
            "columns.started"
        ]
    );
    let host = FakeHost::new().host();
    let error = testing::import_file::<CallsChannel>(&host, &wrong, "x.csv", b"x").unwrap_err();
    assert!(matches!(error, PluginError::Misconfigured(_)));
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(ANSWERED.to_owned()),
        Just(ABANDONED.to_owned()),
        Just(MISSED.to_owned()),
        Just(MISSED.replace("\"anonymous\"", "\"anonymous")),
        Just("\n".to_owned()),
        Just("a,\"b\n".to_owned()),
        Just("x;y\r\n".to_owned()),
        "\\PC{0,20}\n",
    ]
}

proptest! {
    /// Whatever the lines are: no panic, and pages do not matter.
    #[test]
    fn any_lines_give_the_same_whatever_the_pages(lines in proptest::collection::vec(line(), 0..30), page in 1_u32..5) {
        let text = lines.concat();
        let whole = import(&asterisk(), &text);
        let paged = import_by(&asterisk(), text.as_bytes(), page);
        prop_assert_eq!(&whole.refusals, &paged.refusals);
        prop_assert_eq!(&whole.records, &paged.records);
        // Passing over rows ends where reading them ends.
        let host = FakeHost::new().host();
        let single = testing::import_file_by::<CallsChannel>(&host, &asterisk(), "calls.csv", text.as_bytes(), 1).unwrap();
        for (read, skip) in single.iter().zip(1..) {
            let passed = self::page(&text, None, skip);
            prop_assert_eq!((&passed.cursor, passed.more, passed.position), (&read.cursor, read.more, read.position));
            prop_assert!(passed.changes.is_empty() && passed.refusals.is_empty());
        }
        // A good line never vanishes behind a bad one.
        let good = lines.iter().filter(|line| [ANSWERED, ABANDONED, MISSED].contains(&line.as_str())).count();
        prop_assert!(whole.records.len() >= good);
        let callers = |record: &Feedback| record.author.as_ref().is_none_or(|author| author.identifiers[0].id.len() == 13);
        prop_assert!(whole.records.iter().filter(|record| callers(record)).count() >= good);
    }
}

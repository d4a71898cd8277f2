//! One record as one line for a person.

use serde_json::Value;

use super::Verdict;
use super::request::Request;

const WORDS_MAX: usize = 72;

/// Time, what was answered, the delivery's id, the event's type and the first words of the record.
pub(super) fn line(time: &str, verdict: Verdict, request: &Request) -> String {
    let id = printable(request.header("webhook-id").unwrap_or("no id"));
    let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let kind = printable(event.get("type").and_then(Value::as_str).unwrap_or("no type"));
    let words = event
        .get("data")
        .and_then(words)
        .map(|words| isolated(&words))
        .unwrap_or_default();
    match verdict {
        Verdict::New => format!("{time}  received  {id}  {kind}  {words}"),
        Verdict::Repeat => format!("{time}  repeated  {id}  {kind}  {words}"),
        Verdict::FailOnPurpose => {
            format!("{time}  answered 500 on purpose; the hub will send {id} again")
        }
    }
}

/// The first text that says what the record is about, wherever in `data` it stands.
fn words(data: &Value) -> Option<String> {
    ["subject", "body", "text"].iter().find_map(|key| text_of(data, key))
}

fn text_of(data: &Value, key: &str) -> Option<String> {
    let object = data.as_object()?;
    let here = object
        .get(key)
        .and_then(Value::as_str)
        .map(first_words)
        .filter(|text| !text.is_empty());
    here.or_else(|| object.values().find_map(|inner| text_of(inner, key)))
}

fn first_words(text: &str) -> String {
    let text = printable(text.trim());
    let mut short: String = text.chars().take(WORDS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Without what could steer a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// In a bidirectional isolate, so that Arabic words and the Latin ones around them each keep their order.
fn isolated(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> Request {
        let text = format!(
            "POST / HTTP/1.1\r\nwebhook-id: msg_1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Request::read(&mut text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_record_is_one_readable_line() {
        let body =
            r#"{"type":"feedback.created","subject":"0190","data":{"feedback":{"body":"x","subject":"تأخر التوصيل"}}}"#;
        let line = line("10:00:00", Verdict::New, &request(body));
        assert_eq!(
            line,
            "10:00:00  received  msg_1  feedback.created  \u{2068}تأخر التوصيل\u{2069}"
        );
    }

    #[test]
    fn without_a_subject_the_text_begins_the_line() {
        let long = "كلمة ".repeat(40);
        let body = serde_json::json!({"type": "t", "data": {"subject": "", "body": format!("{long}\u{1b}[2J")}});
        let line = line("10:00:00", Verdict::Repeat, &request(&body.to_string()));
        assert!(line.ends_with("…\u{2069}") && !line.contains('\u{1b}'), "{line}");
        assert!(line.chars().count() < WORDS_MAX + 50);
    }

    #[test]
    fn a_body_that_is_no_event_still_shows() {
        assert_eq!(
            line("10:00:00", Verdict::New, &request("hello")),
            "10:00:00  received  msg_1  no type  "
        );
    }
}

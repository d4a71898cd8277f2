//! From a submission to a record.

use mihwar_sdk::{Answer, Details, Feedback, Person, SurveyDetails, Value, time};
use serde_json::Value as Json;

use crate::settings::{KINDS, Settings};
use crate::submission::{Problem, Submission};

/// Arabic names of the kinds; a form's own names come from the settings.
const ARABIC_KINDS: [(&str, &str); 9] = [
    ("شكوى", "complaint"),
    ("اقتراح", "suggestion"),
    ("استفسار", "enquiry"),
    ("شكر", "praise"),
    ("إشادة", "praise"),
    ("ثناء", "praise"),
    ("ملاحظة", "observation"),
    ("عطل", "defect"),
    ("خلل", "defect"),
];

const MAX_ADDRESS_BYTES: usize = 320;
/// Longest name of a field: an answer is kept under it.
const MAX_NAME_BYTES: usize = 256;
/// Longest id of a submission.
const MAX_ID_BYTES: usize = 500;
/// A national number has at least as many digits; with fewer behind it, what looks like a country code is part of it.
const SHORTEST_NATIONAL: usize = 8;

/// Makes a record. `fallback_id` is its identity when the form has no field for it. Whatever a person wrote and no
/// field of the record holds becomes an answer, so nothing is lost.
pub(crate) fn record(settings: &Settings, submission: Submission, fallback_id: &str) -> Result<Feedback, Problem> {
    let raw = submission.to_json();
    let mut form = Form::new(submission)?;
    let fields = &settings.fields;
    let id = fields.id.as_ref().and_then(|name| form.text(name));
    if let Some(id) = id.as_ref().filter(|id| id.len() > MAX_ID_BYTES) {
        let message = format!("the id has {} bytes; at most {MAX_ID_BYTES} are kept", id.len());
        form.problems.push(Problem::new("long-id", message));
    }
    let mut feedback = Feedback::new(id.unwrap_or_else(|| fallback_id.to_owned()), settings.channel.into()).raw(raw);
    feedback.body = form.text(&fields.message).unwrap_or_default();
    feedback.subject = form.text(&fields.subject);
    feedback.kind = form.text_as(&fields.kind, |word| kind(settings, word));
    feedback.language = form.text_as(&fields.language, |tag| is_language(tag).then(|| tag.to_owned()));
    feedback.occurred_at = form.text_as(&fields.submitted_at, moment);
    feedback.author = author(settings, &mut form);
    for (metric, field, min, max) in [
        ("nps", &fields.nps, 0, 10),
        ("csat", &fields.csat, 1, 5),
        ("ces", &fields.ces, 1, 7),
    ] {
        if let Some(value) = form.score(field, min, max) {
            feedback = feedback.score(metric, value.into(), min.into(), max.into());
        }
    }
    form.done()?;
    let answers = answers(settings, form.submission);
    if feedback.body.is_empty() && feedback.subject.is_none() && feedback.scores.is_empty() && answers.is_empty() {
        let message = format!("nothing is said: no `{}`, no score and no other answer", fields.message);
        return Err(Problem::new("nothing-said", message));
    }
    if !answers.is_empty() {
        let survey_id = settings.survey.clone().unwrap_or_else(|| "form".into());
        feedback.details = Details::Survey(SurveyDetails { survey_id, answers });
    }
    Ok(feedback)
}

/// A submission while its fields are taken out, and what was found wrong with them.
struct Form {
    submission: Submission,
    problems: Vec<Problem>,
}

impl Form {
    fn new(submission: Submission) -> Result<Self, Problem> {
        for (name, value) in &submission.fields {
            if name.contains('\0') || holds_nul(value) {
                let name = name.replace('\0', "\u{2400}");
                return Err(Problem::new("nul", format!("`{name}` holds a NUL character")));
            }
            if name.len() > MAX_NAME_BYTES {
                let begin: String = name.chars().take(40).collect();
                let message = format!(
                    "the name of a field has {} bytes, at most {MAX_NAME_BYTES} are kept: `{begin}…`",
                    name.len()
                );
                return Err(Problem::new("long-name", message));
            }
        }
        Ok(Self {
            submission,
            problems: Vec::new(),
        })
    }

    /// Takes a field as trimmed text; an empty one counts as not there.
    fn text(&mut self, name: &str) -> Option<String> {
        let text = match self.submission.take(name)? {
            Json::String(text) => text.trim().to_owned(),
            Json::Number(number) => number.to_string(),
            _ => {
                self.problems
                    .push(Problem::new("not-text", format!("`{name}` must be text")));
                return None;
            }
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// Takes a field that means something only if `read` understands it; otherwise it stays as an answer.
    fn text_as<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text);
        if value.is_none() {
            self.submission.fields.push((name.to_owned(), text.into()));
        }
        value
    }

    /// Takes a score: a whole number within the scale, as a number or as text in any of the three sets of digits.
    fn score(&mut self, name: &str, min: i32, max: i32) -> Option<i32> {
        let text = self.text(name)?;
        let number: Option<f64> = western_digits(&text).parse().ok();
        let whole = (min..=max).find(|candidate| number == Some(f64::from(*candidate)));
        if whole.is_none() {
            let message = format!("`{name}` must be a whole number from {min} to {max}");
            self.problems.push(Problem::new("score", message));
        }
        whole
    }

    /// All that was wrong, in one sentence; the code is that of the first problem.
    fn done(&mut self) -> Result<(), Problem> {
        let messages: Vec<&str> = self.problems.iter().map(|problem| problem.message.as_str()).collect();
        match self.problems.first() {
            Some(first) => Err(Problem::new(first.code, messages.join("; "))),
            None => Ok(()),
        }
    }
}

fn author(settings: &Settings, form: &mut Form) -> Option<Person> {
    let mut person = Person::new();
    person.display_name = form.text(&settings.fields.name);
    if let Some(address) = form.text_as(&settings.fields.email, address) {
        person = person.identifier("email", address);
    }
    let country_code = settings.country_code.as_deref();
    if let Some(number) = form.text_as(&settings.fields.phone, |text| telephone(text, country_code)) {
        person = person.identifier("tel", number);
    }
    (person != Person::new()).then_some(person)
}

fn answers(settings: &Settings, rest: Submission) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (name, value) in rest.fields {
        let value = match value {
            Json::Null => continue,
            Json::String(text) if text.trim().is_empty() => continue,
            Json::String(text) => Value::Text(text),
            Json::Bool(truth) => Value::Boolean(truth),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Value::Integer(whole),
                (None, Some(decimal)) => Value::Decimal(decimal),
                (None, None) => Value::Text(number.to_string()),
            },
            nested => match one_text(&nested) {
                Some(text) => Value::Text(text),
                None => continue,
            },
        };
        if !settings.ignore.contains(&name) {
            let question = settings.questions.get(&name).cloned();
            answers.push(Answer {
                question_id: name,
                question,
                value,
            });
        }
    }
    answers
}

/// A list of plain values, as check boxes give it, in one text; what is nested deeper as compact JSON, because an answer
/// is one value. `None`: nothing is ticked.
fn one_text(value: &Json) -> Option<String> {
    let Json::Array(items) = value else {
        return Some(value.to_string());
    };
    let mut words = Vec::new();
    for item in items {
        match item {
            Json::Null => {}
            Json::String(text) if text.trim().is_empty() => {}
            Json::String(text) => words.push(text.clone()),
            Json::Bool(_) | Json::Number(_) => words.push(item.to_string()),
            Json::Array(_) | Json::Object(_) => return Some(value.to_string()),
        }
    }
    let comma = if words.iter().any(|word| word.chars().any(is_arabic)) {
        "، "
    } else {
        ", "
    };
    Some(words.join(comma)).filter(|text| !text.is_empty())
}

fn is_arabic(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

fn holds_nul(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(holds_nul),
        Json::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

fn kind(settings: &Settings, word: &str) -> Option<String> {
    if let Some(kind) = settings.kinds.get(word) {
        return Some(kind.clone());
    }
    let arabic = ARABIC_KINDS
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, kind)| *kind);
    let english = KINDS.iter().copied().find(|kind| kind.eq_ignore_ascii_case(word));
    arabic.or(english).map(str::to_owned)
}

fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// RFC 3339, or milliseconds since 1970. A number outside 1990 to 2100 counts something else, such as seconds.
fn moment(text: &str) -> Option<i64> {
    const YEARS: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
    time::parse_rfc3339(text).or_else(|| text.parse().ok().filter(|millis| YEARS.contains(millis)))
}

/// An address in lower case, if it looks like one; whether somebody reads there is not for a form to know. One person
/// is the same in every channel only if all write the address alike.
fn address(text: &str) -> Option<String> {
    let address = text.trim().to_lowercase();
    let (local, domain) = address.rsplit_once('@')?;
    let plain = address.len() <= MAX_ADDRESS_BYTES
        && !local.is_empty()
        && domain.contains('.')
        && !address.chars().any(|c| c.is_whitespace() || c.is_control());
    plain.then_some(address)
}

/// A telephone number in E.164, if it can be told.
fn telephone(text: &str, country_code: Option<&str>) -> Option<String> {
    let compact: String = western_digits(text)
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '\u{a0}'))
        .collect();
    let international = compact.strip_prefix('+').or_else(|| compact.strip_prefix("00"));
    let digits = match (international, country_code) {
        (Some(digits), _) => digits.to_owned(),
        (None, Some(code)) => match compact.strip_prefix('0') {
            Some(national) => format!("{code}{national}"),
            None if has_code(&compact, code) => compact,
            None => format!("{code}{compact}"),
        },
        (None, None) => return None,
    };
    let valid = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| format!("+{digits}"))
}

/// People often write the country code without `+` or `00`.
fn has_code(digits: &str, code: &str) -> bool {
    digits
        .strip_prefix(code)
        .is_some_and(|national| national.len() >= SHORTEST_NATIONAL)
}

/// Arabic-Indic and Persian digits as Western ones; marks of writing direction are dropped.
fn western_digits(text: &str) -> String {
    text.chars()
        .filter(
            |c| !matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'),
        )
        .map(|c| match c {
            '٠'..='٩' => shifted(c, '٠'),
            '۰'..='۹' => shifted(c, '۰'),
            '٫' => '.',
            other => other,
        })
        .collect()
}

fn shifted(digit: char, zero: char) -> char {
    char::from_digit(u32::from(digit) - u32::from(zero), 10).unwrap_or(digit)
}

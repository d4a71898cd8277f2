//! What the hub checks on every record that a channel returns.

use super::names::{KINDS, is_language, is_tag};
use crate::{AttachmentSource, CallDetails, ChannelKind, Details, Feedback, Person, Score, SurveyDetails, Value};

const ID_BYTES: usize = 1024;
const BODY_BYTES: usize = 4 << 20;
const TEXT_BYTES: usize = 64 << 10;
const INLINE_BYTES: usize = 256 << 10;
const NAME_BYTES: usize = 1024;
const LOCALE_BYTES: usize = 64;
const MEDIA_TYPE_BYTES: usize = 256;
const QUESTION_ID_BYTES: usize = 256;
const NETWORK_BYTES: usize = 256;
const ATTRIBUTE_NAME_BYTES: usize = 128;
const TAGS: usize = 64;
const SCORES: usize = 32;
const IDENTIFIERS: usize = 16;
const ATTRIBUTES: usize = 128;
const ATTACHMENTS: usize = 256;
const ANSWERS: usize = 512;
const UTTERANCES: usize = 20_000;
const SLUG: &str = "is no lower-case slug of letters, digits, `-`, `_`, `:`, `.` within 64 bytes";

/// Everything for which the hub would refuse the record, each as `field: reason`; empty when it is sound.
#[must_use]
pub fn record_problems(feedback: &Feedback) -> Vec<String> {
    let mut check = Check::default();
    check.identity(feedback);
    check.text("subject", feedback.subject.as_deref(), TEXT_BYTES);
    check.text("body", Some(&feedback.body), BODY_BYTES);
    check.text("body_html", feedback.body_html.as_deref(), BODY_BYTES);
    check.text("raw", feedback.raw.as_deref(), BODY_BYTES);
    check.names(feedback);
    check.scores(&feedback.scores);
    if let Some(author) = &feedback.author {
        check.author(author);
    }
    check.attachments(feedback);
    check.details(&feedback.details);
    check.count("attributes", feedback.attributes.len(), ATTRIBUTES);
    for (at, attribute) in feedback.attributes.iter().enumerate() {
        check.text(
            &format!("attributes[{at}].name"),
            Some(&attribute.name),
            ATTRIBUTE_NAME_BYTES,
        );
        check.value(&format!("attributes[{at}].value"), &attribute.value);
    }
    if says_nothing(feedback) {
        check.add("body", "nothing is said and nothing else is there");
    }
    check.problems
}

fn says_nothing(feedback: &Feedback) -> bool {
    feedback.body.trim().is_empty()
        && feedback.subject.as_deref().is_none_or(|text| text.trim().is_empty())
        && feedback.body_html.as_deref().is_none_or(str::is_empty)
        && feedback.scores.is_empty()
        && feedback.attachments.is_empty()
        && feedback.details == Details::None
}

/// Collects problems field by field.
#[derive(Default)]
struct Check {
    problems: Vec<String>,
}

impl Check {
    fn add(&mut self, field: &str, reason: impl std::fmt::Display) {
        self.problems.push(format!("{field}: {reason}"));
    }

    fn text(&mut self, field: &str, text: Option<&str>, most: usize) {
        let Some(text) = text else { return };
        if text.len() > most {
            self.add(field, format!("more than {most} bytes"));
        }
        if text.contains('\0') {
            self.add(field, "holds a NUL character");
        }
    }

    fn id(&mut self, field: &str, text: Option<&str>) {
        self.text(field, text, ID_BYTES);
        if text.is_some_and(|text| text.trim().is_empty()) {
            self.add(field, "must not be empty");
        }
    }

    fn count(&mut self, field: &str, count: usize, most: usize) {
        if count > most {
            self.add(field, format!("{count} entries, at most {most} are kept"));
        }
    }

    fn slug(&mut self, field: &str, text: &str) {
        if !is_tag(text) {
            self.add(field, format!("`{text}` {SLUG}"));
        }
    }

    fn value(&mut self, field: &str, value: &Value) {
        match value {
            Value::Text(text) => self.text(field, Some(text), TEXT_BYTES),
            Value::Decimal(number) if !number.is_finite() => self.add(field, "must be a finite number"),
            Value::Json(_) => self.add(field, "JSON is no value here: it belongs into `raw`"),
            Value::Decimal(_) | Value::Integer(_) | Value::Boolean(_) | Value::Timestamp(_) => {}
        }
    }

    fn identity(&mut self, feedback: &Feedback) {
        self.id("external_id", Some(&feedback.external_id));
        self.id("revision", feedback.revision.as_deref());
        self.id("thread_id", feedback.thread_id.as_deref());
        self.id("in_reply_to", feedback.in_reply_to.as_deref());
    }

    fn names(&mut self, feedback: &Feedback) {
        if let ChannelKind::Other(name) = &feedback.channel {
            self.slug("channel", name);
        }
        if let Some(kind) = feedback.kind.as_deref().filter(|kind| !KINDS.contains(kind)) {
            self.add("kind", format!("`{kind}` is none of {}", KINDS.join(", ")));
        }
        if let Some(tag) = feedback.language.as_deref().filter(|tag| !is_language(tag)) {
            self.add(
                "language",
                format!("`{tag}` is no tag of BCP 47, such as `ar` or `en-GB`"),
            );
        }
        self.count("tags", feedback.tags.len(), TAGS);
        for (at, tag) in feedback.tags.iter().enumerate() {
            self.slug(&format!("tags[{at}]"), tag);
        }
    }

    fn scores(&mut self, scores: &[Score]) {
        self.count("scores", scores.len(), SCORES);
        for (at, score) in scores.iter().enumerate() {
            let field = format!("scores[{at}]");
            self.slug(&format!("{field}.metric"), &score.metric);
            if !is_on_its_scale(score) {
                let Score {
                    metric,
                    value,
                    min,
                    max,
                } = score;
                self.add(&field, format!("`{metric}` = {value} on {min} to {max}"));
            }
            if scores.iter().take(at).any(|earlier| earlier.metric == score.metric) {
                self.add(&field, format!("`{}` is given twice", score.metric));
            }
        }
    }

    fn author(&mut self, author: &Person) {
        self.text("author.display_name", author.display_name.as_deref(), NAME_BYTES);
        self.text("author.locale", author.locale.as_deref(), LOCALE_BYTES);
        self.count("author.identifiers", author.identifiers.len(), IDENTIFIERS);
        for (at, identifier) in author.identifiers.iter().enumerate() {
            let field = format!("author.identifiers[{at}]");
            self.slug(&format!("{field}.scheme"), &identifier.scheme);
            self.id(&format!("{field}.id"), Some(&identifier.id));
        }
    }

    fn attachments(&mut self, feedback: &Feedback) {
        self.count("attachments", feedback.attachments.len(), ATTACHMENTS);
        for (at, attachment) in feedback.attachments.iter().enumerate() {
            let field = format!("attachments[{at}]");
            self.text(&format!("{field}.name"), Some(&attachment.name), ID_BYTES);
            self.text(
                &format!("{field}.media_type"),
                Some(&attachment.media_type),
                MEDIA_TYPE_BYTES,
            );
            if matches!(&attachment.source, AttachmentSource::Inline(bytes) if bytes.len() > INLINE_BYTES) {
                self.add(&field, format!("more than {INLINE_BYTES} bytes inline: use a blob"));
            }
        }
    }

    fn details(&mut self, details: &Details) {
        match details {
            Details::None => {}
            Details::Call(call) => self.call(call),
            Details::Survey(survey) => self.survey(survey),
            Details::Social(social) => {
                self.text("details.network", Some(&social.network), NETWORK_BYTES);
                self.text("details.permalink", social.permalink.as_deref(), TEXT_BYTES);
            }
            Details::Other(json) => self.text("details", Some(json), BODY_BYTES),
        }
    }

    fn call(&mut self, call: &CallDetails) {
        self.text("details.queue", call.queue.as_deref(), TEXT_BYTES);
        self.count("details.transcript", call.transcript.len(), UTTERANCES);
        for (at, utterance) in call.transcript.iter().enumerate() {
            self.text(
                &format!("details.transcript[{at}].text"),
                Some(&utterance.text),
                TEXT_BYTES,
            );
        }
    }

    fn survey(&mut self, survey: &SurveyDetails) {
        self.text("details.survey_id", Some(&survey.survey_id), ID_BYTES);
        self.count("details.answers", survey.answers.len(), ANSWERS);
        for (at, answer) in survey.answers.iter().enumerate() {
            let field = format!("details.answers[{at}]");
            self.text(
                &format!("{field}.question_id"),
                Some(&answer.question_id),
                QUESTION_ID_BYTES,
            );
            self.text(&format!("{field}.question"), answer.question.as_deref(), TEXT_BYTES);
            self.value(&format!("{field}.value"), &answer.value);
        }
    }
}

/// NPS is asked on 0 to 10, CSAT here on 1 to 5, CES on 1 to 7; other metrics bring their own scale.
fn is_on_its_scale(score: &Score) -> bool {
    let scale = match score.metric.as_str() {
        "nps" => (0.0, 10.0),
        "csat" => (1.0, 5.0),
        "ces" => (1.0, 7.0),
        _ => (score.min, score.max),
    };
    score.min.is_finite()
        && score.max.is_finite()
        && (score.min, score.max) == scale
        && score.min < score.max
        && (score.min..=score.max).contains(&score.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Attachment, Direction, SocialDetails, Speaker, Utterance};

    fn good() -> Feedback {
        Feedback::new("1", ChannelKind::Form).body("الخدمة ممتازة")
    }

    /// The fields that a record is refused for.
    fn fields(feedback: &Feedback) -> Vec<String> {
        let field = |problem: &String| problem.split(": ").next().unwrap_or_default().to_owned();
        record_problems(feedback).iter().map(field).collect()
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "the cases read better without `&`")]
    fn refused(feedback: Feedback, field: &str) {
        assert_eq!(fields(&feedback), [field], "{:?}", record_problems(&feedback));
    }

    #[test]
    fn a_sound_record_has_no_problem() {
        let sound = good()
            .language("ar-SA")
            .tag("فرع-الرياض")
            .score("رضا", 3.0, 1.0, 5.0)
            .author(Person::new().named("سارة").identifier("email", "sara@example.com"))
            .attribute("seen-at", Value::Timestamp(0))
            .thread("t-1");
        assert!(fields(&sound).is_empty(), "{:?}", record_problems(&sound));
    }

    #[test]
    fn identity_and_texts() {
        refused(Feedback::new(" ", ChannelKind::Form).body("x"), "external_id");
        refused(good().revision(""), "revision");
        refused(good().thread(""), "thread_id");
        refused(good().in_reply_to(" "), "in_reply_to");
        refused(good().thread("ش".repeat(513)), "thread_id");
        refused(good().subject("موضوع\0"), "subject");
        refused(good().subject("x".repeat(TEXT_BYTES + 1)), "subject");
        refused(good().body("x".repeat(BODY_BYTES + 1)), "body");
        refused(Feedback::new("1", ChannelKind::Form), "body");
        refused(Feedback::new("1", ChannelKind::Form).body_html(""), "body");
    }

    #[test]
    fn channel_kind_language_and_tags() {
        let mut other = good();
        other.channel = ChannelKind::Other("Fax Machine".into());
        refused(other, "channel");
        refused(good().kind("anger"), "kind");
        refused(good().language("اللغة العربية"), "language");
        refused(good().tag("ok").tag("Größe"), "tags[1]");
        refused((0..65).fold(good(), |record, at| record.tag(format!("t{at}"))), "tags");
    }

    #[test]
    fn scores() {
        let score = |metric: &str, value, min, max| good().score(metric, value, min, max);
        refused(score("nps", 12.0, 0.0, 10.0), "scores[0]");
        refused(score("csat", 3.0, 0.0, 10.0), "scores[0]");
        refused(score("stars", 3.0, 5.0, 1.0), "scores[0]");
        refused(score("stars", 3.0, f64::NEG_INFINITY, 5.0), "scores[0]");
        refused(score("stars", f64::NAN, 1.0, 5.0), "scores[0]");
        refused(score("Net Score", 3.0, 1.0, 5.0), "scores[0].metric");
        refused(score("nps", 1.0, 0.0, 10.0).score("nps", 2.0, 0.0, 10.0), "scores[1]");
        let many = (0..33).fold(good(), |record, at| record.score(format!("m{at}"), 1.0, 0.0, 2.0));
        refused(many, "scores");
    }

    #[test]
    fn authors() {
        let by = |author: Person| good().author(author);
        refused(
            by(Person::new().identifier("E Mail", "a@b.example")),
            "author.identifiers[0].scheme",
        );
        refused(by(Person::new().identifier("email", " ")), "author.identifiers[0].id");
        refused(by(Person::new().named("س".repeat(513))), "author.display_name");
        refused(by(Person::new().locale("x".repeat(65))), "author.locale");
        let many = (0..17).fold(Person::new(), |person, at| person.identifier("tel", at.to_string()));
        refused(by(many), "author.identifiers");
    }

    #[test]
    fn attachments_and_attributes() {
        let file = |name: &str, kind: &str, size| good().attachment(Attachment::inline(name, kind, vec![0; size]));
        refused(file("صورة.png", "image/png", INLINE_BYTES + 1), "attachments[0]");
        refused(file(&"x".repeat(1025), "image/png", 1), "attachments[0].name");
        refused(file("a", &"x".repeat(257), 1), "attachments[0].media_type");
        let link = |record: Feedback| record.attachment(Attachment::blob("a", "image/png", 1, "b"));
        refused((0..257).fold(good(), |record, _| link(record)), "attachments");
        refused(good().attribute("x", Value::Json("[1]".into())), "attributes[0].value");
        refused(good().attribute("x", f64::INFINITY), "attributes[0].value");
        refused(good().attribute("x", "y".repeat(TEXT_BYTES + 1)), "attributes[0].value");
        refused(good().attribute("x".repeat(129), 1), "attributes[0].name");
        let many = (0..129).fold(good(), |record, at| record.attribute(format!("a{at}"), true));
        refused(many, "attributes");
    }

    #[test]
    fn surveys() {
        let survey = |answers| {
            good().details(Details::Survey(SurveyDetails {
                survey_id: "زيارة".into(),
                answers,
            }))
        };
        let answer = |id: &str, value: Value| survey(vec![Answer::new(id, None, value)]);
        refused(answer("q", Value::Json("{}".into())), "details.answers[0].value");
        refused(answer("q", "نص\0".into()), "details.answers[0].value");
        refused(answer(&"x".repeat(257), true.into()), "details.answers[0].question_id");
        refused(survey(vec![Answer::new("q", None, 1); ANSWERS + 1]), "details.answers");
        assert!(fields(&answer("q", Value::Timestamp(1))).is_empty());
    }

    #[test]
    fn calls_and_posts() {
        let said = |text: &str, times| {
            let utterance = Utterance {
                speaker: Speaker::Customer,
                start_ms: 0,
                end_ms: 1,
                text: text.into(),
            };
            good().details(Details::Call(CallDetails {
                direction: Direction::Inbound,
                duration_ms: None,
                queue: None,
                agent: None,
                recording: None,
                transcript: vec![utterance; times],
            }))
        };
        refused(said("ألو\0", 1), "details.transcript[0].text");
        refused(said("ألو", UTTERANCES + 1), "details.transcript");
        let post = SocialDetails {
            network: "x".repeat(257),
            permalink: None,
            audience: None,
        };
        refused(good().details(Details::Social(post)), "details.network");
        refused(good().details(Details::Other("\0".into())), "details");
    }
}

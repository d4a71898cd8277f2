//! Says what the hub knows in the reader's language.

use mihwar_hub::FeedbackRecord;
use mihwar_model::{Details, Time};

use super::parts::{Badge, Figure, Heard, Moment, PluginRow, Sent};
use super::plural::{ATTEMPTS, CALLS, DAYS_AGO, DEAD, FAILED, HOURS_AGO, MINUTES_AGO, SECONDS, WAITING};
use super::settings::{Settings, Tongue};
use super::words::Words;
use crate::api::deliveries::DeliveryView;
use crate::api::overview::OverviewView;
use crate::api::plugins::InstanceView;

/// Letters of a customer's words that are shown.
const EXCERPT_CHARS: usize = 320;

/// Says things in the reader's language.
#[derive(Clone, Copy)]
pub(super) struct Teller {
    pub(super) settings: Settings,
    pub(super) now: Time,
}

impl Teller {
    fn words(self) -> &'static Words {
        self.settings.tongue.words()
    }

    fn term(self, name: &str) -> String {
        self.settings
            .tongue
            .term(name)
            .map_or_else(|| name.to_owned(), ToOwned::to_owned)
    }

    fn badge(self, label: &str, state: &str) -> Badge {
        Badge {
            label: label.to_owned(),
            state: state.to_owned(),
            state_label: self.term(state),
        }
    }

    pub(super) fn figures(self, overview: &OverviewView) -> Vec<Figure> {
        let words = self.words();
        let in_state = |states: &[&str]| -> u64 {
            overview
                .deliveries
                .values()
                .flat_map(|by_state| states.iter().filter_map(|state| by_state.get(*state)))
                .sum()
        };
        let figure = |number: u64, label: &'static str| Figure {
            number: self.settings.number(number),
            label,
            alarming: false,
        };
        let dead = in_state(&["dead"]);
        vec![
            figure(overview.feedback, words.feedback),
            figure(in_state(&["delivered", "skipped"]), words.delivered),
            figure(in_state(&["waiting", "retrying"]), words.on_the_way),
            Figure {
                alarming: dead > 0,
                ..figure(dead, words.dead)
            },
            figure(overview.ledger_size, words.ledger_entries),
        ]
    }

    fn moment(self, time: Time) -> Moment {
        let minutes = u64::try_from(self.now.0.saturating_sub(time.0).max(0) / 60_000).unwrap_or_default();
        let ago = match minutes {
            0 => self.words().just_now.to_owned(),
            1..=59 => self.settings.counted(minutes, &MINUTES_AGO),
            60..=1439 => self.settings.counted(minutes / 60, &HOURS_AGO),
            _ => self.settings.counted(minutes / 1440, &DAYS_AGO),
        };
        Moment {
            ago,
            exact: time.to_rfc3339(),
        }
    }

    pub(super) fn heard(self, record: FeedbackRecord, deliveries: impl Iterator<Item = DeliveryView>) -> Heard {
        let FeedbackRecord { head, content, .. } = record;
        let destinations = deliveries.map(|d| self.badge(&d.destination, &d.state)).collect();
        let score = |score: mihwar_model::Score| {
            let text = format!("{} {}/{}", score.metric, score.value, score.max);
            self.settings.digits(&text)
        };
        let mut heard = Heard {
            moment: self.moment(head.received_at),
            kind: head.kind.map(|kind| self.term(kind.as_str())),
            channel: head.channel.to_string(),
            language: head.language.as_ref().map(|language| self.language(language.as_str())),
            language_tag: head.language.map(|language| language.to_string()),
            scores: head.scores.into_iter().map(score).collect(),
            tags: head.tags.iter().take(5).map(ToString::to_string).collect(),
            author: None,
            subject: None,
            words: None,
            instead: None,
            destinations,
        };
        let Some(content) = content else {
            heard.instead = Some(self.words().erased.to_owned());
            return heard;
        };
        if content.body.trim().is_empty() {
            heard.instead = Some(self.instead_of_words(&content.details));
        } else {
            heard.words = Some(excerpt(&content.body));
        }
        heard.author = content.author.and_then(|author| author.name);
        heard.subject = content
            .subject
            .map(|subject| excerpt(&subject))
            .filter(|subject| !subject.is_empty());
        heard
    }

    fn language(self, tag: &str) -> String {
        let base = tag.split('-').next().unwrap_or(tag);
        self.settings
            .tongue
            .term(base)
            .map_or_else(|| tag.to_owned(), ToOwned::to_owned)
    }

    fn instead_of_words(self, details: &Details) -> String {
        match details {
            Details::Call(call) => match call.duration_ms {
                Some(ms) => format!("{} · {}", self.words().call, self.settings.counted(ms / 1000, &SECONDS)),
                None => self.words().call.to_owned(),
            },
            _ => self.words().without_words.to_owned(),
        }
    }

    pub(super) fn sent(self, delivery: DeliveryView) -> Sent {
        Sent {
            moment: self.moment(delivery.finished_at.unwrap_or(delivery.created_at)),
            badge: self.badge(&delivery.destination, &delivery.state),
            attempts: self.settings.counted(delivery.attempts.into(), &ATTEMPTS),
            rule: delivery.rule,
            reason: delivery.last_code.filter(|_| delivery.state != "delivered"),
        }
    }

    pub(super) fn plugin(self, instance: InstanceView) -> PluginRow {
        let mut work = vec![self.settings.counted(instance.calls_ok, &CALLS)];
        for (count, noun) in [
            (instance.calls_failed, &FAILED),
            (instance.waiting, &WAITING),
            (instance.dead, &DEAD),
        ] {
            if count > 0 {
                work.push(self.settings.counted(count, noun));
            }
        }
        let last_failure = instance.last_error.zip(instance.last_error_at);
        PluginRow {
            badge: self.badge(&instance.name, &instance.state),
            title: match self.settings.tongue {
                Tongue::Arabic => instance.title_ar,
                Tongue::English => instance.title_en,
            },
            name: instance.name,
            role: self.term(&instance.role),
            version: instance.version,
            work,
            reason: instance.reason,
            last_failure: last_failure.map(|(text, at)| format!("{} · {}", excerpt(&text), self.moment(at).ago)),
        }
    }
}

/// The beginning of a text on one line, cut between words.
fn excerpt(text: &str) -> String {
    let mut short = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count() + 1;
        if chars + length > EXCERPT_CHARS {
            let room = EXCERPT_CHARS.saturating_sub(chars + 1);
            if chars == 0 {
                short.extend(word.chars().take(room));
            }
            short.push('…');
            break;
        }
        if chars > 0 {
            short.push(' ');
        }
        short.push_str(word);
        chars += length;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::{EXCERPT_CHARS, excerpt};

    #[test]
    fn excerpts_end_between_words_and_never_inside_a_letter() {
        assert_eq!(excerpt("  الخدمة\n\n ممتازة  "), "الخدمة ممتازة");
        let long = excerpt(&"شكوى ".repeat(200));
        assert!(
            long.ends_with("شكوى…") && long.chars().count() <= EXCERPT_CHARS + 1,
            "{long}"
        );
        let one = excerpt(&"😀".repeat(1000));
        assert!(one.chars().count() <= EXCERPT_CHARS && one.ends_with('…'));
        assert_eq!(excerpt(""), "");
    }
}

//! Mihwar department: feedback as mail, one for each item or one for a digest, handed over by SMTP (RFC 5321).
//!
//! | module | what it knows |
//! |---|---|
//! | `settings`, `address` | what an admin sets; what is a mail address |
//! | `letter` | which deliveries make which mail, and who gets it |
//! | `body`, `words` | what a mail says, as text and as HTML, in Arabic and in English |
//! | `message`, `header` | the mail as bytes: fields, encoded words, parts (RFC 5322, 2045 to 2047) |
//! | `dialogue`, `reply` | what is said to the server, and what its answers mean |

mod address;
mod body;
mod dialogue;
mod header;
mod letter;
mod message;
mod reply;
mod settings;
mod words;

#[cfg(test)]
mod tests;

use mihwar_sdk::{Ack, AckState, ConfigProblem, Delivered, Delivery, Destination, Health, Host, Plugin, PluginError};

use dialogue::{Outcome, Session};
use letter::{Letter, Office};

pub use settings::{Language, Security, Settings};

/// Below this the rest of a batch is left for the next call: who is cut off in the middle does not know what arrived.
const SHORT_MS: u64 = 5_000;

/// The department.
pub struct MailDepartment;

impl Plugin for MailDepartment {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }

    fn check(host: &Host, settings: &Settings) -> Result<Health, PluginError> {
        let session = Session::open(host, settings)?;
        let notes = vec![format!(
            "{} port {} lets this department in{}",
            settings.host,
            settings.port,
            session.described()
        )];
        session.close();
        Ok(Health {
            account: settings.user.clone(),
            notes,
        })
    }
}

impl Destination for MailDepartment {
    fn deliver(host: &Host, settings: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
        let office = Office::open(host, settings)?;
        let mut round = Round {
            host,
            settings,
            session: None,
            acks: Vec::with_capacity(batch.len()),
        };
        let mut letters = office.letters(&batch).into_iter();
        while let Some(letter) = letters.next() {
            if host.remaining_ms() < SHORT_MS {
                host.info("time is short: the rest of the batch waits for the next call");
                break;
            }
            match round.send(&office, &letter) {
                Ok(state) => round.answer(&letter, &state),
                Err(error) => {
                    // The server as a whole: the same holds for the rest, which costs it no attempt of its own.
                    let state = AckState::Failed(error);
                    round.answer(&letter, &state);
                    for letter in letters.by_ref() {
                        round.answer(&letter, &state);
                    }
                }
            }
        }
        if let Some(session) = round.session {
            session.close();
        }
        Ok(round.acks)
    }
}

/// One batch on its way.
struct Round<'h> {
    host: &'h Host,
    settings: &'h Settings,
    session: Option<Session<'h>>,
    acks: Vec<Ack>,
}

impl Round<'_> {
    /// Sends one letter. An error is one of the server as a whole, after which the connection is of no use.
    fn send(&mut self, office: &Office, letter: &Letter<'_>) -> Result<AckState, PluginError> {
        let message = office.message(letter, self.host.now());
        if self.host.instance().dry_run {
            return Ok(AckState::Skipped("a dry run sends no mail".into()));
        }
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::open(self.host, self.settings)?,
        };
        let session = self.session.insert(session);
        match session.send(&message) {
            Ok(Outcome::Accepted) => Ok(AckState::Delivered(Delivered {
                external_ref: Some(letter.reference.clone()),
                url: None,
            })),
            Ok(Outcome::Refused(error)) => Ok(AckState::Failed(error)),
            Err(error) => {
                self.session = None;
                Err(error)
            }
        }
    }

    fn answer(&mut self, letter: &Letter<'_>, state: &AckState) {
        self.acks.extend(letter.deliveries.iter().map(|delivery| Ack {
            id: delivery.id.clone(),
            state: state.clone(),
        }));
    }
}

mihwar_sdk::export!(MailDepartment: Destination);

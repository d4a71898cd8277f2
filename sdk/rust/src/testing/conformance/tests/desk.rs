//! A small system of tickets, as it works when nothing goes wrong.

use serde_json::{Value as Json, json};

use super::super::{Handed, System, Told};
use crate::testing::Answer;
use crate::testing::world::mac;
use crate::{Body, Header, InboundRequest, Mac, Request, Verification};

pub(super) const SITE: &str = "https://desk.example";
/// What its reports are signed with.
pub(super) const KEY: &str = "توقيع-desk-2026";

/// Tickets, by their place.
#[derive(Default)]
pub(super) struct Desk {
    tickets: Vec<Ticket>,
}

struct Ticket {
    key: String,
    text: String,
    is_deleted: bool,
}

fn sent(request: &Request) -> Json {
    match &request.body {
        Body::Bytes(bytes) => serde_json::from_slice(bytes).expect("the department sends JSON"),
        Body::Empty | Body::Blob(_) => Json::Null,
    }
}

impl Desk {
    fn found(&self, key: &str) -> Answer {
        let numbered = self.tickets.iter().zip(1..);
        let found: Vec<String> = numbered
            .filter(|(ticket, _)| ticket.key == key && !ticket.is_deleted)
            .map(|(_, number)| format!("T-{number}"))
            .collect();
        Answer::json(200, json!({ "found": found }).to_string())
    }

    fn opened(&mut self, ticket: &Json) -> Answer {
        let text = |name: &str| ticket[name].as_str().unwrap_or_default().to_owned();
        self.tickets.push(Ticket {
            key: text("key"),
            text: text("text"),
            is_deleted: false,
        });
        Answer::json(201, json!({ "ref": format!("T-{}", self.tickets.len()) }).to_string())
    }

    /// The ticket at the end of a path.
    fn ticket(&mut self, path: &str) -> Option<&mut Ticket> {
        let number: usize = path.strip_prefix("/tickets/T-")?.parse().ok()?;
        let ticket = self.tickets.get_mut(number.checked_sub(1)?)?;
        (!ticket.is_deleted).then_some(ticket)
    }

    fn of<'a>(&'a self, handed: &'a Handed) -> impl Iterator<Item = &'a Ticket> {
        let of_item = move |ticket: &&Ticket| ticket.key == handed.item && !ticket.is_deleted;
        self.tickets.iter().filter(of_item)
    }
}

impl System for Desk {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.url.strip_prefix(SITE).unwrap_or_default();
        if let Some(key) = path.strip_prefix("/tickets?key=") {
            return self.found(key);
        }
        match (request.method.as_str(), path) {
            ("POST", "/tickets") => self.opened(&sent(request)),
            ("PUT", path) => match self.ticket(path) {
                Some(ticket) => {
                    ticket.text = sent(request)["text"].as_str().unwrap_or_default().to_owned();
                    Answer::status(204)
                }
                None => Answer::status(404),
            },
            ("DELETE", path) => match self.ticket(path) {
                Some(ticket) => {
                    ticket.is_deleted = true;
                    Answer::status(204)
                }
                None => Answer::status(404),
            },
            _ => Answer::status(404),
        }
    }

    fn copies(&self, handed: &Handed) -> usize {
        self.of(handed).count()
    }

    fn is_current(&self, handed: &Handed) -> Option<bool> {
        Some(self.of(handed).any(|ticket| ticket.text.contains(&handed.words)))
    }

    fn is_erased(&self, handed: &Handed) -> Option<bool> {
        Some(self.of(handed).next().is_none())
    }

    fn tells(&self, told: &Told) -> Option<InboundRequest> {
        let body = json!({ "ref": told.reference, "state": told.state.name(), "at": told.changed_at, "ours": true });
        Some(signed(&body))
    }

    fn tells_of_others(&self) -> Option<InboundRequest> {
        Some(signed(
            &json!({ "ref": "T-99", "state": "open", "at": 1, "ours": false }),
        ))
    }
}

/// A report that the department verifies by itself.
fn signed(body: &Json) -> InboundRequest {
    let body = body.to_string().into_bytes();
    let tag = mac(Mac::HmacSha256, KEY.as_bytes(), &body);
    InboundRequest {
        delivery_id: "i-1".into(),
        endpoint: "reports".into(),
        method: "POST".into(),
        path: "/hooks/desk/reports".into(),
        query: Vec::new(),
        headers: vec![Header {
            name: "X-Signature".into(),
            value: tag.iter().map(|byte| format!("{byte:02x}")).collect(),
        }],
        body,
        verification: Verification::Unverified,
        received_at: 1_767_225_600_000,
    }
}

/// The same system, which tells nothing back.
#[derive(Default)]
pub(super) struct Mute(Desk);

impl System for Mute {
    fn answer(&mut self, request: &Request) -> Answer {
        self.0.answer(request)
    }

    fn copies(&self, handed: &Handed) -> usize {
        self.0.copies(handed)
    }
}

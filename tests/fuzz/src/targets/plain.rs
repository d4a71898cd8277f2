//! Bytes of the ledger and of the store, names and times.

use std::str::FromStr;

use mihwar_ledger::{Checkpoint, Hash, SignedNote, Signer, VerifyingKey};
use mihwar_model::{
    Actor, Channel, ContactId, Event, EventBody, FeedbackId, InstanceConfigured, InstanceName, Kind, Language, OrgId,
    Received, Score, Tag, Time,
};
use mihwar_store::{Key, Space};

use super::{Target, same};

/// Entries of the ledger (CBOR).
pub(super) const EVENT: Target = Target {
    name: "event",
    seeds: events,
    words: &["\u{82}", "\u{9f}", "\u{bf}", "form", "شحن", "ar"],
    check: event,
    bounded_inputs: 60_000,
    bytes_max: 4 << 20,
};

fn events() -> Vec<Vec<u8>> {
    let instance = InstanceName::new("form").ok();
    let (feedback, contact) = (FeedbackId::from_bytes([7; 16]), ContactId::from_bytes([9; 16]));
    let received = instance.clone().zip(Tag::new("form").ok()).map(|(instance, channel)| {
        EventBody::Received(Received {
            feedback,
            revision: 1,
            contact,
            instance,
            channel: Channel::new(channel),
            kind: Some(Kind::Complaint),
            occurred_at: Some(Time(1_789_999_999_000)),
            thread: None,
            language: Language::new("ar").ok(),
            scores: vec![Score {
                metric: "nps".into(),
                value: 3.0,
                min: 0.0,
                max: 10.0,
            }],
            tags: Tag::new("شحن").into_iter().collect(),
            attachments: Vec::new(),
            call: None,
            body_chars: 42,
            commitment: [1; 32],
            masked: None,
        })
    });
    let configured = instance.map(|instance| {
        EventBody::InstanceConfigured(InstanceConfigured {
            plugin: instance.clone(),
            instance,
            version: "0.1.0".into(),
            module: [3; 32],
        })
    });
    let bodies = [received, configured].into_iter().flatten();
    let all = bodies.map(|body| Event {
        at: Time(1_790_000_000_000),
        actor: Actor::Hub,
        body,
    });
    all.filter_map(|event| event.to_bytes().ok()).collect()
}

fn event(input: &[u8]) -> Result<String, String> {
    let event = match Event::from_bytes(input) {
        Ok(event) => event,
        Err(error) if error.is_empty() => return Err("a refusal without a word".into()),
        Err(error) => return Ok(error),
    };
    let bytes = event.to_bytes()?;
    // By bytes: a score may be NaN, which equals nothing.
    let again = Event::from_bytes(&bytes)?.to_bytes()?;
    same("bytes of an event after reading them", &again, &bytes)?;
    let told = format!("{:?} {:?}", event.actor, event.body);
    Ok(told.split(['(', '{']).take(3).collect())
}

/// Checkpoints, signed notes, public keys, hashes: what other programs hand to a verifier.
pub(super) const NOTE: Target = Target {
    name: "note",
    seeds: notes,
    words: &["\n\n", "\u{2014} ", "+", "\n0\n", "/ledger"],
    check: note,
    bounded_inputs: 15_000,
    bytes_max: 4 << 20,
};

fn signer() -> Option<Signer> {
    Signer::from_seed("demo.example/ledger", &[7; 32]).ok()
}

fn notes() -> Vec<Vec<u8>> {
    let checkpoint = Checkpoint {
        origin: "demo.example/ledger".into(),
        size: 12,
        root: Hash([5; 32]),
        extensions: vec!["ملحق".into()],
    };
    let signed = signer().and_then(|signer| checkpoint.sign(&signer).ok());
    let key = signer().map(|signer| signer.verifying_key().to_string());
    [
        signed.map(|note| note.to_string()),
        key,
        Some(Hash([9; 32]).to_base64()),
    ]
    .into_iter()
    .flatten()
    .map(String::into_bytes)
    .collect()
}

fn note(input: &[u8]) -> Result<String, String> {
    let Ok(text) = std::str::from_utf8(input) else {
        return Ok("no text".into());
    };
    let mut told = Vec::new();
    match SignedNote::parse(text) {
        Ok(note) => {
            same("a note after reading it", &note.to_string().as_str(), &text)?;
            let key = signer().ok_or("no signer")?.verifying_key();
            let verified = note.verify(&key);
            told.push(format!("note {} {}", note.signatures().len(), verified.is_ok()));
            if verified.is_ok()
                && Checkpoint::open(text, "demo.example/ledger", &key).is_ok()
                && !notes()[0].starts_with(note.text().as_bytes())
            {
                return Err("a text that nobody signed verifies".into());
            }
        }
        Err(error) => told.push(error.to_string()),
    }
    match Checkpoint::from_text(text) {
        Ok(checkpoint) => {
            let again = checkpoint.to_text().map_err(|error| error.to_string())?;
            same("a checkpoint after reading it", &again.as_str(), &text)?;
            told.push("checkpoint".into());
        }
        Err(error) => told.push(error.to_string()),
    }
    match VerifyingKey::from_str(text) {
        Ok(key) => same("a key after reading it", &key.to_string().as_str(), &text)?,
        Err(error) => told.push(error.to_string()),
    }
    if let Ok(hash) = Hash::from_base64(text) {
        same("a hash after reading it", &hash.to_base64().as_str(), &text)?;
        told.push("hash".into());
    }
    Ok(told.join("; "))
}

/// Keys of the store: what is built is read, in order, and sorts as its fields do; foreign bytes are refused.
pub(super) const KEY: Target = Target {
    name: "key",
    seeds: || {
        let text = |text: &str| {
            Key::space(Space(0x12), OrgId::FIRST)
                .text(text)
                .u32(7)
                .finish()
                .as_bytes()
                .to_vec()
        };
        vec![text("شكوى"), text("a\0b"), text("")]
    },
    words: &["\0", "\0\u{1}", "شكوى"],
    check: key,
    bounded_inputs: 150_000,
    bytes_max: 4 << 20,
};

fn key(input: &[u8]) -> Result<String, String> {
    let foreign = Key::from_bytes(input.to_vec());
    let mut reader = foreign.read();
    let told = format!(
        "{:?} {:?} {:?}",
        reader.u8().is_ok(),
        reader.bytes().map(|bytes| bytes.len().min(9)),
        reader.u64().is_ok()
    );
    // Two fields out of the input, in both places of a key.
    let (one, two) = input.split_at(input.len() / 2);
    let built = |field: &[u8]| {
        Key::space(Space(0x12), OrgId::FIRST)
            .bytes(field)
            .u32(7)
            .bytes(one)
            .finish()
    };
    let (first, second) = (built(one), built(two));
    let mut reader = first.read();
    let read = (reader.bytes(), reader.u32(), reader.bytes());
    same("fields of a key", &read, &(Ok(one.to_vec()), Ok(7), Ok(one.to_vec())))?;
    same("order of keys", &first.cmp(&second), &one.cmp(two))?;
    Ok(told)
}

/// Names, tags, languages, kinds, ids, times.
pub(super) const NAMES: Target = Target {
    name: "names",
    seeds: || {
        [
            "form-2",
            "شحن:دولي",
            "ar-SA",
            "complaint",
            "2026-11-22T09:30:00+03:00",
            "01a2026e-329f-7773-8ace-725977714191",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "-",
        "T",
        "Z",
        "+03:00",
        ".",
        ":",
        "60",
        "-9999",
        "[Asia/Riyadh]",
        "zh-Hant",
    ],
    check: names,
    bounded_inputs: 60_000,
    bytes_max: 4 << 20,
};

fn names(input: &[u8]) -> Result<String, String> {
    let Ok(text) = std::str::from_utf8(input) else {
        return Ok("no text".into());
    };
    let mut told = String::new();
    if let Ok(name) = InstanceName::new(text) {
        same("a name", &name.as_str(), &text)?;
        told.push_str("name ");
    }
    if let Ok(tag) = Tag::new(text) {
        same(
            "a tag",
            &Tag::new(tag.as_str()).map_err(|error| error.to_string())?,
            &tag,
        )?;
        told.push_str("tag ");
    }
    if let Ok(language) = Language::new(text) {
        same(
            "a language",
            &Language::new(language.as_str()).map_err(|error| error.to_string())?,
            &language,
        )?;
        told.push_str("language ");
    }
    if let Ok(kind) = Kind::from_str(text) {
        same("a kind", &kind.to_string().as_str(), &text)?;
        told.push_str("kind ");
    }
    if let Ok(id) = FeedbackId::from_str(text) {
        same(
            "an id",
            &FeedbackId::from_str(&id.to_string()).map_err(|error| error.to_string())?,
            &id,
        )?;
        told.push_str("id ");
    }
    match Time::parse_rfc3339(text) {
        Ok(time) => {
            let again = Time::parse_rfc3339(&time.to_rfc3339())?;
            same("a time", &again, &time)?;
            told.push_str("time ");
        }
        Err(error) if error.is_empty() => return Err("a refusal without a word".into()),
        // The message quotes the input.
        Err(error) => told.push_str(error.rsplit(": ").next().unwrap_or_default()),
    }
    Ok(told)
}

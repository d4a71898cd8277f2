//! How the facts of a record lie in their row: without what the row's key says already, with times counted from when the
//! record's id was made, and with the places of the record's first entries in the ledger.

use std::convert::Infallible;

use mihwar_model::{FeedbackId, Time};
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::fault::Fault;
use crate::rows::{self, Head};

/// Stands for the id that is in the key.
const IN_THE_KEY: FeedbackId = FeedbackId::from_bytes([0; 16]);

/// Room for what is mostly found out about a record: its language and how sure that is, a department, a few entries.
const ROOM_BYTES: usize = 40;

/// The row of a head, with zeros behind it where that is shorter than it should be. The head is as it was afterwards.
pub(crate) fn encode(head: &mut Head) -> Result<Vec<u8>, Fault> {
    let mut row = as_it_lies(head, rows::encode)?;
    let least = usize::try_from(head.row_bytes).unwrap_or_default();
    row.resize(row.len().max(least), 0);
    Ok(row)
}

/// Shows a head as it lies in its row. In place: it is written for every event of its record, and a copy of it would take as
/// long as the writing.
fn as_it_lies<T>(head: &mut Head, show: impl FnOnce(&Head) -> T) -> T {
    let whole = (head.feedback, head.occurred_at, head.received_at);
    let made_at = head.feedback.made_at();
    head.feedback = IN_THE_KEY;
    head.occurred_at = head.occurred_at.map(|at| since(at, made_at));
    head.received_at = since(head.received_at, made_at);
    let shown = show(head);
    (head.feedback, head.occurred_at, head.received_at) = whole;
    shown
}

/// Counts bytes instead of keeping them.
#[derive(Default)]
struct Count(usize);

impl Write for Count {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// Has the row of a head that just came in be as long as it will be. Heads come in order and fill their pages; one that grew
/// afterwards would not fit where it lies, and its page would be split into two half-empty ones.
pub(crate) fn leave_room(head: &mut Head) {
    head.row_bytes = 0;
    let mut count = Count::default();
    let counted = as_it_lies(head, |head| minicbor::encode(head, &mut count));
    // What cannot be encoded is told when the row is written.
    let bytes = counted.map_or(0, |()| count.0 + ROOM_BYTES);
    head.row_bytes = u32::try_from(bytes).unwrap_or_default();
}

/// The head of this record from its row.
pub(crate) fn decode(feedback: FeedbackId, row: &[u8]) -> Result<Head, Fault> {
    let head: Head = rows::decode("a read model", row)?;
    if head.feedback != IN_THE_KEY {
        // From before heads were written like this.
        return Ok(head);
    }
    let made_at = feedback.made_at();
    Ok(Head {
        feedback,
        occurred_at: head.occurred_at.map(|at| after(made_at, at)),
        received_at: after(made_at, head.received_at),
        ..head
    })
}

// Wrapping, so that every time comes back, also one that no calendar holds.

const fn since(at: Time, made_at: Time) -> Time {
    Time(at.0.wrapping_sub(made_at.0))
}

const fn after(made_at: Time, since: Time) -> Time {
    Time(made_at.0.wrapping_add(since.0))
}

/// Where the ledger tells of a record: its first entries of those sorts that change its head anyway, in their order. All
/// others have a row each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entries(Vec<u64>);

impl Entries {
    /// A head stays small, however often its record is revised.
    const MAX: usize = 16;

    /// Adds one if there is room; it must come after those that are there.
    pub(crate) fn add(&mut self, sequence: u64) -> bool {
        let has_room = self.0.len() < Self::MAX;
        if has_room {
            self.0.push(sequence);
        }
        has_room
    }

    /// Their sequences.
    pub(crate) fn into_sequences(self) -> Vec<u64> {
        self.0
    }
}

impl<C> Encode<C> for Entries {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.array(self.0.len() as u64)?;
        let mut before = 0;
        for sequence in &self.0 {
            encoder.u64(sequence.wrapping_sub(before))?;
            before = *sequence;
        }
        Ok(())
    }

    fn is_nil(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'b, C> Decode<'b, C> for Entries {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let (mut entries, mut before) = (Vec::new(), 0_u64);
        for step in decoder.array_iter::<u64>()? {
            before = before.wrapping_add(step?);
            entries.push(before);
        }
        Ok(Self(entries))
    }

    fn nil() -> Option<Self> {
        Some(Self::default())
    }
}

/// The id of a head, or that it is in the key.
pub(crate) mod id {
    use minicbor::data::Type;
    use minicbor::encode::Write;

    use super::{Decode, Decoder, Encode, Encoder, FeedbackId, IN_THE_KEY};

    pub(crate) fn encode<C, W: Write>(
        id: &FeedbackId,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        if *id == IN_THE_KEY {
            encoder.null()?.ok()
        } else {
            id.encode(encoder, context)
        }
    }

    pub(crate) fn decode<C>(decoder: &mut Decoder<'_>, context: &mut C) -> Result<FeedbackId, minicbor::decode::Error> {
        if decoder.datatype()? == Type::Null {
            decoder.null()?;
            return Ok(IN_THE_KEY);
        }
        FeedbackId::decode(decoder, context)
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{
        Channel, ContactId, FactValue, FeedbackId, InstanceName, Language, Masked, Received, Score, Tag, Time,
    };

    use super::{Entries, decode, leave_room};
    use crate::rows::{self, Head};

    const START: i64 = 1_790_000_000_000;

    /// An id made five milliseconds before [`START`].
    fn id() -> FeedbackId {
        let mut id = [9; 16];
        id[..6].copy_from_slice(&(START - 5).to_be_bytes()[2..]);
        FeedbackId::from_bytes(id)
    }

    /// Its row; nothing is changed in it by being written.
    fn encode(head: &Head) -> Vec<u8> {
        let mut written = head.clone();
        let row = super::encode(&mut written).unwrap();
        assert_eq!(written, *head);
        row
    }

    fn score(value: f64, min: f64, max: f64) -> Score {
        Score {
            metric: "nps".into(),
            value,
            min,
            max,
        }
    }

    fn received(scores: Vec<Score>) -> Received {
        Received {
            feedback: id(),
            revision: 1,
            contact: ContactId::from_bytes([7; 16]),
            instance: InstanceName::new("api").unwrap(),
            channel: Channel::new(Tag::new("form").unwrap()),
            kind: None,
            occurred_at: Some(Time(START - 86_400_000)),
            thread: None,
            language: Some(Language::new("ar").unwrap()),
            scores,
            tags: vec![Tag::new("شحن").unwrap()],
            attachments: Vec::new(),
            call: None,
            body_chars: 226,
            commitment: [1; 32],
            masked: None,
        }
    }

    fn head(scores: Vec<Score>) -> Head {
        let mut head = Head::of(Time(START), received(scores));
        head.attributes.push(("script".into(), FactValue::Code("Arab".into())));
        head
    }

    #[test]
    fn a_head_comes_back_and_takes_little_room() {
        let mut head = head(vec![score(9.0, 0.0, 10.0)]);
        for sequence in [2_000_000, 2_000_007, 2_000_008] {
            assert!(head.entries.add(sequence));
        }
        let row = encode(&head);
        assert!(row.len() < 95, "{} bytes", row.len());
        assert_eq!(decode(id(), &row).unwrap(), head);
    }

    #[test]
    fn what_is_found_out_about_a_record_fits_where_its_head_lies() {
        let mut head = head(Vec::new());
        (head.language, head.attributes) = (None, Vec::new());
        assert!(head.entries.add(2_000_000));
        leave_room(&mut head);
        let before = encode(&head).len();
        head.language = Some(Language::new("ar").unwrap());
        head.attributes.push(("script".into(), FactValue::Code("Arab".into())));
        head.destinations.push(InstanceName::new("billing").unwrap());
        assert!(head.entries.add(2_000_300) && head.entries.add(2_000_301));
        let row = encode(&head);
        assert_eq!(row.len(), before);
        assert_eq!(decode(id(), &row).unwrap(), head);
        // What is longer lies where there is room for it.
        head.destinations.push(InstanceName::new("d".repeat(48)).unwrap());
        let row = encode(&head);
        assert!(row.len() > before);
        assert_eq!(decode(id(), &row).unwrap(), head);
    }

    #[test]
    fn what_was_masked_is_a_fact_of_the_record() {
        let masked = |instance: &str, label: &str, count| Masked {
            instance: InstanceName::new(instance).unwrap(),
            label: Tag::new(label).unwrap(),
            count,
        };
        let received = Received {
            masked: Some(vec![
                masked("redact", "phone", 2),
                masked("redact", "iban", 1),
                masked("house-rules", "phone", 1),
            ]),
            ..received(Vec::new())
        };
        let count = |label: &str, count| (format!("masked-{label}"), FactValue::Integer(count));
        let head = Head::of(Time(START), received);
        assert_eq!(head.attributes, [count("iban", 1), count("phone", 3)]);
    }

    #[test]
    fn every_time_comes_back() {
        let mut head = head(vec![score(0.5, 0.0, 1.0)]);
        for time in [i64::MIN, -1, 0, START, i64::MAX] {
            head.received_at = Time(time);
            head.occurred_at = Some(Time(time));
            assert_eq!(decode(id(), &encode(&head)).unwrap(), head);
        }
    }

    #[test]
    fn heads_from_before_that_are_read() {
        let head = head(Vec::new());
        assert_eq!(decode(id(), &rows::encode(&head).unwrap()).unwrap(), head);
    }

    #[test]
    fn a_head_names_its_first_entries_only() {
        let mut entries = Entries::default();
        for sequence in 0..Entries::MAX as u64 {
            assert!(entries.add(sequence * 1_000));
        }
        assert!(!entries.add(99_000));
        assert_eq!(entries.into_sequences().last(), Some(&15_000));
    }
}

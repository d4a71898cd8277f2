//! The rows of feeds: what stands in one, which is a read model, and how far who asks has come, which is not.

use mihwar_model::{DeliveryId, Event, EventBody, FeedbackId, InstanceName, Route, Time};
use minicbor::{Decode, Encode};

/// A delivery in the feed of its department, beside the place that its key tells.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct FeedRow {
    #[n(0)]
    pub(crate) delivery: DeliveryId,
    #[n(1)]
    pub(crate) feedback: FeedbackId,
    #[n(2)]
    pub(crate) sort: FeedSort,
    /// When it came there.
    #[n(3)]
    pub(crate) at: Time,
}

/// What stands in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) enum FeedSort {
    /// A record, of which this revision was given to the department.
    #[n(0)]
    Record(#[n(0)] u32),
    /// That a record is gone.
    #[n(1)]
    Erased,
    /// Either of them once more.
    #[n(2)]
    Again,
}

impl FeedRow {
    /// What an event puts into feeds, and into whose.
    pub(crate) fn of(event: &Event) -> Vec<(InstanceName, Self)> {
        match &event.body {
            EventBody::Routed(e) => Self::each(event.at, &e.routes, e.feedback, FeedSort::Record(e.revision)),
            // Its department has no earlier one.
            EventBody::BackFilled(e) => Self::each(event.at, &e.routes, e.feedback, FeedSort::Record(1)),
            EventBody::RecordErased(e) => Self::each(event.at, &e.routes, e.feedback, FeedSort::Erased),
            EventBody::DeliveryReplayed(e) => {
                let row = Self {
                    delivery: e.delivery,
                    feedback: e.feedback,
                    sort: FeedSort::Again,
                    at: event.at,
                };
                vec![(e.destination.clone(), row)]
            }
            _ => Vec::new(),
        }
    }

    fn each(at: Time, routes: &[Route], feedback: FeedbackId, sort: FeedSort) -> Vec<(InstanceName, Self)> {
        let row = |route: &Route| {
            let row = Self {
                delivery: route.delivery,
                feedback,
                sort,
                at,
            };
            (route.destination.clone(), row)
        };
        routes.iter().map(row).collect()
    }
}

/// How far somebody has come in a feed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CursorRow {
    /// Everything up to here is done with.
    #[n(0)]
    pub(crate) acknowledged: u64,
    /// Everything up to here was handed out.
    #[n(1)]
    pub(crate) handed: u64,
    #[n(2)]
    pub(crate) made_at: Time,
    #[n(3)]
    pub(crate) handed_at: Option<Time>,
    #[n(4)]
    pub(crate) acknowledged_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use mihwar_model::{Actor, Replayed, Routed};

    use super::*;

    fn name(text: &str) -> InstanceName {
        InstanceName::new(text).unwrap()
    }

    fn fed(body: EventBody) -> Vec<(InstanceName, FeedRow)> {
        FeedRow::of(&Event {
            at: Time(7),
            actor: Actor::Hub,
            body,
        })
    }

    #[test]
    fn each_department_that_is_chosen_has_the_record_in_its_feed() {
        let feedback = FeedbackId::from_bytes([1; 16]);
        let route = |number: u8, to: &str| Route {
            delivery: DeliveryId::from_bytes([number; 16]),
            destination: name(to),
            rule: "شكاوى".into(),
        };
        let routed = Routed {
            feedback,
            revision: 2,
            routes: vec![route(1, "billing"), route(2, "board")],
            rules: 1,
            failed: None,
        };
        let rows = fed(EventBody::Routed(routed.clone()));
        let names: Vec<_> = rows.iter().map(|(to, _)| to.as_str()).collect();
        assert_eq!(names, ["billing", "board"]);
        assert_eq!((rows[1].1.sort, rows[1].1.at), (FeedSort::Record(2), Time(7)));
        assert_eq!(fed(EventBody::BackFilled(routed))[0].1.sort, FeedSort::Record(1));
        let again = Replayed {
            delivery: DeliveryId::from_bytes([1; 16]),
            feedback,
            destination: name("billing"),
        };
        assert_eq!(fed(EventBody::DeliveryReplayed(again))[0].1.sort, FeedSort::Again);
    }
}

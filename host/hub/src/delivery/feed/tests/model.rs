//! Whatever happens to a feed, in whatever order: everything that was routed is seen at least once, unless it is erased
//! before; what one person said is seen in its order; what is acknowledged is not handed out again; and who may have what is
//! erased is told.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_model::{Actor, DeliveryId, FeedbackId, Kind};
use mihwar_store::Edit;
use proptest::prelude::*;

use super::{acknowledged, ask, by, forget, ids, page};
use crate::delivery::feed::{FeedPage, FeedStart};
use crate::delivery::house::{House, billing};
use crate::delivery::{ReplaySelection, replay};
use crate::keys;

#[derive(Debug, Clone)]
enum Deed {
    /// Somebody says something that is for the department.
    Route { whose: u8 },
    /// The department asks.
    Read { limit: usize },
    /// It acknowledges the how manieth of all items that it was handed.
    Acknowledge { which: usize },
    /// Somebody is erased.
    Erase { whose: u8 },
    /// The row of something that waits is damaged: it becomes a dead letter.
    Spoil { which: usize },
    /// Dead letters are sent again.
    Replay,
    /// The hub starts anew.
    Restart,
    /// The clock is put forth or back.
    Step { millis: i64 },
}

fn deed() -> impl Strategy<Value = Deed> {
    let whose = 0_u8..3;
    prop_oneof![
        8 => whose.clone().prop_map(|whose| Deed::Route { whose }),
        5 => (1_usize..5).prop_map(|limit| Deed::Read { limit }),
        4 => (0_usize..20).prop_map(|which| Deed::Acknowledge { which }),
        1 => whose.prop_map(|whose| Deed::Erase { whose }),
        1 => (0_usize..9).prop_map(|which| Deed::Spoil { which }),
        1 => Just(Deed::Replay),
        1 => Just(Deed::Restart),
        2 => (-5_000_i64..5_000).prop_map(|millis| Deed::Step { millis }),
    ]
}

/// What was routed.
struct Item {
    delivery: DeliveryId,
    feedback: FeedbackId,
    whose: u8,
}

struct Run {
    house: House,
    /// In the order in which they were routed.
    routed: Vec<Item>,
    /// Positions that were handed out, of items in their order.
    handed: Vec<(u64, DeliveryId)>,
    acknowledged: u64,
    /// Deliveries in the order in which they were seen first.
    seen: Vec<DeliveryId>,
    erased: BTreeSet<FeedbackId>,
    /// Records of which it was told that they are gone.
    told: BTreeSet<FeedbackId>,
    /// Those that were dead letters once: they may come later than what the same person said after them.
    spoilt: BTreeSet<DeliveryId>,
}

impl Run {
    fn new() -> Self {
        Self {
            house: House::new(),
            routed: Vec::new(),
            handed: Vec::new(),
            acknowledged: 0,
            seen: Vec::new(),
            erased: BTreeSet::new(),
            told: BTreeSet::new(),
            spoilt: BTreeSet::new(),
        }
    }

    fn take(&mut self, page: &FeedPage) -> Result<(), String> {
        for (item, id) in page.items.iter().zip(ids(page)) {
            if item.position <= self.acknowledged {
                return Err(format!("{id} at {} was acknowledged already", item.position));
            }
            let feedback: FeedbackId = item.event["subject"].as_str().unwrap().parse().unwrap();
            if item.event["type"] == "mihwar.feedback.erased" {
                self.told.insert(feedback);
            } else if self.erased.contains(&feedback) {
                return Err(format!("{feedback} is erased, and handed out"));
            } else if !self.seen.contains(&id) {
                self.seen.push(id);
            }
            self.handed.push((item.position, id));
        }
        Ok(())
    }

    async fn read(&mut self, limit: usize) -> Result<FeedPage, String> {
        let page = page(&self.house, limit).await;
        self.take(&page)?;
        Ok(page)
    }

    async fn acknowledge(&mut self, position: u64) {
        let stands = acknowledged(&self.house, position).await.unwrap();
        self.acknowledged = self.acknowledged.max(position);
        assert!(stands.acknowledged >= self.acknowledged);
    }

    async fn act(&mut self, deed: &Deed) -> Result<(), String> {
        match *deed {
            Deed::Route { whose } => {
                let who = format!("هدى-{whose}");
                let feedback = self.house.said(&who, "تأخر الطلب, late", Kind::Complaint).await;
                let delivery = self.house.route(feedback, &["billing", "service"]).await[0];
                self.routed.push(Item {
                    delivery,
                    feedback,
                    whose,
                });
            }
            Deed::Read { limit } => drop(self.read(limit).await?),
            Deed::Acknowledge { which } => {
                if let Some((position, _)) = self.handed.get(which).copied() {
                    self.acknowledge(position).await;
                }
            }
            Deed::Erase { whose } => self.erase(whose).await,
            Deed::Spoil { which } => {
                let waiting = self.house.deliveries(keys::OUTBOX).await;
                let own: BTreeSet<DeliveryId> = self.routed.iter().map(|item| item.delivery).collect();
                let own: Vec<DeliveryId> = waiting.into_iter().filter(|id| own.contains(id)).collect();
                if let Some(id) = own.get(which).copied() {
                    self.spoilt.insert(id);
                    let damage = Edit::Put(keys::outbox(&billing(), id), "صف تالف".into());
                    self.house.write(vec![damage], Vec::new()).await;
                    // It is set aside before anything else is done to it.
                    self.read(1).await?;
                }
            }
            Deed::Replay => {
                let all = ReplaySelection::All;
                replay(&self.house.core, &Actor::Console, &all).await.unwrap();
            }
            Deed::Restart => self.house.restart(),
            Deed::Step { millis } => self.house.clock.advance_millis(millis),
        }
        Ok(())
    }

    async fn erase(&mut self, whose: u8) {
        let live = |item: &&Item| item.whose == whose && !self.erased.contains(&item.feedback);
        let Some(item) = self.routed.iter().find(live) else {
            return;
        };
        let contact = self.house.contact_of(item.feedback).await;
        forget(&self.house, contact).await;
        let gone = self.routed.iter().filter(|item| item.whose == whose);
        self.erased.extend(gone.map(|item| item.feedback));
    }

    /// Everything is taken that is there still; then all must have come as it should.
    async fn finish(&mut self) -> Result<(), String> {
        replay(&self.house.core, &Actor::Console, &ReplaySelection::All)
            .await
            .unwrap();
        for _ in 0..200 {
            let page = self.read(3).await?;
            self.acknowledge(page.next).await;
            if page.items.is_empty() && !page.is_more {
                return self.judge().await;
            }
        }
        Err("it does not come to an end".into())
    }

    async fn judge(&self) -> Result<(), String> {
        let mut places: BTreeMap<u8, usize> = BTreeMap::new();
        for item in &self.routed {
            let place = self.seen.iter().position(|id| *id == item.delivery);
            let is_erased = self.erased.contains(&item.feedback);
            match place {
                None if !is_erased => return Err(format!("{} is lost", item.delivery)),
                None => continue,
                Some(_) if is_erased && !self.told.contains(&item.feedback) => {
                    return Err(format!("it was not told that {} is gone", item.feedback));
                }
                Some(_) if self.spoilt.contains(&item.delivery) => {}
                Some(place) => {
                    let before = places.insert(item.whose, place);
                    if before.is_some_and(|before| before > place) {
                        return Err(format!("{} overtook what the same person said before", item.delivery));
                    }
                }
            }
        }
        let left = self.house.rows(keys::OUTBOX).await;
        if left
            .iter()
            .any(|row| keys::dead_destination(&row.key) == Some(billing()))
        {
            return Err("something waits still".into());
        }
        let looking = ask(&self.house, &by("audit", Some(FeedStart::Earliest), 1_000))
            .await
            .unwrap();
        let shown: BTreeSet<DeliveryId> = ids(&looking).into_iter().collect();
        for item in &self.routed {
            if shown.contains(&item.delivery) == self.erased.contains(&item.feedback) {
                return Err(format!("who looks on has {} wrong", item.delivery));
            }
        }
        match self.house.findings().await {
            found if found.is_empty() => Ok(()),
            found => Err(format!("{found:?}")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn nothing_is_lost_nothing_overtakes_and_whoever_is_erased_is_told(
        deeds in proptest::collection::vec(deed(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let done = runtime.block_on(async {
            let mut run = Run::new();
            for (number, deed) in deeds.iter().enumerate() {
                run.act(deed).await.map_err(|wrong| format!("deed {number}: {wrong}"))?;
            }
            run.finish().await
        });
        if let Err(wrong) = done {
            return Err(TestCaseError::fail(wrong));
        }
    }
}

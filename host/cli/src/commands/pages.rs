//! Lists that the hub gives page by page.

use mihwar_server::wire::{
    DeliveryPageView, DeliveryView, DestinationPageView, DestinationView, FeedbackPageView, FeedbackView,
    InboundPageView, InboundView, PageQuery,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::output::is_unread;

/// Most records that the API gives at once.
const PAGE_MAX: u64 = 200;

/// One page of a list.
pub(super) trait Page: DeserializeOwned {
    /// What it lists.
    type Item;

    /// Its records, and where the next page begins; `None` on the last.
    fn split(self) -> (Vec<Self::Item>, Option<String>);
}

macro_rules! pages {
    ($($page:ident of $item:ident),+) => {
        $(impl Page for $page {
            type Item = $item;

            fn split(self) -> (Vec<$item>, Option<String>) {
                (self.items, self.next)
            }
        })+
    };
}

pages!(
    FeedbackPageView of FeedbackView,
    DeliveryPageView of DeliveryView,
    DestinationPageView of DestinationView,
    InboundPageView of InboundView
);

/// A filter that leaves nothing out.
#[derive(Serialize)]
pub(super) struct Everything {}

#[derive(Serialize)]
struct Paged<'q, F> {
    #[serde(flatten)]
    filter: &'q F,
    #[serde(flatten)]
    page: &'q PageQuery,
}

/// Tells the first `limit` records of a list, however many pages that are. A page may be empty and not the last. It
/// ends early when nobody reads on. That there is nothing is told, too, where a program that reads the list does not see it.
pub(super) async fn each<P: Page>(
    client: &Client,
    path: &str,
    filter: &impl Serialize,
    limit: u64,
    mut tell: impl FnMut(&P::Item) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut page = PageQuery::default();
    let mut left = limit;
    let mut told = 0;
    while left > 0 {
        page.limit = u16::try_from(left.min(PAGE_MAX)).ok();
        let query = Paged { filter, page: &page };
        let got: P = client.get_with(path, &query).await?.json().await?;
        let (items, next) = got.split();
        for item in &items {
            tell(item)?;
            if is_unread() {
                return Ok(());
            }
        }
        told += items.len();
        left = left.saturating_sub(items.len() as u64);
        match next {
            Some(next) => page.cursor = Some(next),
            None => break,
        }
    }
    if told == 0 && limit > 0 {
        eprintln!("nothing matches");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mihwar_hub::Config;
    use mihwar_model::{Actor, Channel, Draft, InstanceName, Tag};
    use mihwar_server::wire::{DeliveryPageView, DeliveryQuery, FeedbackPageView, FeedbackQuery, InboundPageView};

    use super::{Everything, each};
    use crate::client::{Client, Opening};

    #[tokio::test]
    async fn a_list_goes_on_beyond_one_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mihwar.toml");
        std::fs::write(&path, "[storage]\nfolder = \"data\"\nfree-space-floor = \"1MiB\"\n").unwrap();
        let config = Config::load(&path, &[], std::iter::empty()).unwrap();
        let client = Client::connect(config, Opening::Whole).await.unwrap();
        let Client::Here { hub, .. } = &client else {
            panic!("no hub runs here");
        };
        let draft = |number: u32| Draft {
            body: format!("ملاحظة {number}: the queue was long"),
            ..Draft::new(Channel::new(Tag::new("branch").unwrap()))
        };
        let instance = InstanceName::new("kiosk").unwrap();
        for start in [0, 300] {
            let drafts = (start..start + 300).map(draft).collect();
            hub.accept(&Actor::Console, &instance, drafts).await.unwrap();
        }
        for (limit, shown) in [(0, 0), (20, 20), (200, 200), (201, 201), (450, 450), (10_000, 600)] {
            let mut seen = BTreeSet::new();
            let filter = FeedbackQuery {
                text: Some("ملاحظة".into()),
                ..FeedbackQuery::default()
            };
            let told = each::<FeedbackPageView>(&client, "/api/v1/feedback", &filter, limit, |item| {
                seen.insert(item.id.clone());
                Ok(())
            });
            told.await.unwrap();
            assert_eq!(seen.len(), shown, "--limit {limit}");
        }
        // The other lists are read by the same loop; here they are empty.
        let (deliveries, dead_letters) = ("/api/v1/deliveries", "/api/v1/inbound-dead-letters");
        let filter = DeliveryQuery::default();
        let told = each::<DeliveryPageView>(&client, deliveries, &filter, 300, |item| panic!("{item:?}"));
        told.await.unwrap();
        let told = each::<InboundPageView>(&client, dead_letters, &Everything {}, 300, |item| panic!("{item:?}"));
        told.await.unwrap();
        client.close().await.unwrap();
    }
}

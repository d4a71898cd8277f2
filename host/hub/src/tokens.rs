//! API tokens: shown once, stored as a hash, with scopes and an end.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mihwar_model::{Actor, EventBody, InstanceName, Time, TokenCreated, TokenId, TokenRevoked};
use mihwar_store::{Batch, Edit, Guard, Order};
use minicbor::{Decode, Encode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows;

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[cbor(index_only)]
pub enum Scope {
    /// See feedback and deliveries.
    #[n(0)]
    #[serde(rename = "feedback:read")]
    FeedbackRead,
    /// Hand feedback in.
    #[n(1)]
    #[serde(rename = "feedback:write")]
    FeedbackWrite,
    /// Everything.
    #[n(2)]
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::FeedbackRead, Self::FeedbackWrite, Self::Admin];

    /// The name on the command line and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FeedbackRead => "feedback:read",
            Self::FeedbackWrite => "feedback:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("\"{text}\" is no scope; use feedback:read, feedback:write or admin"))
    }
}

/// What the right to a feed begins with, before the department's name.
const FEED: &str = "feed:";

/// One thing that the holder of a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// What a scope stands for.
    Scope(Scope),
    /// Take what is for this department, by its feed: `feed:NAME`. Of no other department anything is seen by it.
    Feed(InstanceName),
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => scope.fmt(f),
            Self::Feed(department) => write!(f, "{FEED}{department}"),
        }
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(FEED) {
            Some(name) => name
                .parse::<InstanceName>()
                .map(Self::Feed)
                .map_err(|error| error.to_string()),
            None => text.parse::<Scope>().map(Self::Scope).map_err(|_| {
                format!(
                    "\"{text}\" is no scope; use feedback:read, feedback:write, admin, or feed: and a department's name"
                )
            }),
        }
    }
}

/// All that the holder of a token may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// By scope.
    pub scopes: Vec<Scope>,
    /// Departments whose feed they may take.
    pub feeds: Vec<InstanceName>,
}

impl Rights {
    /// Each by itself, as it is written.
    pub fn written(&self) -> impl Iterator<Item = String> {
        let feeds = self.feeds.iter().cloned().map(Right::Feed);
        let all = self.scopes.iter().copied().map(Right::Scope).chain(feeds);
        all.map(|right| right.to_string())
    }
}

impl From<Vec<Scope>> for Rights {
    fn from(scopes: Vec<Scope>) -> Self {
        Self {
            scopes,
            feeds: Vec::new(),
        }
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        let mut all = Self::default();
        for right in rights {
            match right {
                Right::Scope(scope) => all.scopes.push(scope),
                Right::Feed(department) => all.feeds.push(department),
            }
        }
        all
    }
}

/// A token that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its public id.
    pub id: TokenId,
    /// The token itself, `mhw_<id>_<secret>`: shown once, stored nowhere.
    pub token: String,
}

/// A token, for readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its public id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What its holder may do.
    pub rights: Rights,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Option<Time>,
}

/// Whoever holds a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Which token.
    pub token: TokenId,
    /// What its holder may do.
    pub rights: Rights,
}

impl Caller {
    /// Whether the holder may do this.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.rights.scopes.contains(&scope) || self.rights.scopes.contains(&Scope::Admin)
    }
}

#[derive(Debug, Clone, Encode, Decode)]
struct TokenRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    hash: [u8; 32],
    #[n(1)]
    name: String,
    #[n(2)]
    scopes: Vec<Scope>,
    #[n(3)]
    created_at: Time,
    #[n(4)]
    expires_at: Option<Time>,
    /// Departments whose feed its holder may take.
    #[n(5)]
    #[cbor(default)]
    feeds: Vec<InstanceName>,
}

/// Whether a token, as it lies in its row, is good at this moment. One that cannot be read counts: somebody should look.
pub(crate) fn is_good(row: &[u8], at: Time) -> bool {
    let row = rows::decode::<TokenRow>("a token", row);
    !row.is_ok_and(|row| row.expires_at.is_some_and(|end| end <= at))
}

/// Tokens kept in memory at most.
const KEPT_MAX: usize = 1_024;

/// Tokens that were presented lately, so that a caller costs no look into the store. Nobody else changes them: the
/// store is this process's alone.
#[derive(Default)]
pub(crate) struct KnownTokens(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    rows: HashMap<TokenId, TokenRow>,
    /// Grows with every revocation, so that a row read before one is not kept after it.
    revocations: u64,
}

impl KnownTokens {
    fn get(&self, id: TokenId) -> (Option<TokenRow>, u64) {
        let kept = self.lock();
        (kept.rows.get(&id).cloned(), kept.revocations)
    }

    fn keep(&self, id: TokenId, row: &TokenRow, revocations: u64) {
        let mut kept = self.lock();
        if kept.revocations != revocations {
            return;
        }
        if kept.rows.len() >= KEPT_MAX {
            kept.rows.clear();
        }
        kept.rows.insert(id, row.clone());
    }

    fn forget(&self, id: TokenId) {
        let mut kept = self.lock();
        kept.revocations += 1;
        kept.rows.remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn create(
    core: &Core,
    actor: Actor,
    name: &str,
    rights: Rights,
    expires_at: Option<Time>,
) -> Result<NewToken, Fault> {
    let id = TokenId(core.ids.next());
    let secret = hex::encode(core.vault.random::<32>());
    let token = format!("mhw_{}_{secret}", id.0.simple());
    let hash = Sha256::digest(secret.as_bytes()).into();
    let event = TokenCreated {
        token: id,
        scopes: rights.written().collect(),
    };
    let row = TokenRow {
        hash,
        name: name.chars().take(200).collect(),
        scopes: rights.scopes,
        created_at: core.clock.now(),
        expires_at,
        feeds: rights.feeds,
    };
    core.apply_patiently(Batch {
        guards: vec![Guard::Absent(keys::token(id))],
        edits: vec![Edit::Put(keys::token(id), rows::encode(&row)?)],
        journal: vec![core.event(actor, EventBody::TokenCreated(event))?],
    })
    .await?;
    Ok(NewToken { id, token })
}

pub(crate) async fn list(core: &Core) -> Result<Vec<TokenRecord>, Fault> {
    let view = core.store.view().await?;
    let (mut tokens, mut range) = (Vec::new(), Some(keys::all(keys::TOKEN)));
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, 1000).await?;
        for row in page.rows {
            let token: TokenRow = rows::decode("a token", &row.value.bytes)?;
            tokens.push(TokenRecord {
                id: TokenId::from_bytes(keys::last_id(&row.key).unwrap_or_default()),
                name: token.name,
                rights: Rights {
                    scopes: token.scopes,
                    feeds: token.feeds,
                },
                created_at: token.created_at,
                expires_at: token.expires_at,
            });
        }
        range = page.next;
    }
    Ok(tokens)
}

/// Revokes a token; false when there is none of this id. Giving up waiting does not keep it from happening.
pub(crate) async fn revoke(core: &Arc<Core>, actor: Actor, id: TokenId) -> Result<bool, Fault> {
    let core = Arc::clone(core);
    // A task of its own: cut off after the commit, the token would be good until the hub is started again.
    let revoking = tokio::spawn(async move {
        let revoked = remove(&core, actor, id).await;
        // Whatever came of it, and even if there was none: what is in the store counts.
        core.tokens.forget(id);
        revoked
    });
    revoking.await.unwrap_or(Err(Fault::Unknown))
}

async fn remove(core: &Core, actor: Actor, id: TokenId) -> Result<bool, Fault> {
    let Some(row) = core.store.view().await?.get(&keys::token(id)).await? else {
        return Ok(false);
    };
    core.apply_patiently(Batch {
        guards: vec![Guard::At(keys::token(id), row.version)],
        edits: vec![Edit::Delete(keys::token(id))],
        journal: vec![core.event(actor, EventBody::TokenRevoked(TokenRevoked { token: id }))?],
    })
    .await?;
    Ok(true)
}

/// Who presents this token, if it is valid now.
pub(crate) async fn authenticate(core: &Core, presented: &str) -> Result<Option<Caller>, Fault> {
    let Some((id, secret)) = presented.strip_prefix("mhw_").and_then(|rest| rest.split_once('_')) else {
        return Ok(None);
    };
    let Ok(id) = id.parse::<TokenId>() else {
        return Ok(None);
    };
    let row = match core.tokens.get(id) {
        (Some(row), _) => row,
        (None, revocations) => {
            let Some(row) = core.store.get_many(&[keys::token(id)]).await?.pop().flatten() else {
                return Ok(None);
            };
            let row = rows::decode("a token", &row.bytes)?;
            core.tokens.keep(id, &row, revocations);
            row
        }
    };
    let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    let matched = bool::from(hash.ct_eq(&row.hash));
    let expired = row.expires_at.is_some_and(|end| end <= core.clock.now());
    Ok((matched && !expired).then_some(Caller {
        token: id,
        rights: Rights {
            scopes: row.scopes,
            feeds: row.feeds,
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{Actor, Time};
    use mihwar_store::{Batch, Edit, MemoryStore};

    use super::{NewToken, Right, Rights, Scope, authenticate, create, is_good, revoke};
    use crate::core::Core;
    use crate::keys;

    fn core_in(folder: &tempfile::TempDir) -> Arc<Core> {
        let store = Arc::new(MemoryStore::new());
        Arc::new(Core::for_tests(store, folder.path(), Time(1_000)))
    }

    async fn known(core: &Core) -> NewToken {
        let scopes = vec![Scope::FeedbackWrite].into();
        let made = create(core, Actor::Console, "فرع الرياض", scopes, Some(Time(5_000)))
            .await
            .unwrap();
        for _ in 0..2 {
            let caller = authenticate(core, &made.token).await.unwrap().unwrap();
            assert!(caller.token == made.id && caller.may(Scope::FeedbackWrite));
        }
        made
    }

    #[tokio::test]
    async fn a_token_is_good_until_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let core = core_in(&folder);
        let made = known(&core).await;
        let row = core.store.view().await.unwrap().get(&keys::token(made.id)).await;
        let row = row.unwrap().unwrap().bytes;
        assert!(is_good(&row, Time(4_999)) && !is_good(&row, Time(5_000)));
        assert!(is_good("رمز تالف".as_bytes(), Time(5_000)));
    }

    #[tokio::test]
    async fn a_token_for_a_feed_is_for_that_one_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let core = core_in(&folder);
        let rights: Rights = ["feed:branches", "feedback:read"]
            .map(|text| text.parse::<Right>().unwrap())
            .into_iter()
            .collect();
        assert_eq!(rights.written().collect::<Vec<_>>(), ["feedback:read", "feed:branches"]);
        let made = create(&core, Actor::Console, "الفروع", rights.clone(), None)
            .await
            .unwrap();
        let caller = authenticate(&core, &made.token).await.unwrap().unwrap();
        assert_eq!(caller.rights, rights);
        assert!(caller.may(Scope::FeedbackRead) && !caller.may(Scope::FeedbackWrite));
        for wrong in ["feed:", "feed:الفروع", "feeds:branches", "feed"] {
            assert!(wrong.parse::<Right>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_revoked_token_is_worthless_at_once_although_it_was_known() {
        let folder = tempfile::tempdir().unwrap();
        let core = core_in(&folder);
        let made = known(&core).await;
        let forged = format!("{}0", &made.token);
        assert!(authenticate(&core, &forged).await.unwrap().is_none());
        assert!(revoke(&core, Actor::Console, made.id).await.unwrap());
        assert!(authenticate(&core, &made.token).await.unwrap().is_none());
        assert!(!revoke(&core, Actor::Console, made.id).await.unwrap());
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_has_revoked_it_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let core = core_in(&folder);
        let made = known(&core).await;
        tokio::select! {
            biased;
            _ = revoke(&core, Actor::Console, made.id) => panic!("it was not cut off"),
            () = std::future::ready(()) => {}
        }
        for _ in 0..1_000 {
            if authenticate(&core, &made.token).await.unwrap().is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it is good still");
    }

    #[tokio::test]
    async fn a_token_that_is_gone_from_the_store_is_forgotten_by_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let core = core_in(&folder);
        let made = known(&core).await;
        let gone = Batch {
            edits: vec![Edit::Delete(keys::token(made.id))],
            ..Batch::default()
        };
        core.store.apply(gone).await.unwrap();
        assert!(!revoke(&core, Actor::Console, made.id).await.unwrap());
        assert!(authenticate(&core, &made.token).await.unwrap().is_none());
    }
}

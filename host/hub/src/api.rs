//! What a hub does for those who hold it: intake, reading, deliveries, the ledger, tokens.

use std::path::PathBuf;

use mihwar_ledger::{Consistency, Hash, Receipt, TileId};
use mihwar_model::{Actor, Draft, FeedbackId, InboundId, InstanceName, Time, TokenId};
use tokio::sync::mpsc;

use crate::delivery::{self, ReplaySelection};
use crate::fault::Fault;
use crate::hub::Hub;
use crate::idempotency::{self, IdempotencyState, IdempotencyTicket};
use crate::import::{self, ImportError, ImportProgress, ImportReport};
use crate::inbound::{self, InboundEndpoint, InboundError, InboundRecord, InboundRequest};
use crate::intake::{self, Arrival, Desk, Intake, Rider};
use crate::ledger;
use crate::projection;
use crate::query::{
    self, DeliveryFilter, DeliveryPage, FeedbackFilter, FeedbackPage, FeedbackRecord, LedgerEvent, QueryError,
};
use crate::rebuild::{self, RebuildReport};
use crate::receipt::{self, ProofRefusal};
use crate::rows::DeliveryRecord;
use crate::status_reports::{self, StatusRecord};
use crate::tokens::{self, Caller, NewToken, Rights, TokenRecord};
use crate::verification::{self, VerifyReport, WitnessedHead};
use crate::walk::StageProgress;

impl Hub {
    /// Takes drafts in. All good ones are durable before this answers, up to about 6 MB or 1024 of them together; each
    /// bad one is refused with every problem it has, and each that damage keeps out is told as [`Intake::Damaged`].
    ///
    /// # Errors
    /// When not all could be made durable. Of many the first may have been kept: sent again they are duplicates.
    pub async fn accept(
        &self,
        actor: &Actor,
        instance: &InstanceName,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Intake>, Fault> {
        let drafts = match <[Draft; 1]>::try_from(drafts) {
            Ok([draft]) => {
                let intake = Desk::accept(&self.shared.core, actor.clone(), instance.clone(), draft).await?;
                return Ok(vec![intake]);
            }
            Err(drafts) => drafts,
        };
        let arrivals: Vec<Arrival> = drafts.into_iter().map(Arrival::from).collect();
        let results = intake::accept(&self.shared.core, actor, instance, &arrivals, &Rider::default()).await?;
        // Each draft has a result.
        Ok(results.into_iter().flatten().collect())
    }

    /// Takes one draft in and writes the answer under an idempotency key in the same transaction. What is
    /// answered is made by `answer`; `None` keeps nothing (a refusal may be corrected and sent again).
    ///
    /// # Errors
    /// As [`Hub::accept`].
    pub async fn accept_once(
        &self,
        actor: &Actor,
        instance: &InstanceName,
        draft: Draft,
        ticket: &IdempotencyTicket,
        answer: impl Fn(&Intake) -> Option<(u16, Vec<u8>)>,
    ) -> Result<Intake, Fault> {
        let arrivals = [Arrival::from(draft)];
        let guard = Rider {
            guards: ticket.rider(0, Vec::new())?.guards,
            ..Rider::default()
        };
        let results = intake::accept_with(&self.shared.core, actor, instance, &arrivals, &guard, |results| {
            let intake = results.first().and_then(Option::as_ref);
            let Some((status, body)) = intake.and_then(&answer) else {
                return Ok(Rider::default());
            };
            Ok(Rider {
                edits: ticket.rider(status, body)?.edits,
                ..Rider::default()
            })
        });
        results.await?.pop().flatten().ok_or(Fault::Contended)
    }

    /// What is known of a caller's idempotency key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn idempotency_check(
        &self,
        caller: Option<TokenId>,
        key: &str,
        request: [u8; 32],
    ) -> Result<IdempotencyState, Fault> {
        idempotency::check(&self.shared.core, caller, key, request).await
    }

    /// Verifies a request of another system and makes it durable; its plugin is called afterwards.
    ///
    /// # Errors
    /// Says why it was not taken in.
    pub async fn accept_inbound(&self, request: InboundRequest) -> Result<InboundId, InboundError> {
        inbound::accept(&self.shared, request).await
    }

    /// Imports files and folders through an instance. An import that was interrupted goes on where it was.
    ///
    /// # Errors
    /// When it could not begin or nothing could be kept any more. What is refused stands in the report.
    pub async fn import(
        &self,
        actor: Actor,
        instance: &InstanceName,
        paths: Vec<PathBuf>,
        progress: mpsc::Sender<ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        import::run(&self.shared, actor, instance, paths, progress).await
    }

    /// Waits until lists show everything that was committed before the call, however far they are behind.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn catch_lists_up(&self) -> Result<(), QueryError> {
        Ok(projection::catch_up(&self.shared.core).await?)
    }

    /// A page of feedback, newest first, with everything that was committed before the call, unless the lists are more than
    /// two seconds of work behind: see [`Hub::catch_lists_up`].
    ///
    /// # Errors
    /// For a foreign cursor, or when the store cannot be read.
    pub async fn feedback_page(
        &self,
        filter: &FeedbackFilter,
        cursor: Option<&str>,
        limit: u16,
    ) -> Result<FeedbackPage, QueryError> {
        query::feedback_page(&self.shared.core, filter, cursor, usize::from(limit.clamp(1, 1000))).await
    }

    /// One piece of feedback.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn feedback(&self, id: FeedbackId) -> Result<Option<FeedbackRecord>, QueryError> {
        query::feedback(&self.shared.core, id).await
    }

    /// Everything that happened to a piece of feedback, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn feedback_history(&self, id: FeedbackId) -> Result<Vec<LedgerEvent>, QueryError> {
        query::history(&self.shared.core, id).await
    }

    /// Where a piece of feedback went.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn feedback_deliveries(&self, id: FeedbackId) -> Result<Vec<DeliveryRecord>, QueryError> {
        query::deliveries_of(&self.shared.core, id).await
    }

    /// What departments said became of a piece of feedback, as far as this history of it tells, in its order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn feedback_statuses(&self, history: &[LedgerEvent]) -> Result<Vec<StatusRecord>, QueryError> {
        status_reports::told(&self.shared.core, history).await
    }

    /// A page of deliveries, newest first.
    ///
    /// # Errors
    /// For a foreign cursor, or when the store cannot be read.
    pub async fn delivery_page(
        &self,
        filter: &DeliveryFilter,
        cursor: Option<&str>,
        limit: u16,
    ) -> Result<DeliveryPage, QueryError> {
        query::delivery_page(&self.shared.core, filter, cursor, usize::from(limit.clamp(1, 1000))).await
    }

    /// Sends dead letters on their way again, under the ids they had; or lets those wait no longer that wait for their next
    /// attempt. Answers how many.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn delivery_replay(&self, actor: &Actor, which: &ReplaySelection) -> Result<u64, Fault> {
        delivery::replay(&self.shared.core, actor, which).await
    }

    /// Whether an address takes requests, before its body is read.
    ///
    /// # Errors
    /// No such instance, endpoint or method.
    pub fn inbound_endpoint(
        &self,
        instance: &InstanceName,
        endpoint: &str,
        method: &str,
    ) -> Result<InboundEndpoint, InboundError> {
        inbound::endpoint(&self.shared, instance, endpoint, method).map(|(_, endpoint)| endpoint)
    }

    /// Requests that could not become feedback, newest first, older than `after`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn inbound_dead_page(&self, after: Option<InboundId>, limit: u16) -> Result<Vec<InboundRecord>, Fault> {
        inbound::dead_page(&self.shared.core, after, usize::from(limit.clamp(1, 1000))).await
    }

    /// Gives one such request, or all of them, to their plugins again. Answers how many.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn inbound_replay(&self, actor: &Actor, which: Option<InboundId>) -> Result<u64, Fault> {
        inbound::replay(&self.shared.core, actor, which).await
    }

    /// Signs the present head of the ledger: a C2SP checkpoint.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn checkpoint(&self) -> Result<String, Fault> {
        let origin = self.shared.config().ledger.origin.clone();
        ledger::checkpoint(&self.shared.core, &self.shared.signer, &origin).await
    }

    /// The newest checkpoint that was signed. Nothing is written for it, unless there is none yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn newest_checkpoint(&self) -> Result<String, Fault> {
        let origin = self.shared.config().ledger.origin.clone();
        ledger::newest_checkpoint(&self.shared.core, &self.shared.signer, &origin).await
    }

    /// The hashes of a tile of the ledger's tree: 256, fewer for one that is not full, none for one not begun.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ledger_tile(&self, id: TileId) -> Result<Vec<Hash>, Fault> {
        let view = self.shared.core.store.view().await?;
        Ok(view.tile(id).await?)
    }

    /// Entries of the ledger from `first` on, as they were hashed: as many as there are, at most `count`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ledger_entries(&self, first: u64, count: usize) -> Result<Vec<Vec<u8>>, Fault> {
        ledger::entries(&self.shared.core, first, count).await
    }

    /// Proves that a piece of feedback, and everything that the ledger tells of it, is in the ledger: in the checkpoint of
    /// `size` entries, which must have been signed, or in the present head, which is signed for it. Holds facts and no
    /// personal content.
    ///
    /// # Errors
    /// Says why there is no such proof.
    pub async fn receipt(&self, feedback: FeedbackId, size: Option<u64>) -> Result<Receipt, ProofRefusal> {
        let origin = self.shared.config().ledger.origin.clone();
        receipt::receipt(&self.shared.core, &self.shared.signer, &origin, feedback, size).await
    }

    /// Proves that the checkpoint of `to` entries (left out: the present head, which is signed for it) only appended to the
    /// one of `from` entries. Both sizes must have been signed.
    ///
    /// # Errors
    /// Says why there is no such proof.
    pub async fn consistency(&self, from: u64, to: Option<u64>) -> Result<Consistency, ProofRefusal> {
        let origin = self.shared.config().ledger.origin.clone();
        receipt::consistency(&self.shared.core, &self.shared.signer, &origin, from, to).await
    }

    /// The public key that checkpoints verify with, in the text form of signed notes.
    #[must_use]
    pub fn verifier_key(&self) -> String {
        self.shared.signer.verifying_key().to_string()
    }

    /// Checks the ledger and everything that follows from it.
    ///
    /// # Errors
    /// When the store cannot be read. What does not fit stands in the report.
    pub async fn verify(&self, progress: mpsc::Sender<StageProgress>) -> Result<VerifyReport, Fault> {
        self.verify_against(Vec::new(), progress).await
    }

    /// As [`Hub::verify`], and compares with checkpoints that were kept outside of the hub.
    ///
    /// # Errors
    /// As [`Hub::verify`].
    pub async fn verify_against(
        &self,
        heads: Vec<WitnessedHead>,
        progress: mpsc::Sender<StageProgress>,
    ) -> Result<VerifyReport, Fault> {
        let origin = self.shared.config().ledger.origin.clone();
        verification::verify(&self.shared.core, &self.shared.signer, &origin, heads, progress).await
    }

    /// Checks the ledger alone: entries, tree, tiles, checkpoints, and those that were kept outside of the hub.
    ///
    /// # Errors
    /// As [`Hub::verify`].
    pub async fn verify_ledger(
        &self,
        heads: Vec<WitnessedHead>,
        progress: mpsc::Sender<StageProgress>,
    ) -> Result<VerifyReport, Fault> {
        let origin = self.shared.config().ledger.origin.clone();
        verification::verify_ledger(&self.shared.core, &self.shared.signer, &origin, heads, progress).await
    }

    /// Makes every read model anew from the ledger, compares it with what is there, and puts right what differs. For a
    /// hub whose workers were not started.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the store cannot be written, or somebody else writes read models meanwhile.
    pub async fn rebuild(&self, progress: mpsc::Sender<StageProgress>) -> Result<RebuildReport, Fault> {
        rebuild::rebuild(&self.shared.core, progress).await
    }

    /// Makes an API token. The secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn token_create(
        &self,
        actor: Actor,
        name: &str,
        rights: impl Into<Rights>,
        expires_at: Option<Time>,
    ) -> Result<NewToken, Fault> {
        tokens::create(&self.shared.core, actor, name, rights.into(), expires_at).await
    }

    /// All tokens.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn token_list(&self) -> Result<Vec<TokenRecord>, Fault> {
        tokens::list(&self.shared.core).await
    }

    /// Revokes a token; false when there is none of this id.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn token_revoke(&self, actor: Actor, id: TokenId) -> Result<bool, Fault> {
        tokens::revoke(&self.shared.core, actor, id).await
    }

    /// Who presents this token, if it is valid now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn authenticate(&self, presented: &str) -> Result<Option<Caller>, Fault> {
        tokens::authenticate(&self.shared.core, presented).await
    }
}

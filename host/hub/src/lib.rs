//! The work of Mihwar: intake, enrichment, routing, delivery, schedules. Joins store and sandbox.
//!
//! The way of one piece of feedback: [`intake`] or [`inbound`] or [`import`] make it durable together with
//! its entry in the pipeline's queue; [`pipeline`] lets enrichers read it and asks [`routing`] who
//! receives it, writing the deliveries in the same transaction; [`delivery`] hands them over. What readers
//! see is folded behind that by [`projection`]; everything stands on [`ledger`].

mod api;
mod backup;
mod changes;
mod channel_kinds;
mod config;
mod contact_keys;
mod contacts;
mod content;
mod convert;
mod core;
mod delivery;
mod destinations;
mod doors;
mod enrichment;
mod erasure;
mod export;
mod facets;
mod fault;
mod feed_row;
mod feeds;
mod folding;
mod format;
mod head_row;
mod hub;
mod idempotency;
mod import;
mod inbound;
mod instances;
mod intake;
mod kept;
mod keys;
mod ledger;
mod lent;
mod maintenance;
mod master_key;
mod metric;
mod packing;
mod passed_over;
mod pipeline;
mod plugin_lock;
mod poll;
mod projection;
mod query;
mod rebuild;
mod receipt;
mod right_of_way;
mod routing;
mod rows;
mod salvage;
mod status;
mod status_reports;
mod text;
mod tokens;
mod turns;
mod vault;
mod verification;
mod walk;
#[cfg(test)]
mod way_tests;
mod withdrawal;
mod witness;
mod workers;

pub use backup::{
    BackupRefusal, BackupReport, RestoreError, RestoreOptions, RunningBackup, restore_backup, restoring_folder,
    verify_backup,
};
pub use config::{
    Breaker, ClockTime, Config, ConfigError, ConfigProblem, Day, DeliveryConfig, DepartmentConfig, DepartmentGrant,
    Digest, EngineSection, Hold, InstanceConfig, LedgerSection, LogFormat, LogSection, OnFailure, PluginSource,
    PublicLedger, Quiet, Rate, RetentionRule, Retry, SecretSource, ServerSection, StorageSection, VARIABLE_PREFIX,
};
pub use contacts::{ContactFacts, ContactPage, ContactRecord, Reader};
pub use delivery::{
    BackFill, BackFillReport, DestinationPage, DestinationState, DestinationStatus, Exchange, FeedCursor, FeedCursors,
    FeedItem, FeedPage, FeedRefusal, FeedStart, FeedWanted, MAIN_CURSOR, ReplayFilter, ReplaySelection,
};
pub use destinations::{DestinationCheck, DestinationRefusal};
pub use doors::{Disk, Doors};
pub use erasure::{EraseRefusal, ErasureReport};
pub use export::{ExportRefusal, RunningExport};
pub use fault::Fault;
pub use format::{FORMAT, FormatError, STORE_FILE, UpgradeProgress, Upgraded, upgrade};
pub use hub::{CLOCK_MIN, Hub, OpenError, ReloadError, ReloadReport};
pub use idempotency::{ANSWER_BYTES_MAX, IdempotencyState, IdempotencyTicket};
pub use import::{ImportError, ImportProgress, ImportRefusal, ImportReport};
pub use inbound::{InboundEndpoint, InboundError, InboundRecord, InboundRequest};
pub use instances::Role;
pub use intake::Intake;
pub use maintenance::CompactReport;
pub use master_key::{MASTER_KEY_VARIABLE, MasterKey, MasterKeyError};
pub use metric::{CheckedFigure, FigureFilter, FigureGrouping, FigureMismatch, FigureRefusal, check_figure};
pub use mihwar_sandbox::HOP;
pub use mihwar_store::CompactError;
pub use plugin_lock::{
    InstallError, folder as plugin_folder, install as plugin_install, lock_path as plugin_lock_path,
};
pub use query::{
    DeliveryFilter, DeliveryPage, DeliveryStory, FeedbackFilter, FeedbackPage, FeedbackRecord, LedgerEvent, QueryError,
    ScoreFilter,
};
pub use rebuild::{ModelReport, RebuildReport};
pub use receipt::ProofRefusal;
pub use routing::{
    ChosenDepartment, ContactField, Matching, RouteSource, RoutingDecision, RoutingExplanation, RoutingMove,
    RoutingSample, RoutingTrial, RuleFailed, RuleProblem, RuleSet, RuleTally, RuleVerdict, RulesSource, RulesToday,
    TrialProgress, Verdict,
};
pub use rows::{DeliveryRecord, DeliveryState, Head};
pub use salvage::{SalvageReport, salvage};
pub use status::{Check, InstanceStatus, LastError, Overview, PluginName};
pub use status_reports::StatusRecord;
pub use tokens::{Caller, NewToken, Right, Rights, Scope, TokenRecord};
pub use vault::VaultError;
pub use verification::{VerifyReport, WitnessedHead};
pub use walk::{StageProgress, StageTime};

//! Their side: a table with the same columns in PostgreSQL, through its own protocol.

mod cluster;
mod rows;

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::process::{allocated, children, cpu_with_children, proportional_memory};
use super::records::{CHANNEL, KIND, RARE_CHANNEL};
use super::side::{Ask, Client, Disk, Side, Verified};
use cluster::Cluster;

const SCHEMA: &str = include_str!("schema.sql");
/// The rest is as PostgreSQL comes. Every one of the first three is its default too; they are what the comparison is about.
const SETTINGS: [&str; 4] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
];

/// A server with one table of feedback.
pub(super) struct Postgres {
    cluster: Cluster,
    control: tokio_postgres::Client,
    /// Lists that were asked for before, prepared.
    lists: Vec<(Ask, Statement)>,
    empty: u64,
    empty_log: u64,
    since: String,
    contact: String,
}

/// One connection with its statements prepared.
pub(super) struct Connection {
    client: tokio_postgres::Client,
    one: Statement,
    many: Statement,
}

/// A row, or many, ready to be sent.
pub(super) struct Prepared {
    values: rows::Values,
    records: u64,
}

impl Postgres {
    /// Starts one with an empty table. The settings come after ours and so before them.
    pub(super) async fn start(programs: &Path, more: &[String]) -> Self {
        let settings: Vec<_> = SETTINGS
            .map(str::to_owned)
            .into_iter()
            .chain(more.iter().cloned())
            .collect();
        let cluster = Cluster::start(programs, &settings).await;
        let control = cluster.connect().await;
        control.batch_execute(SCHEMA).await.unwrap();
        control.batch_execute("CHECKPOINT").await.unwrap();
        let log = allocated(&cluster.data().join("pg_wal"));
        Self {
            empty: allocated(&cluster.data()) - log,
            empty_log: log,
            cluster,
            control,
            lists: Vec::new(),
            since: String::new(),
            contact: String::new(),
        }
    }

    /// What it says it is, and how it was set.
    pub(super) async fn describe(&self, more: &[String]) -> String {
        let row = self.control.query_one("SHOW server_version", &[]).await.unwrap();
        let version: String = row.get(0);
        let settings = SETTINGS.join(", ");
        let more: String = more.iter().map(|setting| format!(", {setting}")).collect();
        format!("PostgreSQL {version}, {settings}{more}, the rest as it comes")
    }

    async fn number(&self, question: &str) -> u64 {
        let row = self.control.query_one(question, &[]).await.unwrap();
        u64::try_from(row.get::<_, i64>(0)).unwrap()
    }
}

impl Client for Connection {
    type Request = Prepared;

    async fn send(&mut self, request: &Prepared) -> u64 {
        let statement = if request.records == 1 { &self.one } else { &self.many };
        let values = request.values.iter().map(|value| &**value as &(dyn ToSql + Sync));
        let values: Vec<_> = values.collect();
        let rows = self
            .client
            .query(statement, &values)
            .await
            .expect("PostgreSQL takes it");
        assert_eq!(rows.len() as u64, request.records, "PostgreSQL knew some of them");
        request.records
    }
}

impl Side for Postgres {
    const NAME: &'static str = "PostgreSQL";
    type Client = Connection;

    async fn connect(&self) -> Connection {
        let client = self.cluster.connect().await;
        Connection {
            one: client.prepare(rows::ONE).await.unwrap(),
            many: client.prepare(rows::MANY).await.unwrap(),
            client,
        }
    }

    fn request(&self, numbers: Range<u64>) -> Prepared {
        let records = numbers.end - numbers.start;
        let values = if records == 1 {
            rows::one(numbers.start)
        } else {
            rows::many(numbers)
        };
        Prepared { values, records }
    }

    /// Nothing follows an answer.
    async fn settle(&mut self, _: Instant, _: u64) -> Duration {
        Duration::ZERO
    }

    /// Else the pages of one load would be written while the next one is measured.
    async fn rest(&mut self) {
        self.control.batch_execute("CHECKPOINT").await.unwrap();
    }

    /// By statistics it chooses its indexes; left alone it makes them when it comes to it.
    async fn learn(&mut self) {
        self.control.batch_execute("ANALYZE").await.unwrap();
    }

    fn cpu(&self) -> Duration {
        cpu_with_children(self.cluster.process())
    }

    /// Of the log, as PostgreSQL counts them, and of data files, as it logs them with each checkpoint.
    async fn fsyncs(&mut self) -> u64 {
        // A server process hands its counts in when it ends.
        let others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        while self.number(others).await > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let of_log = self.number("SELECT wal_sync FROM pg_stat_wal").await;
        let of_backends = self.number("SELECT buffers_backend_fsync FROM pg_stat_bgwriter").await;
        let text = self.cluster.log();
        let of_checkpoints = text.split("sync files=").skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u64>().ok()
        });
        of_log + of_backends + of_checkpoints.sum::<u64>()
    }

    fn disk(&self) -> Disk {
        let data = self.cluster.data();
        let log = allocated(&data.join("pg_wal"));
        Disk {
            data: (allocated(&data) - log).saturating_sub(self.empty),
            log: log.saturating_sub(self.empty_log),
        }
    }

    fn resident(&self) -> u64 {
        let server = self.cluster.process();
        let others = children(server).into_iter().map(proportional_memory);
        proportional_memory(server) + others.sum::<u64>()
    }

    async fn mark(&mut self) {
        let newest = "SELECT received_at::text, contact FROM feedback WHERE tenant = 'organisation-1'
            ORDER BY received_at DESC LIMIT 1";
        let row = self.control.query_one(newest, &[]).await;
        let row = row.expect("a mark lies behind at least one record");
        (self.since, self.contact) = (row.get(0), row.get(1));
        assert!(
            !self.since.is_empty() && !self.contact.is_empty(),
            "the newest record names no time or no person"
        );
    }

    async fn ask(&mut self, ask: Ask) -> u64 {
        let known = self.lists.iter().find(|(known, _)| *known == ask);
        let statement = match known {
            Some((_, statement)) => statement.clone(),
            None => {
                let statement = self.control.prepare(&list(ask)).await.expect("PostgreSQL plans it");
                self.lists.push((ask, statement.clone()));
                statement
            }
        };
        let values: &[&(dyn ToSql + Sync)] = match ask {
            Ask::Newest => &[],
            Ask::Channel => &[&CHANNEL],
            Ask::RareChannel => &[&RARE_CHANNEL],
            Ask::KindSince => &[&KIND, &self.since],
            Ask::Contact => &[&self.contact],
        };
        let rows = self.control.query(&statement, values).await;
        rows.expect("PostgreSQL answers").len() as u64
    }

    async fn stored(&mut self) -> u64 {
        self.number("SELECT count(*) FROM feedback").await
    }

    async fn crash(&mut self) -> Duration {
        let took = self.cluster.crash().await;
        self.control = self.cluster.connect().await;
        self.lists.clear();
        took
    }

    /// PostgreSQL keeps no ledger that could be compared.
    async fn verify(&mut self, _: u64) -> Option<Verified> {
        None
    }
}

fn list(ask: Ask) -> String {
    let filter = match ask {
        Ask::Newest => "",
        Ask::Channel | Ask::RareChannel => "AND channel = $1",
        Ask::KindSince => "AND kind = $1 AND received_at >= $2::text::timestamptz",
        Ask::Contact => "AND contact = $1",
    };
    format!("SELECT * FROM feedback WHERE tenant = 'organisation-1' {filter} ORDER BY received_at DESC LIMIT 50")
}

//! `bench store`: durable intake beside PostgreSQL doing the same job, in one run on one machine.

mod growth;
mod http;
mod hub;
mod ingest;
mod page;
mod picture;
mod postgres;
mod process;
mod progress;
mod records;
mod side;
mod table;

use std::path::PathBuf;

use mihwar_tests::workspace;
use tokio::signal::unix::{SignalKind, signal};

use hub::Hub;
use picture::Curve;
use postgres::Postgres;
use progress::say;
use records::Weight;
use table::Table;

/// Options of `bench store`.
#[derive(Debug, clap::Parser)]
#[command(name = "bench store", about = "Durable intake beside PostgreSQL doing the same job.")]
pub(crate) struct Options {
    /// Numbers of records at which both sides are looked at as they grow.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000", value_parser = clap::value_parser!(u64).range(1_000..))]
    growth: Vec<u64>,
    /// PostgreSQL grows no further than this many records: it takes most of the time.
    #[arg(long, value_name = "RECORDS")]
    postgres_growth: Option<u64>,
    /// Leave the other part out.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// A tenth of the records: shows that it works, its figures say nothing.
    #[arg(long)]
    quick: bool,
    /// Write the tables into this file too, after each part.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Draw the growth into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Put tables and picture into docs/performance.md; a part that is left out stays there as it is.
    #[arg(long)]
    docs: bool,
    /// Folder of PostgreSQL's programs.
    #[arg(long, value_name = "FOLDER", default_value = "/usr/lib/postgresql/15/bin")]
    postgres: PathBuf,
    /// Set PostgreSQL otherwise, e.g. `max_wal_size=8GB`; may be given more than once.
    #[arg(long, value_name = "NAME=VALUE")]
    postgres_setting: Vec<String>,
    /// What the machine is, to stand above the tables.
    #[arg(long, hide = true, default_value = "")]
    machine: String,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Records in, one by one and in batches.
    Ingest,
    /// The same load on stores that grow.
    Growth,
}

impl Part {
    const ALL: [Self; 2] = [Self::Ingest, Self::Growth];

    /// Its name in the marks of the documentation.
    const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Growth => "growth",
        }
    }
}

/// What came out of a part, in the order in which it is told.
struct Report {
    part: Part,
    told: Vec<Told>,
    curves: Vec<Curve>,
}

enum Told {
    Words(String),
    Table(Table),
}

impl Report {
    /// One that says so far what a record is.
    fn of(part: Part, weight: Weight) -> Self {
        let mut report = Self {
            part,
            told: Vec::new(),
            curves: Vec::new(),
        };
        report.words(format!(
            "A record holds {:.0} bytes of content and has {:.0} bytes as JSON. “÷ content” is by the first.",
            weight.content, weight.json
        ));
        report
    }

    fn words(&mut self, words: impl Into<String>) {
        self.told.push(Told::Words(words.into()));
    }

    fn table(&mut self, table: Table) {
        self.told.push(Told::Table(table));
    }

    fn join(&self, table: impl Fn(&Table) -> String) -> String {
        let told = self.told.iter().map(|told| match told {
            Told::Words(words) => words.clone(),
            Told::Table(shown) => table(shown),
        });
        told.collect::<Vec<_>>().join("\n\n")
    }

    fn text(&self) -> String {
        self.join(Table::text)
    }

    fn markdown(&self) -> String {
        self.join(Table::markdown)
    }
}

/// Measures and prints, and writes what was asked for. Ctrl-C or SIGTERM ends it; both stores are gone then, as after a whole
/// run.
pub(crate) async fn run(options: &Options) {
    let stopped = tokio::select! {
        // First, so that a signal is heard before anything is started that must be ended.
        biased;
        code = told_to_stop() => Some(code),
        () = measure(options) => None,
    };
    if let Some(code) = stopped {
        say("stopped; what was said so far is all there is");
        std::process::exit(code);
    }
}

/// Waits until somebody ends the benchmark; answers the code to end with.
async fn told_to_stop() -> i32 {
    let mut terminated = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => 130,
        _ = terminated.recv() => 143,
    }
}

async fn measure(options: &Options) {
    let weight = Weight::measured();
    let mut reports = Vec::new();
    let wanted = |part: &Part| options.only.is_none_or(|only| only == *part);
    for part in Part::ALL.into_iter().filter(wanted) {
        let report = match part {
            Part::Ingest => ingest(options, weight).await,
            Part::Growth => grow(options, weight).await,
        };
        println!("\n{}", report.text());
        reports.push(report);
        // After each part: the next may take an hour, and fail at its end.
        write(options, &reports);
    }
}

async fn theirs(options: &Options) -> Postgres {
    say("starting an empty PostgreSQL");
    Postgres::start(&options.postgres, &options.postgres_setting).await
}

async fn ours() -> Hub {
    say("starting an empty hub");
    Hub::start().await
}

async fn ingest(options: &Options, weight: Weight) -> Report {
    // One after the other: what one does in the background must not slow the other.
    let our_rows = ingest::measure(&mut ours().await, options.quick, weight).await;
    let mut postgres = theirs(options).await;
    let their_rows = ingest::measure(&mut postgres, options.quick, weight).await;
    let mut report = Report::of(Part::Ingest, weight);
    report.words(postgres.describe(&options.postgres_setting).await);
    report.table(ingest::table(&our_rows, &their_rows, weight));
    report.words(ingest::ratios(&our_rows, &their_rows).join("  \n"));
    report
}

async fn grow(options: &Options, weight: Weight) -> Report {
    let mut sizes = options.growth.clone();
    sizes.sort_unstable();
    // A crash between two sizes adds records, so sizes that lie next to each other are one.
    sizes.dedup_by(|next, size| *next < *size + 20_000);
    let our_growth = growth::measure(&mut ours().await, &sizes, weight).await;
    let mut postgres = theirs(options).await;
    let is_theirs = |size: &&u64| options.postgres_growth.is_none_or(|most| **size <= most);
    let their_sizes: Vec<u64> = sizes.iter().take_while(is_theirs).copied().collect();
    let their_growth = growth::measure(&mut postgres, &their_sizes, weight).await;
    let mut report = Report::of(Part::Growth, weight);
    report.words(postgres.describe(&options.postgres_setting).await);
    report.words(
        "Growth: batches of 128 by 8 clients, up to the last 200 000 records before each size; of the first size the median \
         of five short loads.",
    );
    report.table(growth::table(&our_growth, &their_growth, weight));
    report.words(growth::firsts(&our_growth, &their_growth));
    report.words("Lists of 50 records, newest first, asked one after the other by one client:");
    report.table(growth::lists(&our_growth, &their_growth));
    report.curves = vec![our_growth.curve, their_growth.curve];
    report
}

/// Writes what is known so far wherever it was asked for.
fn write(options: &Options, reports: &[Report]) {
    // On a terminal the machine stands above all of this already.
    let machine = options.machine.replace('\n', "  \n");
    if let Some(file) = &options.markdown {
        let parts: Vec<_> = reports.iter().map(Report::markdown).collect();
        std::fs::write(file, format!("{machine}\n\n{}\n", parts.join("\n\n"))).unwrap();
    }
    for report in reports {
        let picture = picture::svg(&report.curves);
        if let (Some(file), Some(picture)) = (&options.svg, &picture) {
            std::fs::write(file, picture).unwrap();
        }
        if options.docs {
            let mut figures = format!("{machine}\n\n{}", report.markdown());
            if let Some(picture) = &picture {
                std::fs::write(workspace().join("docs/performance-growth.svg"), picture).unwrap();
                figures +=
                    "\n\n![Records per second over the number of records kept, for both sides](performance-growth.svg)";
            }
            page::rewrite(&workspace().join("docs/performance.md"), report.part.name(), &figures);
        }
    }
}

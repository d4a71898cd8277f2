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
    /// Leave the other part out.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// A tenth of the records: shows that it works, its figures say nothing.
    #[arg(long)]
    quick: bool,
    /// Write the tables into this file too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Draw the growth into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Put tables and picture into docs/performance.md.
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

/// What came out, in the order in which it is told.
#[derive(Default)]
struct Report {
    parts: Vec<Told>,
    curves: Vec<Curve>,
}

enum Told {
    Words(String),
    Table(Table),
}

impl Report {
    fn words(&mut self, words: impl Into<String>) {
        self.parts.push(Told::Words(words.into()));
    }

    fn join(&self, table: impl Fn(&Table) -> String) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Told::Words(words) => words.clone(),
            Told::Table(shown) => table(shown),
        });
        parts.collect::<Vec<_>>().join("\n\n")
    }

    fn text(&self) -> String {
        self.join(Table::text)
    }

    fn markdown(&self) -> String {
        self.join(Table::markdown)
    }
}

/// Measures and prints, and writes what was asked for. Ctrl-C ends it; both stores are gone then, as after a whole run.
pub(crate) async fn run(options: &Options) {
    let stopped = tokio::select! {
        () = measure(options) => false,
        _ = tokio::signal::ctrl_c() => true,
    };
    if stopped {
        say("stopped; nothing was written");
        std::process::exit(130);
    }
}

async fn measure(options: &Options) {
    let weight = Weight::measured();
    let mut report = Report::default();
    report.words(format!(
        "A record holds {:.0} bytes of content and has {:.0} bytes as JSON. “÷ content” is by the first.",
        weight.content, weight.json
    ));
    if options.only != Some(Part::Growth) {
        ingest(options, weight, &mut report).await;
    }
    if options.only != Some(Part::Ingest) {
        grow(options, weight, &mut report).await;
    }
    println!("\n{}", report.text());
    write(options, &report);
}

async fn theirs(options: &Options) -> Postgres {
    say("starting an empty PostgreSQL");
    Postgres::start(&options.postgres, &options.postgres_setting).await
}

async fn ours() -> Hub {
    say("starting an empty hub");
    Hub::start().await
}

async fn ingest(options: &Options, weight: Weight, report: &mut Report) {
    // One after the other: what one does in the background must not slow the other.
    let our_rows = ingest::measure(&mut ours().await, options.quick).await;
    let mut postgres = theirs(options).await;
    let their_rows = ingest::measure(&mut postgres, options.quick).await;
    report.words(postgres.describe(&options.postgres_setting).await);
    report
        .parts
        .push(Told::Table(ingest::table(&our_rows, &their_rows, weight)));
    report.words(ingest::ratios(&our_rows, &their_rows).join("  \n"));
}

async fn grow(options: &Options, weight: Weight, report: &mut Report) {
    let mut sizes = options.growth.clone();
    sizes.sort_unstable();
    // A crash between two sizes adds records, so sizes that lie next to each other are one.
    sizes.dedup_by(|next, size| *next < *size + 20_000);
    let (our_steps, our_curve) = growth::measure(&mut ours().await, &sizes).await;
    let (their_steps, their_curve) = growth::measure(&mut theirs(options).await, &sizes).await;
    report.words(
        "Growth: batches of 128 by 8 clients, up to the last 200 000 records before each size; of the first size the median \
         of five loads.",
    );
    report
        .parts
        .push(Told::Table(growth::table(&our_steps, &their_steps, weight)));
    report.words("Lists of 50 records, newest first, asked one after the other by one client:");
    report.parts.push(Told::Table(growth::lists(&our_steps, &their_steps)));
    report.curves = vec![our_curve, their_curve];
}

fn write(options: &Options, report: &Report) {
    let picture = picture::svg(&report.curves);
    // On a terminal the machine stands above all of this already.
    let machine = options.machine.replace('\n', "  \n");
    let tables = format!("{machine}\n\n{}\n", report.markdown());
    if let Some(file) = &options.markdown {
        std::fs::write(file, &tables).unwrap();
    }
    if let (Some(file), Some(picture)) = (&options.svg, &picture) {
        std::fs::write(file, picture).unwrap();
    }
    if options.docs {
        let mut figures = tables;
        if let Some(picture) = &picture {
            std::fs::write(workspace().join("docs/performance-growth.svg"), picture).unwrap();
            figures +=
                "\n\n![Records per second over the number of records kept, for both sides](performance-growth.svg)";
        }
        page::rewrite(&workspace().join("docs/performance.md"), &figures);
    }
}

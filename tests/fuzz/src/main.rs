//! `cargo xtask fuzz`: runs targets for a while, or asks one about a single input.
#![expect(clippy::print_stdout, reason = "a tool that prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mihwar_fuzz::{Budget, Report, TARGETS, Target, named, run, tidy_up, try_input};

/// Fuzzes the parsers of foreign bytes.
#[derive(Debug, Parser)]
struct Args {
    /// Only this target; `list` lists them.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where chance begins: the same seed tries the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ask the target about this file alone.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Where inputs that found something are put.
    #[arg(long, default_value = "target/fuzz", value_name = "DIR")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let wanted: Vec<&Target> = match args.target.as_deref() {
        Some("list") => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            return ExitCode::SUCCESS;
        }
        Some(name) => named(name).into_iter().collect(),
        None => TARGETS.iter().collect(),
    };
    if wanted.is_empty() {
        eprintln!("there is no such target; see: cargo xtask fuzz list");
        return ExitCode::from(2);
    }
    if let Some(file) = &args.input {
        return repeat(&wanted, file);
    }
    let mut good = true;
    for target in wanted {
        let report = run(target, args.seed, Budget::Time(Duration::from_secs(args.seconds)));
        good &= report.findings.is_empty();
        print(target, &report);
        keep(target, &report, &args);
    }
    tidy_up();
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn repeat(targets: &[&Target], file: &PathBuf) -> ExitCode {
    let input = match std::fs::read(file) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let mut good = true;
    for target in targets {
        match try_input(target, &input).outcome {
            Ok(answer) => println!("{}: {answer}", target.name),
            Err(what) => {
                good = false;
                println!("{}: FOUND: {what}", target.name);
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(target: &Target, report: &Report) {
    println!(
        "faults: fuzz {}: executions {}, findings {}, corpus {}, slowest in ms {}, most KiB at once {}",
        target.name,
        report.executions,
        report.findings.len(),
        report.corpus,
        report.slowest.as_millis(),
        report.peak_bytes / 1_024,
    );
}

/// Puts what was found into files, and says how to see it again.
fn keep(target: &Target, report: &Report, args: &Args) {
    for (number, finding) in report.findings.iter().enumerate() {
        let file = args.out.join(format!("{}-{}-{number}", target.name, args.seed));
        println!("  FOUND {}", finding.what);
        let written = std::fs::create_dir_all(&args.out).and_then(|()| std::fs::write(&file, &finding.input));
        match written {
            Ok(()) => println!("  again: cargo xtask fuzz {} --input {}", target.name, file.display()),
            Err(error) => println!("  the input could not be kept in {}: {error}", file.display()),
        }
    }
}

//! The command line of the simulation: what `cargo xtask sim` runs.
#![allow(clippy::print_stdout, reason = "its report is its output")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use flux_sim::{Found, Hunt, draw, run, run_traced, shrink, text};

/// Runs whole racks in a simulated world, one per seed, and checks that nothing is lost.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
struct Options {
    /// Run this seed alone, or begin with it.
    #[arg(long)]
    seed: Option<u64>,
    /// Run seeds for so many minutes on all cores.
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Run so many seeds, at most.
    #[arg(long, value_name = "K")]
    seeds: Option<u64>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
    /// Print every event of the seed.
    #[arg(long)]
    trace: bool,
    /// Plant bugs in the engine, one after the other, and show that each is found.
    #[cfg(feature = "planted")]
    #[arg(long)]
    planted: bool,
    /// How many of the last events of the smallest plan to print.
    #[arg(long, value_name = "N", default_value_t = 80)]
    events: usize,
    /// Do not look for the smallest plan that shows a violation.
    #[arg(long)]
    no_shrink: bool,
}

/// Violations after which a hunt stops.
const VIOLATIONS_MAX: usize = 10;

fn main() -> ExitCode {
    let options = Options::parse();
    #[cfg(feature = "planted")]
    if options.planted {
        return planted(options.json);
    }
    if options.trace {
        return trace(options.seed.unwrap_or(0));
    }
    let is_one = options.seed.is_some() && options.seeds.is_none() && options.minutes.is_none();
    let hunt = Hunt {
        first: options.seed.unwrap_or(0),
        seeds: options.seeds.unwrap_or(if is_one { 1 } else { u64::MAX }),
        time: match (options.minutes, options.seeds, is_one) {
            (Some(minutes), ..) => Some(Duration::from_secs_f64(minutes * 60.0)),
            (None, None, false) => Some(Duration::from_secs(60)),
            (None, ..) => None,
        },
        violations_max: VIOLATIONS_MAX,
    };
    let began = flux_world::Clock::real().now();
    let sum = hunt.run(|| {});
    let took = flux_world::Clock::real().now() - began;
    if options.json {
        println!("{}", serde_json::json!(sum));
    } else {
        for (what, runs) in &sum.coverage.0 {
            println!("{runs:>9} seeds with {what}");
        }
        let rate = sum.seeds_run as f64 / took.as_secs_f64();
        println!("{} seeds in {:.1} s ({rate:.0} a second)", sum.seeds_run, took.as_secs_f64());
        for found in &sum.violations {
            println!("seed {}: {}", found.seed, found.violation);
        }
        if let Some(found) = sum.violations.first() {
            explain(found, !options.no_shrink, options.events);
        }
    }
    ExitCode::from(u8::from(!sum.violations.is_empty()))
}

/// Prints the smallest plan that shows what a seed shows, and what happens in it.
fn explain(Found { seed, violation }: &Found, is_shrunk: bool, events: usize) {
    let plan = draw(*seed);
    let plan = if is_shrunk { shrink(&plan, violation.rule) } else { plan };
    let outcome = run_traced(&plan);
    println!("\nseed {seed}, made smaller:\n\n{}\n{plan}\n", text(&plan, 0));
    outcome.lines.iter().rev().take(events).rev().for_each(|line| println!("{line}"));
    outcome.violations.iter().for_each(|violation| println!("violated: {violation}"));
    println!("again: cargo xtask sim --seed {seed}");
}

/// Whether each planted bug is found, and at which seed.
#[cfg(feature = "planted")]
fn planted(is_json: bool) -> ExitCode {
    let all = flux_sim::hunt_planted(|hunted| {
        if !is_json {
            println!("{hunted}");
        }
    });
    if is_json {
        println!("{}", serde_json::json!(all));
    }
    ExitCode::from(u8::from(all.iter().any(|hunted| hunted.found.is_none())))
}

fn trace(seed: u64) -> ExitCode {
    // What the rack logs is told between the events, but by the clock on the wall.
    tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .with_writer(std::io::stderr)
        .init();
    let plan = draw(seed);
    println!("{}\n{plan}", text(&plan, 0));
    let outcome = run_traced(&plan);
    outcome.lines.iter().for_each(|line| println!("{line}"));
    println!("hash {:016x}, {:016x} again", outcome.hash, run(&plan).hash);
    outcome.violations.iter().for_each(|violation| println!("violated: {violation}"));
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}

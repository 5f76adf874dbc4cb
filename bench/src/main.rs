//! What is measured beside the engine: `flux-bench COMMAND`. `bench/run` drives it; see `bench/README.md`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a driver prints, times and connects")]

use clap::Parser;
use tokio::runtime::Builder;

mod chain;
mod fleet;
mod gears;
mod journal;
mod mesh;
mod producer;
mod relay;
mod sessions;
mod traffic;

/// Drivers and baselines of the comparisons in `bench/run`
#[derive(Parser)]
enum Command {
    /// Measure a chain of three gears
    Chain {
        /// Rounds of all sides in turn
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Measure durable appends beside the disk's own sync and, with the feature `stores`, beside other stores
    Journal {
        /// Rounds of all sides in turn
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Length of one measurement
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Fill a journal with a million records and wait to be killed
    JournalFill {
        /// Its directory
        directory: std::path::PathBuf,
    },
    /// Load a proxy with frames, and echo them at its far end
    Traffic(traffic::Traffic),
    /// Keep sessions busy while their carrier is reloaded
    Sessions(sessions::Sessions),
    /// Keep a window of messages out, each until it is acknowledged
    Producer(producer::Producer),
    /// Publish by a mesh wire and raw, and drain a backlog beside a live wire
    Mesh(mesh::Mesh),
    /// Be thousands of Racks of a Mixer, and measure what they cost it
    Fleet(fleet::Fleet),
    /// Be the tokio proxy that others are compared with
    Relay(relay::Relay),
}

fn main() -> anyhow::Result<()> {
    let one_thread = || Builder::new_current_thread().enable_all().build();
    match Command::parse() {
        Command::Chain { rounds } => println!("{}", chain::run(rounds)?),
        Command::Journal { rounds, seconds } => println!("{}", journal::run(rounds, seconds)?),
        Command::JournalFill { directory } => journal::fill(&directory)?,
        Command::Traffic(traffic) => println!("{}", one_thread()?.block_on(traffic.run())?),
        Command::Sessions(sessions) => println!("{}", one_thread()?.block_on(sessions.run())?),
        Command::Producer(producer) => println!("{}", one_thread()?.block_on(producer.run())?),
        Command::Mesh(mesh) => {
            let two_threads = Builder::new_multi_thread().worker_threads(2).enable_all().build();
            println!("{}", two_threads?.block_on(mesh.run())?);
        }
        Command::Fleet(fleet) => println!("{}", one_thread()?.block_on(fleet.run())?),
        Command::Relay(relay) => one_thread()?.block_on(relay.run())?,
    }
    Ok(())
}

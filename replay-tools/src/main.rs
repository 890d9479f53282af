//! The `daybook-replay` binary.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::Parser as _;
use replay_tools::CommandLine;
use tracing_subscriber::filter::LevelFilter;

/// `verify` checks records on all cores and drops them on one. With the allocator of glibc the same run takes half as long again
/// (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // What libraries warn of, such as a head that was passed over, is for whoever reads the answer as well.
    let warnings = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).without_time().with_target(false);
    warnings.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
    if CommandLine::parse().run().await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

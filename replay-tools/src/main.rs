//! The `daybook-replay` binary.

use std::process::ExitCode;

use clap::Parser as _;
use replay_tools::CommandLine;

#[tokio::main]
async fn main() -> ExitCode {
    if CommandLine::parse().run().await { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

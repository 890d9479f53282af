//! The `daybook` binary: reads the command line, runs one verb, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    api::cli::run(api::cli::Cli::parse())
}

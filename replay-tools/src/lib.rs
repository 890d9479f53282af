//! The auditor: the daybook-replay binary, one file per verb.

mod command_line;
mod export_file;
mod export_log;
mod failure;
mod merkle;
mod moment;
mod open;
mod progress;
mod verify;

pub(crate) use command_line::json;
pub use command_line::{CommandLine, LogUrl, Report};
pub use export_file::{FORMAT, Manifest, Selection};
pub use export_log::ExportLog;
pub use failure::Failure;
pub use merkle::{Node, Tree, from_hex, hex};
pub use moment::Moment;
pub use open::open;
pub use progress::Progress;
pub use verify::{Finding, Rule, Verification, VerifyArgs, verify};

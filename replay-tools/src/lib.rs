//! The auditor: the daybook-replay binary, one file per verb.

mod command_line;
mod diff;
mod diff_views;
mod export;
mod export_file;
mod export_log;
mod failure;
mod history;
mod import;
mod merkle;
mod open;
mod progress;
mod rebuild;
mod record_export;
mod show;
mod state;
mod verify;

pub(crate) use command_line::json;
pub use command_line::{CommandLine, LogUrl, Report};
pub use diff::{Change, DiffArgs, changes};
pub use diff_views::{DiffViewsArgs, diff_views};
pub use export::{ExportArgs, Format, export};
pub use export_file::{FORMAT, Manifest, Selection};
pub use export_log::ExportLog;
pub use failure::Failure;
pub use history::HistoryArgs;
pub use import::{ImportArgs, import};
pub use merkle::{Node, Tree, from_hex, hex};
pub use open::open;
pub use progress::Progress;
pub use rebuild::{RebuildArgs, rebuild};
pub use record_export::{RecordArgs, record_export};
pub use show::ShowArgs;
pub use state::{StateArgs, StateAt, state_at};
pub use verify::{Finding, Head, Rule, Verification, VerifyArgs, verify};

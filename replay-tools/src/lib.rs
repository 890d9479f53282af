//! The auditor: the daybook-replay binary, one file per verb.

mod certificate;
mod command_line;
mod diff;
mod diff_views;
mod evidence;
mod export;
mod export_csv;
mod export_file;
mod export_log;
mod export_parquet;
mod export_person;
mod export_sink;
mod export_source;
mod failure;
mod history;
mod import;
mod open;
mod progress;
mod prove;
mod prove_consistency;
mod rebuild;
mod record_export;
mod sealed;
mod show;
mod signed;
mod signed_head;
mod state;
mod verify;
mod what_if;

pub use certificate::{AggregateState, Certificate, CertificateArgs, ViewState, certificate};
pub(crate) use command_line::json;
pub use command_line::{CommandLine, LogUrl, Report};
pub use diff::{Change, DiffArgs, changes};
pub use diff_views::{DiffViewsArgs, diff_moments, diff_views};
pub use evidence::{
    EVIDENCE_FORMAT, Evidence, EvidenceArgs, EvidenceCheckArgs, EvidenceManifest, EvidencePack, Packed, evidence_pack,
};
pub use export::{Asked, ExportArgs, export};
pub use export_file::{Counted, FORMAT, Format, Manifest, Selection};
pub use export_log::ExportLog;
pub use export_person::ExportPersonArgs;
pub use failure::Failure;
pub use history::HistoryArgs;
pub use import::{ImportArgs, import};
pub use notary::{Node, SigningKey, Tree, from_hex, hex};
pub use open::open;
pub use progress::Progress;
pub use prove::{CheckProofArgs, ProveArgs};
pub use prove_consistency::{CheckConsistencyArgs, ProveConsistencyArgs};
pub use rebuild::{RebuildArgs, rebuild};
pub use record_export::{RecordArgs, record_export};
pub use sealed::VaultUrl;
pub use show::ShowArgs;
pub use signed_head::{HeadArgs, NotaryKeyArgs};
pub use state::{StateArgs, StateAt, state_at};
pub use verify::{Finding, Head, Pace, Rule, Verification, VerifyArgs, verify};
pub use what_if::{
    AnomalyRule, OtherPrice, OtherPromotion, OtherTax, Outcome, PriceChange, SideBySide, Sums, Supposed, UnusualDay, WhatIfArgs,
    what_if,
};

//! Evidence for an auditor outside: one file with what a log was, and what shows that it was so.

mod check;
mod make;
mod pack;
mod page;
mod rights;

pub use check::EvidenceCheckArgs;
pub use make::{Evidence, EvidenceArgs, evidence_pack};
pub use pack::{EVIDENCE_FORMAT, EvidenceManifest, EvidencePack, Packed};

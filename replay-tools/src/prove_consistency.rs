//! `prove-consistency` and `check-consistency`: that a log with a later head begins with all that it had at an earlier one.

use std::path::PathBuf;

use clap::Args;
use notary::{SignedCheckpoint, check_consistency, consistency};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Failure, Report, hex,
    signed::{KeyArgs, OutArgs, TreeArgs, head_of, not_whole, path_of, path_text},
};

/// The format of proofs that this version writes and reads.
const FORMAT: &str = "daybook-consistency/1";

/// What is in the file of a proof.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    format: String,
    /// The earlier signed head.
    old: String,
    /// The later signed head.
    new: String,
    /// The hashes that lead to the roots of both.
    path: Vec<String>,
}

/// Which heads to hold against each other.
#[derive(Debug, Args)]
pub struct ProveConsistencyArgs {
    /// The earlier signed head (the last of the file).
    old: PathBuf,
    /// The later signed head (the last of the file).
    new: PathBuf,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// Which proof to check.
#[derive(Debug, Args)]
pub struct CheckConsistencyArgs {
    /// The proof.
    file: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
}

impl ProveConsistencyArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let (old, new) = (head_of(&self.old)?, head_of(&self.new)?);
        let [from, to] = [old.unchecked(), new.unchecked()];
        if from.size > to.size {
            let (old, new) = (self.old.display(), self.new.display());
            let why = format!("{old} has a head of {} events, and {new} an earlier one of {}", from.size, to.size);
            return Err(Failure::Refused(format!("{why}: name the earlier first, prove-consistency {new} {old}")));
        }
        let hashes = self.tree.hashes(to.size).await?;
        let path = consistency(&*hashes, from.size, to.size).map_err(not_whole)?;
        if let Err(error) = check_consistency((from.size, from.root), (to.size, to.root), &path) {
            return Err(Failure::Refused(format!("the log is not what was signed: {error}")));
        }
        let proof = Proof { format: FORMAT.to_owned(), old: old.to_string(), new: new.to_string(), path: path_text(&path) };
        self.out.write(&proof)?;
        Ok(report(from, to))
    }
}

impl CheckConsistencyArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let text = std::fs::read_to_string(&self.file).map_err(Failure::file(&self.file))?;
        let wrong = |why: String| Failure::Refused(format!("{}: {why}", self.file.display()));
        let proof: Proof = serde_json::from_str(&text).map_err(|error| wrong(format!("it is no proof: {error}")))?;
        if proof.format != FORMAT {
            return Err(wrong(format!("it is of format {}, and this version reads {FORMAT}", proof.format)));
        }
        let read = |note: &str| SignedCheckpoint::parse(note).map_err(|error| wrong(error.to_string()));
        let (old, new) = (read(&proof.old)?, read(&proof.new)?);
        let (from, to) = (self.keys.check(&old)?, self.keys.check(&new)?);
        if from.origin != to.origin {
            return Err(wrong(format!("its heads are of two logs, {} and {}", from.origin, to.origin)));
        }
        let checked = check_consistency((from.size, from.root), (to.size, to.root), &path_of(&proof.path)?);
        checked.map_err(|error| wrong(error.to_string()))?;
        Ok(report(from, to))
    }
}

fn report(from: &notary::Checkpoint, to: &notary::Checkpoint) -> Report {
    let text = format!("the log {} of {} events begins with the {} that it had before\n", to.origin, to.size, from.size);
    let json = json!({
        "ok": true, "origin": to.origin,
        "old": { "size": from.size, "root": hex(&from.root) },
        "new": { "size": to.size, "root": hex(&to.root) },
    });
    Report { ok: true, text, json }
}

//! `prove` and `check-proof`: that one event is in a log whose head was signed, without the log.

use std::path::PathBuf;

use clap::Args;
use event_schemas::{Position, words::sentence};
use notary::{SignedCheckpoint, check_inclusion, inclusion};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use crate::{
    Failure, Report,
    export_file::{from_line, to_line},
    hex, open,
    signed::{KeyArgs, OutArgs, TreeArgs, head_of, not_whole, path_of, path_text},
};

/// The format of proofs that this version writes and reads.
const FORMAT: &str = "daybook-proof/1";

/// What is in the file of a proof.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    format: String,
    /// The event, as a line of an export.
    record: Box<RawValue>,
    /// Its place in the tree, from 0.
    index: u64,
    /// The hashes that lead from its digest to the root.
    path: Vec<String>,
    /// The signed head of the tree.
    checkpoint: String,
}

/// Which event to prove.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// The position.
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    position: Position,
    /// The signed head that the event is in (the last of the file); the last one in the folder of tiles if not told.
    #[arg(long, env = "DAYBOOK_HEAD", value_name = "FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// Which proof to check.
#[derive(Debug, Args)]
pub struct CheckProofArgs {
    /// The proof.
    file: PathBuf,
    /// The signed head to believe, if it is not the one in the proof but one that came another way: the proof must be about it.
    #[arg(long, env = "DAYBOOK_HEAD", value_name = "FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
}

impl ProveArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let head = match &self.head {
            Some(file) => head_of(file)?,
            None => self.tree.head()?.ok_or_else(|| {
                Failure::Refused("give --head FILE with a signed head, or --tiles with the notary's folder".to_owned())
            })?,
        };
        let (size, root) = (head.unchecked().size, head.unchecked().root);
        if self.position > size {
            return Err(Failure::Refused(format!("the head has {size} events, and none at position {}", self.position)));
        }
        let log = open(&self.tree.log.log).await?;
        let record = log.read(self.position - 1, 1).await?.pop();
        let record = record.ok_or_else(|| Failure::Refused(format!("the log ends before position {}", self.position)))?;
        let (index, hashes) = (self.position - 1, self.tree.hashes(size).await?);
        let path = inclusion(&*hashes, index, size).map_err(not_whole)?;
        if let Err(error) = check_inclusion(record.digest, index, size, &path, root) {
            return Err(Failure::Refused(format!("the log is not what was signed with {size} events: {error}")));
        }
        let raw = to_line(&record).and_then(RawValue::from_string).map_err(|error| Failure::Refused(error.to_string()))?;
        let (format, checkpoint) = (FORMAT.to_owned(), head.to_string());
        let proof = Proof { format, record: raw, index, path: path_text(&path), checkpoint };
        self.out.write(&proof)?;
        let (position, file) = (self.position, self.out.file.display());
        let text = format!("position {position} is in the log of {size} events; the proof is in {file}\n");
        Ok(Report { ok: true, text, json: json!({ "ok": true, "position": self.position, "size": size, "root": hex(&root) }) })
    }
}

impl CheckProofArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let text = std::fs::read_to_string(&self.file).map_err(Failure::file(&self.file))?;
        let wrong = |why: String| Failure::Refused(format!("{}: {why}", self.file.display()));
        let proof: Proof = serde_json::from_str(&text).map_err(|error| wrong(format!("it is no proof: {error}")))?;
        if proof.format != FORMAT {
            return Err(wrong(format!("it is of format {}, and this version reads {FORMAT}", proof.format)));
        }
        let record = from_line(proof.record.get()).map_err(|error| wrong(format!("its record is none: {error}")))?;
        if !record.is_intact() {
            return Err(wrong("its record was changed: its digest is that of another".to_owned()));
        }
        if record.position != proof.index + 1 {
            return Err(wrong(format!("its record has position {} and not {}", record.position, proof.index + 1)));
        }
        let claimed = SignedCheckpoint::parse(&proof.checkpoint).map_err(|error| wrong(error.to_string()))?;
        let head = match &self.head {
            Some(file) => head_of(file)?,
            None => claimed.clone(),
        };
        let checkpoint = self.keys.check(&head)?;
        if checkpoint != claimed.unchecked() {
            let (own, given) = (claimed.unchecked().size, checkpoint.size);
            return Err(wrong(format!("it is about another head: of {own} events, and the one to believe has {given}")));
        }
        let path = path_of(&proof.path)?;
        let checked = check_inclusion(record.digest, proof.index, checkpoint.size, &path, checkpoint.root);
        checked.map_err(|error| wrong(error.to_string()))?;
        let text = format!(
            "position {} is in the log {} of {} events:\n    {}\n",
            record.position,
            checkpoint.origin,
            checkpoint.size,
            sentence(&record)
        );
        let json = json!({
            "ok": true, "position": record.position, "origin": checkpoint.origin, "size": checkpoint.size,
            "root": hex(&checkpoint.root), "type": record.event.event_type, "stream": record.event.stream.to_string(),
        });
        Ok(Report { ok: true, text, json })
    }
}

//! `head` and `notary-key`: the head of a log, signed without a running shop.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use event_schemas::Position;
use notary::{Checkpoint, SignedCheckpoint, SigningKey};
use serde_json::json;

use crate::{
    Failure, LogUrl, Report, hex, open,
    signed::{signing_key, tree_of},
};

/// Which head to tell. It is computed from the log alone: tiles may be torn or of another history, and nothing signed would
/// show it.
#[derive(Debug, Args)]
pub struct HeadArgs {
    #[command(flatten)]
    log: LogUrl,
    /// How many events it has; all if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION")]
    to: Option<Position>,
    /// Sign it with the key in this file, which `notary-key generate` makes. The name of the key is the head's origin.
    #[arg(long, env = "DAYBOOK_NOTARY_KEY_FILE", value_name = "FILE")]
    key: Option<PathBuf>,
}

impl HeadArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let log = open(&self.log.log).await?;
        let end = log.head().await?.position;
        let size = self.to.unwrap_or(end);
        if size > end {
            return Err(Failure::Refused(format!("the log ends at position {end}, before position {size}")));
        }
        let root = tree_of(&log, size, |_| {}).await?.root();
        let key = self.key.as_deref().map(signing_key).transpose()?;
        let origin = key.as_ref().map_or_else(|| format!("daybook/{}", log.id()), |key| key.name().to_owned());
        let text = match &key {
            Some(key) => SignedCheckpoint::sign(size, root, key).to_string(),
            None => Checkpoint { origin: origin.clone(), size, root }.to_string(),
        };
        let json = json!({
            "ok": true, "origin": origin, "size": size, "root": hex(&root), "signed": key.is_some(), "checkpoint": text,
        });
        Ok(Report { ok: true, text, json })
    }
}

/// What to do about keys.
#[derive(Debug, Args)]
pub struct NotaryKeyArgs {
    #[command(subcommand)]
    verb: KeyVerb,
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Make a key, and print the verifier key that others need.
    Generate {
        /// Its name, which is the origin of what it signs: best `daybook/` and the id of the log.
        #[arg(long, env = "DAYBOOK_NOTARY_NAME", value_name = "NAME")]
        name: String,
        /// Where to write it, to be kept secret. A key that is there is left as it is, and its verifier key printed.
        #[arg(long, env = "DAYBOOK_OUT", value_name = "FILE")]
        out: PathBuf,
    },
    /// Print the verifier key of a key that was made before.
    Show {
        /// The file with the key.
        file: PathBuf,
    },
}

impl NotaryKeyArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        match self.verb {
            KeyVerb::Generate { out, .. } if out.exists() => kept(&out),
            KeyVerb::Generate { name, out } => {
                let key = SigningKey::generate(&name).map_err(|error| Failure::Refused(error.to_string()))?;
                keep_secret(&out, &key.to_text())?;
                Ok(verifier_of(&key))
            }
            KeyVerb::Show { file } => Ok(verifier_of(&signing_key(&file)?)),
        }
    }
}

fn verifier_of(key: &SigningKey) -> Report {
    let verifier = key.verifier().to_string();
    Report { ok: true, text: format!("{verifier}\n"), json: json!({ "ok": true, "verifier_key": verifier }) }
}

/// Leaves a key that is there as it is, and says so. Its verifier key is printed all the same: by the time that anything is
/// printed, a shell has emptied the file that it is to go to.
fn kept(path: &Path) -> Result<Report, Failure> {
    let error = format!("{} is there already, and is left as it is", path.display());
    let Ok(key) = signing_key(path) else { return Err(Failure::Refused(error)) };
    eprintln!("daybook-replay: {error}; this is its verifier key");
    let verifier = key.verifier().to_string();
    let json = json!({ "ok": false, "error": error, "verifier_key": verifier });
    Ok(Report { ok: false, text: format!("{verifier}\n"), json })
}

/// Writes a file that only its owner can read, and that is not there yet.
fn keep_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| writeln!(file, "{text}").and_then(|()| file.sync_all()));
    written.map_err(Failure::file(path))
}

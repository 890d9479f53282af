//! What the verbs about signed heads and proofs share: keys, files of heads, and where the hashes of a tree come from.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use event_store::Log;
use notary::{Checkpoint, Hashes, KnownKeys, Leaves, Node, SignedCheckpoint, SigningKey, TileFolder, VerifierKey, read_heads};
use serde::Serialize;

use crate::{Failure, LogUrl, Tree, from_hex, hex, open};

/// How many digests are read at once.
const PAGE: usize = 10_000;

/// Which keys are believed.
#[derive(Debug, Clone, Args)]
#[group(id = "keys", multiple = true)]
pub(crate) struct KeyArgs {
    /// A verifier key whose signature is believed, NAME+ID+KEY; may be given again.
    #[arg(long = "verifier-key", alias = "key", env = "DAYBOOK_VERIFIER_KEY", value_name = "KEY", value_delimiter = ',')]
    verifier_key: Vec<VerifierKey>,
    /// A file with all keys of a log and the sizes that each signs, as a shop answers at /notary/keys.
    #[arg(long, env = "DAYBOOK_VERIFIER_KEYS", value_name = "FILE")]
    verifier_keys: Option<PathBuf>,
}

impl KeyArgs {
    /// The keys, if any was given.
    pub(crate) fn known(&self) -> Result<Option<KnownKeys>, Failure> {
        let mut known: KnownKeys = self.verifier_key.iter().cloned().collect();
        if let Some(file) = &self.verifier_keys {
            let text = std::fs::read_to_string(file).map_err(Failure::file(file))?;
            let listed: KnownKeys = serde_json::from_str(&text)
                .map_err(|error| Failure::Refused(format!("{} is no list of keys: {error}", file.display())))?;
            known.keys.extend(listed.keys);
        }
        Ok(Some(known).filter(|known| !known.keys.is_empty()))
    }

    /// What a head says, once it was checked; a key must have been given.
    pub(crate) fn check<'a>(&self, head: &'a SignedCheckpoint) -> Result<&'a Checkpoint, Failure> {
        let known = self.known()?;
        let known = known.ok_or_else(|| {
            Failure::Refused(
                "give --verifier-key, or --verifier-keys with the list of a shop, to know whom to believe".to_owned(),
            )
        })?;
        known.check(head).map_err(|error| Failure::Refused(format!("the head of {} events: {error}", head.unchecked().size)))
    }
}

/// Where the hashes of the tree come from.
#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    pub(crate) log: LogUrl,
    /// The notary's folder of tiles, which spares reading the digests of the log.
    #[arg(long, env = "DAYBOOK_TILES", value_name = "FOLDER")]
    tiles: Option<PathBuf>,
}

impl TreeArgs {
    /// The hashes of the first `size` events.
    pub(crate) async fn hashes(&self, size: u64) -> Result<Box<dyn Hashes + Send>, Failure> {
        match &self.tiles {
            Some(folder) => Ok(Box::new(TileFolder::new(folder))),
            None => Ok(Box::new(digests_of(&open(&self.log.log).await?, size).await?)),
        }
    }

    /// The last head in the folder of tiles.
    pub(crate) fn head(&self) -> Result<Option<SignedCheckpoint>, Failure> {
        let head = self.tiles.as_ref().map(|folder| TileFolder::new(folder).head()).transpose();
        Ok(head.map_err(|error| Failure::Refused(error.to_string()))?.flatten())
    }
}

/// Where a proof goes.
#[derive(Debug, Args)]
pub(crate) struct OutArgs {
    /// Where to write the proof. A file that is there already is left as it is.
    #[arg(long = "out", env = "DAYBOOK_OUT", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Write over the file if it is there.
    #[arg(long, env = "DAYBOOK_FORCE")]
    force: bool,
}

impl OutArgs {
    /// Writes a proof as JSON.
    pub(crate) fn write(&self, proof: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(proof).map_err(|error| Failure::Refused(error.to_string()))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).create_new(!self.force);
        let written = options.open(&self.file).and_then(|mut file| writeln!(file, "{text}"));
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let file = self.file.display();
                Failure::Refused(format!("{file} is there already: name another file, or write over it with --force"))
            }
            _ => Failure::file(&self.file)(error),
        })
    }
}

/// The digests of the first `size` events: 32 bytes each.
pub(crate) async fn digests_of(log: &Arc<dyn Log>, size: u64) -> Result<Leaves, Failure> {
    let mut leaves = Leaves::default();
    while leaves.size() < size {
        page_of(log, leaves.size(), size).await?.into_iter().for_each(|digest| leaves.push(digest));
    }
    Ok(leaves)
}

/// The tree over the digests of the first `size` events, shown at every size that it has on the way, from 0 on. However large
/// it is, no more of it is in memory than its largest complete subtrees.
pub(crate) async fn tree_of(log: &Arc<dyn Log>, size: u64, mut grown: impl FnMut(&Tree)) -> Result<Tree, Failure> {
    let mut tree = Tree::default();
    grown(&tree);
    while tree.size() < size {
        for digest in page_of(log, tree.size(), size).await? {
            tree.push(digest);
            grown(&tree);
        }
    }
    Ok(tree)
}

/// The next digests behind `there`, at least one, of the first `size`.
async fn page_of(log: &Arc<dyn Log>, there: u64, size: u64) -> Result<Vec<Node>, Failure> {
    let limit = usize::try_from(size - there).unwrap_or(PAGE).min(PAGE);
    let page = log.digests(there, limit).await?;
    if page.is_empty() {
        return Err(Failure::Refused(format!("the log ends at position {there}, and the head has {size} events")));
    }
    Ok(page)
}

/// The signed heads of a file, at least one, not checked yet.
pub(crate) fn heads_of(file: &Path) -> Result<Vec<SignedCheckpoint>, Failure> {
    // A head that was cut off within a character makes no other unreadable.
    let text = std::fs::read(file).map_err(Failure::file(file))?;
    let heads = read_heads(&String::from_utf8_lossy(&text));
    let heads = heads.map_err(|(line, error)| Failure::Refused(format!("{}, line {line}: {error}", file.display())))?;
    if heads.is_empty() { Err(no_head(file)) } else { Ok(heads) }
}

fn no_head(file: &Path) -> Failure {
    Failure::Refused(format!("{} holds no signed head", file.display()))
}

/// The last signed head of a file, not checked yet.
pub(crate) fn head_of(file: &Path) -> Result<SignedCheckpoint, Failure> {
    heads_of(file)?.pop().ok_or_else(|| no_head(file))
}

/// Reads a file with a signing key.
pub(crate) fn signing_key(file: &Path) -> Result<SigningKey, Failure> {
    let text = std::fs::read_to_string(file).map_err(Failure::file(file))?;
    SigningKey::parse(&text).map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))
}

/// A tree that cannot be had.
pub(crate) fn not_whole(error: notary::TileError) -> Failure {
    Failure::Refused(error.to_string())
}

/// The hashes of a proof as text.
pub(crate) fn path_text(path: &[Node]) -> Vec<String> {
    path.iter().map(hex).collect()
}

/// The hashes of a proof, read back.
pub(crate) fn path_of(texts: &[String]) -> Result<Vec<Node>, Failure> {
    let wrong = |text: &String| Failure::Refused(format!("`{text}` in the proof is not 64 hexadecimal digits"));
    texts.iter().map(|text| from_hex(text).ok_or_else(|| wrong(text))).collect()
}

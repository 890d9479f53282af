//! What was known of a log earlier: the log must still begin with it.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use event_schemas::Position;
use event_store::Log;
use notary::{SignedCheckpoint, TileFolder, check_consistency, consistency, subtrees};
use serde::Deserialize;

use crate::{
    Failure, Selection, Tree, from_hex, hex,
    signed::{KeyArgs, heads_of, not_whole, tree_of},
};

/// What was known of a log: its root when it had so many events.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The last position.
    pub to: Position,
    /// The Merkle tree head over the digests from position 1 on, hexadecimal.
    pub root: String,
}

/// What is known of the log beforehand.
#[derive(Debug, Args)]
pub(super) struct HeadArgs {
    /// What an earlier `verify --json`, an export's manifest or a signed head said: the log must still begin with exactly that.
    #[arg(long, env = "DAYBOOK_FROM_HEAD", value_name = "FILE", conflicts_with_all = ["from", "to"])]
    from_head: Option<PathBuf>,
    /// A file of signed heads, at least one: each must be signed by a key that is known, and the log must still begin with it;
    /// may be given again.
    #[arg(long, env = "DAYBOOK_HEADS", value_delimiter = ',', value_name = "FILE", requires = "keys",
        conflicts_with_all = ["from", "to"])]
    heads: Vec<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    /// Begin behind this head, which was verified before: a signed head, or what `verify --json` said. Rules that need the past
    /// are left out.
    #[arg(long, env = "DAYBOOK_RESUME_FROM", value_name = "FILE", conflicts_with_all = ["from", "to", "from_head"])]
    resume_from: Option<PathBuf>,
    /// The notary's folder of tiles, so that nothing before that head is read at all; otherwise its digests are read.
    #[arg(long, env = "DAYBOOK_TILES", value_name = "FOLDER")]
    tiles: Option<PathBuf>,
}

/// What is known of a log, ready to be held against it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Heads that the log must come by, the smallest first.
    heads: VecDeque<Head>,
    /// How many there were at first.
    given: usize,
    /// The tree before the first position to look at, if that is not the first of the log.
    pub(super) begin: Option<Tree>,
    /// What is wrong with the heads themselves, each with the position that it is about.
    wrong: Vec<(Position, String)>,
}

/// The part that the JSON of `verify` and the manifest of an export have in common.
#[derive(Deserialize)]
struct Statement {
    from: Position,
    to: Position,
    root: String,
    #[serde(default)]
    selection: Selection,
}

impl Head {
    /// Reads what `verify --json` or an export's manifest said of a whole log, or a signed head. If keys are known, one of them
    /// must have signed that.
    fn read(file: &Path, keys: &KeyArgs) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file).map_err(Failure::file(file))?;
        let wrong = |why: &str| Failure::Refused(format!("{} {why}", file.display()));
        if let Ok(signed) = SignedCheckpoint::parse(&text) {
            let known = keys.known()?;
            if let Err(error) = known.as_ref().map_or(Ok(signed.unchecked()), |keys| keys.check(&signed)) {
                return Err(Failure::Refused(format!("{}: {error}", file.display())));
            }
            return Ok(Self::of(&signed));
        }
        let statement: Statement = serde_json::from_str(&text)
            .map_err(|error| wrong(&format!("is no signed head and does not say `from`, `to` and `root`: {error}")))?;
        if statement.from != 1 || !statement.selection.is_everything() {
            return Err(wrong("speaks of a part of a log, not of a log from its beginning"));
        }
        Ok(Self { to: statement.to, root: statement.root })
    }

    fn of(signed: &SignedCheckpoint) -> Self {
        Self { to: signed.unchecked().size, root: hex(&signed.unchecked().root) }
    }

    fn another(&self) -> String {
        format!("the first {} events had root {}, and have another now", self.to, self.root)
    }
}

impl HeadArgs {
    /// Reads what is known, and gives it with the first position to look at, if that follows from it.
    pub(super) async fn known(&self, log: &Arc<dyn Log>) -> Result<(Known, Option<Position>), Failure> {
        let mut known = Known::of(self.from_head.as_deref().map(|file| Head::read(file, &self.keys)).transpose()?);
        let keys = self.keys.known()?.unwrap_or_default();
        for file in &self.heads {
            for signed in heads_of(file)? {
                let head = Head::of(&signed);
                if let Err(error) = keys.check(&signed) {
                    known.wrong.push((head.to, format!("the head of {} events in {}: {error}", head.to, file.display())));
                }
                known.heads.push_back(head);
            }
        }
        known.heads.make_contiguous().sort_by_key(|head| head.to);
        known.given = known.heads.len();
        let Some(file) = &self.resume_from else { return Ok((known, None)) };
        let head = Head::read(file, &self.keys)?;
        known.resume(&head, log, self.tiles.as_deref()).await?;
        Ok((known, Some(head.to + 1)))
    }
}

impl Known {
    /// One head, or none.
    pub(super) fn of(head: Option<Head>) -> Self {
        Self { given: usize::from(head.is_some()), heads: head.into_iter().collect(), ..Self::default() }
    }

    /// How many of the heads the log has been held against by now.
    pub(super) fn checked(&self) -> u64 {
        self.given.saturating_sub(self.heads.len()) as u64
    }

    /// Goes on behind a head: the tree before it comes from tiles, or from the digests in the log, and must have its root.
    /// Smaller heads are held against that head, too.
    async fn resume(&mut self, head: &Head, log: &Arc<dyn Log>, tiles: Option<&Path>) -> Result<(), Failure> {
        let later = self.heads.iter().position(|known| known.to > head.to).unwrap_or(self.heads.len());
        let mut earlier = Self { heads: self.heads.drain(..later).collect(), ..Self::default() };
        let mut wrong = Vec::new();
        let tree = match tiles {
            Some(folder) => subtrees(&TileFolder::new(folder), head.to).map_err(not_whole)?,
            // The digests that come to a smaller head come to this one as well.
            None => tree_of(log, head.to, |tree| wrong.extend(earlier.passes(tree).map(|why| (tree.size(), why)))).await?,
        };
        if hex(&tree.root()) != head.root {
            let of = if tiles.is_some() { "by these tiles" } else { "in this log" };
            return Err(Failure::Refused(format!("{of}, {}", head.another())));
        }
        if let Some(folder) = tiles {
            wrong = earlier.not_before(&tree, &TileFolder::new(folder))?;
        }
        self.wrong.extend(wrong);
        self.begin = Some(tree);
        Ok(())
    }

    /// What of these heads the tree of a larger one does not begin with. That a root follows from the tiles says nothing, as
    /// they may be of several histories: only a proof that leads from it to the root of the tree does.
    fn not_before(&self, tree: &Tree, tiles: &TileFolder) -> Result<Vec<(Position, String)>, Failure> {
        let mut wrong = Vec::new();
        let whole = (tree.size(), tree.root());
        for Head { to, root } in &self.heads {
            let path = consistency(tiles, *to, tree.size()).map_err(not_whole)?;
            let is_shown = from_hex(root).is_some_and(|root| check_consistency((*to, root), whole, &path).is_ok());
            if !is_shown {
                let size = tree.size();
                wrong.push((
                    *to,
                    format!("these tiles do not show that the {size} events begin with the {to} that had root {root}"),
                ));
            }
        }
        Ok(wrong)
    }

    /// What is wrong before anything was read: heads that are not signed, heads larger than a log that ends at `head`, and
    /// those of the tree to begin with. Of a log that is not read from its beginning (`!is_whole`) nothing is known.
    pub(super) fn settle(&mut self, begin: &Tree, is_whole: bool, head: Position) -> Vec<(Position, String)> {
        let mut found = std::mem::take(&mut self.wrong);
        let beyond = self.heads.iter().find(|known| known.to > head);
        found.extend(beyond.map(|known| (head + 1, format!("the log had {} events, and ends before this one now", known.to))));
        self.heads.retain(|known| known.to <= head && is_whole);
        found.extend(self.passes(begin).map(|message| (begin.size(), message)));
        found
    }

    /// What is wrong with the log when its tree has come to this size, if anything was known of that.
    pub(super) fn passes(&mut self, tree: &Tree) -> Option<String> {
        let mut wrong = None;
        while let Some(head) = self.heads.front().filter(|head| head.to <= tree.size()) {
            if head.to == tree.size() && hex(&tree.root()) != head.root {
                wrong = Some(head.another());
            }
            self.heads.pop_front();
        }
        wrong
    }
}

//! Opening a folder: nothing in it is believed because it is there.
//!
//! A head counts if a key of this log signed it, and tiles count if they have the root of that head. Whatever else is found is
//! made anew from the log, which must then come to every root that was signed.

use std::collections::BTreeMap;

use crate::{
    KnownKeys, Node, NotaryConfig, SignedCheckpoint, TileError, TileFolder,
    follow::{Fault, another_root},
    publish::Published,
    writer::TileWriter,
};

/// What a folder and the published heads say of a log.
pub(crate) struct Opened {
    /// The head that the tree stands at; none if there is none, or its tiles are made anew.
    pub(crate) head: Option<SignedCheckpoint>,
    /// The tree, as far as it was found whole.
    pub(crate) tree: TileWriter,
    /// Roots that were signed at sizes that the tree has not come to yet.
    pub(crate) known: BTreeMap<u64, Node>,
}

/// Opens the tree where its last head left it, or an empty one if that cannot be.
///
/// # Errors
/// [`Fault`]
pub(crate) fn open(folder: &TileFolder, config: NotaryConfig, keys: &KnownKeys) -> Result<Opened, Fault> {
    let head = believed_head(folder, &config, keys)?;
    let anew = |known| -> Result<Opened, Fault> {
        folder.clear()?;
        Ok(Opened { head: None, tree: TileWriter::new(folder.clone()), known })
    };
    let mut opened = match head.as_ref().map(|head| (head.unchecked().size, head.unchecked().root)) {
        None => anew(BTreeMap::new())?,
        Some((size, root)) => match TileWriter::open(folder.clone(), size, &root) {
            Ok(tree) => Opened { head, tree, known: BTreeMap::new() },
            Err(error @ TileError::File(..)) => return Err(error.into()),
            Err(reason) => {
                tracing::warn!(size, %reason, "the tiles are not those of their head; they are made anew from the log");
                // The head is signed again, with its tiles, once the tree has come to it.
                anew(BTreeMap::from([(size, root)]))?
            }
        },
    };
    let outside = config.publish.map(|path| Published::new(path).last(&config.origin, keys)).transpose();
    let outside = outside.map_err(|error| Fault::Trouble(error.to_string()))?.flatten();
    if let Some(outside) = outside.map(|head| head.unchecked().clone()) {
        if outside.size > opened.tree.size() {
            opened.known.insert(outside.size, outside.root);
        } else if opened.tree.root(outside.size)? != outside.root {
            return Err(Fault::Broken(another_root(outside.size, &outside.root)));
        }
    }
    Ok(opened)
}

/// The head in the folder, if a key of this log signed it. Another is left aside: whoever wrote it could have removed the one
/// that was there, so refusing to go on would protect nothing, and only let who can write a file stop the notary.
fn believed_head(folder: &TileFolder, config: &NotaryConfig, keys: &KnownKeys) -> Result<Option<SignedCheckpoint>, Fault> {
    let Some(head) = folder.head()? else { return Ok(None) };
    let origin = &head.unchecked().origin;
    if *origin != config.origin {
        let reason = format!("{} holds the tree of {origin}, not of {}", config.folder.display(), config.origin);
        return Err(Fault::Broken(format!("{reason}; give each log a folder of its own")));
    }
    let Err(error) = keys.check(&head) else { return Ok(Some(head)) };
    let (size, folder) = (head.unchecked().size, config.folder.display());
    tracing::error!(size, %folder, %error, "no key of this log signed the head in the folder: it and its tiles are not believed");
    Ok(None)
}

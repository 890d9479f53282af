//! `evidence-check`: whether a pack holds what it says, without any database.

use std::path::{Path, PathBuf};

use clap::Args;
use notary::{KnownKeys, Leaves, SignedCheckpoint, from_hex, hex, read_heads};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    pack::{CONSISTENCY, Consistency, DIGESTS, EvidenceManifest, EvidencePack, HEADS, MANIFEST, RIGHTS},
    rights::RightsChange,
};
use crate::{Failure, Report, signed::KeyArgs};

/// Which pack to check, and against what.
#[derive(Debug, Args)]
pub struct EvidenceCheckArgs {
    /// The pack.
    pack: PathBuf,
    /// Keys had from somewhere else than from who sent the pack. Without any, signatures are not checked.
    #[command(flatten)]
    keys: KeyArgs,
    /// The last pack: this one must prove that the log still begins with it.
    #[arg(long, env = "DAYBOOK_SINCE", value_name = "FILE")]
    since: Option<PathBuf>,
}

impl EvidenceCheckArgs {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let since = self.since.as_deref().map(|since| EvidencePack::open(since)?.manifest()).transpose()?;
        let (checked, manifest) = check(&self.pack, self.keys.known()?.as_ref(), since.as_ref())?;
        let ok = checked.wrong == 0;
        let EvidenceManifest { to, root, .. } = &manifest;
        let verdict = if ok { "the pack holds" } else { "THE PACK DOES NOT HOLD" };
        let text = format!("{}{CLAIMED}\n{verdict}: positions 1 to {to}\nroot {root}\n", checked.text);
        Ok(Report { ok, text, json: json!({ "ok": ok, "to": to, "root": root, "checks": checked.checks }) })
    }
}

/// Checks a pack against keys, if there are any, and the last pack.
pub(super) fn check(
    path: &Path,
    keys: Option<&KnownKeys>,
    since: Option<&EvidenceManifest>,
) -> Result<(Checked, EvidenceManifest), Failure> {
    let mut pack = EvidencePack::open(path)?;
    let manifest = pack.manifest()?;
    let mut checked = Checked::default();
    checked.files(&mut pack, &manifest)?;
    let leaves = checked.digests(&mut pack, &manifest)?;
    checked.heads(&mut pack, &manifest, &leaves, keys)?;
    checked.rights(&mut pack, &manifest)?;
    if pack.names().iter().any(|name| name == CONSISTENCY) {
        let proof: Consistency = pack.json(CONSISTENCY)?;
        let says = proof.check().and_then(|()| belongs(&proof, &manifest, since));
        checked.says(format!("the log of {} events begins with that of {}", proof.new_size, proof.old_size), says);
    } else if since.is_some() {
        checked.says("the log begins with that of the last pack".to_owned(), Err("the pack has no proof of it".to_owned()));
    }
    checked.says(
        "whoever made the pack says that verify found nothing wrong".to_owned(),
        match manifest.ok {
            true => Ok(()),
            false => Err("it found something: see verify.json".to_owned()),
        },
    );
    Ok((checked, manifest))
}

/// What no digest and no signature in a pack bears out.
const CLAIMED: &str = "only said by whoever made the pack: verify.json, the trial balance, that no change of rights is left out, \
                       index.html, and the times and the id of the log in manifest.json";

/// That a proof is about this pack, and about the last one if that is known.
fn belongs(proof: &Consistency, manifest: &EvidenceManifest, since: Option<&EvidenceManifest>) -> Result<(), String> {
    if (proof.new_size, &proof.new_root) != (manifest.to, &manifest.root) {
        return Err("the proof is not about this pack".to_owned());
    }
    match since {
        Some(since) if (proof.old_size, &proof.old_root) != (since.to, &since.root) => {
            Err(format!("the last pack says that {} events had root {}", since.to, since.root))
        }
        _ => Ok(()),
    }
}

/// What a line about something wrong begins with.
const WRONG: &str = "WRONG: ";

/// What was checked so far.
#[derive(Default)]
pub(super) struct Checked {
    text: String,
    checks: Vec<serde_json::Value>,
    wrong: usize,
}

impl Checked {
    /// What is wrong, a line each.
    pub(super) fn wrong(&self) -> Vec<&str> {
        self.text.lines().filter(|line| line.starts_with(WRONG)).collect()
    }

    fn says(&mut self, what: String, result: Result<(), String>) {
        let line = match &result {
            Ok(()) => format!("right: {what}\n"),
            Err(why) => format!("{WRONG}{what}: {why}\n"),
        };
        self.text.push_str(&line);
        self.wrong += usize::from(result.is_err());
        self.checks.push(json!({ "what": what, "ok": result.is_ok(), "why": result.err() }));
    }

    fn files(&mut self, pack: &mut EvidencePack, manifest: &EvidenceManifest) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        for (name, packed) in &manifest.files {
            let content = pack.read(name)?;
            if content.len() as u64 != packed.bytes || hex(&Sha256::digest(&content).into()) != packed.sha256 {
                wrong.push(format!("{name} was changed"));
            }
        }
        let strange = pack.names().into_iter().filter(|name| name != MANIFEST && !manifest.files.contains_key(name));
        wrong.extend(strange.map(|name| format!("{name} is not in the manifest")));
        let result = if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) };
        self.says(format!("the {} files are those of the manifest", manifest.files.len()), result);
        Ok(())
    }

    fn digests(&mut self, pack: &mut EvidencePack, manifest: &EvidenceManifest) -> Result<Leaves, Failure> {
        let mut leaves = Leaves::default();
        let digests = pack.read(DIGESTS)?;
        for digest in digests.chunks_exact(32) {
            leaves.push(digest.try_into().unwrap_or_default());
        }
        let root = notary::root(&leaves, leaves.size()).map(|root| hex(&root)).map_err(|error| error.to_string());
        let result = match root {
            _ if leaves.size() != manifest.to => Err(format!("there are {} digests", leaves.size())),
            Ok(root) if root == manifest.root => Ok(()),
            Ok(root) => Err(format!("their root is {root}")),
            Err(error) => Err(error),
        };
        self.says(format!("the digests of {} events have the root of the manifest", manifest.to), result);
        Ok(leaves)
    }

    fn heads(
        &mut self,
        pack: &mut EvidencePack,
        manifest: &EvidenceManifest,
        leaves: &Leaves,
        keys: Option<&KnownKeys>,
    ) -> Result<(), Failure> {
        let text = String::from_utf8(pack.read(HEADS)?).map_err(|error| Failure::Refused(format!("{HEADS}: {error}")))?;
        let heads: Vec<SignedCheckpoint> = match read_heads(&text) {
            Ok(heads) => heads,
            Err((line, error)) => {
                self.says("the signed heads can be read".to_owned(), Err(format!("line {line}: {error}")));
                return Ok(());
            }
        };
        for head in &heads {
            let size = head.unchecked().size;
            let signed = keys.map_or(Ok(()), |keys| keys.check(head).map(drop).map_err(|error| error.to_string()));
            let is_ours = notary::root(leaves, size).is_ok_and(|root| root == head.unchecked().root);
            let result = signed.and_then(|()| if is_ours { Ok(()) } else { Err("it has another root".to_owned()) });
            let how = match keys {
                Some(_) => "was signed",
                None => "stands in the pack (no key was given, so its signature was not checked)",
            };
            self.says(format!("the head of {size} events {how}"), result);
        }
        // Whatever follows the last head that was signed could have been made up.
        if let Some(keys) = keys {
            let is_whole = |head: &SignedCheckpoint| {
                keys.check(head).is_ok_and(|head| head.size == manifest.to && hex(&head.root) == manifest.root)
            };
            let result = heads.iter().any(is_whole).then_some(()).ok_or_else(|| "there is no such head in the pack".to_owned());
            self.says(format!("all {} events and their root were signed", manifest.to), result);
        }
        Ok(())
    }

    fn rights(&mut self, pack: &mut EvidencePack, manifest: &EvidenceManifest) -> Result<(), Failure> {
        let changes: Vec<RightsChange> = pack.json(RIGHTS)?;
        let root = from_hex(&manifest.root).ok_or_else(|| "the root of the manifest is not a hash".to_owned());
        let result = root.and_then(|root| changes.iter().try_for_each(|change| change.check(manifest.to, root)));
        self.says(format!("{} changes of rights are in the log, and their words are right", changes.len()), result);
        Ok(())
    }
}

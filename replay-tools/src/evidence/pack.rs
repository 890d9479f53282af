//! What an evidence pack holds, and how it is written and read: a zip file of small texts, and the digest of every event.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
};

use event_schemas::Position;
use notary::{Node, from_hex, hex};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::Failure;

/// The format that this version writes and reads.
pub const EVIDENCE_FORMAT: &str = "daybook-evidence/1";

/// The names in a pack.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const DIGESTS: &str = "digests.bin";
pub(super) const HEADS: &str = "heads.txt";
pub(super) const CONSISTENCY: &str = "consistency.json";
pub(super) const VERIFICATION: &str = "verify.json";
pub(super) const BALANCE: &str = "trial-balance.json";
pub(super) const BALANCE_TABLE: &str = "trial-balance.csv";
pub(super) const RIGHTS: &str = "rights.json";
pub(super) const PAGE: &str = "index.html";

/// What a pack says about itself, in `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceManifest {
    /// [`EVIDENCE_FORMAT`].
    pub format: String,
    /// The version of `daybook-replay` that made it.
    pub made_by: String,
    /// When it was made, by the clock of the machine that made it.
    pub made_at: String,
    /// The identity of the log.
    pub log: Uuid,
    /// The last position; the first is 1.
    pub to: Position,
    /// When that event was recorded; none of an empty log.
    pub recorded_at: Option<String>,
    /// The Merkle tree head over the digests of positions 1 to `to`, hexadecimal.
    pub root: String,
    /// Whether nothing was found wrong when it was made.
    pub ok: bool,
    /// The other files: how long each is and its SHA-256.
    pub files: BTreeMap<String, Packed>,
}

/// A file of a pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// How many bytes it has.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// That a log at a size begins with what it was at a smaller one (RFC 9162, section 2.1.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Consistency {
    pub(super) old_size: u64,
    pub(super) old_root: String,
    pub(super) new_size: u64,
    pub(super) new_root: String,
    pub(super) path: Vec<String>,
}

impl Consistency {
    /// # Errors
    /// What the proof does not show.
    pub(super) fn check(&self) -> Result<(), String> {
        let node = |text: &String| from_hex(text).ok_or_else(|| format!("`{text}` is not a hash"));
        let path = self.path.iter().map(node).collect::<Result<Vec<Node>, _>>()?;
        let (old, new) = ((self.old_size, node(&self.old_root)?), (self.new_size, node(&self.new_root)?));
        notary::check_consistency(old, new, &path).map_err(|error| error.to_string())
    }
}

/// A pack in the making. What is written into it counts for its manifest, which is written last.
pub(super) struct Writer {
    zip: ZipWriter<File>,
    files: BTreeMap<String, Packed>,
}

impl Writer {
    pub(super) fn new(file: File) -> Self {
        Self { zip: ZipWriter::new(file), files: BTreeMap::new() }
    }

    /// Adds a file.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let sha256 = hex(&Sha256::digest(content).into());
        self.files.insert(name.to_owned(), Packed { bytes: content.len() as u64, sha256 });
        self.put(name, content)
    }

    fn put(&mut self, name: &str, content: &[u8]) -> Result<(), Failure> {
        // Stored as it is, so that the page in the pack can read the pack without unpacking.
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.zip.start_file(name, stored.large_file(content.len() > u32::MAX as usize)).map_err(|error| refused(&error))?;
        self.zip.write_all(content).map_err(|error| refused(&error))
    }

    /// What was added so far.
    pub(super) fn files(&self) -> &BTreeMap<String, Packed> {
        &self.files
    }

    /// Writes the manifest and ends the file, durably.
    pub(super) fn finish(mut self, manifest: &EvidenceManifest) -> Result<(), Failure> {
        self.put(MANIFEST, &pretty(manifest)?)?;
        let file = self.zip.finish().map_err(|error| refused(&error))?;
        file.sync_all().map_err(|error| refused(&error))
    }
}

/// JSON for people: indented, with a line's end.
pub(super) fn pretty(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| refused(&error))?;
    Ok((text + "\n").into_bytes())
}

fn refused(error: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(format!("the pack cannot be written: {error}"))
}

/// A pack that is there.
#[derive(Debug)]
pub struct EvidencePack {
    name: String,
    zip: ZipArchive<File>,
}

impl EvidencePack {
    /// Opens a pack.
    ///
    /// # Errors
    /// If it is not a zip file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(Failure::file(path))?;
        let zip = ZipArchive::new(file).map_err(|error| Failure::Refused(format!("{name} is not an evidence pack: {error}")))?;
        Ok(Self { name, zip })
    }

    /// The names of all that is in it.
    pub fn names(&self) -> Vec<String> {
        // A name that cannot be read shows as one that should not be there.
        self.zip.file_names().map(|name| name.map_or_else(|error| error.to_string(), Cow::into_owned)).collect()
    }

    /// A file of it.
    ///
    /// # Errors
    /// If it has no such file, or that cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::Refused(format!("{}: {name}: {error}", self.name));
        let mut content = Vec::new();
        let mut file = self.zip.by_name(name).map_err(|error| wrong(&error))?;
        file.read_to_end(&mut content).map_err(|error| wrong(&error))?;
        Ok(content)
    }

    /// A file of it, as what it says.
    pub(super) fn json<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Failure> {
        let content = self.read(name)?;
        serde_json::from_slice(&content).map_err(|error| Failure::Refused(format!("{}: {name}: {error}", self.name)))
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// If it says nothing, or in another format.
    pub fn manifest(&mut self) -> Result<EvidenceManifest, Failure> {
        let manifest: EvidenceManifest = self.json(MANIFEST)?;
        if manifest.format == EVIDENCE_FORMAT {
            return Ok(manifest);
        }
        let (name, format) = (&self.name, &manifest.format);
        Err(Failure::Refused(format!("{name} is of format {format}, and this version reads {EVIDENCE_FORMAT}")))
    }
}

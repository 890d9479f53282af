//! Documents that clients name instead of sending them: trusted ones from the operator's file, and those that clients have
//! sent once (automatic persisted queries).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_graphql::ServerError;
use axum::http::StatusCode;
use lru::LruCache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    http::{Refused, coded},
    limits,
};

/// How many bytes of documents that clients sent are kept. Those that were not used for longest go first.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// The longest document that is kept, in bytes.
const LONGEST: usize = 256 * 1024;
/// What a document takes in memory besides its text, in bytes.
const OVERHEAD: usize = 256;

/// The SHA-256 of a document.
pub(crate) type Hash = [u8; 32];

/// Why the trusted documents cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// The file cannot be read.
    #[error("the trusted documents {0} cannot be read: {1}")]
    File(PathBuf, std::io::Error),
    /// The file is not an object of texts.
    #[error("the trusted documents {0} are not a JSON object of documents by id: {1}")]
    Form(PathBuf, serde_json::Error),
    /// A document cannot be run.
    #[error("the trusted document `{0}` cannot be run: {1}")]
    Document(String, String),
}

/// How a request says what to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The document itself.
    pub(crate) query: Option<String>,
    /// The id of a trusted document (GraphQL over HTTP, appendix A).
    pub(crate) id: Option<String>,
    /// The hash of a document that was sent before, or is sent along to be kept.
    pub(crate) hash: Option<Hash>,
}

impl Named {
    /// Reads `extensions.persistedQuery`.
    ///
    /// # Errors
    /// A refusal, if it has not the form that clients agree on.
    pub(crate) fn hash_of(extensions: &Map<String, Value>) -> Result<Option<Hash>, Refused> {
        let bad = |message: &str| Refused::bad_request("BAD_REQUEST", message);
        let persisted = match extensions.get("persistedQuery") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(persisted)) => persisted,
            Some(_) => return Err(bad("`extensions.persistedQuery` must be an object")),
        };
        if persisted.get("version").and_then(Value::as_u64) != Some(1) {
            return Err(bad("`extensions.persistedQuery.version` must be 1"));
        }
        let hash = persisted.get("sha256Hash").and_then(Value::as_str).and_then(read_hash);
        hash.map(Some).ok_or_else(|| bad("`extensions.persistedQuery.sha256Hash` must be 64 hexadecimal digits"))
    }
}

fn read_hash(text: &str) -> Option<Hash> {
    let is_hash = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let (high, low) = is_hash.then(|| text.split_at(32))?;
    let [high, low] = [high, low].map(|half| u128::from_str_radix(half, 16).map(u128::to_be_bytes));
    [high.ok()?, low.ok()?].concat().try_into().ok()
}

/// A document to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its text.
    pub(crate) query: String,
    /// Under which hash to keep it once it turned out that it can be run.
    pub(crate) keep: Option<Hash>,
}

/// The documents that clients may name.
pub(crate) struct Documents {
    trusted: HashMap<String, Arc<str>>,
    /// The hashes of the trusted ones, by which they may be named, too, or sent as they are.
    trusted_hashes: HashMap<Hash, Arc<str>>,
    only: bool,
    kept: Mutex<Kept>,
}

/// What clients have sent, by its hash.
struct Kept {
    documents: LruCache<Hash, Arc<str>>,
    bytes: usize,
}

impl Documents {
    /// Reads the operator's file, if there is one; `only` its documents may be run.
    ///
    /// # Errors
    /// See [`DocumentsError`].
    pub(crate) fn open(path: Option<&Path>, only: bool) -> Result<Self, DocumentsError> {
        let trusted = path.map(read).transpose()?.unwrap_or_default();
        let trusted_hashes = trusted.values().map(|text| (hash(text), text.clone())).collect();
        Ok(Self { trusted, trusted_hashes, only, kept: Mutex::new(Kept { documents: LruCache::unbounded(), bytes: 0 }) })
    }

    /// The document that a request names.
    ///
    /// # Errors
    /// A refusal, by code: the request names none or several, or one that is not known or not trusted.
    pub(crate) fn find(&self, named: Named) -> Result<Found, Refused> {
        let found = |text: &Arc<str>| Ok(Found { query: text.to_string(), keep: None });
        match named {
            Named { id: Some(id), query: None, hash: None } => {
                self.trusted.get(&id).map_or_else(|| Err(refused("DOCUMENT_NOT_FOUND", "no trusted document has this id")), found)
            }
            Named { id: Some(_), .. } => Err(Refused::bad_request(
                "BAD_REQUEST",
                "`documentId` stands for the document: send neither `query` nor a hash with it",
            )),
            Named { query: Some(query), hash: Some(claimed), .. } => {
                if hash(&query) != claimed {
                    let message = "`extensions.persistedQuery.sha256Hash` is not the hash of `query`";
                    return Err(Refused::bad_request("PERSISTED_QUERY_HASH_MISMATCH", message));
                }
                self.may_run(&claimed)?;
                Ok(Found { query, keep: (!self.only).then_some(claimed) })
            }
            Named { query: Some(query), hash: None, .. } => {
                if self.only {
                    self.may_run(&hash(&query))?;
                }
                Ok(Found { query, keep: None })
            }
            Named { query: None, hash: Some(hash), .. } => {
                self.sent_before(&hash).map(|text| found(&text)).unwrap_or_else(|| {
                    if self.only {
                        Err(not_trusted())
                    } else {
                        Err(refused("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"))
                    }
                })
            }
            Named { .. } => Err(Refused::bad_request("BAD_REQUEST", "`query` must be there and be a string")),
        }
    }

    fn may_run(&self, hash: &Hash) -> Result<(), Refused> {
        if self.only && !self.trusted_hashes.contains_key(hash) { Err(not_trusted()) } else { Ok(()) }
    }

    fn sent_before(&self, hash: &Hash) -> Option<Arc<str>> {
        self.trusted_hashes.get(hash).cloned().or_else(|| if self.only { None } else { self.kept().documents.get(hash).cloned() })
    }

    /// Keeps a document that can be run. What cannot is never kept, so that nonsense pushes nothing out.
    pub(crate) fn keep(&self, hash: Hash, query: &str) {
        if query.len() > LONGEST || self.trusted_hashes.contains_key(&hash) {
            return;
        }
        let mut kept = self.kept();
        if kept.documents.get(&hash).is_none() {
            kept.documents.put(hash, query.into());
            kept.bytes += query.len() + OVERHEAD;
        }
        while kept.bytes > KEPT_BYTES {
            let Some((_, gone)) = kept.documents.pop_lru() else { break };
            kept.bytes -= gone.len() + OVERHEAD;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// A request whose parameters are well formed, but whose document is not there.
fn refused(code: &str, message: &str) -> Refused {
    Refused::document(vec![coded(ServerError::new(message, None), code)])
}

fn not_trusted() -> Refused {
    Refused::new(StatusCode::FORBIDDEN, "DOCUMENT_NOT_TRUSTED", "this shop runs trusted documents only")
}

fn read(path: &Path) -> Result<HashMap<String, Arc<str>>, DocumentsError> {
    let text = std::fs::read_to_string(path).map_err(|error| DocumentsError::File(path.to_owned(), error))?;
    let documents: HashMap<String, String> =
        serde_json::from_str(&text).map_err(|error| DocumentsError::Form(path.to_owned(), error))?;
    for (id, text) in &documents {
        let wrong = |reason: String| DocumentsError::Document(id.clone(), reason);
        limits::scan(text).map_err(|exceeded| wrong(exceeded.message))?;
        async_graphql::parser::parse_query(text).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(documents.into_iter().map(|(id, text)| (id, text.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(query: Option<&str>, id: Option<&str>, hashed: Option<&str>) -> Named {
        Named { query: query.map(ToOwned::to_owned), id: id.map(ToOwned::to_owned), hash: hashed.map(hash) }
    }

    fn run(documents: &Documents, named: Named) -> Result<String, String> {
        let code = |refused: Refused| {
            let extensions = refused.errors[0].extensions.clone().unwrap_or_default();
            extensions.get("code").map(|code| code.to_string().trim_matches('"').to_owned()).unwrap_or_default()
        };
        let found = documents.find(named).map_err(code)?;
        if let Some(hash) = found.keep {
            documents.keep(hash, &found.query);
        }
        Ok(found.query)
    }

    fn trusting(only: bool) -> Documents {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("documents.json");
        std::fs::write(&path, r#"{"who": "{ me { role } }"}"#).unwrap();
        Documents::open(Some(&path), only).unwrap()
    }

    #[test]
    fn a_document_is_named_by_its_hash_once_it_was_sent_with_it() {
        let documents = Documents::open(None, false).unwrap();
        let not_found = Err("PERSISTED_QUERY_NOT_FOUND".to_owned());
        assert_eq!(run(&documents, named(None, None, Some("{ a }"))), not_found);
        assert_eq!(run(&documents, named(Some("{ a }"), None, Some("{ b }"))), Err("PERSISTED_QUERY_HASH_MISMATCH".to_owned()));
        assert_eq!(run(&documents, named(Some("{ a }"), None, Some("{ a }"))), Ok("{ a }".to_owned()));
        assert_eq!(run(&documents, named(None, None, Some("{ a }"))), Ok("{ a }".to_owned()));
        assert_eq!(run(&documents, named(None, None, Some("{ b }"))), not_found);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_used_stays() {
        let documents = Documents::open(None, false).unwrap();
        let document = |number: usize| format!("{{ a{number} }} #{}", "x".repeat(100_000));
        for number in 0..1_000 {
            documents.keep(hash(&document(number)), &document(number));
            assert!(documents.find(Named { hash: Some(hash(&document(0))), ..Named::default() }).is_ok(), "{number}");
        }
        let kept = documents.kept();
        assert!(kept.bytes <= KEPT_BYTES && kept.documents.len() > 100);
        drop(kept);
        assert!(documents.find(Named { hash: Some(hash(&document(1))), ..Named::default() }).is_err(), "not used for longest");
        let long = "x".repeat(LONGEST + 1);
        documents.keep(hash(&long), &long);
        assert!(documents.find(Named { hash: Some(hash(&long)), ..Named::default() }).is_err());
    }

    #[test]
    fn a_trusted_document_is_named_by_its_id_or_its_hash() {
        let (documents, text) = (trusting(false), "{ me { role } }");
        assert_eq!(run(&documents, named(None, Some("who"), None)), Ok(text.to_owned()));
        assert_eq!(run(&documents, named(None, None, Some(text))), Ok(text.to_owned()));
        assert_eq!(run(&documents, named(None, Some("what"), None)), Err("DOCUMENT_NOT_FOUND".to_owned()));
        assert_eq!(run(&documents, named(Some(text), Some("who"), None)), Err("BAD_REQUEST".to_owned()));
        assert_eq!(run(&documents, named(Some("{ a }"), None, None)), Ok("{ a }".to_owned()));
    }

    #[test]
    fn where_only_trusted_documents_run_nothing_else_does() {
        let (documents, text) = (trusting(true), "{ me { role } }");
        let not_trusted = Err("DOCUMENT_NOT_TRUSTED".to_owned());
        for allowed in [named(Some(text), None, None), named(Some(text), None, Some(text)), named(None, Some("who"), None)] {
            assert_eq!(run(&documents, allowed), Ok(text.to_owned()));
        }
        for other in
            [named(Some("{ a }"), None, None), named(Some("{ a }"), None, Some("{ a }")), named(None, None, Some("{ a }"))]
        {
            assert_eq!(run(&documents, other), not_trusted);
        }
    }

    #[test]
    fn a_file_that_is_no_set_of_documents_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("documents.json");
        assert!(matches!(Documents::open(Some(&path), false), Err(DocumentsError::File(..))));
        std::fs::write(&path, "[]").unwrap();
        assert!(matches!(Documents::open(Some(&path), false), Err(DocumentsError::Form(..))));
        std::fs::write(&path, r#"{"a": "{"}"#).unwrap();
        assert!(matches!(Documents::open(Some(&path), false), Err(DocumentsError::Document(id, _)) if id == "a"));
    }

    #[test]
    fn a_hash_has_64_digits() {
        let extensions = |hash: &str| {
            let value = serde_json::json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
            Named::hash_of(value.as_object().unwrap())
        };
        let digits = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";
        assert_eq!(extensions(digits).unwrap(), Some(hash("{__typename}")));
        assert_eq!(extensions(&digits.to_uppercase()).unwrap(), Some(hash("{__typename}")));
        for wrong in ["", &digits[1..], &format!("+{}", &digits[1..]), "é"] {
            assert!(extensions(wrong).is_err(), "{wrong}");
        }
    }
}

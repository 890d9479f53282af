//! `evidence-pack`: everything that an auditor outside needs about a range of a log, in one file.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use clap::Args;
use event_schemas::{Position, rfc3339};
use event_store::{Log, Moment, PastLog};
use notary::{KnownKeys, Leaves, Node, SignedCheckpoint, SigningKey, hex};
use projections::{JOURNAL, TrialBalance, Views};
use serde_json::{Value, json};

use super::{
    check::check,
    pack::{
        BALANCE, BALANCE_TABLE, CONSISTENCY, Consistency, DIGESTS, EVIDENCE_FORMAT, EvidenceManifest, EvidencePack, HEADS, PAGE,
        RIGHTS, VERIFICATION, Writer, pretty,
    },
    page,
    rights::{RightsChange, changes_rights},
};
use crate::{
    Failure, Head, LogUrl, Progress, Report, Verification,
    export_file::{beside, must_have_folder},
    json, open, rebuild,
    signed::{KeyArgs, digests_of, heads_of, not_whole, path_text, signing_key},
    verify,
};

/// How many events are read at once.
const PAGE_OF_LOG: usize = 1_000;

/// What to pack.
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    #[command(flatten)]
    log: LogUrl,
    /// The file to write. The pack is checked at once, as `evidence-check` does with the keys given here. One with which
    /// something is wrong stays, to be looked into, and the exit code is 1.
    #[arg(long, env = "DAYBOOK_OUT", value_name = "FILE")]
    out: PathBuf,
    /// Up to where: a position, or a time by which it was recorded; the head if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION|TIME")]
    to: Option<Moment>,
    /// Files with signed heads of the log, such as those that the notary publishes. All are checked, and go into the pack.
    #[arg(long, env = "DAYBOOK_HEADS", value_name = "FILE", value_delimiter = ',', requires = "keys")]
    heads: Vec<PathBuf>,
    #[command(flatten)]
    keys: KeyArgs,
    /// A file with a signing key: the head of the pack is signed with it.
    #[arg(long, env = "DAYBOOK_NOTARY_KEY_FILE", value_name = "FILE")]
    sign_with: Option<PathBuf>,
    /// The last pack: this one proves that the log still begins with what that one was about.
    #[arg(long, env = "DAYBOOK_SINCE", value_name = "FILE")]
    since: Option<PathBuf>,
}

impl EvidenceArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        must_have_folder(&self.out)?;
        // The heads are read before the end of the log is: what is signed meanwhile is not beyond it.
        let mut heads = Vec::new();
        for file in &self.heads {
            heads.extend(heads_of(file)?);
        }
        let mut log = open(&self.log.log).await?;
        let log_end = log.head().await?.position;
        match self.to {
            Some(Moment::Occurred(_)) => {
                let why = "a pack is about a beginning of the log: give a position, or a time by which it was recorded";
                return Err(Failure::Refused(why.to_owned()));
            }
            Some(moment) => log = Arc::new(PastLog::at(log, moment).await?),
            None => {}
        }
        let key = self.sign_with.as_deref().map(signing_key).transpose()?;
        let since = self.since.as_deref().map(|since| EvidencePack::open(since)?.manifest()).transpose()?;
        let mut believed = self.keys.known()?;
        let keys = believed.clone().unwrap_or_default();
        if let Some(key) = &key {
            believed.get_or_insert_default().keys.extend(KnownKeys::from_iter([key.verifier()]).keys);
        }
        let asked = Evidence { heads, keys, key, since: since.clone(), log_end, is_past: self.to.is_some() };
        let manifest = evidence_pack(log, &self.out, asked).await?;
        let (checked, EvidenceManifest { to, root, ok, files, .. }) = check(&self.out, believed.as_ref(), since.as_ref())?;
        let wrong = checked.wrong();
        let words = match (ok, wrong.as_slice()) {
            (true, []) => "nothing is wrong".to_owned(),
            (true, _) => format!("IT DOES NOT PASS evidence-check, and is not to be given out\n{}", wrong.join("\n")),
            (false, _) => format!("SOMETHING IS WRONG, as the report in it says\n{}", wrong.join("\n")),
        };
        let text =
            format!("packed positions 1 to {to}, {} files, into {}: {words}\nroot {root}\n", files.len() + 1, self.out.display());
        let mut json = json(&manifest)?;
        (json["ok"], json["wrong"]) = (wrong.is_empty().into(), wrong.clone().into());
        Ok(Report { ok: wrong.is_empty(), text, json })
    }
}

/// What goes into a pack beside what the log says.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Signed heads of the log.
    pub heads: Vec<SignedCheckpoint>,
    /// The keys that they may be signed with.
    pub keys: KnownKeys,
    /// Signs the head of the pack.
    pub key: Option<SigningKey>,
    /// What the last pack said.
    pub since: Option<EvidenceManifest>,
    /// Where the whole log ends, of which a beginning may be packed; where what is packed ends if that is less.
    pub log_end: Position,
    /// Whether the log given is one as it was at a moment, which shows none of the snapshots that there are now.
    pub is_past: bool,
}

/// Verifies a log and packs the evidence of it. What is wrong with the log is said in the pack, and in what is given back.
///
/// # Errors
/// If the log cannot be read from end to end, or the pack cannot be written.
pub async fn evidence_pack(log: Arc<dyn Log>, out: &Path, asked: Evidence) -> Result<EvidenceManifest, Failure> {
    if out.exists() {
        return Err(Failure::Refused(format!("{} is there already: name another file", out.display())));
    }
    let end = log.head().await?;
    let since = asked.since.as_ref().map(|since| Head { to: since.to, root: since.root.clone() });
    if let Some(since) = asked.since.as_ref().filter(|since| since.log != log.id()) {
        return Err(Failure::Refused(format!(
            "the last pack is about log {}, and this one would be about {}",
            since.log,
            log.id()
        )));
    }
    let mut verification = verify(Arc::clone(&log), 1, Some(end.position), since).await?;
    if asked.is_past {
        verification.snapshots = None;
    }
    let leaves = digests_of(&log, end.position).await?;
    let root = notary::root(&leaves, end.position).map_err(not_whole)?;
    let heads = Heads::check(&asked, &leaves, end.position, root);
    let consistency = asked.since.as_ref().map(|since| consistency(since, &leaves, end.position, root)).transpose()?;
    let rights = rights(&*log, end.position, &leaves).await?;
    let balances = trial_balance(Arc::clone(&log)).await?;
    let part = beside(out, ".part");
    let mut writer = Writer::new(File::create(&part).map_err(Failure::file(&part))?);
    let digests: Vec<u8> = (0..leaves.size()).filter_map(|index| leaves.leaf(index)).flatten().collect();
    let proven = consistency.as_ref().is_none_or(|proof| proof.check().is_ok());
    let is_balanced = balances.iter().all(|balance| balance.debit_minor == balance.credit_minor);
    let ok = verification.ok && heads.wrong.is_empty() && proven && is_balanced;
    writer.add(DIGESTS, &digests)?;
    writer.add(HEADS, heads.text().as_bytes())?;
    if let Some(consistency) = &consistency {
        writer.add(CONSISTENCY, &pretty(consistency)?)?;
    }
    writer.add(VERIFICATION, &pretty(&report(&verification, &heads))?)?;
    writer.add(BALANCE, &pretty(&balance_json(&balances))?)?;
    writer.add(BALANCE_TABLE, balance_table(&balances).as_bytes())?;
    writer.add(RIGHTS, &pretty(&rights)?)?;
    let mut manifest = EvidenceManifest {
        format: EVIDENCE_FORMAT.to_owned(),
        made_by: format!("daybook-replay {}", env!("CARGO_PKG_VERSION")),
        made_at: rfc3339(Utc::now()),
        log: log.id(),
        to: end.position,
        recorded_at: end.recorded_at.map(rfc3339),
        root: hex(&root),
        ok,
        files: BTreeMap::new(),
    };
    let shown = json!({
        "manifest": manifest, "verification": report(&verification, &heads), "heads": heads.texts(), "keys": heads.keys,
        "consistency": consistency, "balance": balance_json(&balances), "rights": rights,
    });
    writer.add(PAGE, page::page(&shown).as_bytes())?;
    manifest.files = writer.files().clone();
    writer.finish(&manifest)?;
    std::fs::rename(&part, out).map_err(Failure::file(out))?;
    Ok(manifest)
}

/// The signed heads, and what is wrong with them.
struct Heads {
    heads: Vec<SignedCheckpoint>,
    keys: Vec<String>,
    wrong: Vec<String>,
}

impl Heads {
    /// Checks each head up to the end of the pack for its signature and its root, and signs the end if there is a key. A head
    /// beyond the end of the whole log is evidence as well: of a log that was cut off.
    fn check(asked: &Evidence, leaves: &Leaves, to: Position, root: Node) -> Self {
        let mut keys = asked.keys.clone();
        let log_end = asked.log_end.max(to);
        let is_told = |head: &&SignedCheckpoint| {
            let size = head.unchecked().size;
            size <= to || (size > log_end && keys.check(head).is_ok())
        };
        let mut heads: Vec<_> = asked.heads.iter().filter(is_told).cloned().collect();
        if let Some(key) = &asked.key {
            heads.push(SignedCheckpoint::sign(to, root, key));
            keys.keys.extend(KnownKeys::from_iter([key.verifier()]).keys);
        }
        let mut wrong = Vec::new();
        for head in &heads {
            let size = head.unchecked().size;
            let signed = keys.check(head).map(drop).map_err(|error| error.to_string());
            let is_ours = notary::root(leaves, size).is_ok_and(|ours| ours == head.unchecked().root);
            match signed {
                Err(error) => wrong.push(format!("the head of {size} events: {error}")),
                Ok(()) if size > log_end => wrong.push(format!("{size} events were signed, and the log ends at {log_end}")),
                Ok(()) if !is_ours => wrong.push(format!("the first {size} events had another root when that was signed")),
                Ok(()) => {}
            }
        }
        let mut keys: Vec<_> = keys.keys.iter().map(|period| period.key.to_string()).collect();
        keys.sort();
        keys.dedup();
        Self { heads, keys, wrong }
    }

    fn texts(&self) -> Vec<String> {
        self.heads.iter().map(ToString::to_string).collect()
    }

    fn text(&self) -> String {
        self.texts().join("\n")
    }
}

fn consistency(since: &EvidenceManifest, leaves: &Leaves, to: Position, root: Node) -> Result<Consistency, Failure> {
    if since.to > to {
        return Err(Failure::Refused(format!("the last pack goes to position {}, beyond the end of this one at {to}", since.to)));
    }
    let path = notary::consistency(leaves, since.to, to).map_err(not_whole)?;
    Ok(Consistency {
        old_size: since.to,
        old_root: since.root.clone(),
        new_size: to,
        new_root: hex(&root),
        path: path_text(&path),
    })
}

async fn rights(log: &dyn Log, to: Position, leaves: &Leaves) -> Result<Vec<RightsChange>, Failure> {
    let (mut found, mut after) = (Vec::new(), 0);
    let mut progress = Progress::new("looking for changes of rights", to);
    while after < to {
        let page = log.read(after, PAGE_OF_LOG).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for record in &page {
            if changes_rights(record)? {
                let path = notary::inclusion(leaves, record.position - 1, to);
                let path = path.map_err(not_whole)?;
                found.push(RightsChange { path: path_text(&path), ..RightsChange::new(record) });
            }
        }
        progress.tick(after);
    }
    Ok(found)
}

/// The balance of every account, folded from the log into views that nobody else sees.
async fn trial_balance(log: Arc<dyn Log>) -> Result<Vec<TrialBalance>, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file(&std::env::temp_dir()))?;
    let url = format!("sqlite:{}", folder.path().join("journal.db").display());
    rebuild(log, &url, &[&JOURNAL]).await?;
    let read = tokio::task::spawn_blocking(move || Views::open(&url)?.read_blocking(|reader| reader.trial_balance()));
    let balances = read.await.map_err(|error| Failure::Refused(format!("reading the journal did not end: {error}")))??;
    drop(folder);
    Ok(balances)
}

fn report(verification: &Verification, heads: &Heads) -> Value {
    json!({ "verification": verification, "in_words": verification.to_string(), "heads_wrong": heads.wrong })
}

fn balance_json(balances: &[TrialBalance]) -> Value {
    let account = |account: &projections::AccountBalance| {
        json!({ "account": account.account, "debit_minor": account.debit_minor, "credit_minor": account.credit_minor,
            "balance_minor": account.balance_minor })
    };
    let balance = |balance: &TrialBalance| {
        json!({ "currency": balance.currency, "exponent": balance.currency.exponent(), "debit_minor": balance.debit_minor,
            "credit_minor": balance.credit_minor, "accounts": balance.accounts.iter().map(account).collect::<Vec<_>>() })
    };
    balances.iter().map(balance).collect()
}

fn balance_table(balances: &[TrialBalance]) -> String {
    let mut table = "currency,account,debit_minor,credit_minor,balance_minor\n".to_owned();
    for account in balances.iter().flat_map(|balance| &balance.accounts) {
        let projections::AccountBalance { account, currency, debit_minor, credit_minor, balance_minor, .. } = account;
        table.push_str(&format!("{currency},{account},{debit_minor},{credit_minor},{balance_minor}\n"));
    }
    table
}

//! Evidence packs: what is in one, that it holds, that it goes on from the last, and that nothing in it can be changed unseen.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use event_schemas::{AccountEvent, AccountId, AccountRoleGranted, CommerceEvent, StreamId};
use event_store::{Log, MemoryLog};
use notary::{KnownKeys, SigningKey};
use replay_tools::{Evidence, EvidenceManifest, EvidencePack, evidence_pack};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    shop::{self, Pen, id},
    verbs::Desk,
};

/// Three orders, and two changes of rights.
fn pen() -> Pen {
    let mut pen = shop::three_orders();
    let account_id = AccountId(id(41));
    let granted: AccountEvent = AccountRoleGranted { role: "support".parse().unwrap() }.into();
    pen.command("process:first", vec![shop::admin(41, true)]);
    pen.command("admin:41", vec![(StreamId::new("account", account_id), CommerceEvent::from(granted))]);
    pen
}

async fn log(pen: &Pen) -> Arc<MemoryLog> {
    let log = MemoryLog::new();
    log.append(0, pen.events().to_vec()).await.unwrap();
    Arc::new(log)
}

fn key() -> SigningKey {
    SigningKey::new("daybook/test", [7; 32]).unwrap()
}

fn known_keys() -> KnownKeys {
    [key().verifier()].into_iter().collect()
}

/// A pack of a log that grew since the last, with the last: signed heads in both.
async fn two_packs(folder: &Path) -> (PathBuf, PathBuf) {
    let (first, second) = (folder.join("q1.zip"), folder.join("q2.zip"));
    let mut pen = pen();
    let log = log(&pen).await;
    let signed = || Evidence { key: Some(key()), ..Evidence::default() };
    let last = evidence_pack(log.clone(), &first, signed()).await.unwrap();
    let head = EvidencePack::open(&first).unwrap().read("heads.txt").unwrap();
    let heads = notary::read_heads(std::str::from_utf8(&head).unwrap()).unwrap();
    let before = pen.events().len();
    pen.order(4);
    log.append(before as u64, pen.events()[before..].to_vec()).await.unwrap();
    let asked = Evidence { heads, keys: known_keys(), since: Some(last), ..signed() };
    let pack = evidence_pack(log, &second, asked).await.unwrap();
    assert!(pack.ok);
    (first, second)
}

fn check(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daybook-replay")).arg("evidence-check").args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_pack_holds_everything_that_was_promised() {
    let folder = TempDir::new().unwrap();
    let (_, second) = two_packs(folder.path()).await;
    let mut pack = EvidencePack::open(&second).unwrap();
    let mut names = pack.names();
    names.sort();
    let expected = [
        "consistency.json",
        "digests.bin",
        "heads.txt",
        "index.html",
        "manifest.json",
        "rights.json",
        "trial-balance.csv",
        "trial-balance.json",
        "verify.json",
    ];
    assert_eq!(names, expected);
    let manifest: EvidenceManifest = pack.manifest().unwrap();
    assert_eq!((manifest.to, manifest.files.len(), manifest.files["digests.bin"].bytes), (35, 8, 35 * 32));
    let rights: Value = serde_json::from_slice(&pack.read("rights.json").unwrap()).unwrap();
    let told: Vec<_> = rights.as_array().unwrap().iter().map(|change| (&change["position"], &change["event_type"])).collect();
    assert_eq!(told, [(&Value::from(26), &Value::from("AdminAdded")), (&Value::from(27), &Value::from("AccountRoleGranted"))]);
    let balance = String::from_utf8(pack.read("trial-balance.csv").unwrap()).unwrap();
    assert!(balance.contains("EUR,cash:sandbox,4800,0,4800\n") && balance.contains("EUR,tax_payable,0,800,-800\n"), "{balance}");
    let report: Value = serde_json::from_slice(&pack.read("verify.json").unwrap()).unwrap();
    assert_eq!((&report["verification"]["ok"], &report["verification"]["to"]), (&Value::from(true), &Value::from(35)));
}

#[tokio::test]
async fn a_pack_is_checked_without_a_database_against_the_last_one_and_a_key_from_elsewhere() {
    let folder = TempDir::new().unwrap();
    let (first, second) = two_packs(folder.path()).await;
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let key = key().verifier().to_string();
    let checked = check(&[second, "--since", first, "--verifier-key", &key]);
    let text = said(&checked);
    assert!(checked.status.success() && text.contains("the pack holds: positions 1 to 35"), "{text}");
    assert!(
        text.contains("the log of 35 events begins with that of 27") && text.contains("head of 27 events was signed"),
        "{text}"
    );
    let stranger = SigningKey::new("daybook/test", [8; 32]).unwrap().verifier().to_string();
    let refused = check(&[second, "--verifier-key", &stranger]);
    assert!(
        !refused.status.success() && said(&refused).contains("WRONG: the head of 35 events was signed"),
        "{}",
        said(&refused)
    );
    let turned_round = check(&[first, "--since", second]);
    assert!(!turned_round.status.success() && said(&turned_round).contains("no proof of it"), "{}", said(&turned_round));
}

/// The same pack with one file changed, and with a manifest that fits if that is wished.
fn changed(pack: &Path, name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, with_manifest: bool) -> PathBuf {
    let mut old = EvidencePack::open(pack).unwrap();
    let mut manifest = old.manifest().unwrap();
    let path = pack.with_extension("changed.zip");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    for entry in old.names() {
        let mut content = old.read(&entry).unwrap();
        if entry == name {
            content = change(content);
            if with_manifest {
                let packed = manifest.files.get_mut(name).unwrap();
                packed.sha256 = sha256(&content);
            }
        }
        if entry == "manifest.json" {
            continue;
        }
        zip.start_file(entry, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&content).unwrap();
    }
    zip.start_file("manifest.json", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&serde_json::to_vec(&manifest).unwrap()).unwrap();
    zip.finish().unwrap();
    path
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What becomes of the bytes of a file.
type Change = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;

#[tokio::test]
async fn whatever_is_changed_in_a_pack_is_named_even_if_the_manifest_was_made_to_fit() {
    let folder = TempDir::new().unwrap();
    let (_, second) = two_packs(folder.path()).await;
    let flip = |mut bytes: Vec<u8>| {
        bytes[40] ^= 1;
        bytes
    };
    let text = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replacen(from, to, 1).into_bytes()
    };
    let cases: [(&str, Change, bool, &str); 5] = [
        ("trial-balance.csv", Box::new(text("4800", "4900")), false, "trial-balance.csv was changed"),
        ("digests.bin", Box::new(flip), true, "their root is"),
        ("rights.json", Box::new(text("\\\"support\\\"", "\\\"finance\\\"")), true, "changes of rights are in the log"),
        ("rights.json", Box::new(text("\"sentence\": \"", "\"sentence\": \"not ")), true, "reads in it: "),
        ("consistency.json", Box::new(text("\"old_size\": 27", "\"old_size\": 26")), true, "begins with that of 26"),
    ];
    for (name, change, with_manifest, expected) in cases {
        let path = changed(&second, name, change, with_manifest);
        let checked = check(&[path.to_str().unwrap()]);
        assert!(!checked.status.success(), "{name}: {}", said(&checked));
        assert!(said(&checked).lines().any(|line| line.starts_with("WRONG") && line.contains(expected)), "{}", said(&checked));
        fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn a_log_that_does_not_go_on_from_the_last_pack_or_from_a_signed_head_is_packed_as_wrong() {
    let folder = TempDir::new().unwrap();
    let rewritten = {
        let mut pen = pen();
        pen.last().occurred_at += chrono::TimeDelta::seconds(1);
        pen.order(4);
        log(&pen).await
    };
    let whole = log(&pen()).await;
    let honest = Evidence { key: Some(key()), ..Evidence::default() };
    let mut last = evidence_pack(whole, &folder.path().join("last.zip"), honest).await.unwrap();
    let heads = EvidencePack::open(&folder.path().join("last.zip")).unwrap().read("heads.txt").unwrap();
    let heads = notary::read_heads(std::str::from_utf8(&heads).unwrap()).unwrap();
    let asked = Evidence { heads, keys: known_keys(), ..Evidence::default() };
    let by_head = evidence_pack(rewritten.clone(), &folder.path().join("head.zip"), asked).await.unwrap();
    assert!(!by_head.ok);
    let report = EvidencePack::open(&folder.path().join("head.zip")).unwrap().read("verify.json").unwrap();
    assert!(String::from_utf8_lossy(&report).contains("had another root when that was signed"));
    let another = evidence_pack(rewritten.clone(), &folder.path().join("no.zip"), since(last.clone())).await.unwrap_err();
    assert!(another.to_string().contains("is about log"), "{another}");
    last.log = rewritten.id();
    assert!(!evidence_pack(rewritten, &folder.path().join("since.zip"), since(last)).await.unwrap().ok);
    let checked = check(&[folder.path().join("since.zip").to_str().unwrap()]);
    assert!(!checked.status.success() && said(&checked).contains("THE PACK DOES NOT HOLD"), "{}", said(&checked));
}

#[tokio::test]
async fn a_tail_that_nobody_signed_is_no_evidence_for_who_has_a_key() {
    let folder = TempDir::new().unwrap();
    let mut pen = pen();
    let log = log(&pen).await;
    let honest = Evidence { key: Some(key()), ..Evidence::default() };
    evidence_pack(log.clone(), &folder.path().join("honest.zip"), honest).await.unwrap();
    let heads = EvidencePack::open(&folder.path().join("honest.zip")).unwrap().read("heads.txt").unwrap();
    let heads = notary::read_heads(std::str::from_utf8(&heads).unwrap()).unwrap();
    let before = pen.events().len();
    pen.order(4);
    log.append(before as u64, pen.events()[before..].to_vec()).await.unwrap();
    let forged = folder.path().join("forged.zip");
    evidence_pack(log, &forged, Evidence { heads, keys: known_keys(), ..Evidence::default() }).await.unwrap();
    let (forged, key) = (forged.to_str().unwrap(), key().verifier().to_string());
    let checked = check(&[forged, "--verifier-key", &key]);
    let text = said(&checked);
    assert!(!checked.status.success() && text.contains("right: the head of 27 events was signed"), "{text}");
    assert!(text.contains("WRONG: all 35 events and their root were signed: there is no such head"), "{text}");
    let checked = check(&[forged]);
    assert!(checked.status.success() && said(&checked).contains("only said by whoever made the pack"), "{}", said(&checked));
}

#[tokio::test]
async fn a_log_that_is_shorter_than_a_signed_head_is_packed_as_wrong_and_a_beginning_of_a_whole_one_is_not() {
    let folder = TempDir::new().unwrap();
    let log = log(&pen()).await;
    let stranger = SigningKey::new("daybook/test", [8; 32]).unwrap();
    let head = |size, key: &SigningKey| notary::SignedCheckpoint::sign(size, [5; 32], key);
    let asked = |heads, log_end| Evidence { heads, keys: known_keys(), log_end, ..Evidence::default() };
    let path = folder.path().join("short.zip");
    assert!(!evidence_pack(log.clone(), &path, asked(vec![head(28, &key())], 0)).await.unwrap().ok);
    let report = EvidencePack::open(&path).unwrap().read("verify.json").unwrap();
    assert!(String::from_utf8_lossy(&report).contains("28 events were signed, and the log ends at 27"));
    let path = folder.path().join("stranger.zip");
    assert!(evidence_pack(log.clone(), &path, asked(vec![head(28, &stranger)], 0)).await.unwrap().ok);
    let path = folder.path().join("beginning.zip");
    assert!(evidence_pack(log, &path, asked(vec![head(28, &key())], 28)).await.unwrap().ok);
}

fn since(last: EvidenceManifest) -> Evidence {
    Evidence { since: Some(last), ..Evidence::default() }
}

#[tokio::test]
async fn a_pack_is_never_written_over_another_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("q1.zip");
    fs::write(&path, "a letter").unwrap();
    let refused = evidence_pack(log(&pen()).await, &path, Evidence::default()).await.unwrap_err();
    assert!(refused.to_string().contains("is there already") && fs::read(&path).unwrap() == b"a letter", "{refused}");
}

#[tokio::test]
async fn a_pack_that_does_not_pass_its_check_is_told_at_once_and_stays() {
    let desk = Desk::with_three_orders().await;
    let key = desk.text(&["notary-key", "generate", "--name", "daybook/tea", "--out", "tea.key"]);
    let key = key.trim();
    fs::write(desk.path("heads.txt"), desk.text(&["head", "--key", "tea.key", "--to", "9"])).unwrap();
    let pack = ["evidence-pack", "--heads", "heads.txt", "--verifier-key", key, "--out"];
    // Nobody signed what follows position 9.
    let packed = desk.run(&[&pack[..], &["tail.zip"]].concat());
    assert_eq!(packed.status.code(), Some(1));
    let text = said(&packed);
    assert!(text.contains("WRONG: all 25 events and their root were signed: there is no such head in the pack"), "{text}");
    assert!(desk.path("tail.zip").exists() && !desk.run(&["evidence-check", "tail.zip", "--verifier-key", key]).status.success());
    assert!(desk.text(&[&pack[..], &["signed.zip", "--sign-with", "tea.key"]].concat()).contains("nothing is wrong"));
    let told = desk.json(&[&pack[..], &["nine.zip", "--to", "9"]].concat());
    assert_eq!((&told["ok"], &told["wrong"]), (&Value::from(true), &Value::from(Vec::<Value>::new())));
}

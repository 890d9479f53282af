//! Signed heads and proofs, as a person or a script uses them, and every way in which they must not be believed.

use std::{sync::Arc, time::Duration};

use notary::{Notary, NotaryConfig, SigningKey};

use crate::verbs::Desk;

/// A desk with a signing key, its verifier key, and heads of 9 and of 25 events.
async fn desk() -> (Desk, String) {
    let desk = Desk::with_three_orders().await;
    let verifier = desk.text(&["notary-key", "generate", "--name", "daybook/tea", "--out", "notary.key"]).trim().to_owned();
    let small = desk.text(&["head", "--key", "notary.key", "--to", "9"]);
    let large = desk.text(&["head", "--key", "notary.key"]);
    write(&desk, "small.txt", &small);
    write(&desk, "large.txt", &large);
    write(&desk, "heads.txt", &format!("{small}\n{large}"));
    (desk, verifier)
}

/// Writes a file beside the log.
fn write(desk: &Desk, name: &str, text: &str) {
    std::fs::write(desk.path(name), text).unwrap();
}

fn read(desk: &Desk, name: &str) -> String {
    std::fs::read_to_string(desk.path(name)).unwrap()
}

/// What is found by a run that must find something, each as `position N: rule: message`.
fn findings(desk: &Desk, args: &[&str]) -> Vec<String> {
    let output = desk.run(args);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().filter(|line| line.starts_with("position ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_head_of_a_file_is_held_against_the_log() {
    let (desk, verifier) = desk().await;
    let key = ["--verifier-key", verifier.as_str()];
    let verify = |file: &'static str| [&["verify", "--heads", file][..], &key].concat();
    let said = desk.text(&verify("heads.txt"));
    assert!(said.starts_with("nothing is wrong: positions 1 to 25") && said.contains("\nheads: 2\n"), "{said}");
    write(&desk, "empty.txt", "\n");
    assert!(desk.refusal(&verify("empty.txt")).contains("empty.txt holds no signed head"));
    assert!(desk.refusal(&["verify", "--heads", "heads.txt"]).contains("--verifier-key"));
    // One that a key of another signed, one of another history, and one that is larger than the log.
    let other = SigningKey::generate("daybook/tea").unwrap();
    write(&desk, "other.key", &other.to_text());
    let text = desk.text(&["head", "--key", "other.key", "--to", "4"]);
    write(&desk, "mixed.txt", &(text + &read(&desk, "heads.txt")));
    let found = findings(&desk, &verify("mixed.txt"));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("position 4: head: the head of 4 events in mixed.txt: it is not signed with a key"), "{found:?}");
    let known = SigningKey::parse(&read(&desk, "notary.key")).unwrap();
    let forged: String = [9, 26].map(|size| notary::SignedCheckpoint::sign(size, [7; 32], &known).to_string()).concat();
    write(&desk, "forged.txt", &forged);
    let found = findings(&desk, &verify("forged.txt"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("position 9: head: the first 9 events had root 0707"), "{found:?}");
    assert!(found[1].contains("position 26: head: the log had 26 events"), "{found:?}");
    write(&desk, "torn.txt", &read(&desk, "heads.txt")[..200]);
    assert!(desk.refusal(&verify("torn.txt")).contains("torn.txt, line"));
    // A record and its digest, rewritten together: only the heads show it.
    desk.tamper("UPDATE events SET digest = zeroblob(32) WHERE position = 20");
    let found = findings(&desk, &verify("heads.txt"));
    assert!(found.iter().any(|finding| finding.contains("position 25: head: the first 25 events had root")), "{found:?}");
    assert!(!found.iter().any(|finding| finding.contains("position 9: head")), "{found:?}");
}

#[tokio::test]
async fn a_proof_holds_without_the_log_and_no_changed_one_does() {
    let (desk, verifier) = desk().await;
    desk.text(&["prove", "5", "--head", "heads.txt", "--out", "proof.json"]);
    let check = |file: &'static str, more: &[&'static str]| {
        let args = [&["check-proof", file, "--verifier-key", verifier.as_str()][..], more].concat();
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |args: &[String]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        desk.run_where(&[("DAYBOOK_LOG", "sqlite:nowhere.db")], &args)
    };
    let said = String::from_utf8(run(&check("proof.json", &["--head", "large.txt"])).stdout).unwrap();
    assert!(said.starts_with("position 5 is in the log daybook/tea of 25 events"), "{said}");
    assert!(run(&check("proof.json", &[])).status.success());
    let whole = read(&desk, "proof.json");
    let refused = |changed: &str, because: &str| {
        write(&desk, "changed.json", changed);
        let output = run(&check("changed.json", &[]));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(because), "{said}");
    };
    refused(&whole.replace("auth-1", "auth-2"), "its record was changed");
    refused(&whole.replace("\"index\": 4", "\"index\": 5"), "its record has position 5 and not 6");
    refused(&whole.replace("\"index\"", "\"inde\""), "it is no proof");
    refused(&whole.replace("daybook-proof/1", "daybook-proof/2"), "it is of format daybook-proof/2");
    refused(&whole.replace("\\n25\\n", "\\n24\\n"), "the signature of daybook/tea is wrong");
    // As text: the record must stay as it is, byte for byte.
    let proof: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let [first, second] = [0, 1].map(|place| proof["path"][place].as_str().unwrap());
    refused(&whole.replace(first, "…").replace(second, first).replace('…', second), "it does not lead to the root");
    refused(&whole.replace(&format!("\"{first}\",\n    "), ""), "needs another number of them");
    let output = run(&check("proof.json", &["--head", "small.txt"]));
    assert!(String::from_utf8(output.stderr).unwrap().contains("of 25 events, and the one to believe has 9"));
    let stranger = SigningKey::generate("daybook/tea").unwrap().verifier().to_string();
    assert!(desk.refusal(&["check-proof", "proof.json", "--verifier-key", &stranger]).contains("not signed with a key"));
    assert!(desk.refusal(&["check-proof", "proof.json"]).contains("give --verifier-key"));
    assert!(desk.refusal(&["prove", "10", "--head", "small.txt", "--out", "p"]).contains("the head has 9 events"));
    desk.tamper("UPDATE events SET digest = zeroblob(32) WHERE position = 20");
    let said = desk.refusal(&["prove", "5", "--head", "large.txt", "--out", "p"]);
    assert!(said.contains("the log is not what was signed with 25 events"), "{said}");
}

#[tokio::test]
async fn no_proof_is_written_over_a_file_unless_that_is_said() {
    let (desk, verifier) = desk().await;
    let prove = ["prove", "5", "--head", "heads.txt", "--out", "proof.json"];
    let consistency = ["prove-consistency", "small.txt", "large.txt", "--out", "proof.json"];
    write(&desk, "proof.json", "a letter");
    for args in [&prove[..], &consistency] {
        let said = desk.refusal(args);
        assert!(said.contains("proof.json is there already: name another file, or write over it with --force"), "{said}");
        assert_eq!(read(&desk, "proof.json"), "a letter");
    }
    desk.text(&[&consistency[..], &["--force"]].concat());
    desk.text(&["check-consistency", "proof.json", "--verifier-key", &verifier]);
    desk.text(&[&prove[..], &["--force"]].concat());
    desk.text(&["check-proof", "proof.json", "--verifier-key", &verifier]);
}

#[tokio::test]
async fn a_later_log_is_shown_to_begin_with_an_earlier_one() {
    let (desk, verifier) = desk().await;
    desk.text(&["prove-consistency", "small.txt", "large.txt", "--out", "grown.json"]);
    let check = ["check-consistency", "grown.json", "--verifier-key", verifier.as_str()];
    assert_eq!(desk.json(&check)["old"]["size"], 9);
    let whole = read(&desk, "grown.json");
    let mut proof: serde_json::Value = serde_json::from_str(&whole).unwrap();
    proof["path"][0] = proof["path"][1].clone();
    write(&desk, "grown.json", &proof.to_string());
    assert!(desk.refusal(&check).contains("it does not lead to the root of the older tree"));
    write(&desk, "grown.json", &whole.replace("daybook/tea\\n9", "daybook/tea\\n8"));
    assert!(desk.refusal(&check).contains("the signature of daybook/tea is wrong"));
    let said = desk.refusal(&["prove-consistency", "large.txt", "small.txt", "--out", "x"]);
    assert!(said.contains("name the earlier first, prove-consistency small.txt large.txt"), "{said}");
    let said = desk.refusal(&["prove-consistency", "nowhere.txt", "large.txt", "--out", "x"]);
    assert!(said.contains("nowhere.txt is not there") && !said.contains("os error"), "{said}");
    let known = SigningKey::parse(&read(&desk, "notary.key")).unwrap();
    write(&desk, "forged.txt", &notary::SignedCheckpoint::sign(9, [7; 32], &known).to_string());
    let said = desk.refusal(&["prove-consistency", "forged.txt", "large.txt", "--out", "x"]);
    assert!(said.contains("the log is not what was signed"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_from_a_head_with_its_tiles_reads_nothing_before_it() {
    let (desk, verifier) = desk().await;
    let key = Arc::new(SigningKey::parse(&read(&desk, "notary.key")).unwrap());
    let log = replay_tools::open(&desk.log).await.unwrap();
    let interval = Duration::from_secs(3600);
    let config = NotaryConfig { folder: desk.path("tiles"), origin: key.name().to_owned(), interval, publish: None };
    let notary = Notary::start(log.clone(), key, config);
    assert_eq!(notary.sign().await.unwrap().to_string(), read(&desk, "large.txt"));
    notary.stop().await;
    drop(log);
    let resume = ["verify", "--resume-from", "small.txt", "--heads", "heads.txt", "--verifier-key", &verifier];
    let with_tiles = [&resume[..], &["--tiles", "tiles"]].concat();
    let whole = desk.json(&["verify"]);
    for args in [&resume[..], &with_tiles] {
        let found = desk.json(args);
        assert_eq!((&found["from"], &found["events"], &found["root"]), (&10.into(), &16.into(), &whole["root"]));
        assert_eq!(found["heads"], 2, "the one that it begins behind as well");
        assert!(desk.text(args).contains("not checked, because it needs the log from its beginning"));
    }
    // What was verified before is not looked at again; what is new is.
    desk.tamper("UPDATE events SET digest = zeroblob(32) WHERE position = 3");
    assert_eq!(desk.json(&with_tiles)["ok"], true);
    assert!(desk.refusal(&resume).contains("in this log, the first 9 events had root"));
    desk.tamper("UPDATE events SET digest = zeroblob(32) WHERE position = 12");
    let found = findings(&desk, &with_tiles);
    assert!(found.iter().any(|finding| finding.contains("position 25: head")), "{found:?}");
    // Tiles of another tree are not believed.
    let tile = desk.path("tiles/tile/0/000.p/25");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    assert!(desk.refusal(&with_tiles).contains("by these tiles, the first 9 events had root"));
}

/// The digests of the log, as in a tile.
fn digests(desk: &Desk) -> Vec<u8> {
    let connection = rusqlite::Connection::open(desk.log.strip_prefix("sqlite:").unwrap()).unwrap();
    let mut select = connection.prepare("SELECT digest FROM events ORDER BY position").unwrap();
    select.query_map((), |row| row.get::<_, Vec<u8>>(0)).unwrap().flat_map(Result::unwrap).collect()
}

#[tokio::test]
async fn tiles_of_two_histories_do_not_make_one_head_the_beginning_of_another() {
    let (desk, verifier) = desk().await;
    let tiles = desk.path("tiles/tile/0/000.p");
    std::fs::create_dir_all(&tiles).unwrap();
    std::fs::write(tiles.join("9"), &digests(&desk)[..9 * 32]).unwrap();
    // Another history, of which the shop signed the head of 20 events: the head of 9 was signed before the past was changed.
    desk.tamper("UPDATE events SET digest = zeroblob(32) WHERE position = 3");
    std::fs::write(tiles.join("25"), digests(&desk)).unwrap();
    write(&desk, "forked.txt", &desk.text(&["head", "--key", "notary.key", "--to", "20"]));
    let resume = ["verify", "--resume-from", "forked.txt", "--verifier-key", &verifier];
    let tiles = ["--tiles", "tiles"];
    assert_eq!(desk.json(&[&resume[..], &tiles].concat())["events"], 5, "what is behind that head is whole");
    let heads = ["--heads", "small.txt"];
    let found = findings(&desk, &[&resume[..], &heads].concat());
    assert!(found.len() == 1 && found[0].starts_with("position 9: head: the first 9 events had root"), "{found:?}");
    let found = findings(&desk, &[&resume[..], &heads, &tiles].concat());
    assert!(
        found.len() == 1 && found[0].starts_with("position 9: head: these tiles do not show that the 20 events"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_head_is_signed_of_the_log_whatever_lies_in_a_folder_of_tiles() {
    let (desk, _) = desk().await;
    let tiles = desk.path("tiles/tile/0/000.p");
    std::fs::create_dir_all(&tiles).unwrap();
    std::fs::write(tiles.join("25"), [0; 25 * 32]).unwrap();
    let signed = desk.run_where(&[("DAYBOOK_TILES", "tiles")], &["head", "--key", "notary.key"]);
    assert_eq!(String::from_utf8(signed.stdout).unwrap(), read(&desk, "large.txt"));
    assert!(desk.refusal(&["head", "--key", "notary.key", "--tiles", "tiles"]).contains("unexpected argument '--tiles'"));
}

#[tokio::test]
async fn a_signing_key_is_never_written_over_and_only_its_owner_reads_it() {
    let (desk, verifier) = desk().await;
    let before = read(&desk, "notary.key");
    // A shell has emptied the file for the verifier key by then, so it is printed again, whatever the name asked for.
    for name in ["daybook/tea", "daybook/other", "a tea"] {
        let again = desk.run(&["notary-key", "generate", "--name", name, "--out", "notary.key"]);
        assert_eq!((again.status.code(), String::from_utf8(again.stdout).unwrap().trim()), (Some(1), verifier.as_str()));
        let said = String::from_utf8(again.stderr).unwrap();
        assert!(said.contains("notary.key is there already, and is left as it is"), "{said}");
        assert_eq!(read(&desk, "notary.key"), before);
    }
    assert_eq!(desk.text(&["notary-key", "show", "notary.key"]).trim(), verifier);
    assert_eq!(desk.json(&["notary-key", "show", "notary.key"])["verifier_key"], verifier.as_str());
    assert!(desk.refusal(&["notary-key", "show", "heads.txt"]).contains("heads.txt"));
    let heads = read(&desk, "heads.txt");
    let said = desk.refusal(&["notary-key", "generate", "--name", "daybook/tea", "--out", "heads.txt"]);
    assert!(said.contains("heads.txt is there already") && read(&desk, "heads.txt") == heads, "{said}");
    assert!(desk.refusal(&["notary-key", "generate", "--name", "a tea", "--out", "k"]).contains("cannot be the name of a key"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(desk.path("notary.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let unsigned = desk.text(&["head", "--to", "9"]);
    assert!(unsigned.starts_with("daybook/") && unsigned.lines().nth(1) == Some("9") && unsigned.lines().count() == 3);
    assert!(desk.refusal(&["head", "--to", "26"]).contains("the log ends at position 25"));
}

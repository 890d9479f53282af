//! One caller: what is written is read, under the versions that were promised, until it ends.

use chrono::{TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use vault::{Vault, VaultError, VaultKey};

use crate::{Place, contract, key};

/// A document as the shop keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    text: String,
    times: u32,
}

fn note(text: &str) -> Note {
    Note { text: text.to_owned(), times: 3 }
}

async fn read(vault: &Vault, name: &str) -> Option<(Note, u64)> {
    vault.get::<Note>(name).await.unwrap().map(|entry| (entry.value, entry.version))
}

async fn what_is_written_is_read_by_every_node_also_after_opening_again(place: &Place) {
    let (one, other) = (place.node().await, place.node().await);
    assert_eq!(read(&other, "note/a").await, None);
    let version = one.put("note/a", None, &note("Grüße, 你好 \0 \u{1f600}"), None).await.unwrap();
    assert_eq!(read(&other, "note/a").await, Some((note("Grüße, 你好 \0 \u{1f600}"), version)));
    drop((one, other));
    assert_eq!(read(&place.node().await, "note/a").await.unwrap().1, version);
    let long = "x".repeat(1 << 20);
    place.node().await.put("note/long", None, &note(&long), None).await.unwrap();
    assert_eq!(read(&place.node().await, "note/long").await.unwrap().0.text.len(), 1 << 20);
}

async fn an_entry_is_changed_only_by_who_knows_its_version(place: &Place) {
    let vault = place.node().await;
    let first = vault.put("note/a", None, &note("one"), None).await.unwrap();
    for wrong in [None, Some(first + 1), Some(0), Some(u64::MAX)] {
        assert_eq!(vault.put("note/a", wrong, &note("two"), None).await, Err(VaultError::Conflict), "{wrong:?}");
    }
    assert_eq!(read(&vault, "note/a").await, Some((note("one"), first)));
    let second = vault.put("note/a", Some(first), &note("two"), None).await.unwrap();
    assert!(second > first);
    assert_eq!(vault.put("note/a", Some(first), &note("three"), None).await, Err(VaultError::Conflict));
    assert_eq!(read(&vault, "note/a").await, Some((note("two"), second)));
    assert_eq!(vault.put("note/b", Some(second), &note("three"), None).await, Err(VaultError::Conflict));
    assert_eq!(read(&vault, "note/b").await, None);
}

async fn a_version_never_comes_back(place: &Place) {
    let vault = place.node().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let version = vault.put("note/a", None, &note("a"), None).await.unwrap();
        assert!(seen.insert(version));
        assert!(vault.remove("note/a").await.unwrap());
        assert_eq!(vault.put("note/a", Some(version), &note("b"), None).await, Err(VaultError::Conflict));
    }
    drop(vault);
    let version = place.node().await.put("note/a", None, &note("a"), None).await.unwrap();
    assert!(seen.insert(version), "also after opening again");
}

async fn what_is_removed_or_taken_is_gone(place: &Place) {
    let vault = place.node().await;
    assert!(!vault.remove("note/a").await.unwrap());
    assert_eq!(vault.take::<Note>("note/a").await.unwrap(), None);
    vault.put("note/a", None, &note("a"), None).await.unwrap();
    assert!(vault.remove("note/a").await.unwrap());
    assert!(!vault.remove("note/a").await.unwrap());
    vault.put("note/a", None, &note("b"), None).await.unwrap();
    assert_eq!(vault.take::<Note>("note/a").await.unwrap(), Some(note("b")));
    assert_eq!(vault.take::<Note>("note/a").await.unwrap(), None);
    assert_eq!(read(&vault, "note/a").await, None);
}

async fn what_has_expired_is_not_there_and_its_name_is_free(place: &Place) {
    let vault = place.node().await;
    let (past, later) = (Utc::now() - TimeDelta::seconds(1), Utc::now() + TimeDelta::hours(1));
    let expired = async |name: &str| vault.put(name, None, &note("old"), Some(past)).await.unwrap();
    let version = expired("note/a").await;
    assert_eq!(read(&vault, "note/a").await, None);
    assert_eq!(vault.list::<Note>("note/", None, 10).await.unwrap(), []);
    assert_eq!(vault.put("note/a", Some(version), &note("new"), None).await, Err(VaultError::Conflict));
    let again = vault.put("note/a", None, &note("new"), Some(later)).await.unwrap();
    assert!(again > version);
    let entry = vault.get::<Note>("note/a").await.unwrap().unwrap();
    assert_eq!((entry.value, entry.version), (note("new"), again));
    assert_eq!(entry.expires_at.unwrap().timestamp_micros(), later.timestamp_micros());
    // Not given out, and not left behind either.
    for name in ["note/b", "note/c"] {
        expired(name).await;
    }
    assert_eq!(vault.take::<Note>("note/b").await.unwrap(), None);
    assert!(!vault.remove("note/c").await.unwrap());
    // An end can be moved, and taken away.
    let sooner = vault.put("note/a", Some(again), &note("newer"), Some(past)).await.unwrap();
    assert_eq!(read(&vault, "note/a").await, None);
    assert_eq!(vault.put("note/a", Some(sooner), &note("newest"), None).await, Err(VaultError::Conflict));
}

async fn sweeping_removes_what_has_expired_and_nothing_else(place: &Place) {
    let vault = place.node().await;
    let now = Utc::now();
    vault.put("note/forever", None, &note("a"), None).await.unwrap();
    vault.put("note/later", None, &note("b"), Some(now + TimeDelta::hours(1))).await.unwrap();
    for n in 0..3 {
        vault.put(&format!("note/past{n}"), None, &note("c"), Some(now - TimeDelta::seconds(n))).await.unwrap();
    }
    assert_eq!(vault.sweep(now).await.unwrap(), 3);
    assert_eq!(vault.sweep(now).await.unwrap(), 0);
    assert!(read(&vault, "note/forever").await.is_some() && read(&vault, "note/later").await.is_some());
    assert_eq!(vault.sweep(now + TimeDelta::hours(1)).await.unwrap(), 1);
    assert!(read(&vault, "note/forever").await.is_some());
}

async fn a_list_goes_by_the_bytes_of_the_names_page_by_page(place: &Place) {
    let vault = place.node().await;
    let names = ["note/-", "note/1", "note/10", "note/2", "note/B", "note/a", "note/a/b", "note/~", "noted/1", "nota/1"];
    for name in names {
        vault.put(name, None, &note(name), None).await.unwrap();
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = vault.list::<Note>("note/", after.as_deref(), 3).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        assert!(page.len() <= 3 && page.iter().all(|(name, entry)| entry.value == note(name)));
        found.extend(page.into_iter().map(|(name, _)| name));
    }
    assert_eq!(found, names[..8]);
    assert_eq!(vault.list::<Note>("note/1", None, 10).await.unwrap().len(), 2);
    assert_eq!(vault.list::<Note>("n", None, 100).await.unwrap().len(), 10);
    assert_eq!(vault.list::<Note>("note/", None, 0).await.unwrap(), []);
    assert_eq!(vault.list::<Note>("other/", None, 10).await.unwrap(), []);
    assert_eq!(vault.list::<Note>("note/", Some("other/1"), 10).await.unwrap(), []);
}

async fn names_that_are_none_are_refused_by_every_call(place: &Place) {
    let vault = place.node().await;
    for name in ["", "note", "note/", "/a", "note/a b", "note/ä", "note/a\0", "note/a'; DROP TABLE entries\n"] {
        assert_eq!(vault.get::<Note>(name).await, Err(VaultError::Name), "{name:?}");
        assert_eq!(vault.put(name, None, &note("a"), None).await, Err(VaultError::Name));
        assert_eq!(vault.remove(name).await, Err(VaultError::Name));
        assert_eq!(vault.take::<Note>(name).await, Err(VaultError::Name));
        assert_eq!(vault.list::<Note>("note/", Some(name), 1).await, Err(VaultError::Name));
    }
    for prefix in ["", "no te", "né"] {
        assert_eq!(vault.list::<Note>(prefix, None, 1).await, Err(VaultError::Name), "{prefix:?}");
    }
    // What only looks like SQL is a name as any other.
    vault.put("note/%';--", None, &note("a"), None).await.unwrap();
    assert_eq!(vault.list::<Note>("note/%", None, 10).await.unwrap().len(), 1);
    assert_eq!(vault.list::<Note>("note/_", None, 10).await.unwrap(), []);
}

async fn another_key_is_refused_on_opening_and_changes_nothing(place: &Place) {
    let vault = place.node().await;
    vault.put("note/a", None, &note("a"), None).await.unwrap();
    let refused = Vault::open(&place.0, VaultKey::generate()).await.unwrap_err();
    assert!(matches!(refused, VaultError::WrongKey(_)), "{refused}");
    assert!(refused.to_string().contains("another vault key"), "{refused}");
    assert!(read(&vault, "note/a").await.is_some() && read(&place.node().await, "note/a").await.is_some());
}

async fn a_document_of_another_shape_is_named_and_not_repeated(place: &Place) {
    let vault = place.node().await;
    vault.put("note/a", None, &"s3cret", None).await.unwrap();
    let damaged = vault.get::<Note>("note/a").await.unwrap_err();
    assert!(matches!(&damaged, VaultError::Damaged(name, _) if name == "note/a"), "{damaged}");
    assert!(!damaged.to_string().contains("s3cret"), "{damaged}");
}

async fn fingerprints_are_the_same_on_every_node(place: &Place) {
    let (one, other) = (place.node().await, place.node().await);
    assert_eq!(one.blind("email", "ana@example.com"), other.blind("email", "ana@example.com"));
    assert_ne!(one.blind("email", "ana@example.com"), one.blind("code", "ana@example.com"));
}

contract!(
    what_is_written_is_read_by_every_node_also_after_opening_again,
    an_entry_is_changed_only_by_who_knows_its_version,
    a_version_never_comes_back,
    what_is_removed_or_taken_is_gone,
    what_has_expired_is_not_there_and_its_name_is_free,
    sweeping_removes_what_has_expired_and_nothing_else,
    a_list_goes_by_the_bytes_of_the_names_page_by_page,
    names_that_are_none_are_refused_by_every_call,
    another_key_is_refused_on_opening_and_changes_nothing,
    a_document_of_another_shape_is_named_and_not_repeated,
    fingerprints_are_the_same_on_every_node,
);

#[tokio::test]
async fn an_unknown_kind_of_address_says_which_kinds_are_known_and_not_what_was_in_it() {
    for url in ["mysql://ana:s3cret@localhost/shop", "vault.db", "sqlite:", "postgre://ana:s3cret@h/shop"] {
        let error = Vault::open(url, key()).await.unwrap_err().to_string();
        assert!(error.contains("sqlite:PATH") && error.contains("postgres://") && !error.contains("s3cret"), "{error}");
    }
}

//! Vaults that are moved, and vaults that get another key.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;
use vault::{Vault, VaultError, VaultKey};

use crate::{Place, contract, key};

fn another() -> VaultKey {
    VaultKey::from_bytes([9; 32])
}

/// A vault with entries of every kind, more than are read at once.
async fn filled(place: &Place) -> Vault {
    let vault = place.node().await;
    let blinded = format!("email/{}", vault.blind("email", "ana@example.com"));
    vault.put(&blinded, None, &"ana", None).await.unwrap();
    vault.put("code/later", None, &1, Some(Utc::now() + TimeDelta::hours(1))).await.unwrap();
    vault.put("code/over", None, &1, Some(Utc::now() - TimeDelta::seconds(1))).await.unwrap();
    for number in 0..600 {
        vault.put(&format!("note/{number:04}"), None, &number, None).await.unwrap();
    }
    vault
}

async fn holds_everything(vault: &Vault) {
    let name = format!("email/{}", vault.blind("email", "ana@example.com"));
    assert_eq!(vault.get::<String>(&name).await.unwrap().unwrap().value, "ana", "names are blinded as before");
    let later = vault.get::<i32>("code/later").await.unwrap().unwrap();
    assert!(later.expires_at.unwrap() > Utc::now());
    assert!(vault.get::<i32>("code/over").await.unwrap().is_none());
    let notes = vault.list::<i32>("note/", None, 1_000).await.unwrap();
    assert!(notes.len() == 600 && notes.iter().enumerate().all(|(number, (_, note))| note.value == number as i32));
}

async fn a_vault_has_another_key_and_finds_everything_under_the_names_it_had(place: &Place) {
    let sealed = filled(place).await.rekey(&another()).await.unwrap();
    assert!((602..=603).contains(&sealed.entries) && sealed.not_cleaned.is_none(), "{sealed:?}");
    assert!(matches!(Vault::open(&place.0, key()).await, Err(VaultError::WrongKey(_))));
    let vault = Vault::open(&place.0, another()).await.unwrap();
    holds_everything(&vault).await;
    // And once more, with a key after that.
    let third = VaultKey::from_bytes([11; 32]);
    vault.rekey(&third).await.unwrap();
    let vault = Vault::open(&place.0, third).await.unwrap();
    holds_everything(&vault).await;
    let note = vault.get::<i32>("note/0007").await.unwrap().unwrap();
    vault.put("note/0007", Some(note.version), &70, None).await.unwrap();
    assert_eq!(vault.get::<i32>("note/0007").await.unwrap().unwrap().value, 70);
}

async fn a_vault_is_moved_under_the_same_or_another_key_into_an_empty_one_only(place: &Place) {
    let vault = filled(place).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in [("same.db", key()), ("other.db", another())] {
        let url = format!("sqlite:{}", folder.path().join(name).display());
        let (moved, count) = vault.copy_to(&url, key.clone()).await.unwrap();
        assert_eq!(count, 602, "what has expired stays behind");
        holds_everything(&moved).await;
        drop(moved);
        holds_everything(&Vault::open(&url, key.clone()).await.unwrap()).await;
        assert!(matches!(vault.copy_to(&url, key).await, Err(VaultError::NotEmpty(_))));
    }
    // And back: a vault whose key was replaced is moved with the names that it has.
    let url = format!("sqlite:{}", folder.path().join("other.db").display());
    let back = format!("sqlite:{}", folder.path().join("back.db").display());
    let (moved, _) = Vault::open(&url, another()).await.unwrap().copy_to(&back, key()).await.unwrap();
    holds_everything(&moved).await;
    holds_everything(&vault).await;
}

/// Notes written one after the other until the vault refuses: how many were acknowledged, and the refusal.
async fn written_until_refused(vault: Vault, writer: usize) -> (u32, VaultError) {
    let mut written = 0;
    loop {
        match vault.put(&format!("race/{writer}.{written:06}"), None, &written, None).await {
            Ok(_) => written += 1,
            Err(error) => return (written, error),
        }
    }
}

async fn a_node_that_goes_on_with_the_old_key_changes_nothing_and_what_was_acknowledged_is_kept(place: &Place) {
    let (left_running, other) = (filled(place).await, place.node().await);
    let writers: JoinSet<_> = (0..4)
        .map(|writer| {
            let vault = left_running.clone();
            async move { (writer, written_until_refused(vault, writer).await) }
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(left_running.has_our_key().await.unwrap());
    other.rekey(&another()).await.unwrap();
    assert!(!left_running.has_our_key().await.unwrap());
    let vault = Vault::open(&place.0, another()).await.unwrap();
    for (writer, (written, refusal)) in writers.join_all().await {
        assert!(matches!(refusal, VaultError::KeyReplaced(_)), "{refusal}");
        assert!(refusal.to_string().ends_with("restart with the new key"), "{refusal}");
        for number in 0..written {
            let note = vault.get::<u32>(&format!("race/{writer}.{number:06}")).await.unwrap();
            assert_eq!(note.unwrap().value, number, "what was acknowledged can be read with the new key");
        }
    }
    let replaced = |error: VaultError| assert!(matches!(error, VaultError::KeyReplaced(_)), "{error}");
    let note = vault.get::<i32>("note/0001").await.unwrap().unwrap();
    assert!(vault.has_our_key().await.unwrap());
    replaced(left_running.get::<i32>("note/0001").await.unwrap_err());
    replaced(left_running.list::<i32>("note/", None, 10).await.unwrap_err());
    replaced(left_running.put("note/0001", Some(note.version), &5, None).await.unwrap_err());
    replaced(left_running.take::<i32>("note/0001").await.unwrap_err());
    replaced(left_running.remove("note/0001").await.unwrap_err());
    replaced(left_running.rekey(&VaultKey::from_bytes([11; 32])).await.unwrap_err());
    assert_eq!(vault.get::<i32>("note/0001").await.unwrap(), Some(note));
    holds_everything(&vault).await;
}

contract!(
    a_node_that_goes_on_with_the_old_key_changes_nothing_and_what_was_acknowledged_is_kept,
    a_vault_has_another_key_and_finds_everything_under_the_names_it_had,
    a_vault_is_moved_under_the_same_or_another_key_into_an_empty_one_only,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_vault_is_not_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let vault = filled(&Place(crate::in_folder(&folder))).await;
    let path = folder.path().join("part.db");
    let part = Place(format!("sqlite:{}", path.display()));
    let copying = tokio::spawn({
        let (vault, url) = (vault.clone(), part.0.clone());
        async move { vault.copy_to(&url, key()).await.map(drop) }
    });
    let copied = || {
        let there = rusqlite::Connection::open(&path)?;
        there.query_row("SELECT count(*) FROM entries", (), |row| row.get::<_, i64>(0))
    };
    while !copied().is_ok_and(|count| count > 10) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    copying.abort();
    assert!(copying.await.unwrap_err().is_cancelled(), "it was broken off");
    for refused in [Vault::open(&part.0, key()).await.map(drop), vault.copy_to(&part.0, key()).await.map(drop)] {
        assert!(matches!(&refused, Err(VaultError::Unfinished(name)) if name.ends_with("part.db")), "{refused:?}");
    }
}

/// Whoever is told of a failure throws the new key away, and the vault with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_replaced_is_told_as_such_also_when_the_disk_cannot_be_cleaned_and_others_write_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place(crate::in_folder(&folder));
    let vault = place.node().await;
    vault.put("note/a", None, &"a", None).await.unwrap();
    let reader = rusqlite::Connection::open(place.0.trim_start_matches("sqlite:")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM entries").unwrap();
    let seen: i64 = reader.query_row("SELECT count(*) FROM entries", (), |row| row.get(0)).unwrap();
    assert_eq!(seen, 1);
    let sealed = vault.rekey(&another()).await.unwrap();
    assert!(matches!(sealed.not_cleaned, Some(VaultError::Unavailable(..))), "{sealed:?}");
    let vault = Vault::open(&place.0, another()).await.unwrap();
    assert_eq!(vault.get::<String>("note/a").await.unwrap().unwrap().value, "a");

    let purging = tokio::spawn({
        let vault = vault.clone();
        async move { vault.purge().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    for number in 0..5 {
        // Each within the time that a writer waits for its turn.
        vault.put(&format!("note/{number}"), None, &number, None).await.unwrap();
    }
    assert!(!purging.is_finished(), "it is tried again as long as somebody reads");
    drop(reader);
    purging.await.unwrap().unwrap();
}

/// What was sealed with the old key must not stay behind: the key was replaced because somebody may have it.
#[tokio::test]
async fn nothing_in_the_file_opens_with_the_old_key_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place(crate::in_folder(&folder));
    let vault = place.node().await;
    vault.put("note/a", None, &"x".repeat(100), None).await.unwrap();
    let sealed = |place: &Place| {
        let connection = rusqlite::Connection::open(place.0.trim_start_matches("sqlite:")).unwrap();
        connection.query_row("SELECT sealed FROM entries", (), |row| row.get::<_, Vec<u8>>(0)).unwrap()
    };
    let before = sealed(&place);
    vault.rekey(&another()).await.unwrap();
    assert_ne!(sealed(&place), before);
    let bytes: Vec<u8> =
        std::fs::read_dir(folder.path()).unwrap().flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!bytes.windows(before.len()).any(|window| window == before), "the old entry is still on the disk");
}

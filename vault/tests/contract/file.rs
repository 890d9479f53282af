//! The file: what is refused on opening, who may read it, what is in it, and what happens when it goes.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tempfile::TempDir;
use vault::{Vault, VaultError};

use crate::{Place, in_folder, key};

fn folder() -> (TempDir, PathBuf, Place) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let place = Place(in_folder(&folder));
    (folder, path, place)
}

async fn refused(place: &Place) -> VaultError {
    Vault::open(&place.0, key()).await.unwrap_err()
}

fn meddle(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_may_read_the_file_or_those_beside_it() {
    let (folder, path, place) = folder();
    let vault = place.node().await;
    vault.put("note/a", None, &"a", None).await.unwrap();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    // As a copy or a backup may have left it.
    drop(vault);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    place.node().await;
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn what_is_kept_cannot_be_read_in_the_file_and_what_was_removed_is_not_in_it() {
    let (folder, path, place) = folder();
    let vault = place.node().await;
    for n in 0..50 {
        vault.put(&format!("note/{n}"), None, &"a well known secret", None).await.unwrap();
    }
    vault.put("account/gone", None, &"x".repeat(3_000), None).await.unwrap();
    let sealed: Vec<u8> = Connection::open(&path)
        .unwrap()
        .query_row("SELECT sealed FROM entries WHERE name = 'account/gone'", (), |row| row.get(0))
        .unwrap();
    assert!(vault.remove("account/gone").await.unwrap());
    drop(vault);
    let has = |what: &[u8]| {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        files.into_iter().any(|file| file.windows(what.len()).any(|piece| piece == what))
    };
    assert!(has(b"note/7") && !has(b"well known"));
    assert!(!has(&sealed[100..200]), "what was removed is overwritten");
}

#[tokio::test]
async fn a_file_that_is_not_a_vault_is_refused_and_left_as_it_is() {
    let (_folder, path, place) = folder();
    fs::write(&path, "A shopping list. ".repeat(500)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(refused(&place).await, VaultError::NotAVault(..)));
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::remove_file(&path).unwrap();
    meddle(&path, "CREATE TABLE vault (n INTEGER)");
    let before = fs::read(&path).unwrap();
    assert!(refused(&place).await.to_string().contains("of another application"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let (_folder, path, place) = folder();
    drop(place.node().await);
    meddle(&path, "PRAGMA user_version = 999");
    assert!(matches!(refused(&place).await, VaultError::Newer { found: 999, .. }));
    let connection = Connection::open(&path).unwrap();
    assert_eq!(connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap(), 999);
}

#[tokio::test]
async fn a_missing_folder_or_a_folder_is_named() {
    let (folder, _, _) = folder();
    let nowhere = Place(format!("sqlite:{}", folder.path().join("deeper/vault.db").display()));
    assert!(refused(&nowhere).await.to_string().contains("there is no folder"));
    let itself = Place(format!("sqlite:{}", folder.path().display()));
    assert!(refused(&itself).await.to_string().contains("it is a folder"));
}

#[tokio::test]
async fn any_name_of_a_file_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("50% of #1? mode=memory&é.db");
    Place(format!("sqlite:{}", path.display())).node().await;
    assert!(path.is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_goes_is_an_error_and_once_it_is_back_calls_work_again() {
    let (folder, path, place) = folder();
    let vault = place.node().await;
    vault.put("note/a", None, &"a", None).await.unwrap();
    let away = tempfile::tempdir().unwrap();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    for file in &files {
        fs::rename(folder.path().join(file), away.path().join(file)).unwrap();
    }
    for _ in 0..2 {
        assert!(matches!(vault.get::<String>("note/a").await, Err(VaultError::Unavailable(..))));
        let put = vault.put("note/b", None, &"b", None).await;
        assert!(matches!(&put, Err(VaultError::Unavailable(_, reason)) if reason.contains("no such file")), "{put:?}");
        assert!(matches!(vault.take::<String>("note/a").await, Err(VaultError::Unavailable(..))));
    }
    assert!(!path.exists(), "nothing was made in its place");
    for file in &files {
        fs::rename(away.path().join(file), folder.path().join(file)).unwrap();
    }
    assert_eq!(vault.take::<String>("note/a").await.unwrap().as_deref(), Some("a"));
    vault.put("note/b", None, &"b", None).await.unwrap();
}

#[tokio::test]
async fn a_vault_of_another_key_that_comes_in_its_place_is_not_written() {
    let (folder, path, place) = folder();
    let vault = place.node().await;
    let other = folder.path().join("other.db");
    drop(Vault::open(&format!("sqlite:{}", other.display()), vault::VaultKey::generate()).await.unwrap());
    fs::rename(&other, &path).unwrap();
    for beside in ["vault.db-wal", "vault.db-shm"] {
        drop(fs::remove_file(folder.path().join(beside)));
    }
    assert!(matches!(vault.put("note/a", None, &"a", None).await, Err(VaultError::KeyReplaced(_))));
    assert!(matches!(vault.get::<String>("note/a").await, Err(VaultError::KeyReplaced(_))));
}

#[tokio::test]
async fn a_value_that_was_changed_or_moved_in_the_file_is_not_believed() {
    let (_folder, path, place) = folder();
    let vault = place.node().await;
    let put = async |name: &str| vault.put(name, None, &name, None).await.unwrap();
    for name in ["account/ana", "account/eve", "code/1", "code/2"] {
        put(name).await;
    }
    meddle(
        &path,
        "UPDATE entries SET sealed = (SELECT sealed FROM entries WHERE name = 'account/eve') WHERE name = 'account/ana'",
    );
    meddle(&path, "UPDATE entries SET expires_at = 9999999999999999 WHERE name = 'code/1'");
    meddle(&path, "UPDATE entries SET sealed = x'01' WHERE name = 'code/2'");
    for name in ["account/ana", "code/1", "code/2"] {
        let read = vault.get::<String>(name).await;
        assert!(matches!(&read, Err(VaultError::Damaged(of, _)) if of == name), "{read:?}");
    }
    assert!(vault.get::<String>("account/eve").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_nothing_locked() {
    let (_folder, path, place) = folder();
    let vault = place.node().await;
    // Someone holds the file, so that the calls are under way when their callers go.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..20 {
        let (vault, name) = (vault.clone(), format!("note/{n}"));
        let call = tokio::spawn(async move { vault.put(&name, None, &n, None).await });
        tokio::task::yield_now().await;
        call.abort();
    }
    other.execute_batch("COMMIT").unwrap();
    vault.put("note/after", None, &"a", None).await.unwrap();
}

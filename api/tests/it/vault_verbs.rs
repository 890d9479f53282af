//! `daybook vault`: a shop whose vault is moved, and one whose vault gets another key.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use vault::{Vault, VaultKey};

use crate::server::{Server, parts};

/// What a verb of the binary says and ends with, on the shop in a folder.
pub fn daybook(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daybook")).env("DAYBOOK_DATA", folder).args(args).output().unwrap()
}

/// All that it printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn a_vault_is_moved_and_sealed_anew_while_nobody_serves_the_shop() {
    let server = Server::start().await;
    let Server { running, folder, .. } = server;
    let elsewhere = format!("sqlite:{}", folder.path().join("other.db").display());
    let new_key = folder.path().join("new.key");
    let (copy, rekey) = (["vault", "copy", "--to", &elsewhere], ["vault", "rekey", "--new-key", new_key.to_str().unwrap()]);
    for verb in [copy, rekey] {
        let refused = daybook(folder.path(), &verb);
        assert!(!refused.status.success() && said(&refused).contains("in use"), "{}", said(&refused));
    }
    running.shutdown().await;

    let copied = daybook(folder.path(), &copy);
    assert!(copied.status.success() && said(&copied).contains("entries were copied"), "{}", said(&copied));
    assert!(daybook(folder.path(), &["token", "--role", "admin", "--vault", &elsewhere]).status.success());
    let again = daybook(folder.path(), &copy);
    assert!(!again.status.success() && said(&again).contains("has entries already"), "{}", said(&again));

    let sealed = daybook(folder.path(), &rekey);
    assert!(sealed.status.success() && said(&sealed).contains("are sealed with the key in"), "{}", said(&sealed));
    let old = daybook(folder.path(), &["token", "--role", "admin"]);
    assert!(!old.status.success() && said(&old).contains("another vault key"), "{}", said(&old));
    std::fs::rename(&new_key, folder.path().join("vault.key")).unwrap();
    assert!(daybook(folder.path(), &["token", "--role", "admin"]).status.success());
    Server::reopen(folder).await.running.shutdown().await;
}

#[tokio::test]
async fn no_key_is_made_for_a_vault_that_has_one() {
    let Server { running, folder, .. } = Server::start().await;
    running.shutdown().await;
    let (key, kept) = (folder.path().join("vault.key"), folder.path().join("kept"));
    std::fs::rename(&key, &kept).unwrap();
    for verb in [["token", "--role", "admin"].as_slice(), &["serve", "--listen", "127.0.0.1:0"]] {
        let refused = daybook(folder.path(), verb);
        assert!(!refused.status.success() && said(&refused).contains("no vault.key in the data folder"), "{}", said(&refused));
        assert!(!key.exists(), "the next backup would take it for the true one");
    }
    std::fs::rename(&kept, &key).unwrap();
    assert!(daybook(folder.path(), &["token", "--role", "admin"]).status.success());
}

#[tokio::test]
async fn a_node_whose_vault_was_given_another_key_is_not_ready() {
    let server = Server::start().await;
    let ready = async || parts(server.client.get(server.url("/health/ready")).send().await.unwrap()).await;
    let folder = server.folder.path();
    let key = VaultKey::from_base64(&std::fs::read_to_string(folder.join("vault.key")).unwrap()).unwrap();
    // On a machine whose node does not hold this folder.
    let vault = Vault::open(&format!("sqlite:{}", folder.join("vault.db").display()), key).await.unwrap();
    vault.rekey(&VaultKey::generate()).await.unwrap();
    let told = async || loop {
        let (status, _, report) = ready().await;
        if report["problems"].to_string().contains("VAULT_KEY_REPLACED") {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), told()).await.unwrap(), 503);
}

//! A vault that is gone: the shop is not served with a new one in its place unless the operator says so.

use std::{path::Path, process::Command};

use api::{AccountsError, ServeConfig, StartError};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    people::{PASSWORD, refusal},
    server::{Server, config},
    shop::{home, tea},
};

/// Moves the vault, with the files beside it and its key, to another folder.
fn moved(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_str().unwrap().starts_with("vault.") {
            std::fs::rename(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

async fn refused(folder: &Path) -> String {
    let refused = api::start(config(folder)).await.err().unwrap();
    assert!(matches!(refused, StartError::Accounts(AccountsError::VaultLost { .. })), "{refused}");
    refused.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_gone_is_not_replaced_unless_that_is_accepted() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    server.registered("ana@example.com").await;
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    let (away, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    moved(folder.path(), away.path());
    let told = refused(folder.path()).await;
    assert!(
        told.contains("vault.db is new") && told.contains("AccountRegistered") && told.contains("--accept-new-vault"),
        "{told}"
    );
    // Neither a second start nor another verb, which makes keys in the new vault, makes it the shop's.
    let token = Command::new(env!("CARGO_BIN_EXE_daybook"))
        .args(["token", "--role", "admin", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(token.status.success());
    refused(folder.path()).await;
    // Who only looks is told too.
    let look = |accept_new_vault| ServeConfig { read_only: true, accept_new_vault, ..config(folder.path()) };
    let told = api::start(look(false)).await.err().unwrap();
    assert!(matches!(told, StartError::Accounts(AccountsError::VaultLost { .. })), "{told}");
    api::start(look(true)).await.unwrap().shutdown().await;
    refused(folder.path()).await;

    moved(folder.path(), new.path());
    moved(away.path(), folder.path());
    let server = Server::reopen(folder).await;
    assert_eq!(server.login("ana@example.com", PASSWORD).await["userErrors"], json!([]), "restored, it is as it was");
    let Server { running, folder, .. } = server;
    running.shutdown().await;

    moved(folder.path(), away.path());
    let accepting = ServeConfig { accept_new_vault: true, ..config(folder.path()) };
    let server = Server::configured(folder, accepting).await;
    assert_eq!(refusal(&server.login("ana@example.com", PASSWORD).await), "CREDENTIALS_INVALID");
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    Server::reopen(folder).await.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_addresses_need_their_vault_and_a_catalog_needs_none() {
    let server = Server::start().await;
    tea(&server, "TEA-100", "4.50", "EUR", 10).await;
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    moved(folder.path(), TempDir::new().unwrap().path());
    // Nothing in this log was ever sealed, and nobody has an account.
    let server = Server::reopen(folder).await;
    let created = server.done(None, "cartCreate", "cart { id }", json!({ "currency": "EUR" })).await;
    let details = json!({ "cartId": created["cart"]["id"], "email": "ana@example.com", "shippingAddress": home() });
    server.done(None, "cartUpdate", "cart { email }", details).await;
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    moved(folder.path(), TempDir::new().unwrap().path());
    assert!(refused(folder.path()).await.contains("sealed personal data in CartDetailsSet"));
}

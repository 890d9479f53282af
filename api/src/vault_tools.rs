//! `daybook vault`: moving the vault to another place, and replacing its key. For a shop that is not served meanwhile.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use vault::{Rekeyed, VaultError, VaultKey};

use crate::{
    accounts,
    cli::{ShopArgs, say},
    data_folder::{DataFolder, FolderUse},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// `daybook vault`.
#[derive(Debug, Clone, Args)]
pub struct VaultArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: VaultVerb,
}

/// What can be done with the vault of a shop that is not served.
#[derive(Debug, Clone, Subcommand)]
pub enum VaultVerb {
    /// Copy the vault into a new one, such as from the folder to PostgreSQL; serve the shop with --vault there afterwards
    Copy {
        /// Where to: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`. There must be no vault, or an empty one.
        #[arg(long, value_name = "URL")]
        to: String,
        /// Where the shop is kept.
        #[command(flatten)]
        shop: ShopArgs,
    },
    /// Seal everything in the vault with another key; nothing opens with the old one any more
    Rekey {
        /// A file with the new key: made with a random one if it is absent. Put it in the place of vault.key afterwards
        #[arg(long, value_name = "FILE")]
        new_key: PathBuf,
        /// Where the shop is kept.
        #[command(flatten)]
        shop: ShopArgs,
    },
}

/// Runs the verb.
///
/// # Errors
/// If the shop is being served from this folder, or if a vault or a key cannot be used.
pub fn run(args: VaultArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.verb {
            VaultVerb::Copy { to, shop } => copy(&shop, &to).await,
            VaultVerb::Rekey { new_key, shop } => rekey(&shop, &new_key).await,
        }
    })
}

async fn copy(shop: &ShopArgs, to: &str) -> Result<(), Failure> {
    let folder = DataFolder::of_shop(&shop.data, shop.events.as_deref(), shop.vault.as_deref())?;
    let _lock = folder.lock(FolderUse::Alone)?;
    let vault = accounts::open_vault(&folder, shop.vault.as_deref(), shop.events.as_deref()).await?;
    let (_, entries) = vault.copy_to(to, accounts::vault_key(&folder)?).await.map_err(accounts::AccountsError::from)?;
    if shop.json {
        say(serde_json::json!({ "entries": entries }))
    } else {
        say(format!("{entries} entries were copied. Serve the shop with --vault there from now on, and remove the old vault."))
    }
}

async fn rekey(shop: &ShopArgs, file: &Path) -> Result<(), Failure> {
    let folder = DataFolder::of_shop(&shop.data, shop.events.as_deref(), shop.vault.as_deref())?;
    let _lock = folder.lock(FolderUse::Alone)?;
    let vault = accounts::open_vault(&folder, shop.vault.as_deref(), shop.events.as_deref()).await?;
    // It is on the disk before anything is sealed with it.
    let key = key_of(file)?;
    let Rekeyed { entries, not_cleaned } = vault.rekey(&key).await.map_err(|error| not_replaced(error, file))?;
    let not_cleaned = not_cleaned.map(|error| error.to_string());
    if let Some(reason) = &not_cleaned {
        // The verb succeeded: whoever took this for a failure might throw the key away.
        eprintln!(
            "The key is replaced: keep {}. What was sealed with the old one may still be on the disk of the vault: {reason}. It \
             goes when the shop is started again.",
            file.display()
        );
    }
    if shop.json {
        say(serde_json::json!({ "entries": entries, "not_cleaned": not_cleaned }))
    } else {
        say(format!(
            "{entries} entries are sealed with the key in {} now. Put it in the place of vault.key, or its content into \
             DAYBOOK_VAULT_KEY, on every node; keep the old one only as long as backups need it.",
            file.display()
        ))
    }
}

/// Why the key was not replaced, or that nobody knows: then neither key may be thrown away.
fn not_replaced(error: VaultError, file: &Path) -> Failure {
    match error {
        VaultError::Unavailable(..) => {
            let file = file.display();
            format!("{error}. The vault has its old key or the one in {file}: keep both until one has opened it").into()
        }
        error => accounts::AccountsError::from(error).into(),
    }
}

/// The key in a file, which is made with a random one, for its owner only, if it is absent.
fn key_of(file: &Path) -> Result<VaultKey, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(VaultKey::from_base64(&text).map_err(accounts::AccountsError::from)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = VaultKey::generate();
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut made = options.open(file)?;
            io::Write::write_all(&mut made, format!("{}\n", key.to_base64()).as_bytes())?;
            made.sync_all()?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

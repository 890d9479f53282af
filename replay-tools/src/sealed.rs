//! Sealed personal data in what the auditor's verbs print: told as sealed, or opened with the shop's vault.

use clap::Args;
use event_schemas::sealed_for;
use serde_json::Value;
use vault::{Persons, Vault, VaultKey};

use crate::Failure;

/// Where the key of the vault is given: never on the command line.
const KEY: &str = "DAYBOOK_VAULT_KEY";

/// The vault that has the keys of persons, if what is sealed is to be opened.
#[derive(Debug, Clone, Args)]
pub struct VaultUrl {
    /// The vault, to open what is sealed about persons: sqlite:PATH or postgres://USER@HOST/DATABASE, with its key in
    /// DAYBOOK_VAULT_KEY. Without it, sealed data is told as such.
    // Its value may hold a password.
    #[arg(long, env = "DAYBOOK_VAULT", hide_env_values = true, value_name = "URL")]
    pub vault: Option<String>,
}

impl VaultUrl {
    /// The persons of the vault, if one was named.
    ///
    /// # Errors
    /// If it cannot be opened, or its key is not given.
    pub(crate) async fn persons(&self) -> Result<Option<Persons>, Failure> {
        let Some(url) = &self.vault else { return Ok(None) };
        let missing = |_| Failure::Refused(format!("give the vault's key in {KEY}"));
        let key = VaultKey::from_base64(&std::env::var(KEY).map_err(missing)?).map_err(|error| refused(&error))?;
        Ok(Some(Persons::new(Vault::open(url, key).await.map_err(|error| refused(&error))?)))
    }
}

/// A JSON document as it is shown: what is sealed is opened, or told as sealed. Whoever was erased is told as such.
///
/// # Errors
/// If the vault cannot be read, or a text was tampered with.
pub(crate) async fn shown(persons: Option<&Persons>, mut document: Value) -> Result<Value, Failure> {
    let mut rest = vec![&mut document];
    while let Some(value) = rest.pop() {
        match value {
            Value::String(text) => {
                let Some(person) = sealed_for(text) else { continue };
                let mut opened = Value::String(std::mem::take(text));
                match persons {
                    Some(persons) => persons.open_json(&mut opened).await.map_err(|error| refused(&error))?,
                    None => opened = format!("<sealed for person {person}>").into(),
                }
                *value = if opened.is_null() { format!("<person {person} was erased>").into() } else { opened };
            }
            Value::Array(items) => rest.extend(items),
            Value::Object(fields) => rest.extend(fields.values_mut()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(document)
}

fn refused(error: &dyn std::error::Error) -> Failure {
    Failure::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use event_schemas::{PersonId, Personal};
    use serde_json::json;
    use vault::{Persons, Vault, VaultKey};

    use super::shown;

    #[tokio::test]
    async fn sealed_data_is_told_as_such_and_opened_with_the_vault() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("vault.db").display());
        let persons = Persons::new(Vault::open(&url, VaultKey::generate()).await.unwrap());
        let ana = persons.somebody().await.unwrap();
        let sealed = persons.seal(ana, &"ana@example.com".to_owned()).await.unwrap();
        let event = json!({ "email": sealed, "lines": [{ "sku": "TEA" }] });
        let closed = shown(None, event.clone()).await.unwrap();
        assert_eq!(closed, json!({ "email": format!("<sealed for person {ana}>"), "lines": [{ "sku": "TEA" }] }));
        assert_eq!(shown(Some(&persons), event.clone()).await.unwrap()["email"], "ana@example.com");
        persons.destroy(&[ana]).await.unwrap();
        assert_eq!(shown(Some(&persons), event).await.unwrap()["email"], format!("<person {ana} was erased>"));
        let stranger: Personal<String> = Personal::sealed(PersonId(uuid::Uuid::nil()), &[7; 60]);
        let told = shown(Some(&persons), json!([stranger])).await.unwrap();
        assert!(told[0].as_str().unwrap().contains("was erased"), "{told}");
    }
}

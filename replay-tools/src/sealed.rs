//! Sealed personal data in what the auditor's verbs print: told as sealed, or opened with the shop's vault.

use std::collections::BTreeMap;

use clap::Args;
use event_schemas::{PersonId, Recorded};
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
        Self::opened(url, key).await.map(Some)
    }

    /// The persons of a vault that is there: in a new one everybody would look erased.
    async fn opened(url: &str, key: VaultKey) -> Result<Persons, Failure> {
        Ok(Persons::new(Vault::open_existing(url, key).await.map_err(|error| refused(&error))?))
    }
}

/// The payload of an event as it is shown: what is sealed is opened, or told as sealed. Whoever was erased is told as such. What
/// somebody typed is shown as it is, also when it looks sealed.
///
/// # Errors
/// If the vault cannot be read, or a text was tampered with.
pub(crate) async fn shown(persons: Option<&Persons>, record: &Recorded) -> Result<Value, Failure> {
    let payload = &record.event.payload;
    let document = serde_json::from_str(payload).unwrap_or_else(|_| Value::from(payload.as_str()));
    // What cannot be read as an event is shown as it is.
    told(persons, document, &record.sealed_texts().unwrap_or_default()).await
}

async fn told(persons: Option<&Persons>, mut document: Value, sealed: &BTreeMap<String, PersonId>) -> Result<Value, Failure> {
    let mut rest = vec![&mut document];
    while let Some(value) = rest.pop() {
        match value {
            Value::String(text) => {
                let Some(person) = sealed.get(text) else { continue };
                let mut opened = Value::String(std::mem::take(text));
                match persons {
                    Some(persons) => persons.open_json(&mut opened, sealed).await.map_err(|error| refused(&error))?,
                    None => opened = format!("<sealed for person {person}>").into(),
                }
                if opened.is_null()
                    && let Some(persons) = persons
                {
                    let is_known = persons.is_known(*person).await.map_err(|error| refused(&error))?;
                    opened = if is_known {
                        format!("<person {person} was erased>").into()
                    } else {
                        format!("<sealed for person {person}, whose key was never in this vault>").into()
                    };
                }
                *value = opened;
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
    use std::collections::BTreeMap;

    use event_schemas::{PersonId, Personal};
    use serde_json::json;
    use vault::{Persons, Vault, VaultKey};

    use super::{VaultUrl, told};

    #[tokio::test]
    async fn sealed_data_is_told_as_such_and_opened_with_the_vault() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("vault.db").display());
        let persons = Persons::new(Vault::open(&url, VaultKey::generate()).await.unwrap());
        let ana = persons.somebody().await.unwrap();
        let sealed = persons.seal(ana, &"ana@example.com".to_owned()).await.unwrap();
        let typed = format!("sealed:1:{ana}:AAAA");
        let stranger: Personal<String> = Personal::sealed(PersonId(uuid::Uuid::nil()), &[7; 60]);
        let whose = [(&sealed, ana), (&stranger, PersonId(uuid::Uuid::nil()))];
        let texts: BTreeMap<_, _> = whose.map(|(text, person)| (text.as_str().to_owned(), person)).into();
        let event = json!({ "email": sealed, "lines": [{ "sku": "TEA" }], "reason": typed });
        let closed = told(None, event.clone(), &texts).await.unwrap();
        let expected = json!({ "email": format!("<sealed for person {ana}>"), "lines": [{ "sku": "TEA" }], "reason": typed });
        assert_eq!(closed, expected);
        let opened = told(Some(&persons), event.clone(), &texts).await.unwrap();
        assert_eq!((&opened["email"], &opened["reason"]), (&json!("ana@example.com"), &json!(typed)));
        persons.destroy_key(ana).await.unwrap();
        assert_eq!(told(Some(&persons), event, &texts).await.unwrap()["email"], format!("<person {ana} was erased>"));
        let unknown = told(Some(&persons), json!([stranger]), &texts).await.unwrap();
        assert!(unknown[0].as_str().unwrap().contains("whose key was never in this vault"), "{unknown}");
    }

    #[tokio::test]
    async fn a_vault_that_is_not_there_is_told_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("valt.db");
        let opened = VaultUrl::opened(&format!("sqlite:{}", path.display()), VaultKey::generate()).await;
        assert!(opened.is_err_and(|error| error.to_string().contains("there is no such file")));
        assert!(!path.exists());
    }
}

//! Carrying out erasures: what the log says is erased has no key, also after a death in between or a vault that was restored.

use std::{sync::Weak, time::Duration};

use event_schemas::{AccountId, CustomerId, PersonId, Position};
use identity::{IdentityError, Origin};

use crate::{persons::PersonsError, shop::Shop};

/// How often it is looked whether somebody was erased: whoever asks for it does the rest at once, so this is for what they
/// left undone.
const LOOK: Duration = Duration::from_secs(30);
/// Persons that are looked at in one go.
const PAGE: u32 = 500;
/// Who removes accounts of those who were erased.
const ACTOR: &str = "process:erasure";

/// Destroys what is left of persons whom the log says to be erased: their keys, who their customer is, and the account. May be
/// repeated.
///
/// # Errors
/// When a store fails; some of it may be done then.
pub(crate) async fn finish(shop: &Shop, persons: &[PersonId], customers: &[CustomerId]) -> Result<(), PersonsError> {
    for customer in customers {
        shop.persons.forget_customer(customer).await?;
        if let Ok(account) = customer.as_str().parse::<AccountId>() {
            let origin = Origin { actor: ACTOR.to_owned(), ..Origin::default() };
            match shop.accounts.remove(account, &origin).await {
                Ok(_) => {}
                // There is none, or it is the last administrator's, who stays.
                Err(IdentityError::Refused(refusal)) => tracing::debug!(%account, %refusal, "no account was removed"),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(shop.persons.destroy(persons).await?)
}

/// Carries out what was left undone, from a start on and now and again. Every erasure of the log is looked at once in a
/// process: a vault may have been restored from a backup that still had the keys.
pub(crate) async fn keep_erased(shop: Weak<Shop>) {
    let mut seen: Position = 0;
    while let Some(shop) = shop.upgrade() {
        match look(&shop, &mut seen).await {
            Ok(0) => {}
            Ok(erased) => tracing::info!(erased, "keys of persons whom the log says to be erased were destroyed"),
            Err(error) => tracing::warn!(%error, "an erasure could not be carried out yet; it is tried again"),
        }
        drop(shop);
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks at erasures after a position; how many were still to be carried out.
async fn look(shop: &Shop, seen: &mut Position) -> Result<u64, PersonsError> {
    let mut done = 0;
    loop {
        let after = *seen;
        let page = shop.views.read(move |reader| reader.erased_after(after, PAGE)).await?;
        let Some(last) = page.last() else { return Ok(done) };
        let full = page.len() == PAGE as usize;
        let mut left = Vec::new();
        for row in &page {
            let known = match &row.customer_id {
                Some(customer) => shop.persons.known_customer(customer).await? == Some(row.person_id),
                None => false,
            };
            if known || shop.persons.is_readable(row.person_id).await? {
                left.push(row);
            }
        }
        if !left.is_empty() {
            let persons: Vec<_> = left.iter().map(|row| row.person_id).collect();
            let customers: Vec<_> = left.iter().filter_map(|row| row.customer_id.clone()).collect();
            finish(shop, &persons, &customers).await?;
            done += left.len() as u64;
        }
        // Several persons are erased by one append, each at its own position.
        *seen = last.position;
        if !full {
            return Ok(done);
        }
    }
}

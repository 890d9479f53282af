//! Carrying out erasures: what the log says is erased has no key, also after a death in between or a vault that was restored.

use std::{sync::Weak, time::Duration};

use domain::{Account, Change};
use event_schemas::{AccountId, CommerceEvent, CustomerId, PersonEvent, PersonId, Position};
use identity::{IdentityError, Origin};

use super::found;
use crate::{persons::PersonsError, shop::Shop};

/// How often it is looked whether somebody was erased: whoever asks for it does the rest at once, so this is for what they
/// left undone.
const LOOK: Duration = Duration::from_secs(30);
/// How long whoever erases waits for the vault's disk to be cleaned. It goes on behind them: a vacuum that something blocks
/// takes minutes.
const CLEANING: Duration = Duration::from_secs(20);
/// Persons that are looked at in one go.
const PAGE: u32 = 500;
/// Who removes accounts of those who were erased.
const ACTOR: &str = "process:erasure";

/// Somebody whom the log says to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Erased {
    person: PersonId,
    /// The customer that they were.
    customer: Option<CustomerId>,
}

/// Whom a decision erased: of these the keys go, and of nobody else, whoever was looked for.
pub(crate) fn erased_in(changes: &[Change]) -> Vec<Erased> {
    let erased = |change: &Change| match &change.event {
        CommerceEvent::Person(PersonEvent::PersonErased(event)) => {
            let person = change.stream.aggregate_id.parse().ok()?;
            Some(Erased { person, customer: event.customer_id.clone() })
        }
        _ => None,
    };
    changes.iter().filter_map(erased).collect()
}

/// Destroys what is left of persons whom the log says to be erased, and cleans the vault's disk. May be repeated.
///
/// # Errors
/// The first failure of a store; all that could be done is done then, and the rest is tried again. So is cleaning the disk.
pub(crate) async fn finish(shop: &Shop, erased: &[Erased]) -> Result<(), PersonsError> {
    if erased.is_empty() {
        return Ok(());
    }
    let done = without_purge(shop, erased).await;
    clean(shop).await;
    done
}

/// Has the vault's disk cleaned of destroyed keys, and waits for that for a while. It goes on when whoever waits goes away.
pub(super) async fn clean(shop: &Shop) {
    let persons = shop.persons.clone();
    let cleaning = tokio::spawn(async move {
        if let Err(error) = persons.purge_if_due().await {
            tracing::warn!(%error, "the vault's disk could not be cleaned after an erasure; it is tried again");
        }
    });
    if tokio::time::timeout(CLEANING, cleaning).await.is_err() {
        tracing::warn!("the vault's disk is still being cleaned after an erasure; nobody waits for it any longer");
    }
}

/// As [`finish`], for whoever cleans the vault's disk later: until then, what was destroyed may be on it.
///
/// # Errors
/// As [`finish`].
pub(crate) async fn without_purge(shop: &Shop, erased: &[Erased]) -> Result<(), PersonsError> {
    let mut first = Ok(());
    for one in erased {
        if let Err(error) = carry_out(shop, one).await {
            tracing::warn!(person = %one.person, %error, "an erasure could not be carried out yet; it is tried again");
            first = first.and(Err(error));
        }
    }
    first
}

/// The key comes first: it is what was promised. Who the customer was is forgotten last: it tells that something is left.
async fn carry_out(shop: &Shop, erased: &Erased) -> Result<(), PersonsError> {
    shop.persons.destroy_key(erased.person).await?;
    let Some(customer) = &erased.customer else { return Ok(()) };
    if let Some(account) = account_of(customer) {
        let origin = Origin { actor: ACTOR.to_owned(), ..Origin::default() };
        match shop.accounts.remove(account, &origin).await {
            Ok(_) => {}
            // There is none. Or it is the last administrator's, in a log from before it was refused to erase them.
            Err(IdentityError::Refused(refusal)) => tracing::debug!(%account, %refusal, "no account was removed"),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(person) = still_known(shop, erased, customer).await? {
        shop.persons.forget_customer(customer, person).await?;
    }
    Ok(())
}

/// Who an erased customer still is to the vault. An account that was removed does not come back: whoever has a key in its name
/// got it while it was erased. Without an account, who came back since is somebody else.
async fn still_known(shop: &Shop, erased: &Erased, customer: &CustomerId) -> Result<Option<PersonId>, PersonsError> {
    let Some(known) = shop.persons.known_customer(customer).await? else { return Ok(None) };
    let is_theirs = known == erased.person || matches!(found::account_of(shop, customer).await?, Account::Removed);
    Ok(is_theirs.then_some(known))
}

fn account_of(customer: &CustomerId) -> Option<AccountId> {
    customer.as_str().parse().ok()
}

/// Carries out what was left undone, from a start on and now and again. Every erasure of the log is looked at once in a
/// process: a vault may have been restored from a backup that still had the keys.
pub(crate) async fn keep_erased(shop: Weak<Shop>) {
    let mut rounds = Rounds::default();
    while let Some(shop) = shop.upgrade() {
        match rounds.look(&shop).await {
            Ok(0) => {}
            Ok(erased) => tracing::info!(erased, "keys of persons whom the log says to be erased were destroyed"),
            Err(error) => tracing::warn!(%error, "erasures could not be looked at; it is tried again"),
        }
        // Also what others left on the disk: whoever destroyed a key and could not clean up, or died before.
        clean(&shop).await;
        drop(shop);
        tokio::time::sleep(LOOK).await;
    }
}

/// How far erasures were looked at.
#[derive(Default)]
struct Rounds {
    seen: Position,
    /// Those before that could not be carried out yet.
    left: Vec<Erased>,
}

impl Rounds {
    /// Looks at what is left and at erasures since; how many were carried out. One that fails holds up no other.
    async fn look(&mut self, shop: &Shop) -> Result<u64, PersonsError> {
        let mut done = 0;
        for erased in std::mem::take(&mut self.left) {
            done += self.one(shop, erased).await;
        }
        loop {
            let after = self.seen;
            let page = shop.views.read(move |reader| reader.erased_after(after, PAGE)).await?;
            let Some(last) = page.last() else { return Ok(done) };
            // Several persons are erased by one append, each at its own position.
            self.seen = last.position;
            let full = page.len() == PAGE as usize;
            for row in page {
                done += self.one(shop, Erased { person: row.person_id, customer: row.customer_id }).await;
            }
            if !full {
                return Ok(done);
            }
        }
    }

    /// Whether something was left to do, and is done: 1 or 0.
    async fn one(&mut self, shop: &Shop, erased: Erased) -> u64 {
        let done = async {
            let due = is_left(shop, &erased).await?;
            if due {
                carry_out(shop, &erased).await?;
            }
            Ok::<_, PersonsError>(due)
        };
        match done.await {
            Ok(done) => done.into(),
            Err(error) => {
                tracing::warn!(person = %erased.person, %error, "an erasure could not be carried out yet; it is tried again");
                self.left.push(erased);
                0
            }
        }
    }
}

async fn is_left(shop: &Shop, erased: &Erased) -> Result<bool, PersonsError> {
    if shop.persons.is_readable(erased.person).await? {
        return Ok(true);
    }
    let Some(customer) = &erased.customer else { return Ok(false) };
    if still_known(shop, erased, customer).await?.is_some() {
        return Ok(true);
    }
    match account_of(customer) {
        Some(account) => Ok(shop.accounts.profile(account).await?.is_some()),
        None => Ok(false),
    }
}

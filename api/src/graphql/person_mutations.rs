//! What whoever protects data does about a person, and a customer about themselves.

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{Context, Error, ID, InputObject, Object};
use domain::{Change, ChangePersons, PersonCommand};
use event_schemas::{AccountId, PersonId};

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        command::{MutationInput, Refused, carry_out, input, payload, read_back},
        identity_call::{must_have_all_of, refused, signed_in, told as told_by_accounts, who},
        person::{self, Person},
        problem,
        scalar::Long,
        user_error::UserError,
        user_error_code::UserErrorCode,
        warning::{Warning, WarningCode},
    },
    persons::{self, Found, Others, Whom},
    shop::Shop,
};

/// Who is meant: one of these says it.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct PersonInput {
    /// The id of a key of theirs.
    person_id: Option<String>,
    /// The customer that they are: the customer's id, or their account's.
    customer_id: Option<String>,
    /// An e-mail address that they gave.
    email: Option<String>,
    /// An order of theirs.
    order_id: Option<ID>,
}

input! {
    /// A person to erase.
    PersonEraseInput {
        /// Who.
        person: PersonInput,
        /// Why, such as the reference of a case: 1 to 500 characters, and nothing about the person, since it stays.
        reason: String,
    }
}

input! {
    /// An erasure to agree to.
    PersonErasureApproveInput {
        /// Who is to be erased.
        person: PersonInput,
    }
}

input! {
    /// An erasure to turn down.
    PersonErasureRejectInput {
        /// Who was to be erased.
        person: PersonInput,
        /// Why: 1 to 500 characters, and nothing about the person, since it stays.
        reason: String,
    }
}

input! {
    /// A reason in law to keep what is known about a person.
    LegalHoldPlaceInput {
        /// Who.
        person: PersonInput,
        /// The hold's name, such as a case's reference.
        name: String,
        /// Why: 1 to 500 characters, and nothing about the person, since it stays.
        reason: String,
    }
}

input! {
    /// A legal hold that does not apply any more.
    LegalHoldLiftInput {
        /// Who.
        person: PersonInput,
        /// The hold's name.
        name: String,
    }
}

input! {
    /// The caller's own account, to be deleted with everything that is about them.
    AccountDeleteInput {
        /// Must be true: it cannot be taken back.
        confirm: bool,
    }
}

payload! {
    /// A person after a change.
    PersonPayload {
        /// The person; null when nothing was done, or when the views need longer than two seconds to show it.
        person: Person,
    }
}

payload! {
    /// What became of the caller's account.
    AccountDeletePayload {
        /// Whether it is deleted; false while a second person has to agree. Null when nothing was done.
        deleted: bool,
    }
}

async fn found(ctx: &Context<'_>, person: &PersonInput) -> Result<Found, Error> {
    let PersonInput { person_id, customer_id, email, order_id } = person;
    let whom = person::whom(person_id.as_deref(), customer_id.as_deref(), email.as_deref(), order_id.as_ref())?;
    let shop = ctx.data::<Arc<Shop>>()?;
    persons::find(shop, &whom).await.map_err(|error| person::fault(&error))
}

/// Asks the same of every key of a person, and destroys them when the log says so.
async fn changed<I: MutationInput>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: I,
    mut found: Found,
    command: PersonCommand,
) -> Result<PersonPayload, Error> {
    let (shop, mut others) = (ctx.data::<Arc<Shop>>()?, Others::default());
    if matches!(command, PersonCommand::Erase { .. } | PersonCommand::Approve { .. }) {
        if found.is_several() {
            let error = UserError::new(UserErrorCode::SeveralCustomers, person::several(&found));
            return Ok(refused(ctx, vec![error])?.into());
        }
        must_have_theirs(ctx, operation, &found).await?;
        if persons::leads_nowhere(shop, &found).await.map_err(|error| person::fault(&error))? {
            let error = UserError::new(UserErrorCode::PersonNotFound, persons::LEADS_NOWHERE);
            return Ok(refused(ctx, vec![error])?.into());
        }
        others = persons::others_under_same_address(shop, &found).await.map_err(|error| person::fault(&error))?;
    }
    // Not before: who may not do it writes nothing.
    persons::with_a_key(shop, &mut found).await.map_err(|error| person::fault(&error))?;
    let (ids, customers) = (found.persons.iter().copied().collect(), found.customer_of.clone());
    let outcome = match carry_out(ctx, operation, input, |_, _| Ok(ChangePersons { persons: ids, customers, command })).await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    destroy(shop, &outcome.changes).await;
    let shown = read_back(ctx, outcome.position).await;
    let mut warnings = Warning::unless_shown(shown);
    warnings.extend(others.in_words().map(|others| Warning::new(WarningCode::SameAddressKept, others)));
    Ok(PersonPayload {
        person: if shown { person::told(ctx, found).await? } else { None },
        position: Long::of(outcome.position),
        warnings,
        ..Default::default()
    })
}

/// Whoever deletes an account needs all that it may do, also who agrees to it: nobody takes what they do not have.
async fn must_have_theirs(ctx: &Context<'_>, operation: &str, found: &Found) -> Result<(), Error> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let requested = engine::look(&*shop.log, |world| {
        let of =
            |id: &PersonId| world.get::<domain::Person>(id).requested.as_ref().and_then(|request| request.customer_id.clone());
        found.persons.iter().filter_map(of).collect::<Vec<_>>()
    });
    let requested = requested.await.map_err(|error| problem::fault(&error))?;
    let requested = requested.iter().filter_map(|customer| customer.as_str().parse::<AccountId>().ok());
    for account in found.accounts().chain(requested).collect::<BTreeSet<_>>() {
        must_have_all_of(ctx, operation, account).await?;
    }
    Ok(())
}

/// The names and reasons of legal holds are for whoever protects data: everyone else is told that there is one.
fn without_holds(caller: &Caller, mut refused: Refused) -> Refused {
    for error in &mut refused.user_errors {
        if let UserError::GenericUserError(told) = error
            && told.code == UserErrorCode::PersonOnHold
            && !caller.may(Permission::ProtectData)
        {
            "the person's data must be kept".clone_into(&mut told.message);
        }
    }
    refused
}

/// The log has said it: what fails now is done again until it succeeds.
async fn destroy(shop: &Shop, changes: &[Change]) {
    if let Err(error) = persons::finish(shop, &persons::erased_in(changes)).await {
        tracing::warn!(%error, "an erasure could not be carried out at once; it is tried again");
    }
}

#[derive(Default)]
pub(crate) struct PersonMutation;

#[Object]
impl PersonMutation {
    /// Erases a person: destroys their keys, so that nothing about them can be read any more, wherever it stands, and removes
    /// their account. Figures stay as they are. Legal holds forbid it; where the shop wants a second person to agree, this asks.
    #[graphql(guard = "Permission::ProtectData", visible = "sees::protect_data")]
    async fn person_erase(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person and the reason.")] input: PersonEraseInput,
    ) -> Result<PersonPayload, Error> {
        let (found, by) = (found(ctx, &input.person).await?, ctx.data::<Caller>()?.actor());
        let needs_approval = ctx.data::<Arc<Shop>>()?.erasure_approval;
        let reason = input.reason.clone();
        let command = PersonCommand::Erase { by, reason, customer_id: None, needs_approval };
        changed(ctx, "personErase", input, found, command).await
    }

    /// Agrees that a person be erased, which somebody else has asked for.
    #[graphql(guard = "Permission::ProtectData", visible = "sees::protect_data")]
    async fn person_erasure_approve(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person.")] input: PersonErasureApproveInput,
    ) -> Result<PersonPayload, Error> {
        let (found, by) = (found(ctx, &input.person).await?, ctx.data::<Caller>()?.actor());
        changed(ctx, "personErasureApprove", input, found, PersonCommand::Approve { by }).await
    }

    /// Turns down that a person be erased.
    #[graphql(guard = "Permission::ProtectData", visible = "sees::protect_data")]
    async fn person_erasure_reject(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person and the reason.")] input: PersonErasureRejectInput,
    ) -> Result<PersonPayload, Error> {
        let (found, by) = (found(ctx, &input.person).await?, ctx.data::<Caller>()?.actor());
        let reason = input.reason.clone();
        changed(ctx, "personErasureReject", input, found, PersonCommand::Reject { by, reason }).await
    }

    /// Forbids that a person be erased, by a name, until it is lifted.
    #[graphql(guard = "Permission::ProtectData", visible = "sees::protect_data")]
    async fn legal_hold_place(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person, and the hold.")] input: LegalHoldPlaceInput,
    ) -> Result<PersonPayload, Error> {
        let found = found(ctx, &input.person).await?;
        let (name, reason) = (input.name.clone(), input.reason.clone());
        changed(ctx, "legalHoldPlace", input, found, PersonCommand::PlaceHold { name, reason }).await
    }

    /// Lets a person be erased again, as far as one legal hold is concerned.
    #[graphql(guard = "Permission::ProtectData", visible = "sees::protect_data")]
    async fn legal_hold_lift(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person, and the hold's name.")] input: LegalHoldLiftInput,
    ) -> Result<PersonPayload, Error> {
        let found = found(ctx, &input.person).await?;
        let name = input.name.clone();
        changed(ctx, "legalHoldLift", input, found, PersonCommand::LiftHold { name }).await
    }

    /// Deletes the caller's own account and everything that is about them: as `personErase`, asked by the customer. The login
    /// must be less than 15 minutes ago.
    #[graphql(visible = "signed_in")]
    async fn account_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "That it is meant.")] input: AccountDeleteInput,
    ) -> Result<AccountDeletePayload, Error> {
        let (shop, who) = (ctx.data::<Arc<Shop>>()?, who(ctx)?);
        if let Err(refused) = told_by_accounts(ctx, "accountDelete", shop.accounts.must_be_recent(who).await).await? {
            return Ok(refused.into());
        }
        let caller = ctx.data::<Caller>()?;
        let (Some((account, _)), by) = (caller.account(), caller.actor()) else { return Ok(AccountDeletePayload::default()) };
        let whom = Whom::Customer(account.customer_id());
        let mut found = persons::find(shop, &whom).await.map_err(|error| person::fault(&error))?;
        persons::with_a_key(shop, &mut found).await.map_err(|error| person::fault(&error))?;
        if found.is_several() {
            let error = UserError::new(UserErrorCode::SeveralCustomers, "what is kept is not of you alone: ask the shop");
            return Ok(refused(ctx, vec![error])?.into());
        }
        let (ids, customers) = (found.persons.iter().copied().collect(), found.customer_of.clone());
        let (needs_approval, reason) = (shop.erasure_approval, "asked for by the customer".to_owned());
        let command = PersonCommand::Erase { by, reason, customer_id: None, needs_approval };
        let confirmed = input.confirm;
        let outcome = carry_out(ctx, "accountDelete", input, |_, _| {
            if !confirmed {
                let message = "say that it is meant";
                return Err(UserError::invalid(&["confirm"], message));
            }
            Ok(ChangePersons { persons: ids, customers, command })
        });
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(without_holds(caller, refused).into()),
        };
        destroy(shop, &outcome.changes).await;
        Ok(AccountDeletePayload { deleted: Some(!needs_approval), position: Long::of(outcome.position), ..Default::default() })
    }
}

//! A mutation's way through accounts: who asks, and answers by kind. None of them takes an idempotency key: what is kept with
//! one would be a hash of a password. All can be repeated as they are.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use async_graphql::{Context, Error, ErrorExtensions, Guard, ID};
use event_schemas::{AccountId, Position};
use identity::{AccountSession, IdentityError, IdentityRefusal, Origin, Rights as _};

use crate::{
    access::{Caller, Identity, Permission, Permissions, Role, permissions_of, record_denied},
    graphql::{
        RequestContext,
        command::{Refused, read_back, version},
        global_id::Kind,
        problem, read_input,
        scalar::Long,
        user_error::UserError,
        user_error_code::UserErrorCode,
    },
    shop::Shop,
};

/// A field for whoever is signed in to an account.
pub(crate) struct SignedIn;

impl Guard for SignedIn {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        who(ctx).map(|_| ())
    }
}

/// Whether such a field shows up in the caller's introspection.
pub(crate) fn signed_in(ctx: &Context<'_>) -> bool {
    ctx.data_opt::<Caller>().is_some_and(|caller| caller.account().is_some())
}

/// The same for what staff may do for others.
pub(crate) fn signed_in_or_managing(ctx: &Context<'_>) -> bool {
    signed_in(ctx) || ctx.data_opt::<Caller>().is_some_and(|caller| caller.may(Permission::ManageAccounts))
}

/// The account and session that the caller is signed in to.
///
/// # Errors
/// `UNAUTHENTICATED` for nobody in particular, `FORBIDDEN` for somebody without an account, such as an API key.
pub(crate) fn who(ctx: &Context<'_>) -> Result<AccountSession, Error> {
    let caller = ctx.data::<Caller>()?;
    let (code, message) = match caller.identity() {
        Identity::Account { id, session } => return Ok(AccountSession { account_id: *id, session_id: *session }),
        Identity::Nobody => ("UNAUTHENTICATED", "log in first"),
        Identity::ApiKey { .. } | Identity::Operator { .. } => ("FORBIDDEN", "this is for whoever is signed in to an account"),
    };
    Err(Error::new(message).extend_with(|_, extensions| extensions.set("code", code)))
}

/// Who asks, as accounts want to know it.
///
/// # Errors
/// Never for a request that came in by a door of the shop.
pub(crate) fn origin(ctx: &Context<'_>, device_token: Option<String>) -> Result<Origin, Error> {
    let request = ctx.data::<Arc<RequestContext>>()?;
    Ok(Origin {
        actor: request.caller.actor(),
        address: request.address,
        device_token,
        device_label: request.user_agent.clone(),
        correlation_id: Some(request.correlation_id),
        trace_id: request.trace_id.clone(),
        permissions: Some(request.caller.permissions().iter().map(|permission| permission.name().to_owned()).collect()),
        expected_version: None,
    })
}

/// Staff who ask for a change of what they have looked at.
///
/// # Errors
/// As [`origin`]; `Ok(Err)` for what is no version.
pub(crate) fn staff(ctx: &Context<'_>, expected: Option<Long>) -> Result<Result<Origin, UserError>, Error> {
    let origin = origin(ctx, None)?;
    Ok(expected.map(version).transpose().map(|expected_version| Origin { expected_version, ..origin }))
}

/// What accounts answered: `Ok(Ok)` when it was done, `Ok(Err)` when a rule forbids it.
///
/// # Errors
/// Overload and faults.
pub(crate) async fn told<T>(
    ctx: &Context<'_>,
    operation: &str,
    answer: Result<T, IdentityError>,
) -> Result<Result<T, Refused>, Error> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(IdentityError::Refused(IdentityRefusal::Beyond { permission })) => Err(lacks(ctx, operation, &permission)),
        Err(IdentityError::Refused(refusal)) => Ok(Err(refused(ctx, user_errors(ctx, &refusal).await?)?)),
        Err(IdentityError::Overloaded { retry_after }) => Err(problem::overloaded(retry_after)),
        Err(IdentityError::Unavailable(reason)) => Err(problem::fault(&format!("{operation}: {reason}"))),
    }
}

/// The same for queries, which have no rules to break.
///
/// # Errors
/// Overload and faults.
pub(crate) fn read<T>(answer: Result<T, IdentityError>) -> Result<T, Error> {
    answer.map_err(|error| match error {
        IdentityError::Overloaded { retry_after } => problem::overloaded(retry_after),
        other => problem::fault(&other),
    })
}

async fn user_errors(ctx: &Context<'_>, refusal: &IdentityRefusal) -> Result<Vec<UserError>, Error> {
    match refusal {
        IdentityRefusal::Rule(rule) => UserError::told(ctx, rule).await,
        other => Ok(vec![UserError::about(UserErrorCode::named(other.code()), other.field(), other.to_string())]),
    }
}

/// A mutation that a rule forbids.
///
/// # Errors
/// Never for a request that came in by a door of the shop.
pub(crate) fn refused(ctx: &Context<'_>, user_errors: Vec<UserError>) -> Result<Refused, Error> {
    Ok(Refused { position: Long::of(ctx.data::<Arc<Shop>>()?.head()), user_errors })
}

/// The position to answer: of what was written, once the views show it, or where the log ends if nothing was.
///
/// # Errors
/// Never for a request that came in by a door of the shop.
pub(crate) async fn visible(ctx: &Context<'_>, written: Option<Position>) -> Result<Long, Error> {
    let Some(position) = written else { return Ok(Long::of(ctx.data::<Arc<Shop>>()?.head())) };
    ctx.data::<Arc<RequestContext>>()?.written.fetch_max(position, Relaxed);
    read_back(ctx, position).await;
    Ok(Long::of(position))
}

/// The account that an input names.
pub(crate) fn account_id(id: &ID) -> Result<AccountId, UserError> {
    read_input::id(Kind::Account, id, &["accountId"])
}

/// The answer to somebody who would give or take what they do not have themselves.
fn lacks(ctx: &Context<'_>, operation: &str, permission: &str) -> Error {
    // One that only a newer version knows cannot be told to the access log.
    if let Some(lacking) = Permission::named(permission) {
        record_denied(ctx, lacking, operation.to_owned());
    }
    let message = format!("you do not have the permission `{permission}` yourself");
    Error::new(message).extend_with(|_, extensions| extensions.set("code", "FORBIDDEN"))
}

/// Nobody gives, and nobody takes, what they do not have themselves.
///
/// # Errors
/// `FORBIDDEN`, naming a permission that the caller lacks.
pub(crate) fn must_have(ctx: &Context<'_>, operation: &str, permissions: Permissions) -> Result<(), Error> {
    let caller = ctx.data::<Caller>()?;
    let Some(lacking) = caller.permissions().lacking(permissions).iter().next() else { return Ok(()) };
    Err(lacks(ctx, operation, lacking.name()))
}

/// The same for a built-in role. What one of the shop's own permits is compared where it is decided: [`Origin::permissions`].
///
/// # Errors
/// As [`must_have`].
pub(crate) fn must_have_role(ctx: &Context<'_>, operation: &str, role: &str) -> Result<(), Error> {
    Role::named(role).map_or(Ok(()), |role| must_have(ctx, operation, role.permissions()))
}

/// The same for all that an account may do. One that there is not is refused by what comes after.
///
/// # Errors
/// As [`must_have`], and if the log cannot be read.
pub(crate) async fn must_have_all_of(ctx: &Context<'_>, operation: &str, account: AccountId) -> Result<(), Error> {
    let rights = &ctx.data::<Arc<Shop>>()?.rights;
    let roles = rights.account(account).await.map_err(|reason| problem::fault(&reason))?.unwrap_or_default().roles;
    let custom_roles = rights.custom_roles(&roles).await.map_err(|reason| problem::fault(&reason))?;
    let permissions = roles.iter().filter_map(|role| permissions_of(role, &custom_roles));
    must_have(ctx, operation, permissions.fold(Permissions::default(), Permissions::and))
}

/// Whose sessions a mutation is about: the caller's own, or those of the account that it names, which takes the permission.
/// To everyone else that account is not there.
///
/// # Errors
/// Faults, and callers that are not signed in and name no account.
pub(crate) async fn own_or_managed(
    ctx: &Context<'_>,
    operation: &str,
    named: Option<&ID>,
) -> Result<Result<AccountId, UserError>, Error> {
    let caller = ctx.data::<Caller>()?;
    let Some(named) = named else { return Ok(Ok(who(ctx)?.account_id)) };
    let id = match account_id(named) {
        Ok(id) => id,
        Err(user_error) => return Ok(Err(user_error)),
    };
    if caller.account().is_some_and(|(own, _)| own == id) {
        return Ok(Ok(id));
    }
    if !caller.may(Permission::ManageAccounts) {
        record_denied(ctx, Permission::ManageAccounts, operation.to_owned());
        let refusal = domain::AccountRefusal::NotFound;
        return Ok(Err(UserError::about(UserErrorCode::AccountNotFound, Some("accountId"), refusal.to_string())));
    }
    must_have_all_of(ctx, operation, id).await?;
    Ok(Ok(id))
}

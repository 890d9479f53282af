//! What the owner of an account does about who they are to the shop: another e-mail address, a login elsewhere less.

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject, Object};

use crate::{
    graphql::{
        account::account_at,
        command::payload,
        identity_call::{SignedIn, origin, signed_in, told, visible, who},
        login_mutations::{EmailInput, MailPayload, done, mailed},
        security_mutations::AccountPayload,
    },
    shop::Shop,
};

/// The code of the mail that was sent to another e-mail address.
#[derive(InputObject)]
pub(crate) struct EmailChangeConfirmInput {
    /// The code.
    code: String,
}

/// A login elsewhere to take away.
#[derive(InputObject)]
pub(crate) struct OidcUnlinkInput {
    /// Who vouches for it: one of the account's `linkedIssuers`.
    issuer: String,
}

payload! {
    /// An e-mail address that was changed.
    EmailChangePayload {
        /// Whether it was changed; null when nothing was done. All sessions have ended then.
        changed: bool,
    }
}

#[derive(Default)]
pub(crate) struct EmailMutation;

#[Object]
impl EmailMutation {
    /// Sends a mail with a code to another e-mail address, for the caller's account. The login must be less than 15 minutes ago.
    /// The answer is the same whether or not the address has an account.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn email_change_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new address.")] input: EmailInput,
    ) -> Result<MailPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.request_email_change(who(ctx)?, &input.email, &origin(ctx, None)?).await;
        done!(ctx, "emailChangeRequest", answer);
        mailed(ctx).await
    }

    /// Takes the new e-mail address, with the code of the mail that was sent there, and ends all sessions of the account.
    async fn email_change_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code.")] input: EmailChangeConfirmInput,
    ) -> Result<EmailChangePayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.confirm_email_change(&input.code, &origin(ctx, None)?).await;
        let written = done!(ctx, "emailChangeConfirm", answer);
        let position = visible(ctx, written.position).await?;
        Ok(EmailChangePayload { changed: Some(true), position, ..Default::default() })
    }

    /// Takes a login elsewhere away from the caller's account. The login must be less than 15 minutes ago. Whoever has no
    /// password can have one set by mail.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn oidc_unlink(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The login elsewhere.")] input: OidcUnlinkInput,
    ) -> Result<AccountPayload, Error> {
        let (accounts, who) = (&ctx.data::<Arc<Shop>>()?.accounts, who(ctx)?);
        let written = done!(ctx, "oidcUnlink", accounts.oidc_unlink(who, &input.issuer, &origin(ctx, None)?).await);
        let position = visible(ctx, written.position).await?;
        Ok(AccountPayload { account: account_at(ctx, Some(who.account_id)).await?, position, ..Default::default() })
    }
}

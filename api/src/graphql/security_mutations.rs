//! What the owner of an account does about how they log in: password, second factor, passkeys, devices.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, InputObject, Json, Object, SimpleObject};
use event_schemas::Timestamp;
use identity::{PasswordChange, SecondFactorEnrolment};
use uuid::Uuid;

use crate::{
    graphql::{
        account::{Account, Passkey, account_at},
        command::payload,
        global_id::Kind,
        identity_call::{SignedIn, origin, own_or_managed, refused, signed_in, signed_in_or_managing, told, visible, who},
        login_mutations::{PasskeyOptions, SignedInPayload, done, signed_in_payload},
        read_input,
    },
    shop::Shop,
};

/// A new password in place of a known one.
#[derive(InputObject)]
pub(crate) struct PasswordChangeInput {
    /// The password so far; absent only for an account that has none, which must have logged in within the last 15 minutes.
    current_password: Option<String>,
    /// 12 to 128 characters.
    new_password: String,
}

/// The first code of a second factor.
#[derive(InputObject)]
pub(crate) struct SecondFactorConfirmInput {
    /// What `secondFactorBegin` gave.
    token: String,
    /// Six digits of the authenticator app.
    code: String,
}

/// What a browser answered for a new passkey.
#[derive(InputObject)]
pub(crate) struct PasskeyRegistrationFinishInput {
    /// What `passkeyRegistrationBegin` gave.
    token: String,
    /// What `PublicKeyCredential.toJSON()` gave, as a JSON object.
    response: Json<serde_json::Value>,
    /// What to call it; 1 to 100 characters.
    label: String,
}

/// A passkey to take away.
#[derive(InputObject)]
pub(crate) struct PasskeyRemoveInput {
    /// The passkey.
    passkey_id: ID,
}

/// A session to end.
#[derive(InputObject)]
pub(crate) struct SessionEndInput {
    /// The session.
    session_id: ID,
    /// Whose it is, for staff; the caller's own unless given.
    account_id: Option<ID>,
}

/// Sessions to end.
#[derive(InputObject)]
pub(crate) struct SessionsEndAllInput {
    /// Whose they are, for staff; the caller's own unless given.
    account_id: Option<ID>,
}

/// A second factor that waits for its first code.
#[derive(SimpleObject)]
pub(crate) struct SecondFactorSetup {
    /// For `secondFactorConfirm`.
    token: String,
    /// `otpauth://…`, for authenticator apps. It holds the secret.
    uri: String,
    /// The same as a QR code, an SVG image.
    qr_svg: String,
    /// The secret in base 32, to be typed into an app that cannot see the code.
    secret: String,
    /// When it ends unless it is confirmed.
    expires_at: Timestamp,
}

impl From<SecondFactorEnrolment> for SecondFactorSetup {
    fn from(begun: SecondFactorEnrolment) -> Self {
        let SecondFactorEnrolment { token, uri, qr_svg, secret, expires_at } = begun;
        Self { token, uri, qr_svg, secret, expires_at }
    }
}

payload! {
    /// Sessions that were ended.
    SessionsEndPayload {
        /// The account, if the caller may see it; null when nothing was done.
        account: Account,
    }
}

payload! {
    /// A second factor that was begun.
    SecondFactorBeginPayload {
        /// What the authenticator app needs.
        setup: SecondFactorSetup,
    }
}

payload! {
    /// Recovery codes, each of which works once in place of the authenticator app. They are shown this once; those before do
    /// not work any more.
    RecoveryCodesPayload {
        /// The codes; null when nothing was done.
        recovery_codes: Vec<String>,
    }
}

payload! {
    /// An account after a change.
    AccountPayload {
        /// The account; null when nothing was done, or when the views need longer than two seconds to show it.
        account: Account,
    }
}

payload! {
    /// A passkey that was begun.
    PasskeyRegistrationBeginPayload {
        /// What the browser needs.
        options: PasskeyOptions,
    }
}

payload! {
    /// A passkey that was added.
    PasskeyPayload {
        /// The passkey; null when nothing was done.
        passkey: Passkey,
    }
}

#[derive(Default)]
pub(crate) struct SecurityMutation;

#[Object]
impl SecurityMutation {
    /// Ends the session that asks.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn logout(&self, ctx: &Context<'_>) -> Result<SessionsEndPayload, Error> {
        let (accounts, who) = (&ctx.data::<Arc<Shop>>()?.accounts, who(ctx)?);
        let written = done!(ctx, "logout", accounts.logout(who, &origin(ctx, None)?).await);
        let position = visible(ctx, written.position).await?;
        let account = account_at(ctx, Some(who.account_id)).await?;
        Ok(SessionsEndPayload { account, position, ..Default::default() })
    }

    /// Sets another password. All sessions of the account end, and the one that asks gets another.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn password_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Both passwords.")] input: PasswordChangeInput,
    ) -> Result<SignedInPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let change = PasswordChange { current: input.current_password, new: input.new_password };
        let done = done!(ctx, "passwordChange", accounts.change_password(who(ctx)?, change, &origin(ctx, None)?).await);
        signed_in_payload(ctx, done).await
    }

    /// Begins to add a second factor: an authenticator app.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn second_factor_begin(&self, ctx: &Context<'_>) -> Result<SecondFactorBeginPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let begun = done!(ctx, "secondFactorBegin", accounts.second_factor_begin(who(ctx)?).await);
        let position = visible(ctx, None).await?;
        Ok(SecondFactorBeginPayload { setup: Some(begun.into()), position, ..Default::default() })
    }

    /// Adds the second factor with its first code. From then on a login with the password takes it too.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn second_factor_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What was begun, and the code.")] input: SecondFactorConfirmInput,
    ) -> Result<RecoveryCodesPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.second_factor_confirm(who(ctx)?, &input.token, &input.code, &origin(ctx, None)?).await;
        let shown = done!(ctx, "secondFactorConfirm", answer);
        let position = visible(ctx, shown.position).await?;
        Ok(RecoveryCodesPayload { recovery_codes: Some(shown.codes), position, ..Default::default() })
    }

    /// Takes the second factor away: the password alone is enough again.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn second_factor_remove(&self, ctx: &Context<'_>) -> Result<AccountPayload, Error> {
        let (accounts, who) = (&ctx.data::<Arc<Shop>>()?.accounts, who(ctx)?);
        let written = done!(ctx, "secondFactorRemove", accounts.second_factor_remove(who, &origin(ctx, None)?).await);
        let position = visible(ctx, written.position).await?;
        Ok(AccountPayload { account: account_at(ctx, Some(who.account_id)).await?, position, ..Default::default() })
    }

    /// Makes other recovery codes.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn recovery_codes_renew(&self, ctx: &Context<'_>) -> Result<RecoveryCodesPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let shown = done!(ctx, "recoveryCodesRenew", accounts.recovery_codes_renew(who(ctx)?, &origin(ctx, None)?).await);
        let position = visible(ctx, shown.position).await?;
        Ok(RecoveryCodesPayload { recovery_codes: Some(shown.codes), position, ..Default::default() })
    }

    /// Begins to add a passkey.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn passkey_registration_begin(&self, ctx: &Context<'_>) -> Result<PasskeyRegistrationBeginPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let begun = done!(ctx, "passkeyRegistrationBegin", accounts.passkey_registration_begin(who(ctx)?).await);
        let position = visible(ctx, None).await?;
        Ok(PasskeyRegistrationBeginPayload { options: Some(begun.into()), position, ..Default::default() })
    }

    /// Adds a passkey with what the browser answered.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn passkey_registration_finish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The browser's answer.")] input: PasskeyRegistrationFinishInput,
    ) -> Result<PasskeyPayload, Error> {
        let PasskeyRegistrationFinishInput { token, response, label } = input;
        let (accounts, response) = (&ctx.data::<Arc<Shop>>()?.accounts, response.0.to_string());
        let (who, origin) = (who(ctx)?, origin(ctx, None)?);
        let answer = accounts.passkey_registration_finish(who, &token, &response, &label, &origin).await;
        let added = done!(ctx, "passkeyRegistrationFinish", answer);
        let position = visible(ctx, added.position).await?;
        Ok(PasskeyPayload { passkey: Some(added.passkey.into()), position, ..Default::default() })
    }

    /// Takes a passkey away.
    #[graphql(guard = "SignedIn", visible = "signed_in")]
    async fn passkey_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The passkey.")] input: PasskeyRemoveInput,
    ) -> Result<AccountPayload, Error> {
        let passkey: Uuid = match read_input::id(Kind::Passkey, &input.passkey_id, &["passkeyId"]) {
            Ok(id) => id,
            Err(user_error) => return Ok(refused(ctx, vec![user_error])?.into()),
        };
        let (accounts, who) = (&ctx.data::<Arc<Shop>>()?.accounts, who(ctx)?);
        let written = done!(ctx, "passkeyRemove", accounts.passkey_remove(who, passkey, &origin(ctx, None)?).await);
        let position = visible(ctx, written.position).await?;
        Ok(AccountPayload { account: account_at(ctx, Some(who.account_id)).await?, position, ..Default::default() })
    }

    /// Ends a session of the caller's own account; staff with the permission may name another account.
    #[graphql(visible = "signed_in_or_managing")]
    async fn session_end(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session.")] input: SessionEndInput,
    ) -> Result<SessionsEndPayload, Error> {
        let account = match own_or_managed(ctx, "sessionEnd", input.account_id.as_ref()).await? {
            Ok(account) => account,
            Err(user_error) => return Ok(refused(ctx, vec![user_error])?.into()),
        };
        let session: Uuid = match read_input::id(Kind::Session, &input.session_id, &["sessionId"]) {
            Ok(id) => id,
            Err(user_error) => return Ok(refused(ctx, vec![user_error])?.into()),
        };
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let written = done!(ctx, "sessionEnd", accounts.end_session(account, session, &origin(ctx, None)?).await);
        let position = visible(ctx, written.position).await?;
        Ok(SessionsEndPayload { account: account_at(ctx, Some(account)).await?, position, ..Default::default() })
    }

    /// Ends all sessions of the caller's own account; staff with the permission may name another account.
    #[graphql(visible = "signed_in_or_managing")]
    async fn sessions_end_all(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose.")] input: SessionsEndAllInput,
    ) -> Result<SessionsEndPayload, Error> {
        let account = match own_or_managed(ctx, "sessionsEndAll", input.account_id.as_ref()).await? {
            Ok(account) => account,
            Err(user_error) => return Ok(refused(ctx, vec![user_error])?.into()),
        };
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let written = done!(ctx, "sessionsEndAll", accounts.end_all_sessions(account, &origin(ctx, None)?).await);
        let position = visible(ctx, written.position).await?;
        Ok(SessionsEndPayload { account: account_at(ctx, Some(account)).await?, position, ..Default::default() })
    }
}

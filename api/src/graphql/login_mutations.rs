//! How somebody comes to an account, and in: registering, logging in, and what to do about a forgotten password.

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject, Json, Object, SimpleObject};
use event_schemas::Timestamp;
use identity::{
    AdminClaim, Challenge, Login, LoginAnswer, OidcReturn, PasskeyBegun, PasswordReset, Registration, SecondFactorLogin,
};

use crate::{
    graphql::{
        account::Account,
        changed::signed_in_to,
        command::payload,
        identity_call::{origin, told, visible, who},
    },
    shop::Shop,
};

/// Somebody who wants an account.
#[derive(InputObject)]
pub(crate) struct AccountRegisterInput {
    /// Where mails go, and what one logs in with.
    email: String,
    /// 12 to 128 characters.
    password: String,
    /// What to call them; at most 100 characters.
    display_name: Option<String>,
}

/// An e-mail address.
#[derive(InputObject)]
pub(crate) struct EmailInput {
    /// The address.
    pub(crate) email: String,
}

/// The code of a mail, and the password that was chosen before it.
#[derive(InputObject)]
pub(crate) struct AccountVerifyInput {
    /// The code.
    code: String,
    /// The password that the account was asked for with.
    password: String,
}

/// A login with a password.
#[derive(InputObject)]
pub(crate) struct LoginInput {
    /// The account's e-mail address, in any case.
    email: String,
    /// Its password.
    password: String,
    /// What an earlier login gave as `deviceToken`, if this device has one.
    device_token: Option<String>,
}

/// The second half of a login.
#[derive(InputObject)]
pub(crate) struct LoginSecondFactorInput {
    /// What `login` gave.
    challenge: String,
    /// Six digits of the authenticator app, or a recovery code.
    code: String,
    /// What an earlier login gave as `deviceToken`, if this device has one.
    device_token: Option<String>,
}

/// A session to go on with.
#[derive(InputObject)]
pub(crate) struct TokenRefreshInput {
    /// The refresh token. It works once: two uses of the same one end the session.
    refresh_token: String,
}

/// A new password in place of a forgotten one.
#[derive(InputObject)]
pub(crate) struct PasswordResetInput {
    /// The code of the mail.
    code: String,
    /// 12 to 128 characters.
    new_password: String,
}

/// What a browser answered for a passkey.
#[derive(InputObject)]
pub(crate) struct PasskeyLoginFinishInput {
    /// What `passkeyLoginBegin` gave.
    token: String,
    /// What `PublicKeyCredential.toJSON()` gave, as a JSON object.
    response: Json<serde_json::Value>,
    /// What an earlier login gave as `deviceToken`, if this device has one.
    device_token: Option<String>,
}

/// A login elsewhere to begin.
#[derive(InputObject)]
pub(crate) struct OidcLoginBeginInput {
    /// Whether to link it to the account that is logged in, instead of logging in with it.
    #[graphql(default)]
    link: bool,
}

/// What came back from a login elsewhere.
#[derive(InputObject)]
pub(crate) struct OidcLoginFinishInput {
    /// What `oidcLoginBegin` gave.
    token: String,
    /// The parameter `state` of the address that the browser came back to.
    state: String,
    /// The parameter `code` of that address.
    code: String,
    /// What an earlier login gave as `deviceToken`, if this device has one.
    device_token: Option<String>,
}

/// The account of the first admin.
#[derive(InputObject)]
pub(crate) struct AdminClaimInput {
    /// The code of the link that `daybook serve` printed.
    code: String,
    /// Where mails go, and what one logs in with.
    email: String,
    /// 12 to 128 characters.
    password: String,
}

/// What a device needs to act for an account. All of it is secret.
#[derive(SimpleObject)]
pub(crate) struct SignedIn {
    /// For the header `Authorization: Bearer …`; holds 15 minutes.
    access_token: String,
    /// When the access token ends.
    access_expires_at: Timestamp,
    /// For `tokenRefresh`. It works once: two uses of the same one end the session.
    refresh_token: String,
    /// When the refresh token ends.
    refresh_expires_at: Timestamp,
    /// To be kept by the device, also after a logout, and given with later logins, so that nobody else's failed logins lock
    /// it out; null if it gave a valid one.
    device_token: Option<String>,
    /// The account; null when the views need longer than two seconds to show it.
    account: Option<Account>,
}

/// The first factor was right; a second one is needed.
#[derive(SimpleObject)]
pub(crate) struct SecondFactorChallenge {
    /// For `loginSecondFactor`.
    challenge: String,
    /// When it ends.
    expires_at: Timestamp,
}

/// What a browser needs to make or use a passkey.
#[derive(SimpleObject)]
pub(crate) struct PasskeyOptions {
    /// To be given with the browser's answer.
    token: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    options: Json<serde_json::Value>,
    /// When it ends.
    expires_at: Timestamp,
}

impl From<PasskeyBegun> for PasskeyOptions {
    fn from(begun: PasskeyBegun) -> Self {
        let PasskeyBegun { token, options, expires_at } = begun;
        Self { token, options: Json(options), expires_at }
    }
}

/// Where to log in elsewhere.
#[derive(SimpleObject)]
pub(crate) struct OidcRedirect {
    /// To be kept by the page, such as in `sessionStorage`, and given with what comes back.
    token: String,
    /// Where to send the browser. It comes back to `/account?code=…&state=…`.
    url: String,
    /// When it ends.
    expires_at: Timestamp,
}

payload! {
    /// What is the same for everyone, whether or not there is such an account: the rest goes by mail.
    MailPayload {
        /// Whether the mail is on its way, if there is anything to send; null when nothing was done.
        accepted: bool,
    }
}

payload! {
    /// An account that is there now. It is not logged in.
    AccountVerifyPayload {
        /// The account's id; null when nothing was done.
        account_id: async_graphql::ID,
    }
}

payload! {
    /// The answer to a login: in, or a question for a second factor.
    LoginPayload {
        /// What the device needs from now on; null when it is not in, or not yet.
        signed_in: SignedIn,
        /// What a second factor has to answer; null when none is needed.
        challenge: SecondFactorChallenge,
    }
}

payload! {
    /// The answer to a login, or to a session that goes on.
    SignedInPayload {
        /// What the device needs from now on; null when it is not in.
        signed_in: SignedIn,
    }
}

payload! {
    /// A password that was changed. All sessions of the account have ended.
    PasswordResetPayload {
        /// Whether it was changed; null when nothing was done.
        changed: bool,
    }
}

payload! {
    /// A login with a passkey that was begun.
    PasskeyLoginBeginPayload {
        /// What the browser needs.
        options: PasskeyOptions,
    }
}

payload! {
    /// A login elsewhere that was begun.
    OidcLoginBeginPayload {
        /// Where to send the browser; null when nothing was done.
        redirect: OidcRedirect,
    }
}

/// What a device needs, with the account as it is now.
///
/// # Errors
/// If the views cannot be read.
pub(crate) async fn signed_in_payload(ctx: &Context<'_>, done: identity::SignedIn) -> Result<SignedInPayload, Error> {
    let position = visible(ctx, done.position).await?;
    let signed_in = SignedIn {
        access_token: done.access_token,
        access_expires_at: done.access_expires_at,
        refresh_token: done.refresh_token,
        refresh_expires_at: done.refresh_expires_at,
        device_token: done.device_token,
        account: signed_in_to(ctx, Some(done.account_id)).await?,
    };
    Ok(SignedInPayload { signed_in: Some(signed_in), position, ..Default::default() })
}

async fn login_answer(ctx: &Context<'_>, answer: LoginAnswer) -> Result<LoginPayload, Error> {
    match answer {
        LoginAnswer::SignedIn(done) => {
            let SignedInPayload { signed_in, position, user_errors, warnings } = signed_in_payload(ctx, *done).await?;
            Ok(LoginPayload { signed_in, challenge: None, position, user_errors, warnings })
        }
        LoginAnswer::SecondFactor(Challenge { challenge, expires_at }) => {
            let challenge = Some(SecondFactorChallenge { challenge, expires_at });
            Ok(LoginPayload { signed_in: None, challenge, position: visible(ctx, None).await?, ..Default::default() })
        }
    }
}

pub(crate) async fn mailed(ctx: &Context<'_>) -> Result<MailPayload, Error> {
    Ok(MailPayload { accepted: Some(true), position: visible(ctx, None).await?, ..Default::default() })
}

/// Answers a rule that forbids it; gives what was done otherwise.
macro_rules! done {
    ($ctx:ident, $operation:literal, $answer:expr) => {
        match told($ctx, $operation, $answer).await? {
            Ok(done) => done,
            Err(refused) => return Ok(refused.into()),
        }
    };
}
pub(crate) use done;

#[derive(Default)]
pub(crate) struct LoginMutation;

#[Object]
impl LoginMutation {
    /// Asks for an account. Its code comes by mail, and `accountVerify` makes it. The answer is the same for an address that has
    /// an account: its owner is told by mail.
    async fn account_register(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants it.")] input: AccountRegisterInput,
    ) -> Result<MailPayload, Error> {
        let AccountRegisterInput { email, password, display_name } = input;
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let registration = Registration { email, password, display_name };
        done!(ctx, "accountRegister", accounts.register(registration, &origin(ctx, None)?).await);
        mailed(ctx).await
    }

    /// Makes the account that was asked for, with the code of the mail and the password that was chosen.
    async fn account_verify(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code and the password.")] input: AccountVerifyInput,
    ) -> Result<AccountVerifyPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.verify_email(&input.code, &input.password, &origin(ctx, None)?).await;
        let verified = done!(ctx, "accountVerify", answer);
        verify_payload(ctx, verified).await
    }

    /// Sends the mail with the code again. The answer is the same whether or not an account waits for it.
    async fn account_verification_resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The address.")] input: EmailInput,
    ) -> Result<MailPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.resend_verification(&input.email, &origin(ctx, None)?).await;
        done!(ctx, "accountVerificationResend", answer);
        mailed(ctx).await
    }

    /// Logs in with a password.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Address and password.")] input: LoginInput,
    ) -> Result<LoginPayload, Error> {
        let LoginInput { email, password, device_token } = input;
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.login(Login { email, password }, &origin(ctx, device_token)?).await;
        let answer = done!(ctx, "login", answer);
        login_answer(ctx, answer).await
    }

    /// Answers the question for a second factor.
    async fn login_second_factor(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The question and the code.")] input: LoginSecondFactorInput,
    ) -> Result<SignedInPayload, Error> {
        let LoginSecondFactorInput { challenge, code, device_token } = input;
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.login_second_factor(SecondFactorLogin { challenge, code }, &origin(ctx, device_token)?).await;
        let done = done!(ctx, "loginSecondFactor", answer);
        signed_in_payload(ctx, done).await
    }

    /// Goes on with a session: a new access token, and a new refresh token in place of the one given.
    async fn token_refresh(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The refresh token.")] input: TokenRefreshInput,
    ) -> Result<SignedInPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let done = done!(ctx, "tokenRefresh", accounts.refresh(&input.refresh_token, &origin(ctx, None)?).await);
        signed_in_payload(ctx, done).await
    }

    /// Sends a mail with a link to set another password. The answer is the same whether or not there is such an account.
    async fn password_reset_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The address.")] input: EmailInput,
    ) -> Result<MailPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        done!(ctx, "passwordResetRequest", accounts.request_reset(&input.email, &origin(ctx, None)?).await);
        mailed(ctx).await
    }

    /// Sets another password with the code of the mail, and ends all sessions of the account.
    async fn password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code and the password.")] input: PasswordResetInput,
    ) -> Result<PasswordResetPayload, Error> {
        let PasswordResetInput { code, new_password } = input;
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.reset_password(PasswordReset { code, new: new_password }, &origin(ctx, None)?).await;
        let written = done!(ctx, "passwordReset", answer);
        let position = visible(ctx, written.position).await?;
        Ok(PasswordResetPayload { changed: Some(true), position, ..Default::default() })
    }

    /// Begins to log in with a passkey, without an address or a password.
    async fn passkey_login_begin(&self, ctx: &Context<'_>) -> Result<PasskeyLoginBeginPayload, Error> {
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let begun = done!(ctx, "passkeyLoginBegin", accounts.passkey_login_begin().await);
        let position = visible(ctx, None).await?;
        Ok(PasskeyLoginBeginPayload { options: Some(begun.into()), position, ..Default::default() })
    }

    /// Logs in with a passkey.
    async fn passkey_login_finish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The browser's answer.")] input: PasskeyLoginFinishInput,
    ) -> Result<SignedInPayload, Error> {
        let PasskeyLoginFinishInput { token, response, device_token } = input;
        let (accounts, response) = (&ctx.data::<Arc<Shop>>()?.accounts, response.0.to_string());
        let answer = accounts.passkey_login_finish(&token, &response, &origin(ctx, device_token)?).await;
        let done = done!(ctx, "passkeyLoginFinish", answer);
        signed_in_payload(ctx, done).await
    }

    /// Begins to log in elsewhere, at the issuer that the shop is set up with.
    async fn oidc_login_begin(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What for.")] input: OidcLoginBeginInput,
    ) -> Result<OidcLoginBeginPayload, Error> {
        let link = if input.link { Some(who(ctx)?) } else { None };
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let identity::OidcBegun { token, url, expires_at } = done!(ctx, "oidcLoginBegin", accounts.oidc_begin(link).await);
        let (redirect, position) = (Some(OidcRedirect { token, url, expires_at }), visible(ctx, None).await?);
        Ok(OidcLoginBeginPayload { redirect, position, ..Default::default() })
    }

    /// Logs in with what came back from elsewhere.
    async fn oidc_login_finish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What came back.")] input: OidcLoginFinishInput,
    ) -> Result<LoginPayload, Error> {
        let OidcLoginFinishInput { token, state, code, device_token } = input;
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.oidc_finish(OidcReturn { token, state, code }, &origin(ctx, device_token)?).await;
        let answer = done!(ctx, "oidcLoginFinish", answer);
        login_answer(ctx, answer).await
    }

    /// Makes the account of the first admin, with the code of the link that `daybook serve` printed. It works once, and only
    /// while there is no admin.
    async fn admin_claim(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code and the account.")] input: AdminClaimInput,
    ) -> Result<AccountVerifyPayload, Error> {
        let AdminClaimInput { code, email, password } = input;
        let accounts = &ctx.data::<Arc<Shop>>()?.accounts;
        let answer = accounts.claim_admin(AdminClaim { code, email, password }, &origin(ctx, None)?).await;
        let verified = done!(ctx, "adminClaim", answer);
        verify_payload(ctx, verified).await
    }
}

async fn verify_payload(ctx: &Context<'_>, verified: identity::Verified) -> Result<AccountVerifyPayload, Error> {
    let account_id = crate::graphql::global_id::encode(crate::graphql::global_id::Kind::Account, verified.account_id);
    let position = visible(ctx, verified.position).await?;
    Ok(AccountVerifyPayload { account_id: Some(account_id), position, ..Default::default() })
}

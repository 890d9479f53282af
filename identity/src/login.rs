//! Login with a password, and with what stands beside it.
//!
//! Nothing that is answered, and not the time it takes, tells whether there is such an account: an unknown one is counted,
//! looked up and hashed as a known one. A login writes the vault only: the counters, a device, a session. A death in the
//! middle leaves a counted attempt, or a session whose tokens nobody got and that expires.

use chrono::TimeDelta;
use event_schemas::AccountId;

use crate::{
    Accounts, Challenge, Checked, IdentityError, IdentityRefusal, Login, LoginAnswer, Origin, SecondFactorLogin, SignedIn,
    codes::Code, credentials::Credentials, email::Email, passwords,
};

/// How long a second factor may take.
const CHALLENGE: TimeDelta = TimeDelta::minutes(5);
/// No code of a second factor is longer.
const LONGEST_CODE: usize = 64;

impl Accounts {
    /// Logs in with e-mail address and password.
    ///
    /// # Errors
    /// [`IdentityRefusal::CredentialsInvalid`], [`IdentityRefusal::LoginLocked`]; [`IdentityRefusal::AccountDisabled`], told only
    /// to who knows the password; [`IdentityError`] when a store fails or too many passwords are being hashed.
    pub async fn login(&self, login: Login, origin: &Origin) -> Result<LoginAnswer, IdentityError> {
        let email = Email::new(&login.email)?;
        let found = self.find(email.as_str()).await?;
        let owner = found.as_ref().map(|(id, credentials)| (*id, credentials));
        let attempt = self.begin_attempt(email.as_str(), owner, origin).await?;
        let (password, hash) = match passwords::may_be_one(&login.password) {
            true => (login.password, owner.and_then(|(_, credentials)| credentials.password.clone())),
            false => (String::new(), None),
        };
        let checked = match self.shared.passwords.check(password.clone(), hash).await {
            Ok(checked) => checked,
            Err(error) => {
                self.drop_attempt(attempt).await?;
                return Err(error);
            }
        };
        let Some((account_id, credentials)) = found.filter(|_| checked != Checked::Wrong) else {
            self.attempt_failed(&attempt);
            return Err(IdentityRefusal::CredentialsInvalid.into());
        };
        if checked == Checked::Outdated {
            self.rehash(account_id, &credentials, password).await;
        }
        match credentials.second_factor.is_none() {
            true => self.attempt_succeeded(attempt).await?,
            // Not counted, but the failures before it stay: whoever has the password cannot guess codes for ever.
            false => self.drop_attempt(attempt).await?,
        }
        self.first_factor_was_right(account_id, credentials, origin).await
    }

    /// Whoever has shown one factor is in, or is asked for the second.
    pub(crate) async fn first_factor_was_right(
        &self,
        account_id: AccountId,
        credentials: Credentials,
        origin: &Origin,
    ) -> Result<LoginAnswer, IdentityError> {
        self.must_be_enabled(account_id).await?;
        if credentials.second_factor.is_some() {
            let code = Code::SecondFactor { account_id, epoch: credentials.epoch };
            let (challenge, expires_at) = self.new_code(&code, CHALLENGE).await?;
            return Ok(LoginAnswer::SecondFactor(Challenge { challenge, expires_at }));
        }
        let signed_in = self.sign_in(account_id, credentials, origin).await?;
        Ok(LoginAnswer::SignedIn(Box::new(signed_in)))
    }

    pub(crate) async fn must_be_enabled(&self, account_id: AccountId) -> Result<(), IdentityError> {
        match self.rights_of(account_id).await?.disabled {
            true => Err(IdentityRefusal::AccountDisabled.into()),
            false => Ok(()),
        }
    }

    /// Finishes a login with a code of the authenticator app or a recovery code. A wrong code can be tried again, within the
    /// limits of lockout.
    ///
    /// The code is spent in the account's document first, then the challenge: of two logins at once with the same code, or with
    /// the same challenge, one gets in.
    ///
    /// # Errors
    /// [`IdentityRefusal::ChallengeInvalid`], [`IdentityRefusal::SecondFactorInvalid`], [`IdentityRefusal::LoginLocked`],
    /// [`IdentityRefusal::AccountDisabled`]; [`IdentityError`] when a store fails.
    pub async fn login_second_factor(&self, login: SecondFactorLogin, origin: &Origin) -> Result<SignedIn, IdentityError> {
        let invalid = || IdentityError::from(IdentityRefusal::ChallengeInvalid);
        let Some(Code::SecondFactor { account_id, epoch }) = self.code(&login.challenge).await? else { return Err(invalid()) };
        let credentials = self.credentials(account_id).await?.filter(|credentials| credentials.epoch == epoch);
        let credentials = credentials.ok_or_else(invalid)?;
        self.must_be_enabled(account_id).await?;
        let attempt = self.begin_attempt(&credentials.email, Some((account_id, &credentials)), origin).await?;
        match self.spend_code(account_id, epoch, &login.code).await {
            Ok(()) => {}
            Err(error @ IdentityError::Refused(IdentityRefusal::SecondFactorInvalid)) => {
                self.attempt_failed(&attempt);
                return Err(error);
            }
            Err(error) => {
                self.drop_attempt(attempt).await?;
                return Err(error);
            }
        }
        if !self.end_code(&login.challenge).await? {
            return Err(invalid());
        }
        self.attempt_succeeded(attempt).await?;
        self.sign_in(account_id, credentials, origin).await
    }

    /// Uses a code up.
    async fn spend_code(&self, account_id: AccountId, epoch: u32, code: &str) -> Result<(), IdentityError> {
        let now = self.now();
        let spend = |credentials: &mut Credentials| {
            let factor = credentials.second_factor.as_mut().filter(|_| credentials.epoch == epoch);
            let factor = factor.ok_or(IdentityRefusal::ChallengeInvalid)?;
            if let Some(step) = factor.totp.check(code, now, factor.last_step) {
                factor.last_step = Some(step);
                return Ok(());
            }
            let spent = code.len() <= LONGEST_CODE && factor.recovery.spend(code);
            if spent { Ok(()) } else { Err(IdentityRefusal::SecondFactorInvalid.into()) }
        };
        self.change(account_id, spend).await?;
        Ok(())
    }

    /// Hashes a password in the way that passwords are hashed now. It can wait for the next login.
    async fn rehash(&self, account_id: AccountId, credentials: &Credentials, password: String) {
        let rehashed = async {
            let hash = self.shared.passwords.hash(password).await?;
            let replace = |now: &mut Credentials| {
                // Not if the password was changed meanwhile.
                if now.password == credentials.password {
                    now.password = Some(hash.clone());
                }
                Ok(())
            };
            self.change(account_id, replace).await
        };
        if let Err(error) = rehashed.await {
            tracing::warn!(%account_id, %error, "a password was not hashed again");
        }
    }
}

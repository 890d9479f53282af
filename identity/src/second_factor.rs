//! The second factor: codes of an authenticator app, and recovery codes for who has lost it.
//!
//! Each change is one write of the vault that owes the log its event; see `credentials.rs`.

use chrono::TimeDelta;

use crate::{
    AccountSession, Accounts, IdentityError, IdentityRefusal, Origin, RecoveryCodes, RecoveryCodesShown, SecondFactorEnrolment,
    TotpSecret, Written,
    codes::Code,
    credentials::{Credentials, Note, SecondFactor},
    letters,
};

/// How long it may take to set up an app.
const ENROLMENT: TimeDelta = TimeDelta::minutes(15);

impl Accounts {
    /// Begins to add a second factor: what the authenticator app needs. Nothing changes until its first code is right.
    ///
    /// # Errors
    /// [`IdentityRefusal::SecondFactorOn`], [`IdentityRefusal::LoginTooOld`]; [`IdentityError`] when a store fails.
    pub async fn second_factor_begin(&self, who: AccountSession) -> Result<SecondFactorEnrolment, IdentityError> {
        let credentials = self.recent(who).await?;
        if credentials.second_factor.is_some() {
            return Err(IdentityRefusal::SecondFactorOn.into());
        }
        let totp = TotpSecret::generate();
        // The address of an enrolment keeps shop and account apart with a colon.
        let [shop, account] = [&self.shared.config.shop_name, &credentials.email].map(|text| text.replace(':', " "));
        let enrolment = totp.enrolment(&shop, &account)?;
        let (token, expires_at) = self.new_code(&Code::Enrolment { who, totp }, ENROLMENT).await?;
        let (uri, qr_svg, secret) = (enrolment.uri, enrolment.qr_svg, enrolment.secret);
        Ok(SecondFactorEnrolment { token, uri, qr_svg, secret, expires_at })
    }

    /// Adds the second factor, by the first code of the app. The recovery codes are answered here and never again.
    ///
    /// # Errors
    /// [`IdentityRefusal::ChallengeInvalid`], [`IdentityRefusal::SecondFactorInvalid`], [`IdentityRefusal::SecondFactorOn`];
    /// [`IdentityError`] when a store fails.
    pub async fn second_factor_confirm(
        &self,
        who: AccountSession,
        token: &str,
        code: &str,
        origin: &Origin,
    ) -> Result<RecoveryCodesShown, IdentityError> {
        let Some(Code::Enrolment { who: begun_by, totp }) = self.code(token).await? else {
            return Err(IdentityRefusal::ChallengeInvalid.into());
        };
        if begun_by != who || self.session(who).await?.is_none() {
            return Err(IdentityRefusal::ChallengeInvalid.into());
        }
        let step = totp.check(code, self.now(), None).ok_or(IdentityRefusal::SecondFactorInvalid)?;
        let (recovery, codes) = RecoveryCodes::generate();
        let add = |credentials: &mut Credentials| {
            if credentials.second_factor.is_some() {
                return Err(IdentityRefusal::SecondFactorOn.into());
            }
            let (totp, recovery) = (totp.clone(), recovery.clone());
            credentials.second_factor = Some(SecondFactor { totp, last_step: Some(step), recovery });
            credentials.owe(Note::SecondFactorAdded, origin.actor());
            Ok(())
        };
        let (credentials, (), written) = self.change_and_pay(who.account_id, origin, add).await?;
        self.end_code(token).await?;
        self.tell_owner(&credentials, letters::second_factor_added);
        Ok(RecoveryCodesShown { codes, position: written.position })
    }

    /// Removes the second factor and the recovery codes.
    ///
    /// # Errors
    /// [`IdentityRefusal::SecondFactorOff`], [`IdentityRefusal::LoginTooOld`]; [`IdentityError`] when a store fails.
    pub async fn second_factor_remove(&self, who: AccountSession, origin: &Origin) -> Result<Written, IdentityError> {
        self.recent(who).await?;
        let remove = |credentials: &mut Credentials| {
            credentials.second_factor.take().ok_or(IdentityRefusal::SecondFactorOff)?;
            credentials.owe(Note::SecondFactorRemoved, origin.actor());
            Ok(())
        };
        let (credentials, (), written) = self.change_and_pay(who.account_id, origin, remove).await?;
        self.tell_owner(&credentials, letters::second_factor_removed);
        Ok(written)
    }

    /// Makes new recovery codes; the old ones do not work any more. They are answered here and never again. It is no event.
    ///
    /// # Errors
    /// [`IdentityRefusal::SecondFactorOff`], [`IdentityRefusal::LoginTooOld`]; [`IdentityError`] when a store fails.
    pub async fn recovery_codes_renew(&self, who: AccountSession, origin: &Origin) -> Result<RecoveryCodesShown, IdentityError> {
        self.recent(who).await?;
        let (recovery, codes) = RecoveryCodes::generate();
        let renew = |credentials: &mut Credentials| {
            let factor = credentials.second_factor.as_mut().ok_or(IdentityRefusal::SecondFactorOff)?;
            factor.recovery = recovery.clone();
            Ok(())
        };
        let (credentials, (), written) = self.change_and_pay(who.account_id, origin, renew).await?;
        self.tell_owner(&credentials, letters::recovery_codes_renewed);
        Ok(RecoveryCodesShown { codes, position: written.position })
    }
}

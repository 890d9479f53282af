//! Why a proof of who somebody is did not hold, whichever kind of proof it was.

/// What goes wrong with a one-time code, a passkey or an external login. The texts are for logs; they hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The proof does not hold, with the rule that it breaks. Whoever sent it is not let in.
    #[error("the proof does not hold: {0}")]
    Refused(String),
    /// The proof came too late: begin again.
    #[error("the challenge has ended")]
    Expired,
    /// The shop's own settings rule this kind of proof out, such as a public URL that passkeys cannot belong to.
    #[error("{0}")]
    Setup(String),
    /// The other side cannot be reached, or answers with what cannot be understood. Trying again later may help.
    #[error("{0}")]
    Unavailable(String),
    /// What was kept about somebody cannot be read: it was not written by this code, or a library failed.
    #[error("what was kept cannot be used: {0}")]
    Broken(String),
}

impl ProofError {
    pub(crate) fn refused(rule: impl ToString) -> Self {
        Self::Refused(rule.to_string())
    }

    pub(crate) fn broken(why: impl ToString) -> Self {
        Self::Broken(why.to_string())
    }
}

//! Who sends a request, by a token or an API key, and until when what it opened may stay open.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode, header};
use event_schemas::Timestamp;
use futures::future::{BoxFuture, FutureExt as _, pending};
use identity::TokenError;
use tokio::time::Instant;

use crate::{
    access::Caller,
    http::{Refused, limited::Meter},
    shop::Shop,
};

/// How long a session may last: a token may end after the end of what a clock can count.
const LONGEST_SESSION: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How often it is looked whether a token still holds with which something stays open.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A caller, and by what and until when it is known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Who it is.
    pub(crate) caller: Caller,
    expires_at: Option<Timestamp>,
    /// The token or the key; none for nobody in particular.
    bearer: Option<Bearer>,
}

/// A token or an API key, which is not to be printed.
#[derive(Clone)]
struct Bearer(Arc<str>);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// Who sent a request that is not one too many. One with a token that does not hold counts for the address.
///
/// # Errors
/// As [`caller`], and [`Refused`] with 429.
pub(crate) async fn admitted(shop: &Shop, headers: &HeaderMap, meter: &mut Meter) -> Result<Known, Refused> {
    let known = match caller(shop, headers).await {
        Ok(known) => known,
        Err(refused) => return meter.anonymous(shop).and_then(|()| Err(refused)),
    };
    meter.request(shop, &known.caller)?;
    Ok(known)
}

/// Who sent a request, by its `Authorization` header; nobody in particular, for ever, without one.
///
/// # Errors
/// [`Refused`] with 401 if the token does not hold, with 503 if that cannot be told now.
pub(crate) async fn caller(shop: &Shop, headers: &HeaderMap) -> Result<Known, Refused> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(Known { caller: Caller::anonymous(), expires_at: None, bearer: None }),
        (Some(value), None) => authenticate(shop, value.to_str().unwrap_or_default()).await,
        (Some(_), Some(_)) => Err(unauthenticated("the Authorization header must be there once")),
    }
}

/// Who holds a token or an API key, given as `Bearer TOKEN` (RFC 6750, section 2.1).
///
/// # Errors
/// As [`caller`].
pub(crate) async fn authenticate(shop: &Shop, authorization: &str) -> Result<Known, Refused> {
    let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthenticated("the Authorization header must read `Bearer TOKEN`"));
    }
    known(shop, Bearer(token.trim().into())).await
}

async fn known(shop: &Shop, bearer: Bearer) -> Result<Known, Refused> {
    let authenticated = shop.accounts.authenticate(&bearer.0, shop.engine.clock().now()).await;
    let authenticated = authenticated.map_err(|error| match error {
        TokenError::Expired | TokenError::Invalid => unauthenticated(&error.to_string()),
        TokenError::Unavailable(reason) => unavailable(&reason),
    })?;
    let expires_at = authenticated.expires_at;
    let caller = shop.rights.caller(authenticated).await.map_err(|reason| unavailable(&reason))?;
    Ok(Known { caller, expires_at, bearer: Some(bearer) })
}

fn unauthenticated(message: &str) -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
}

/// The operator reads the reason in the log, the caller gets no detail.
fn unavailable(reason: &str) -> Refused {
    tracing::error!(reason, "it could not be told whether a token holds");
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "it cannot be told now who you are; try again shortly")
}

/// Why what was opened with a token has to end.
pub(crate) const SESSION_ENDED: &str = "the token has expired, was taken back, or its rights have changed";

/// Waits until what was opened with a token has to end: because the token ends, because its session was ended from elsewhere,
/// or because its rights have changed, which what is open would not notice. For nobody in particular, that is never.
pub(crate) fn ended(shop: &Arc<Shop>, known: &Known) -> BoxFuture<'static, ()> {
    let Known { caller, expires_at, bearer: Some(bearer) } = known.clone() else { return pending().boxed() };
    let shop = shop.clone();
    let ends = expires_at.map(|expires_at| {
        let remaining = (expires_at - shop.engine.clock().now()).to_std().unwrap_or_default();
        Instant::now() + remaining.min(LONGEST_SESSION)
    });
    let watched = async move {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            match self::known(&shop, bearer.clone()).await {
                Ok(known) if known.caller != caller => return,
                Err(refused) if refused.status() == StatusCode::UNAUTHORIZED => return,
                // When it cannot be told now, the end of the token is near enough.
                Ok(_) | Err(_) => {}
            }
        }
    };
    match ends {
        None => watched.boxed(),
        Some(ends) => async move { drop(tokio::time::timeout_at(ends, watched).await) }.boxed(),
    }
}

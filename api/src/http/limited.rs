//! What limits have to do with one request, or with one socket: who is counted, what is told, and what is refused.

use std::{num::NonZeroU32, time::Duration};

use axum::http::{HeaderMap, StatusCode, request::Parts};

use crate::{
    access::{Caller, Identity},
    access_log::AccessNote,
    http::Refused,
    net::{Client, Held, Peer, Standing},
    rates::{self, CallerKey, Rates, Told, TooMany},
    shop::Shop,
};

/// Counts what one client asks for.
#[derive(Debug)]
pub(crate) struct Meter {
    client: Client,
    /// Whether a page of another site sends it: perhaps its reader knows nothing of it.
    cross_site: bool,
    told: Vec<Told>,
}

impl Meter {
    /// A client that has asked for nothing yet, and the headers of what it sends.
    pub(crate) fn new(client: Client, headers: &HeaderMap) -> Self {
        let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        Self { client, cross_site, told: Vec::new() }
    }

    /// The same for what a browser asks by itself, before it sends what a page of another origin wants: its reader did nothing.
    pub(crate) fn of_preflight(client: Client) -> Self {
        Self { client, cross_site: true, told: Vec::new() }
    }

    /// The client that sends a request, as the door found it.
    pub(crate) fn of(shop: &Shop, parts: &Parts) -> Self {
        let known = parts.extensions.get::<Client>().copied();
        Self::new(known.unwrap_or_else(|| shop.door.client(Peer::unknown().ip(), &parts.headers)), &parts.headers)
    }

    /// Who is counted, as far as the network tells.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The limits, if they are for this client.
    fn rates<'a>(&self, shop: &'a Shop) -> Option<&'a Rates> {
        shop.door.rates.as_ref().filter(|_| self.client.standing != Standing::Local)
    }

    fn is_stranger(&self) -> bool {
        self.client.standing == Standing::Stranger
    }

    /// Whether the address may be banned. No page may bring a ban on those who look at it.
    fn may_ban(&self) -> bool {
        self.is_stranger() && !self.cross_site
    }

    /// Refuses who is banned, before anything of the request is looked at.
    ///
    /// # Errors
    /// [`Refused`] with 429.
    pub(crate) fn not_banned(&self, shop: &Shop) -> Result<(), Refused> {
        let Some(rates) = self.rates(shop) else { return Ok(()) };
        rates.banned(CallerKey::Address(self.client.key())).map_err(|too_many| refused(&too_many))
    }

    /// Counts a request of a caller: for an account or an API key by that, for anyone else by the address.
    ///
    /// # Errors
    /// [`Refused`] with 429.
    pub(crate) fn request(&mut self, shop: &Shop, caller: &Caller) -> Result<(), Refused> {
        let Some(rates) = self.rates(shop) else { return Ok(()) };
        let key = match caller.identity() {
            Identity::Account { id, .. } => CallerKey::Account(*id),
            Identity::ApiKey { id } => CallerKey::ApiKey(*id),
            Identity::Nobody | Identity::Operator { .. } => CallerKey::Address(self.client.key()),
        };
        // An account is somebody, wherever it comes from: it may be banned from a private network too.
        let may_ban = self.may_ban() || !matches!(key, CallerKey::Address(_));
        // On a socket there are many requests, and each is told of by itself.
        self.told.clear();
        let outcome = rates.request(key, may_ban, &mut self.told);
        outcome.map_err(|too_many| self.refused(shop, caller, &too_many))
    }

    /// Counts a request without a caller: one that shows something to everyone, or one with a token that does not hold.
    ///
    /// # Errors
    /// [`Refused`] with 429.
    pub(crate) fn anonymous(&mut self, shop: &Shop) -> Result<(), Refused> {
        if self.rates(shop).is_none() { Ok(()) } else { self.request(shop, &Caller::anonymous()) }
    }

    /// Counts attempts to sign in, to register or to reset a password.
    ///
    /// # Errors
    /// [`Refused`] with 429.
    pub(crate) fn sign_ins(&mut self, shop: &Shop, caller: &Caller, times: u32) -> Result<(), Refused> {
        let (Some(times), Some(rates), true) = (NonZeroU32::new(times), self.rates(shop), self.is_stranger()) else {
            return Ok(());
        };
        let outcome = rates.sign_in(self.client.key(), times, self.may_ban(), &mut self.told);
        outcome.map_err(|too_many| self.refused(shop, caller, &too_many))
    }

    /// Room for a socket or an event stream; nobody near is counted.
    ///
    /// # Errors
    /// [`Refused`] with 429 when the address has as many as it may.
    pub(crate) fn stream(&self, shop: &Shop) -> Result<Option<Held>, Refused> {
        if !self.is_stranger() {
            return Ok(None);
        }
        shop.door.streams.take(self.client.key()).map(Some).ok_or_else(|| {
            let message = "too many sockets and event streams are open from this address";
            Refused::new(StatusCode::TOO_MANY_REQUESTS, "STREAM_LIMIT", message).after(Duration::from_secs(1))
        })
    }

    /// Tells the client how much is left.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        rates::append(&self.told, headers);
    }

    fn refused(&self, shop: &Shop, caller: &Caller, too_many: &TooMany) -> Refused {
        let name = match caller.identity() {
            Identity::Account { .. } | Identity::ApiKey { .. } => caller.actor(),
            Identity::Nobody | Identity::Operator { .. } => shop.address_in_log(self.client.address),
        };
        if let Some(banned_for) = too_many.banned_for {
            let until = shop.engine.clock().now() + banned_for;
            tracing::warn!(caller = name, limit = too_many.limit, %until, "banned for going on against a limit");
            shop.access_log.record(AccessNote::Banned { caller: name.clone(), until });
        }
        shop.access_log.record(AccessNote::Limited { caller: name, limit: too_many.limit });
        refused(too_many)
    }
}

fn refused(too_many: &TooMany) -> Refused {
    let seconds = rates::whole_seconds(too_many.wait).max(1);
    let message = format!("too many requests ({}); try again in {seconds} s", too_many.limit);
    Refused::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", &message).after(too_many.wait)
}

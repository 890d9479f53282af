//! Pages for people: GraphiQL, accounts, and the schema as text; and what is told where there is nothing.

use std::sync::{Arc, OnceLock};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::json;

use crate::{
    access::Identity,
    http::{Refused, callers, outgoing::MediaType},
    shop::Shop,
};

/// The page runs its own scripts only and talks to its own shop only. (Its dialogs bring styles of their own.)
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of `api/assets/graphiql` under its name; `.gz` as a browser unpacks it.
macro_rules! asset {
    ($file:literal) => {
        include_bytes!(concat!("../../assets/graphiql/", $file))
    };
}

/// `/`: GraphiQL, all of it from this binary, so that it needs no network but the shop's own. Not in production.
pub(crate) async fn graphiql(State(shop): State<Arc<Shop>>) -> Response {
    if shop.door.production {
        return nothing_here();
    }
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(asset!("page.html"))).into_response()
}

/// `/graphiql/{name}`: what the page is made of. Not in production either.
pub(crate) async fn graphiql_asset(State(shop): State<Arc<Shop>>, Path(name): Path<String>) -> Response {
    if shop.door.production {
        return nothing_here();
    }
    let (body, packed): (&'static [u8], bool) = match name.as_str() {
        "page.css" => (asset!("page.css"), false),
        "page.js" => (asset!("page.js"), false),
        "graphiql.min.css" => (asset!("graphiql.min.css.gz"), true),
        "graphiql.min.js" => (asset!("graphiql.min.js.gz"), true),
        "react.production.min.js" => (asset!("react.production.min.js.gz"), true),
        "react-dom.production.min.js" => (asset!("react-dom.production.min.js.gz"), true),
        "LICENSES.txt" => (asset!("LICENSES.txt"), false),
        _ => return nothing_here(),
    };
    let media_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    // A day: the names stay the same when a newer Daybook brings newer files.
    let mut response = ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "max-age=86400")], body).into_response();
    if packed {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    response
}

/// The page of accounts brings no style of its own, and shows the QR code of a second factor as a picture.
const ACCOUNT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/account`: where links of mails lead, and where somebody signs in and looks after their account.
pub(crate) async fn account() -> Response {
    let page = include_bytes!("../../assets/account/page.html");
    ([(header::CONTENT_SECURITY_POLICY, ACCOUNT_POLICY)], Html(page)).into_response()
}

/// `/account/{name}`: what that page is made of, and how one can log in at this shop. It is kept nowhere, so that a page and its
/// script are of one version.
pub(crate) async fn account_asset(State(shop): State<Arc<Shop>>, Path(name): Path<String>) -> Response {
    let (media_type, body) = match name.as_str() {
        "page.css" => ("text/css; charset=utf-8", include_str!("../../assets/account/page.css")),
        "page.js" => ("text/javascript; charset=utf-8", include_str!("../../assets/account/page.js")),
        "settings.json" => {
            let (passkeys, issuer) = (shop.accounts.has_passkeys(), shop.accounts.oidc_issuer());
            return Json(json!({ "passkeys": passkeys, "oidcIssuer": issuer })).into_response();
        }
        _ => return nothing_here(),
    };
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}

/// `/schema.graphql`: the whole schema, which is no secret; what a role may use is another matter. In production it is for
/// callers with a token.
pub(crate) async fn schema(State(shop): State<Arc<Shop>>, headers: HeaderMap) -> Response {
    /// It is the same for as long as the process runs, and takes its time to write.
    static SCHEMA: OnceLock<String> = OnceLock::new();
    if shop.door.production {
        match callers::caller(&shop, &headers).await {
            Ok(known) if matches!(known.caller.identity(), Identity::Nobody) => return nothing_here(),
            Ok(_) => {}
            Err(refused) => return refused.into_http(MediaType::Json),
        }
    }
    let schema = SCHEMA.get_or_init(crate::graphql::sdl).as_str();
    ([(header::CONTENT_TYPE, "application/graphql; charset=utf-8")], schema).into_response()
}

/// `/.well-known/jwks.json`: the keys that this shop's tokens are checked with (RFC 7517). A new key may be kept out of sight
/// for five minutes: whoever meets a key id that it does not know asks again.
pub(crate) async fn jwks(State(shop): State<Arc<Shop>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, Json(shop.accounts.keys().jwks()).into_response().into_body()).into_response()
}

/// What is told at every path that leads nowhere, and at one that is not for the caller.
pub(crate) async fn nothing() -> Response {
    nothing_here()
}

fn nothing_here() -> Response {
    let message = "there is nothing at this path; the API is at /graphql";
    Refused::new(StatusCode::NOT_FOUND, "NOT_FOUND", message).into_http(MediaType::Json)
}

//! Pages for people: GraphiQL, and the schema as text.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
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

/// `/`: GraphiQL, all of it from this binary, so that it needs no network but the shop's own.
pub(crate) async fn graphiql() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(asset!("page.html")))
}

/// `/graphiql/{name}`: what the page is made of.
pub(crate) async fn graphiql_asset(Path(name): Path<String>) -> Response {
    let (body, packed): (&'static [u8], bool) = match name.as_str() {
        "page.css" => (asset!("page.css"), false),
        "page.js" => (asset!("page.js"), false),
        "graphiql.min.css" => (asset!("graphiql.min.css.gz"), true),
        "graphiql.min.js" => (asset!("graphiql.min.js.gz"), true),
        "react.production.min.js" => (asset!("react.production.min.js.gz"), true),
        "react-dom.production.min.js" => (asset!("react-dom.production.min.js.gz"), true),
        "LICENSES.txt" => (asset!("LICENSES.txt"), false),
        _ => return StatusCode::NOT_FOUND.into_response(),
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

/// `/schema.graphql`: the whole schema, which is no secret; what a role may use is another matter.
pub(crate) async fn schema() -> Response {
    ([(header::CONTENT_TYPE, "application/graphql; charset=utf-8")], crate::graphql::sdl()).into_response()
}

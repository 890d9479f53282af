//! Pages for people: GraphiQL with its built-in stand-in, and the schema as text.

use axum::{
    http::header,
    response::{Html, IntoResponse, Response},
};

/// `/`: GraphiQL, or a plain query page when its assets cannot be reached.
pub(crate) async fn graphiql() -> Html<&'static str> {
    Html(include_str!("graphiql.html"))
}

/// `/schema.graphql`: the whole schema, which is no secret; what a role may use is another matter.
pub(crate) async fn schema() -> Response {
    ([(header::CONTENT_TYPE, "application/graphql; charset=utf-8")], crate::graphql::sdl()).into_response()
}

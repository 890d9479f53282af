//! What a client gets: media types, status codes, and answers without `data` for requests that could not be run.

use async_graphql::{Response, ServerError, Value};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
};
use serde::{Serialize, ser::SerializeMap};

use crate::http::event_stream;

/// A media type that an answer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// `application/graphql-response+json`: the status code tells whether the request could be run.
    GraphQl,
    /// `application/json`: well-formed requests are answered with 200.
    Json,
    /// `text/event-stream`: answers are events, also those to well-formed requests that could not be run.
    EventStream,
}

impl MediaType {
    /// The type that the client accepts most, the usual one if it accepts anything; `None` when it accepts none of them
    /// (GraphQL over HTTP, section 6.1).
    pub(crate) fn negotiate(headers: &HeaderMap, usual: Self) -> Option<Self> {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if accepted.peek().is_none() {
            return Some(usual);
        }
        let mut best: Option<(u32, Self)> = None;
        for range in accepted.flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let found = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/graphql-response+json" => Self::GraphQl,
                "application/json" | "application/*" => Self::Json,
                "text/event-stream" | "text/*" => Self::EventStream,
                "*/*" => usual,
                _ => continue,
            };
            let (mut quality, mut readable) = (1_000, true);
            for parameter in parts {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = thousandths(value.trim()),
                    "charset" => readable = value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"),
                    _ => {}
                }
            }
            if readable && quality > 0 && best.is_none_or(|(most, _)| quality > most) {
                best = Some((quality, found));
            }
        }
        best.map(|(_, media_type)| media_type)
    }

    fn without_events(self) -> Self {
        if self == Self::EventStream { Self::Json } else { self }
    }

    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphQl => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
        })
    }
}

/// A quality value such as `0.8` in thousandths (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<3.3}").parse().unwrap_or(0).min(1_000)
}

/// A request that was not run, with its status code.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The status code under [`MediaType::GraphQl`].
    status: StatusCode,
    /// Whether [`MediaType::Json`] has the same status code, or 200 as clients of old expect.
    strict: bool,
    /// What is wrong, one or more.
    pub(crate) errors: Vec<ServerError>,
}

impl Refused {
    /// A refusal with a status code that does not depend on the media type.
    pub(crate) fn new(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, strict: true, errors: vec![coded(ServerError::new(message, None), code)] }
    }

    /// A request that is not a well-formed GraphQL request.
    pub(crate) fn bad_request(code: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A well-formed request whose document cannot be run.
    pub(crate) fn document(errors: Vec<ServerError>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, strict: false, errors }
    }

    /// What is wrong first.
    pub(crate) fn message(&self) -> &str {
        self.errors.first().map_or("", |error| error.message.as_str())
    }

    /// The answer.
    pub(crate) fn into_http(self, media_type: MediaType) -> HttpResponse {
        let status = if self.strict || media_type == MediaType::GraphQl { self.status } else { StatusCode::OK };
        // Clients read no events from a response with another status.
        let media_type = if status == StatusCode::OK { media_type } else { media_type.without_events() };
        let mut response = write(status, media_type, &serde_json::json!({ "errors": self.errors }));
        let extra = match status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "POST")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Gives an error a code, unless it has one.
pub(crate) fn coded(mut error: ServerError, code: &str) -> ServerError {
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        extensions.set("code", code);
    }
    error
}

/// An answer of a schema: with `data` when the operation ran, without when it could not.
pub(crate) struct Answer<'a>(pub(crate) &'a Response);

impl Answer<'_> {
    /// Whether the operation did not run: then there is no `data` (GraphQL, section 7.1).
    pub(crate) fn is_request_error(&self) -> bool {
        let Self(response) = self;
        response.data == Value::Null && !response.errors.is_empty() && response.errors.iter().all(|error| error.path.is_empty())
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(response) = self;
        let mut fields = serializer.serialize_map(None)?;
        if !response.errors.is_empty() {
            fields.serialize_entry("errors", &response.errors)?;
        }
        if !self.is_request_error() {
            fields.serialize_entry("data", &response.data)?;
        }
        if !response.extensions.is_empty() {
            fields.serialize_entry("extensions", &response.extensions)?;
        }
        fields.end()
    }
}

/// The HTTP response of a schema's answer.
pub(crate) fn answer(response: &Response, media_type: MediaType) -> HttpResponse {
    let answer = Answer(response);
    let is_bad = answer.is_request_error() && media_type == MediaType::GraphQl;
    write(if is_bad { StatusCode::BAD_REQUEST } else { StatusCode::OK }, media_type, &answer)
}

/// The HTTP response whose body is the events of a subscription.
pub(crate) fn events(body: Body) -> HttpResponse {
    with_body(StatusCode::OK, MediaType::EventStream, body)
}

fn write(status: StatusCode, media_type: MediaType, value: &impl Serialize) -> HttpResponse {
    let body = match media_type {
        MediaType::GraphQl | MediaType::Json => serde_json::to_string(value),
        MediaType::EventStream => event_stream::next(value).map(|next| next + event_stream::COMPLETE),
    };
    match body {
        Ok(body) => with_body(status, media_type, Body::from(body)),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn with_body(status: StatusCode, media_type: MediaType, body: Body) -> HttpResponse {
    let mut response = (status, [(header::CONTENT_TYPE, media_type.header())], body).into_response();
    if media_type == MediaType::EventStream {
        // nginx would keep events back until it has many.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &'static str) -> Option<MediaType> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        MediaType::negotiate(&headers, MediaType::Json)
    }

    #[test]
    fn the_client_chooses_the_media_type() {
        assert_eq!(MediaType::negotiate(&HeaderMap::new(), MediaType::EventStream), Some(MediaType::EventStream));
        assert_eq!(negotiated("*/*"), Some(MediaType::Json));
        assert_eq!(negotiated("application/graphql-response+json, application/json;q=0.9"), Some(MediaType::GraphQl));
        assert_eq!(negotiated("application/graphql-response+json;q=0.5, application/json"), Some(MediaType::Json));
        assert_eq!(negotiated("application/graphql-response+json; charset=utf-8"), Some(MediaType::GraphQl));
        assert_eq!(negotiated("text/event-stream"), Some(MediaType::EventStream));
        assert_eq!(negotiated("application/json, text/event-stream"), Some(MediaType::Json));
        assert_eq!(negotiated("text/html, application/json;q=0"), None);
        assert_eq!(negotiated("application/json; charset=utf-16"), None);
    }
}

//! What a client gets: media types, status codes, and answers without `data` for requests that could not be run.

use std::{cmp::Reverse, time::Duration};

use async_graphql::{Response, ServerError, Value};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
};
use serde::{Serialize, ser::SerializeMap};

use crate::{http::event_stream, rates};

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

/// What a client accepts of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// What it accepts most.
    pub(crate) media_type: MediaType,
    /// Whether it names event streams among what it accepts, so that a subscription can be answered.
    pub(crate) events: bool,
}

/// The range of an `Accept` header that says most about a media type.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// 2 for the type itself, 1 for `application/*` and the like, 0 for `*/*`.
    precision: u8,
    /// In thousandths.
    quality: u32,
    /// Where it stands in the header.
    place: usize,
}

impl MediaType {
    /// All of them; where a client does not mind, an earlier one goes before a later one.
    const ALL: [Self; 3] = [Self::Json, Self::GraphQl, Self::EventStream];

    /// What the client accepts most, the usual one if it accepts anything; `None` when it accepts none of them (GraphQL over
    /// HTTP, section 6.1). The most precise range counts for a type (RFC 9110, section 12.5.1), so that `q=0` excludes it.
    pub(crate) fn negotiate(headers: &HeaderMap, usual: Self) -> Option<Accepted> {
        if !headers.contains_key(header::ACCEPT) {
            return Some(Accepted { media_type: usual, events: usual == Self::EventStream });
        }
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut ranges: [Option<Range>; 3] = [None; 3];
        for (place, text) in lines.flat_map(|line| line.split(',')).enumerate() {
            let mut parts = text.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let Some(quality) = quality(parts) else { continue };
            for (range, media_type) in ranges.iter_mut().zip(Self::ALL) {
                let Some(precision) = media_type.precision(name) else { continue };
                if range.is_none_or(|known| precision > known.precision) {
                    *range = Some(Range { precision, quality, place });
                }
            }
        }
        let found = Self::ALL.into_iter().zip(ranges).filter_map(|(media_type, range)| Some((media_type, range?)));
        let accepted = found.filter(|(_, range)| range.quality > 0);
        let (media_type, _) =
            accepted.min_by_key(|(media_type, range)| (Reverse(range.quality), range.place, *media_type != usual))?;
        let [_, _, events] = ranges;
        Some(Accepted { media_type, events: events.is_some_and(|range| range.precision > 0 && range.quality > 0) })
    }

    /// How precisely a range of an `Accept` header names it; not at all if it means something else.
    fn precision(self, range: &str) -> Option<u8> {
        let (itself, group) = match self {
            Self::Json => ("application/json", "application/*"),
            Self::GraphQl => ("application/graphql-response+json", "application/*"),
            Self::EventStream => ("text/event-stream", "text/*"),
        };
        let is = |name: &str| range.eq_ignore_ascii_case(name);
        if is(itself) {
            Some(2)
        } else if is(group) {
            Some(1)
        } else {
            (range == "*/*").then_some(0)
        }
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

/// How much a range is wanted, in thousandths, by its parameters; `None` when it wants another charset than there is.
fn quality<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<u32> {
    let mut quality = 1_000;
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("q") {
            quality = thousandths(value.trim());
        } else if name.trim().eq_ignore_ascii_case("charset") && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8") {
            return None;
        }
    }
    Some(quality)
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
    /// When to come again, if that is known.
    retry_after: Option<Duration>,
    /// What is wrong, one or more.
    pub(crate) errors: Vec<ServerError>,
}

impl Refused {
    /// A refusal with a status code that does not depend on the media type.
    pub(crate) fn new(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, strict: true, retry_after: None, errors: vec![coded(ServerError::new(message, None), code)] }
    }

    /// A request that is not a well-formed GraphQL request.
    pub(crate) fn bad_request(code: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A well-formed request whose document cannot be run.
    pub(crate) fn document(errors: Vec<ServerError>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, strict: false, retry_after: None, errors }
    }

    /// The same, and when to come again.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The status code under [`MediaType::GraphQl`].
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the request was well formed, and it is the document that cannot be run.
    pub(crate) fn is_about_document(&self) -> bool {
        !self.strict || self.status == StatusCode::FORBIDDEN
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
            _ => None,
        };
        let wait = self.retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1)));
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(rates::whole_seconds(wait).max(1)));
        }
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
        accepted(accept, MediaType::Json).map(|accepted| accepted.media_type)
    }

    fn accepted(accept: &'static str, usual: MediaType) -> Option<Accepted> {
        MediaType::negotiate(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]), usual)
    }

    #[test]
    fn the_client_chooses_the_media_type() {
        let nothing = MediaType::negotiate(&HeaderMap::new(), MediaType::EventStream);
        assert_eq!(nothing, Some(Accepted { media_type: MediaType::EventStream, events: true }));
        assert_eq!(negotiated("*/*"), Some(MediaType::Json));
        assert_eq!(accepted("*/*", MediaType::EventStream).unwrap().media_type, MediaType::EventStream);
        assert_eq!(negotiated("application/*"), Some(MediaType::Json));
        assert_eq!(negotiated("application/graphql-response+json, application/json;q=0.9"), Some(MediaType::GraphQl));
        assert_eq!(negotiated("application/graphql-response+json;q=0.5, application/json"), Some(MediaType::Json));
        assert_eq!(negotiated("application/graphql-response+json; charset=utf-8"), Some(MediaType::GraphQl));
        assert_eq!(negotiated("Text/Event-Stream"), Some(MediaType::EventStream));
        assert_eq!(negotiated("application/json, text/event-stream"), Some(MediaType::Json));
        assert_eq!(negotiated("text/html, */*;q=0.8"), Some(MediaType::Json));
        assert_eq!(negotiated("application/json; charset=utf-16"), None);
    }

    #[test]
    fn what_has_no_quality_is_not_accepted_whatever_else_is() {
        assert_eq!(negotiated("text/html, application/json;q=0"), None);
        assert_eq!(negotiated("application/json;q=0, */*"), Some(MediaType::GraphQl));
        assert_eq!(negotiated("*/*, application/json;q=0.0"), Some(MediaType::GraphQl));
        assert_eq!(negotiated("application/*;q=0, */*"), Some(MediaType::EventStream));
        assert_eq!(negotiated("*/*;q=0"), None);
        assert_eq!(negotiated("*/*;q=0, application/graphql-response+json;q=0.1"), Some(MediaType::GraphQl));
    }

    #[test]
    fn a_client_that_names_event_streams_among_others_can_have_a_subscription() {
        let events = |accept| accepted(accept, MediaType::Json).unwrap().events;
        assert!(events("application/json, text/event-stream") && events("application/json, text/*;q=0.1"));
        assert!(!events("*/*") && !events("application/json") && !events("application/json, text/event-stream;q=0, */*"));
    }
}

//! What happens to every request before a path is looked at, and to every answer after: who sends it, whether that is one
//! too many, whether it is for this shop, and what a browser is told.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use crate::{
    http::{
        OPERATIONS, Refused,
        limited::Meter,
        outgoing::MediaType,
        protection,
        tracing_ids::{self, CORRELATION_ID},
    },
    net::{self, Peer},
    shop::Shop,
};

/// Paths that a balancer asks by whatever name it has for this node.
const HEALTH: [&str; 2] = ["/health/live", "/health/ready"];

/// The way out of every answer, also of those to browsers that ask before they send anything.
pub(crate) async fn way_out(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let mut response = next.run(request).await;
    protection::guard(&mut response, shop.door.tls);
    if let Some(peer) = peer {
        peer.answers(response.status());
    }
    response
}

/// The way in.
pub(crate) async fn door(State(shop): State<Arc<Shop>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions_mut().remove::<Arc<Peer>>().unwrap_or_else(|| Arc::new(Peer::unknown()));
    let mut meter = Meter::new(shop.door.client(peer.ip(), request.headers()), request.headers());
    let mut response = match let_in(&shop, &request, &mut meter) {
        Ok(()) => {
            request.extensions_mut().insert(*meter.client());
            next.run(request).await
        }
        Err(refused) => {
            let mut response = refused.into_http(MediaType::Json);
            let id = tracing_ids::correlation_id(request.headers()).to_string();
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(CORRELATION_ID, id);
            }
            response
        }
    };
    meter.tell(response.headers_mut());
    response
}

/// Counts what browsers ask before a page of another origin sends something: it is answered before the door.
pub(crate) async fn preflight(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let asks = *request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Arc<Peer>>().map_or_else(|| Peer::unknown().ip(), |peer| peer.ip());
    let mut meter = Meter::of_preflight(shop.door.client(peer, request.headers()));
    match meter.not_banned(&shop).and_then(|()| meter.anonymous(&shop)) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_http(MediaType::Json),
    }
}

/// Whether a request gets as far as its path.
fn let_in(shop: &Shop, request: &Request, meter: &mut Meter) -> Result<(), Refused> {
    meter.not_banned(shop)?;
    let path = request.uri().path();
    if !HEALTH.contains(&path) && !net::is_for(&shop.door.hosts, request.uri(), request.headers()) {
        return Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, "HOST_NOT_ALLOWED", "this shop has another name"));
    }
    if is_counted_later(request) { Ok(()) } else { meter.anonymous(shop) }
}

/// Whether a request is one for an operation: it is counted when it is known whose it is.
fn is_counted_later(request: &Request) -> bool {
    let may_be_operation = match *request.method() {
        Method::POST => true,
        // HEAD comes the way of GET. Else it is a socket, or wants to be one.
        Method::GET | Method::HEAD => !request.headers().contains_key(header::UPGRADE),
        _ => false,
    };
    may_be_operation && OPERATIONS.contains(&request.uri().path())
}

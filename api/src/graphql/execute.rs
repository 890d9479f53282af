//! One operation from its text to its answer: parsed, measured, run, and told how fresh it is.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use async_graphql::{
    Request, Response, ServerError,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    value,
};
use event_schemas::Position;
use futures::{StreamExt, stream::BoxStream};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    access::{Caller, Identity},
    graphql::{actions::RulesLoader, loader::Loaders},
    http::{Incoming, Refused, coded},
    limits::{self, Measured},
    metrics::OperationKind,
    shop::Shop,
};

/// How long a request waits for the views to reach the position that it asks for.
const MIN_POSITION_WAIT: Duration = Duration::from_secs(5);

/// What resolvers know about a request besides its content.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    /// Who sent it.
    pub(crate) caller: Caller,
    /// The client's address.
    pub(crate) address: Option<IpAddr>,
    /// What the client calls itself, for the list of devices that its owner is shown.
    pub(crate) user_agent: Option<String>,
    /// What its log lines and events are found by.
    pub(crate) correlation_id: Uuid,
    /// The W3C trace that it belongs to.
    pub(crate) trace_id: Option<String>,
    /// The caller's promise that two requests are the same one.
    pub(crate) idempotency_key: Option<String>,
    /// Why the caller looks at personal data, as the reference of a ticket or a case.
    pub(crate) reason: Option<String>,
    /// The smallest position that the answer must reflect.
    pub(crate) min_position: Option<Position>,
    /// The last position that the request itself wrote.
    pub(crate) written: Arc<AtomicU64>,
}

impl RequestContext {
    /// What every log line about the request carries.
    fn span(&self) -> tracing::Span {
        tracing::error_span!("request", correlation_id = %self.correlation_id)
    }

    /// How the access log names whoever sent it: nobody in particular is told apart by a keyed hash of the address, which is
    /// personal and never in the log itself.
    pub(crate) fn known_as(&self, shop: &Shop) -> String {
        match (self.caller.is_somebody(), self.address) {
            (false, Some(address)) => shop.address_in_log(address),
            _ => self.caller.actor(),
        }
    }
}

/// An operation that is well formed and within the limits.
pub(crate) struct Prepared {
    /// What it asks for.
    pub(crate) kind: OperationKind,
    /// How much of it.
    pub(crate) measured: Measured,
    request: Request,
    context: Arc<RequestContext>,
}

impl Prepared {
    /// Parses and measures a request.
    ///
    /// # Errors
    /// [`Refused`] for a document that cannot be read, names no operation, or breaks a limit.
    pub(crate) fn new(incoming: Incoming, mut context: RequestContext) -> Result<Self, Refused> {
        let exceeded =
            |limit: limits::Exceeded| Refused::document(vec![coded(ServerError::new(limit.message, limit.at), limit.code)]);
        limits::scan(&incoming.query).and_then(|()| limits::check_variables(&incoming.variables)).map_err(exceeded)?;
        let parsed = async_graphql::parser::parse_query(&incoming.query);
        let document =
            parsed.map_err(|error| Refused::document(vec![coded(ServerError::from(error), "GRAPHQL_PARSE_FAILED")]))?;
        let operation = selected(&document, incoming.operation_name.as_deref())?;
        let measured = limits::measure(&document, operation, &incoming.variables).map_err(exceeded)?;
        let kind = match operation.ty {
            OperationType::Query => OperationKind::Query,
            OperationType::Mutation => OperationKind::Mutation,
            OperationType::Subscription => OperationKind::Subscription,
        };
        context.min_position = context.min_position.max(incoming.min_position);
        let context = Arc::new(context);
        let mut request = Request::new(incoming.query).variables(incoming.variables);
        request.operation_name = incoming.operation_name;
        request.set_parsed_query(document);
        Ok(Self { kind, measured, request: request.data(context.caller.clone()).data(context.clone()), context })
    }

    /// Who sent it.
    pub(crate) fn caller(&self) -> &Caller {
        &self.context.caller
    }

    /// Runs a query or a mutation.
    ///
    /// # Errors
    /// [`Refused`] when the views do not reach the position that the request asks for.
    pub(crate) async fn execute(self, shop: &Arc<Shop>) -> Result<Response, Refused> {
        self.wait(shop).await?;
        let finish = self.finish(shop);
        let request = self.request.data(Loaders::new(shop)).data(RulesLoader::new(shop)).data(shop.clone());
        let response = shop.schema.execute(request).instrument(self.context.span()).await;
        Ok(finish.answer(shop, response))
    }

    /// Runs any operation: a subscription answers until it ends, the others once.
    ///
    /// # Errors
    /// As [`Prepared::execute`].
    pub(crate) async fn stream(self, shop: &Arc<Shop>) -> Result<BoxStream<'static, Response>, Refused> {
        self.wait(shop).await?;
        let finish = self.finish(shop);
        let request = self.request.data(Loaders::new(shop)).data(RulesLoader::new(shop)).data(shop.clone());
        let (shop, span) = (shop.clone(), self.context.span());
        let mut answers = shop.schema.execute_stream(request);
        let answers = futures::stream::poll_fn(move |cx| span.in_scope(|| answers.poll_next_unpin(cx)));
        Ok(answers.map(move |response| finish.answer(&shop, response)).boxed())
    }

    fn finish(&self, shop: &Shop) -> Finish {
        let hides_names = shop.door.production && matches!(self.context.caller.identity(), Identity::Nobody);
        Finish { cost: self.measured.cost, hides_names }
    }

    async fn wait(&self, shop: &Shop) -> Result<(), Refused> {
        let Some(position) = self.context.min_position else { return Ok(()) };
        shop.views
            .wait_for(position, MIN_POSITION_WAIT)
            .await
            .map_err(|not_yet| Refused::document(vec![coded(ServerError::new(not_yet.to_string(), None), "NOT_YET_VISIBLE")]))
    }
}

/// The operation to run: the named one, or the only one.
fn selected<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a OperationDefinition, Refused> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next(),
        _ => None,
    };
    operation.map(|operation| &operation.node).ok_or_else(|| {
        let message = match name {
            Some(name) => format!("the document has no operation `{name}`"),
            None => "the document has several operations: say which with `operationName`".to_owned(),
        };
        Refused::document(vec![coded(ServerError::new(message, None), "OPERATION_UNKNOWN")])
    })
}

/// What an answer needs before it is sent.
#[derive(Debug, Clone, Copy)]
struct Finish {
    cost: u64,
    /// Whether errors must not propose names that the caller did not write.
    hides_names: bool,
}

impl Finish {
    /// Gives every error a code, and tells how fresh the answer is and what was asked for.
    fn answer(self, shop: &Shop, mut response: Response) -> Response {
        for mut error in std::mem::take(&mut response.errors) {
            let code = if error.path.is_empty() { "GRAPHQL_VALIDATION_FAILED" } else { "BAD_USER_INPUT" };
            if let Some(end) = error.message.find(" Did you mean").filter(|_| self.hides_names) {
                error.message.truncate(end);
            }
            response.errors.push(coded(error, code));
        }
        let (applied, lag) = shop.freshness();
        let response = response.extension("cost", value!({ "requested": self.cost, "limit": limits::COST }));
        response.extension("daybook", value!({ "position": applied, "lagMs": lag }))
    }
}

//! A mutation's way through the engine: input to decision, idempotency, and answers by kind.

use std::{fmt::Write, sync::Arc, time::Duration};

use async_graphql::{Context, Error, InputType, Value};
use domain::{Decision, Expecting, StoreConfig};
use engine::{CommandError, Fault, Outcome};
use event_schemas::{CustomerId, Idempotency, Metadata, Position, Sequence, StreamId, Timestamp};
use uuid::Uuid;

use crate::{
    access::{Caller, Permission, Permissions},
    graphql::{
        RequestContext,
        own::{Reaching, Thing},
        problem,
        scalar::Long,
        user_error::UserError,
        user_error_code::UserErrorCode,
    },
    shop::Shop,
};

/// How long a mutation waits for the views to show what it did.
const READ_BACK: Duration = Duration::from_secs(2);
/// The shortest key, in characters, of a caller who is nobody in particular: all of them share one scope, and whoever guesses
/// a key and its input gets the answer that was meant for another.
const SHARED_KEY: usize = 16;

/// The longest key, in characters.
const LONGEST_KEY: usize = 200;

/// An idempotency key as it counts, wherever it was given: without blanks around it, 1 to 200 characters, and none of them a
/// control character. None for what is no such key.
pub(crate) fn idempotency_key(text: &str) -> Option<&str> {
    let key = text.trim();
    let fits = (1..=LONGEST_KEY).contains(&key.chars().count()) && !key.chars().any(char::is_control);
    fits.then_some(key)
}

/// The input of a mutation.
pub(crate) trait MutationInput: InputType {
    /// The caller's promise that two mutations are the same one.
    fn idempotency_key(&self) -> Option<&str>;

    /// The version that the caller has seen of what the mutation changes, if it changes one aggregate and they said so.
    fn expected_version(&self) -> Option<Long> {
        None
    }

    /// The aggregate that the mutation changes, if it is one; none for an id that is malformed.
    fn changes(&self, _: &StoreConfig) -> Option<StreamId> {
        None
    }
}

/// Declares a mutation's input with its idempotency key.
///
/// `OrderCancelInput of Order(order_id) { … }` changes the aggregate of an id, and gets an `expected_version` of it;
/// `StockCountInput at |input, config| stream => { … }` says otherwise which one it is.
macro_rules! input {
    ($(#[$meta:meta])* $name:ident of $kind:ident($id:ident) { $($body:tt)* }) => {
        $crate::graphql::command::input! {
            $(#[$meta])*
            $name at |input, _config| $crate::graphql::global_id::stream($crate::graphql::global_id::Kind::$kind, &input.$id) => {
                $($body)*
            }
        }
    };
    ($(#[$meta:meta])* $name:ident at |$input:ident, $config:ident| $stream:expr => { $($body:tt)* }) => {
        $crate::graphql::command::input! {
            @declare
            {
                fn expected_version(&self) -> Option<$crate::graphql::scalar::Long> {
                    self.expected_version
                }

                fn changes(&self, $config: &domain::StoreConfig) -> Option<event_schemas::StreamId> {
                    let $input = self;
                    $stream
                }
            }
            $(#[$meta])*
            $name {
                $($body)*
                /// The `version` that was looked at. When more has happened since, nothing is changed, and the error is
                /// `STALE_VERSION` with what happened.
                pub(crate) expected_version: Option<$crate::graphql::scalar::Long>,
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $crate::graphql::command::input! { @declare {} $(#[$meta])* $name { $($body)* } }
    };
    (@declare { $($expects:tt)* } $(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, async_graphql::InputObject)]
        pub(crate) struct $name {
            $($body)*
            /// Sent again with the same input, this key gets the first answer again and changes nothing. The header
            /// `Idempotency-Key` says the same. Callers whose token names nobody share their keys: theirs need at least 16
            /// characters that nobody can guess, such as a UUID. A key has at most 200 characters.
            pub(crate) idempotency_key: Option<String>,
        }

        impl $crate::graphql::command::MutationInput for $name {
            fn idempotency_key(&self) -> Option<&str> {
                self.idempotency_key.as_deref()
            }

            $($expects)*
        }
    };
}
pub(crate) use input;

/// Declares what a mutation answers: the changed things, the position, and the rules that forbade it.
macro_rules! payload {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Default, async_graphql::SimpleObject)]
        pub(crate) struct $name {
            $(
                $(#[$field_meta])*
                pub(crate) $field: Option<$type>,
            )+
            /// The position of the log that this answer reflects: what was written, or where the log ended if nothing was.
            pub(crate) position: $crate::graphql::scalar::Long,
            /// The business rules that forbid it; empty when it was done.
            pub(crate) user_errors: Vec<$crate::graphql::user_error::UserError>,
            /// What whoever asked should know although it was done; empty when there is nothing to tell.
            pub(crate) warnings: Vec<$crate::graphql::warning::Warning>,
        }

        impl From<$crate::graphql::command::Refused> for $name {
            fn from(refused: $crate::graphql::command::Refused) -> Self {
                Self { position: refused.position, user_errors: refused.user_errors, ..Self::default() }
            }
        }
    };
}
pub(crate) use payload;

/// A mutation that was not carried out because of a business rule.
pub(crate) struct Refused {
    pub(crate) position: Long,
    pub(crate) user_errors: Vec<UserError>,
}

/// What a decision gets from outside.
pub(crate) struct Outside<'s> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'s Arc<StoreConfig>,
    /// The customer who asks, if known.
    pub(crate) customer_id: Option<CustomerId>,
    caller: &'s Caller,
    shop: &'s Shop,
}

impl Outside<'_> {
    /// A decision about a thing that may belong to a customer, as the caller may make it.
    pub(crate) fn reaching<D>(&self, everyones: Permission, thing: Thing, decision: D) -> Reaching<D> {
        Reaching::new(self.caller, everyones, thing, decision)
    }

    /// The customer whose a cart is that the caller begins: none when staff do, who shop for others. What is entered there is
    /// then about somebody else, and gets a key of its own.
    pub(crate) fn buyer(&self) -> Option<CustomerId> {
        self.customer_id.clone().filter(|_| self.caller.permissions() == Permissions::default())
    }

    /// A new id.
    pub(crate) fn new_id(&self) -> Uuid {
        self.shop.engine.ids().next()
    }
}

/// Carries out a mutation: `Ok(Ok)` when it is durable, `Ok(Err)` when a rule forbids it.
///
/// # Errors
/// Overload and faults.
pub(crate) async fn carry_out<I: MutationInput, D: Decision>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: I,
    decision: impl FnOnce(I, &Outside<'_>) -> Result<D, UserError>,
) -> Result<Result<Outcome, Refused>, Error> {
    let (shop, request) = (ctx.data::<Arc<Shop>>()?, ctx.data::<Arc<RequestContext>>()?);
    let idempotency = match idempotency(shop, request, operation, &input) {
        Ok(idempotency) => idempotency,
        Err(user_error) => return Ok(Err(refused(shop, vec![user_error]))),
    };
    let expected = match expected(&input, &shop.config) {
        Ok(expected) => expected,
        Err(user_error) => return Ok(Err(refused(shop, vec![user_error]))),
    };
    let outside = Outside {
        now: shop.engine.clock().now(),
        config: &shop.config,
        customer_id: request.caller.customer_id(),
        caller: &request.caller,
        shop,
    };
    let decision = match decision(input, &outside) {
        Ok(decision) => decision,
        Err(user_error) => return Ok(Err(refused(shop, vec![user_error]))),
    };
    let metadata = Metadata {
        actor: request.caller.actor(),
        command_id: outside.new_id(),
        correlation_id: Some(request.correlation_id),
        causation_id: None,
        trace_id: request.trace_id.clone(),
        idempotency,
    };
    match shop.engine.submit(Expecting { expected, decision }, metadata).await {
        Ok(outcome) => {
            request.written.fetch_max(outcome.position, std::sync::atomic::Ordering::Relaxed);
            Ok(Ok(outcome))
        }
        Err(CommandError::Refused(refusal)) => Ok(Err(refused(shop, UserError::told(ctx, &refusal).await?))),
        Err(error @ CommandError::IdempotencyKeyReused) => {
            Ok(Err(refused(shop, vec![UserError::new(UserErrorCode::IdempotencyKeyReused, error.to_string())])))
        }
        Err(CommandError::Overloaded { retry_after }) => Err(problem::overloaded(retry_after)),
        Err(CommandError::Fault(Fault::Stopping)) => Err(problem::stopping()),
        Err(CommandError::Fault(fault)) => Err(problem::fault(&format!("{operation}: {fault}"))),
    }
}

/// The aggregate that an input changes, and the version that its caller expects of it.
fn expected(input: &impl MutationInput, config: &StoreConfig) -> Result<Option<(StreamId, Sequence)>, UserError> {
    input.expected_version().map(version).transpose().map(|version| input.changes(config).zip(version))
}

/// A version, as clients write it.
pub(crate) fn version(Long(version): Long) -> Result<Sequence, UserError> {
    let message = || "a version is 0 or a number of events".to_owned();
    Sequence::try_from(version).map_err(|_| UserError::invalid(&["expectedVersion"], message()))
}

fn refused(shop: &Shop, user_errors: Vec<UserError>) -> Refused {
    Refused { position: Long::of(shop.head()), user_errors }
}

/// Waits until the views show a position. A view that takes too long is no failure of the mutation, which is durable: its
/// payload then lacks the changed thing, and the caller can ask again with the position.
pub(crate) async fn read_back(ctx: &Context<'_>, position: Position) -> bool {
    match ctx.data::<Arc<Shop>>() {
        Ok(shop) => shop.views.wait_for(position, READ_BACK).await.is_ok(),
        Err(_) => false,
    }
}

/// The scope of the key (actor, operation, key) and the fingerprint of the input without it.
fn idempotency(
    shop: &Shop,
    request: &RequestContext,
    operation: &str,
    input: &impl MutationInput,
) -> Result<Option<Idempotency>, UserError> {
    let Some(key) = input.idempotency_key().or(request.idempotency_key.as_deref()) else { return Ok(None) };
    let key = idempotency_key(key).ok_or_else(|| {
        let message = format!("a key has 1 to {LONGEST_KEY} characters, and no control characters");
        UserError::invalid(&["idempotencyKey"], message)
    })?;
    if !request.caller.is_somebody() && key.chars().count() < SHARED_KEY {
        let message = format!("without a token that names you, a key needs at least {SHARED_KEY} characters, such as a UUID");
        return Err(UserError::invalid(&["idempotencyKey"], message));
    }
    let mut content = input.to_value();
    if let Value::Object(fields) = &mut content {
        fields.shift_remove("idempotencyKey");
    }
    let mut text = String::new();
    canonical(&content, &mut text);
    // Keyed: from a plain hash of an address or an e-mail, whoever reads the log could tell whether a guess is right.
    let fingerprint = shop.vault.blind("idempotency", &text);
    Ok(Some(Idempotency { scope: format!("{}|{operation}|{key}", request.caller.actor()), fingerprint }))
}

/// JSON with sorted names and without nulls, so that the same input always reads the same.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().filter(|(_, value)| **value != Value::Null).collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (name, value) in fields {
                let _ = write!(text, "{name}:");
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::List(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::value;

    #[test]
    fn the_order_of_names_and_absent_fields_do_not_change_what_an_input_says() {
        let text = |value: Value| {
            let mut text = String::new();
            canonical(&value, &mut text);
            text
        };
        assert_eq!(text(value!({ "b": [1, "x"], "a": null })), text(value!({ "b": [1, "x"] })));
        assert_eq!(text(value!({ "b": 1, "a": 2 })), text(value!({ "a": 2, "b": 1 })));
        assert_ne!(text(value!({ "a": "1" })), text(value!({ "a": 1 })));
        assert_ne!(text(value!({ "a": "x\",b:\"y" })), text(value!({ "a": "x", "b": "y" })));
    }
}

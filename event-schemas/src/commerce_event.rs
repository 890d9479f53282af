//! Any event of the store, and how it is read back from what the log holds.

use serde::{Deserialize, Serialize};

use crate::{
    AccessEvent, AccountEvent, AdjustmentEvent, ApiKeyEvent, AuditEvent, CartEvent, CategoryEvent, ClaimEvent, EventSchema,
    OrderEvent, PaymentEvent, PersonEvent, ProductEvent, PromotionEvent, Raw, ReviewEvent, RoleEvent, RosterEvent, StockEvent,
    UpcastError, WebhookEvent,
};

/// Why a recorded event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// This version of Daybook does not know the event: a newer writer recorded it. It is carried, never dropped.
    #[error("event type `{event_type}` version {version} is not known to this version of Daybook")]
    Unknown {
        /// The recorded type.
        event_type: String,
        /// The recorded version.
        version: u32,
    },
    /// The payload is not what its type and version say.
    #[error("the payload of `{event_type}` version {version} cannot be read: {source}")]
    Payload {
        /// The recorded type.
        event_type: String,
        /// The recorded version.
        version: u32,
        /// What serde found.
        source: serde_json::Error,
    },
    /// An upcaster refused the payload.
    #[error(transparent)]
    Upcast(#[from] UpcastError),
}

macro_rules! commerce_events {
    ($($variant:ident($events:ident)),+ $(,)?) => {
        /// Any event of the store.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "aggregate", content = "event", rename_all = "snake_case")]
        #[allow(clippy::large_enum_variant, reason = "events are built once and moved; a box would cost every reader")]
        pub enum CommerceEvent {
            $(
                #[doc = concat!("See [`", stringify!($events), "`].")]
                $variant($events),
            )+
        }

        impl CommerceEvent {
            /// The aggregate type whose streams hold this event.
            pub fn aggregate_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => $events::AGGREGATE,)+ }
            }

            /// The recorded type of this event.
            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(event) => event.event_type(),)+ }
            }

            /// The version under which this event is written today.
            pub fn version(&self) -> u32 {
                match self { $(Self::$variant(event) => event.version(),)+ }
            }

            /// The payload as JSON text.
            ///
            /// # Errors
            /// Never for the events declared here; see the events' own `payload`.
            pub fn payload(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$variant(event) => event.payload(),)+ }
            }

            fn current_version(event_type: &str) -> Option<u32> {
                None$(.or_else(|| $events::current_version(event_type)))+
            }

            fn decode_current(event_type: &str, payload: &str) -> Option<Result<Self, serde_json::Error>> {
                $(if let Some(event) = $events::decode(event_type, payload) { return Some(event.map(Self::$variant)); })+
                None
            }

            /// The schemas of all events at the versions written today, by aggregate.
            pub fn schemas() -> Vec<EventSchema> {
                let mut schemas = Vec::new();
                $(schemas.extend($events::schemas());)+
                schemas
            }
        }

        $(impl From<$events> for CommerceEvent {
            fn from(event: $events) -> Self { Self::$variant(event) }
        }

        impl TryFrom<CommerceEvent> for $events {
            /// The event again, when it is another aggregate's.
            type Error = Box<CommerceEvent>;

            fn try_from(event: CommerceEvent) -> Result<Self, Box<CommerceEvent>> {
                if let CommerceEvent::$variant(event) = event { Ok(event) } else { Err(Box::new(event)) }
            }
        })+
    };
}

commerce_events! {
    Product(ProductEvent), Category(CategoryEvent), Stock(StockEvent), Cart(CartEvent), Order(OrderEvent),
    Payment(PaymentEvent), Promotion(PromotionEvent), Claim(ClaimEvent), Review(ReviewEvent), Adjustment(AdjustmentEvent),
    Account(AccountEvent), Role(RoleEvent), Roster(RosterEvent), ApiKey(ApiKeyEvent), Access(AccessEvent), Audit(AuditEvent),
    Webhook(WebhookEvent), Person(PersonEvent),
}

impl CommerceEvent {
    /// Reads a recorded payload, through the upcasters when its version is older than today's.
    ///
    /// One recorded event may read as several of today's, or as none.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] for a type or version from the future, the others for damage.
    pub fn decode(event_type: &str, version: u32, payload: &str) -> Result<Vec<Self>, DecodeError> {
        if Self::current_version(event_type) == Some(version) {
            return Ok(vec![Self::read_current(event_type, version, payload)?]);
        }
        let unreadable = |source| DecodeError::Payload { event_type: event_type.to_owned(), version, source };
        let payload = serde_json::from_str(payload).map_err(unreadable)?;
        crate::upcast(Raw { event_type: event_type.to_owned(), version, payload })?
            .into_iter()
            .map(|raw| Self::read_current(&raw.event_type, raw.version, &raw.payload.to_string()))
            .collect()
    }

    fn read_current(event_type: &str, version: u32, payload: &str) -> Result<Self, DecodeError> {
        let unknown = || DecodeError::Unknown { event_type: event_type.to_owned(), version };
        if Self::current_version(event_type) != Some(version) {
            return Err(unknown());
        }
        Self::decode_current(event_type, payload).ok_or_else(unknown)?.map_err(|source| DecodeError::Payload {
            event_type: event_type.to_owned(),
            version,
            source,
        })
    }
}

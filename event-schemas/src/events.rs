//! The macro that turns a list of event structs into one enum with its types, versions, schemas and decoding.

/// The JSON Schema of one event type at its current version.
#[derive(Debug, Clone)]
pub struct EventSchema {
    /// The aggregate whose stream holds the event, such as `order`.
    pub aggregate_type: &'static str,
    /// The event type as recorded, such as `OrderPlaced`.
    pub event_type: &'static str,
    /// The version that is written today.
    pub version: u32,
    /// JSON Schema (draft 2020-12) of the payload, generated from the Rust type.
    pub schema: serde_json::Value,
}

/// Declares the events of one aggregate: `events! { OrderEvent of "order" { OrderPlaced = 1, ... } }`.
///
/// Each name is a struct in the same file, which is also the recorded event type; the number is the version written today.
macro_rules! events {
    ($(#[$meta:meta])* $name:ident of $aggregate:literal { $($event:ident = $version:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", content = "data")]
        #[allow(clippy::large_enum_variant, reason = "events are built once and moved; a box would cost every reader")]
        pub enum $name {
            $(
                #[doc = concat!("See [`struct@", stringify!($event), "`].")]
                $event($event),
            )+
        }

        impl $name {
            /// The aggregate type whose streams hold these events.
            pub const AGGREGATE: &'static str = $aggregate;

            /// The recorded type of this event.
            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$event(_) => stringify!($event),)+ }
            }

            /// The version under which this event is written today.
            pub fn version(&self) -> u32 {
                match self { $(Self::$event(_) => $version,)+ }
            }

            /// The payload as JSON text, without type and version (the record carries those).
            ///
            /// # Errors
            /// Never for the events declared here; serde's signature is kept so that no caller has to trust that.
            pub fn payload(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$event(event) => serde_json::to_string(event),)+ }
            }

            /// The current version of an event type of this aggregate, if it has one of that name.
            pub(crate) fn current_version(event_type: &str) -> Option<u32> {
                match event_type { $(stringify!($event) => Some($version),)+ _ => None }
            }

            /// Reads a payload of the current version; `None` if this aggregate has no such event.
            pub(crate) fn decode(event_type: &str, payload: &str) -> Option<Result<Self, serde_json::Error>> {
                match event_type {
                    $(stringify!($event) => Some(serde_json::from_str(payload).map(Self::$event)),)+
                    _ => None,
                }
            }

            /// The schemas of all events of this aggregate at the versions written today.
            pub(crate) fn schemas() -> Vec<crate::EventSchema> {
                vec![$(crate::EventSchema {
                    aggregate_type: $aggregate,
                    event_type: stringify!($event),
                    version: $version,
                    schema: schemars::schema_for!($event).to_value(),
                },)+]
            }
        }

        $(impl From<$event> for $name {
            fn from(event: $event) -> Self { Self::$event(event) }
        })+

        impl cqrs_es::DomainEvent for $name {
            fn event_type(&self) -> String { $name::event_type(self).to_owned() }
            fn event_version(&self) -> String { self.version().to_string() }
        }
    };
}

/// Declares an event struct with the derives and the strictness that every event has.
macro_rules! event {
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($body)* }
    };
}

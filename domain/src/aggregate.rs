//! What all aggregates have in common, and the list of them.

use cqrs_es::event_sink::EventSink;
use event_schemas::{
    AccessEvent, AccountEvent, AdjustmentEvent, ApiKeyEvent, AuditEvent, CartEvent, CategoryEvent, ClaimEvent, CommerceEvent,
    OrderEvent, PaymentEvent, PersonEvent, ProductEvent, PromotionEvent, ReviewEvent, RoleEvent, RosterEvent, StockEvent,
    StreamId, WebhookEvent,
};
use serde::{Deserialize, Serialize};

use crate::{
    Access, AccessCommand, AccessRefusal, Account, AccountCommand, AccountRefusal, Adjustment, AdjustmentCommand,
    AdjustmentRefusal, ApiKey, ApiKeyCommand, ApiKeyRefusal, Audit, AuditCommand, AuditRefusal, Cart, CartCommand, CartRefusal,
    Category, CategoryCommand, CategoryRefusal, Claim, ClaimCommand, ClaimRefusal, Order, OrderCommand, OrderRefusal, Payment,
    PaymentCommand, PaymentRefusal, Person, PersonCommand, PersonRefusal, Product, ProductCommand, ProductRefusal, Promotion,
    PromotionCommand, PromotionRefusal, Review, ReviewCommand, ReviewRefusal, Role, RoleCommand, RoleRefusal, Roster,
    RosterCommand, RosterRefusal, Stock, StockCommand, StockRefusal, Webhook, WebhookCommand, WebhookRefusal,
};

/// An aggregate: a default state that means "does not exist yet", and a fold that is never refused.
pub trait AggregateRoot: Default + Clone + Send + Sync + 'static {
    /// The aggregate type, as in the stream id.
    const TYPE: &'static str;
    /// The version of the state's shape, raised when it changes so that older snapshots are ignored.
    const STATE_VERSION: u32;
    /// What can happen to it.
    type Event;

    /// The fold. Total: history is never refused.
    fn evolve(&mut self, event: &Self::Event);

    /// Its state out of the state of any aggregate, if it is one of these.
    fn of(state: &State) -> Option<&Self>;

    /// The state of one that does not exist.
    fn absent() -> &'static Self;
}

/// Hands decided events to the cqrs-es framework without touching the loaded state: its sink applies each event to what it
/// is given, and a snapshotting store applies it once more.
async fn emit<A: cqrs_es::Aggregate + Clone>(state: &A, events: Vec<A::Event>, sink: &EventSink<A>) {
    let mut preview = state.clone();
    for event in events {
        sink.write(event, &mut preview).await;
    }
}

macro_rules! aggregates {
    ($($aggregate:ident($event:ident, $command:ident, $refusal:ident) = $version:literal),+ $(,)?) => {
        /// The state of any aggregate.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "aggregate", content = "state", rename_all = "snake_case")]
        pub enum State {
            $(
                #[doc = concat!("See [`type@", stringify!($aggregate), "`].")]
                $aggregate($aggregate),
            )+
        }

        impl State {
            /// The state of an aggregate that does not exist yet; `None` for a type that this version does not know.
            pub fn absent(aggregate_type: &str) -> Option<Self> {
                $(if aggregate_type == $event::AGGREGATE { return Some(Self::$aggregate($aggregate::default())); })+
                None
            }

            /// The version of the state's shape.
            pub fn version(&self) -> u32 {
                match self { $(Self::$aggregate(_) => $version,)+ }
            }

            /// Folds an event into the state. An event of another aggregate type changes nothing.
            pub fn evolve(&mut self, event: &CommerceEvent) {
                match (self, event) {
                    $((Self::$aggregate(state), CommerceEvent::$aggregate(event)) => state.evolve(event),)+
                    _ => {}
                }
            }
        }

        $(impl AggregateRoot for $aggregate {
            const TYPE: &'static str = $event::AGGREGATE;
            const STATE_VERSION: u32 = $version;
            type Event = $event;

            fn evolve(&mut self, event: &$event) { $aggregate::evolve(self, event) }

            fn of(state: &State) -> Option<&Self> {
                if let State::$aggregate(aggregate) = state { Some(aggregate) } else { None }
            }

            fn absent() -> &'static Self {
                static ABSENT: std::sync::LazyLock<$aggregate> = std::sync::LazyLock::new($aggregate::default);
                &ABSENT
            }
        }

        impl cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = $event::AGGREGATE;
            type Command = $command;
            type Event = $event;
            type Error = $refusal;
            type Services = ();

            async fn handle(&mut self, command: $command, _: &(), sink: &EventSink<Self>) -> Result<(), $refusal> {
                emit(self, self.decide(command)?, sink).await;
                Ok(())
            }

            fn apply(&mut self, event: $event) { $aggregate::evolve(self, &event) }
        })+
    };
}

// The number is the version of the state's shape, for snapshots.
aggregates! {
    Product(ProductEvent, ProductCommand, ProductRefusal) = 1,
    Category(CategoryEvent, CategoryCommand, CategoryRefusal) = 1,
    Stock(StockEvent, StockCommand, StockRefusal) = 1,
    Cart(CartEvent, CartCommand, CartRefusal) = 3,
    Order(OrderEvent, OrderCommand, OrderRefusal) = 1,
    Payment(PaymentEvent, PaymentCommand, PaymentRefusal) = 1,
    Promotion(PromotionEvent, PromotionCommand, PromotionRefusal) = 1,
    Claim(ClaimEvent, ClaimCommand, ClaimRefusal) = 1,
    Review(ReviewEvent, ReviewCommand, ReviewRefusal) = 1,
    Adjustment(AdjustmentEvent, AdjustmentCommand, AdjustmentRefusal) = 1,
    Account(AccountEvent, AccountCommand, AccountRefusal) = 2,
    Role(RoleEvent, RoleCommand, RoleRefusal) = 1,
    Roster(RosterEvent, RosterCommand, RosterRefusal) = 1,
    ApiKey(ApiKeyEvent, ApiKeyCommand, ApiKeyRefusal) = 1,
    Access(AccessEvent, AccessCommand, AccessRefusal) = 1,
    Audit(AuditEvent, AuditCommand, AuditRefusal) = 1,
    Webhook(WebhookEvent, WebhookCommand, WebhookRefusal) = 1,
    Person(PersonEvent, PersonCommand, PersonRefusal) = 1,
}

/// The stream of an aggregate.
pub fn stream_of<A: AggregateRoot>(id: impl std::fmt::Display) -> StreamId {
    StreamId::new(A::TYPE, id)
}

//! What all aggregates have in common, and the list of them.

use event_schemas::{
    AdjustmentEvent, CartEvent, CategoryEvent, ClaimEvent, CommerceEvent, OrderEvent, PaymentEvent, ProductEvent, PromotionEvent,
    ReviewEvent, StockEvent, StreamId,
};
use serde::{Deserialize, Serialize};

use crate::{Adjustment, Cart, Category, Claim, Order, Payment, Product, Promotion, Review, Stock};

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

macro_rules! aggregates {
    ($($aggregate:ident($event:ident) = $version:literal),+ $(,)?) => {
        /// The state of any aggregate.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "aggregate", content = "state", rename_all = "snake_case")]
        pub enum State {
            $(
                #[doc = concat!("See [`struct@", stringify!($aggregate), "`].")]
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
        })+
    };
}

// The number is the version of the state's shape, for snapshots.
aggregates! {
    Product(ProductEvent) = 1,
    Category(CategoryEvent) = 1,
    Stock(StockEvent) = 1,
    Cart(CartEvent) = 1,
    Order(OrderEvent) = 1,
    Payment(PaymentEvent) = 1,
    Promotion(PromotionEvent) = 1,
    Claim(ClaimEvent) = 1,
    Review(ReviewEvent) = 1,
    Adjustment(AdjustmentEvent) = 1,
}

/// The stream of an aggregate.
pub fn stream_of<A: AggregateRoot>(id: impl std::fmt::Display) -> StreamId {
    StreamId::new(A::TYPE, id)
}

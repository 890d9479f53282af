//! Own data in mutations: to others than its customer, and staff with the permission, a thing is not there.

use domain::{Cart, Change, Decision, Order, Payment, Refusal, State, States, World, stream_of};
use event_schemas::{CartId, CustomerId, OrderId, PaymentId, Sequence, StreamId};

use crate::access::{Caller, Permission};

/// A thing that may belong to a customer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Thing {
    /// A cart.
    Cart(CartId),
    /// An order.
    Order(OrderId),
    /// A payment: it belongs to whom its order belongs to.
    Payment(PaymentId),
}

impl Thing {
    fn stream(self) -> StreamId {
        match self {
            Self::Cart(id) => stream_of::<Cart>(id),
            Self::Order(id) => stream_of::<Order>(id),
            Self::Payment(id) => stream_of::<Payment>(id),
        }
    }

    fn owner<'a>(self, world: &World<'a>) -> Option<&'a CustomerId> {
        let of_order = |id: OrderId| world.get::<Order>(id).placed().ok().and_then(|order| order.customer_id.as_ref());
        match self {
            Self::Cart(id) => world.get::<Cart>(id).customer_id(),
            Self::Order(id) => of_order(id),
            Self::Payment(id) => world.get::<Payment>(id).opened().ok().and_then(|payment| of_order(payment.order_id)),
        }
    }
}

/// A decision about a thing, by a caller to whom it may not be there. It is then decided in a world without the thing, so
/// that the answer is the same as for an id that was never given out, whatever else is asked for.
#[derive(Debug)]
pub(crate) struct Reaching<D> {
    thing: Thing,
    caller: Caller,
    everyones: Permission,
    decision: D,
}

impl<D> Reaching<D> {
    /// The decision, as the caller may make it; `everyones` is the permission to make it about things of all customers.
    pub(crate) fn new(caller: &Caller, everyones: Permission, thing: Thing, decision: D) -> Self {
        Self { thing, caller: caller.clone(), everyones, decision }
    }
}

/// A world in which one thing does not exist.
struct Without<'w, 'a> {
    world: &'w World<'a>,
    stream: StreamId,
    absent: Option<State>,
}

impl States for Without<'_, '_> {
    fn state(&self, stream: &StreamId) -> Option<&State> {
        if *stream == self.stream { self.absent.as_ref() } else { self.world.state(stream) }
    }

    fn version(&self, stream: &StreamId) -> Option<Sequence> {
        Some(if *stream == self.stream { 0 } else { self.world.version(stream) })
    }
}

impl<D: Decision> Decision for Reaching<D> {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        if self.caller.reaches(self.thing.owner(world), self.everyones) {
            return self.decision.decide(world);
        }
        let stream = self.thing.stream();
        let absent = State::absent(&stream.aggregate_type);
        self.decision.decide(&World::new(&Without { world, stream, absent }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::Utc;
    use domain::{SetCartDetails, StoreConfig};
    use event_schemas::{CartCreated, CartEvent, CommerceEvent, Currency};
    use uuid::Uuid;

    use super::*;
    use crate::access::Role;

    struct At(BTreeMap<StreamId, State>);

    impl States for At {
        fn state(&self, stream: &StreamId) -> Option<&State> {
            self.0.get(stream)
        }

        fn version(&self, stream: &StreamId) -> Option<Sequence> {
            self.0.get(stream).map(|_| 1)
        }
    }

    fn cart_of(owner: Option<&str>) -> (CartId, At) {
        let cart_id = CartId(Uuid::from_u128(1));
        let mut state = State::absent("cart").unwrap();
        let customer_id = owner.map(|owner| CustomerId::new(owner.to_owned()).unwrap());
        let currency: Currency = "EUR".parse().unwrap();
        let created = CartCreated { cart_id, currency, customer_id, expires_at: Utc::now() + chrono::TimeDelta::days(1) };
        state.evolve(&CommerceEvent::from(CartEvent::from(created)));
        (cart_id, At(BTreeMap::from([(stream_of::<Cart>(cart_id), state)])))
    }

    fn decide(caller: &Caller, cart_id: CartId, states: &At) -> Result<Vec<Change>, Refusal> {
        let details = SetCartDetails {
            cart_id,
            email: None,
            shipping_address: None,
            billing_address: None,
            country: None,
            shipping_method: None,
            coupon_codes: None,
            now: Utc::now(),
            config: StoreConfig::default().into(),
        };
        Reaching::new(caller, Permission::EditOrders, Thing::Cart(cart_id), details).decide(&World::new(states))
    }

    #[test]
    fn a_cart_of_another_customer_is_refused_as_one_that_is_not_there() {
        let (id, states) = cart_of(Some("ana"));
        let [ana, eve] = ["ana", "eve"].map(|name| Caller::operator(Role::Customer, Some(name)));
        let nowhere = At(BTreeMap::from([(stream_of::<Cart>(id), State::absent("cart").unwrap())]));
        for stranger in [&eve, &Caller::anonymous(), &Caller::operator(Role::Auditor, None)] {
            let refused = decide(stranger, id, &states);
            assert!(refused.is_err());
            assert_eq!(refused, decide(stranger, id, &nowhere));
        }
        assert!(decide(&ana, id, &states).is_ok());
        assert!(decide(&Caller::operator(Role::Support, None), id, &states).is_ok());
    }

    #[test]
    fn a_guests_cart_is_for_whoever_knows_its_id() {
        let (id, states) = cart_of(None);
        assert!(decide(&Caller::anonymous(), id, &states).is_ok());
    }
}

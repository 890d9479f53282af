//! The story of the hot SKU: 200 buyers for one variant with 50 in stock.

use domain::Stock;
use event_schemas::{CommerceEvent, StockEvent};

use crate::shop::{Shop, eur};

#[test]
fn of_200_buyers_for_50_units_exactly_50_get_one_and_150_are_refused_by_name() {
    let mut shop = Shop::new();
    shop.sells("HOT", eur(1_000), 50);
    let carts: Vec<_> = (0..200).map(|_| shop.ready_cart("EUR", &[("HOT", 1)])).collect();
    let mut refused = 0;
    for cart_id in carts {
        let checkout = shop.checkout(cart_id);
        match shop.decide(checkout) {
            Ok(_) => {}
            Err(refusal) => {
                assert_eq!((refusal.code(), refusal.shortages()[0].available), ("INSUFFICIENT_STOCK", 0));
                refused += 1;
            }
        }
    }
    assert_eq!((refused, shop.get::<Stock>("HOT@main").held()), (150, 50));

    let mut reserved = 0;
    for change in &shop.happened {
        if let CommerceEvent::Stock(StockEvent::StockReserved(reservation)) = &change.event {
            reserved += reservation.quantity;
            assert!(reserved <= 50, "at every prefix of what happened");
        }
    }
    assert_eq!(reserved, 50);
}

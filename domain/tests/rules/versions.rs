//! What staff change must be what they looked at.

use domain::{
    ArchiveProduct, Expecting, InTurn, Product, PublishProduct, ReceiveStock, Refusal, RemoveVariant, StaleVersion, Stock,
    stream_of,
};
use event_schemas::StockId;

use crate::shop::{Shop, eur};

#[test]
fn a_change_of_what_was_looked_at_goes_through_and_one_of_what_has_changed_since_is_refused() {
    let mut shop = Shop::new();
    let (product_id, variant_id) = shop.sells("TEA", eur(500), 0);
    let stream = stream_of::<Product>(product_id);
    let version = shop.happened.iter().filter(|change| change.stream == stream).count() as u64;
    let archive = |expected| Expecting {
        expected: Some((stream.clone(), expected)),
        decision: ArchiveProduct { product_id, reason: "old".to_owned() },
    };
    for expected in [version - 1, version + 1, 0] {
        let refusal = shop.refusal(archive(expected));
        assert_eq!(refusal, Refusal::Version(StaleVersion { stream: stream.clone(), expected, version }));
        assert_eq!((refusal.code(), refusal.field()), ("STALE_VERSION", Some("expectedVersion")));
    }
    shop.must(archive(version));
    // The stale version is told before the rule that would have refused it anyway.
    let remove = Expecting { expected: Some((stream.clone(), version)), decision: RemoveVariant { product_id, variant_id } };
    assert_eq!(shop.refusal(remove).code(), "STALE_VERSION");
    let any = Expecting { expected: None, decision: RemoveVariant { product_id, variant_id } };
    assert_eq!(shop.refusal(any).code(), "PRODUCT_ARCHIVED");
}

#[test]
fn what_does_not_exist_is_refused_by_its_own_rules() {
    let mut shop = Shop::new();
    let product_id = event_schemas::ProductId(shop.id());
    let expected = Some((stream_of::<Product>(product_id), 3));
    assert_eq!(shop.refusal(Expecting { expected, decision: PublishProduct { product_id } }).code(), "PRODUCT_NOT_FOUND");
}

#[test]
fn what_does_not_exist_is_not_made_by_who_has_looked_at_it() {
    let mut shop = Shop::new();
    let stock = StockId { sku: "TEA".parse().unwrap(), location: "main".parse().unwrap() };
    let stream = stream_of::<Stock>(stock.clone());
    let receive = |expected| Expecting {
        expected: Some((stream.clone(), expected)),
        decision: ReceiveStock { stock: stock.clone(), quantity: 5, reference: None },
    };
    let stale = StaleVersion { stream: stream.clone(), expected: 3, version: 0 };
    assert_eq!(shop.refusal(receive(3)), Refusal::Version(stale));
    shop.must(receive(0));
}

#[test]
fn the_second_of_two_decisions_sees_the_version_after_the_first() {
    let mut shop = Shop::new();
    let (product_id, _) = shop.sells("TEA", eur(500), 0);
    let stream = stream_of::<Product>(product_id);
    let version = shop.happened.iter().filter(|change| change.stream == stream).count() as u64;
    let archive = |expected| Expecting {
        expected: Some((stream.clone(), expected)),
        decision: ArchiveProduct { product_id, reason: "old".to_owned() },
    };
    let twice = |expected| InTurn { first: archive(version), second: Some(archive(expected)) };
    assert_eq!(shop.refusal(twice(version)).code(), "STALE_VERSION");
    assert_eq!(shop.refusal(twice(version + 1)).code(), "PRODUCT_ARCHIVED");
}

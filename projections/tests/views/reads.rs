//! What readers ask of the views: lists, filters, facets, pages, batches.

use event_schemas::*;
use projections::{
    CategoryFacet, Cursor, OrderFilter, OrderSort, Page, Product, ProductFilter, ProductSort, ProductState, Reservation, STOCK,
    StockFilter, StockLevel, StockSort, ViewError, Views, fold_in_memory,
};

use crate::{
    runner::followed,
    shop::{History, busy_days, day, id, line, pay, place, placed, pounds, product, ship, sku},
    store::Home,
};

on_each_store!(
    pages_in_both_directions_cover_the_catalog_once,
    a_catalog_by_price_ends_with_what_has_none,
    orders_in_one_of_several_states_come_in_one_order,
    a_cursor_of_another_sorting_or_of_nothing_is_refused,
    products_are_found_by_every_filter_alone_and_together,
    a_removed_variant_and_its_price_are_gone_from_the_catalog,
    categories_come_with_their_path_and_all_below,
    stock_is_set_aside_committed_and_shipped,
    a_customer_sees_their_own_orders_the_newest_first_with_lines_and_payments,
);

async fn views_of(home: &Home, history: &History) -> Views {
    views_from(home, "views.db", history).await
}

async fn views_from(home: &Home, name: &str, history: &History) -> Views {
    let views = home.views(name);
    followed(&history.log().await, &views, 1_000).await;
    views
}

/// Twelve products `Tea 0` … `Tea 11` at 2.50, 2.60 and so on.
fn catalog() -> History {
    let mut history = History::default();
    (0..12).for_each(|number| product(&mut history, number, 250 + 10 * number as i64));
    history
}

fn titles(views: &Views, filter: &ProductFilter, sort: ProductSort, descending: bool, page: &Page) -> Vec<String> {
    let listed = views.read_blocking(|reader| reader.products(filter, sort, descending, page)).unwrap();
    listed.items.into_iter().map(|(_, product): (Cursor, Product)| product.title).collect()
}

fn all() -> ProductFilter {
    ProductFilter::default()
}

async fn pages_in_both_directions_cover_the_catalog_once(home: Home) {
    let views = views_of(&home, &catalog()).await;
    for sort in [ProductSort::Title, ProductSort::Created, ProductSort::Price(Currency::new("GBP").unwrap())] {
        for descending in [false, true] {
            let whole = titles(&views, &all(), sort, descending, &Page::first(100));
            assert_eq!(whole.len(), 12);
            let (mut forward, mut page) = (Vec::new(), Page::first(5).counted());
            loop {
                let listed = views.read_blocking(|reader| reader.products(&all(), sort, descending, &page)).unwrap();
                assert_eq!(listed.total, Some(12));
                let last = listed.items.last().unwrap().0.encode();
                forward.extend(listed.items.into_iter().map(|(_, product)| product.title));
                if !listed.has_next {
                    break;
                }
                page = page.after(Cursor::decode(&last).unwrap());
            }
            assert_eq!(forward, whole);
            let end = Page { from_end: true, ..Page::first(5) };
            assert_eq!(titles(&views, &all(), sort, descending, &end), whole[7..]);
            let listed = views.read_blocking(|reader| reader.products(&all(), sort, descending, &end)).unwrap();
            assert!(listed.has_previous && !listed.has_next);
            let before = Page { before: Some(listed.items[0].0.clone()), ..end };
            assert_eq!(titles(&views, &all(), sort, descending, &before), whole[2..7]);
        }
    }
}

async fn a_catalog_by_price_ends_with_what_has_none(home: Home) {
    let mut history = catalog();
    for number in 0..4 {
        let created = ProductCreated {
            product_id: ProductId(id(200 + number)),
            title: format!("To come {number}"),
            slug: Slug::new(format!("to-come-{number}")).unwrap(),
            description: String::new(),
            category_ids: vec![CategoryId(id(50))],
            attributes: Default::default(),
            tax_category: "standard".to_owned(),
        };
        history.happens(ProductId(id(200 + number)), ProductEvent::from(created), day(1, 0));
    }
    let views = views_of(&home, &history).await;
    let sort = ProductSort::Price(Currency::new("GBP").unwrap());
    for (filter, count) in [(all(), 16), (ProductFilter { category_ids: Some(vec![CategoryId(id(50))]), ..all() }, 8)] {
        for descending in [false, true] {
            let whole = titles(&views, &filter, sort, descending, &Page::first(100));
            assert_eq!(whole.len(), count);
            assert!(whole[count - 4..].iter().all(|title| title.starts_with("To come")), "{whole:?}");
            assert_eq!(whole[0] == "Tea 0", !descending);
            for from_end in [false, true] {
                let (mut pages, mut page) = (Vec::new(), Page { from_end, ..Page::first(3) }.counted());
                loop {
                    let listed = views.read_blocking(|reader| reader.products(&filter, sort, descending, &page)).unwrap();
                    assert_eq!(listed.total, Some(count as u64));
                    let (first, last) = (listed.items[0].0.encode(), listed.items.last().unwrap().0.encode());
                    let found: Vec<_> = listed.items.into_iter().map(|(_, product)| product.title).collect();
                    let more = if from_end { listed.has_previous } else { listed.has_next };
                    pages.push(found);
                    match (more, from_end) {
                        (false, _) => break,
                        (true, true) => page.before = Some(Cursor::decode(&first).unwrap()),
                        (true, false) => page.after = Some(Cursor::decode(&last).unwrap()),
                    }
                }
                if from_end {
                    pages.reverse();
                }
                assert_eq!(pages.concat(), whole);
            }
        }
    }
}

async fn orders_in_one_of_several_states_come_in_one_order(home: Home) {
    let views = views_of(&home, &busy_days(20)).await;
    let of = |filter: &OrderFilter, sort, descending, page: &Page| {
        views.read_blocking(|reader| reader.orders(filter, sort, descending, page)).unwrap()
    };
    let wanted = vec![OrderStatus::Cancelled, OrderStatus::Shipped, OrderStatus::Cancelled];
    let filter = OrderFilter { statuses: Some(wanted.clone()), ..OrderFilter::default() };
    for sort in [OrderSort::Placed, OrderSort::Updated, OrderSort::Gross] {
        for descending in [false, true] {
            let all = of(&OrderFilter::default(), sort, descending, &Page::first(1_000)).items;
            let all = all.into_iter().map(|(_, order)| order).filter(|order| wanted.contains(&order.status));
            let expected: Vec<_> = all.map(|order| order.order_id).collect();
            let (mut found, mut page) = (Vec::new(), Page::first(7).counted());
            loop {
                let listed = of(&filter, sort, descending, &page);
                assert_eq!(listed.total, Some(expected.len() as u64));
                page = page.after(listed.items.last().unwrap().0.clone());
                found.extend(listed.items.into_iter().map(|(_, order)| order.order_id));
                if !listed.has_next {
                    break;
                }
            }
            assert!(found == expected && found.len() > 30, "{sort:?} {descending}: {} of {}", found.len(), expected.len());
        }
    }
    let none = OrderFilter { statuses: Some(vec![]), ..OrderFilter::default() };
    assert!(of(&none, OrderSort::Placed, true, &Page::first(7)).items.is_empty());
}

async fn a_cursor_of_another_sorting_or_of_nothing_is_refused(home: Home) {
    let views = views_of(&home, &catalog()).await;
    let listed = views.read_blocking(|reader| reader.products(&all(), ProductSort::Title, false, &Page::first(1))).unwrap();
    let page = Page::first(5).after(listed.items[0].0.clone());
    let other = views.read_blocking(|reader| reader.products(&all(), ProductSort::Created, false, &page));
    assert!(matches!(other, Err(ViewError::BadCursor)));
    for text in ["", "[]", "7", r#"["title", {}, "x"]"#, r#"["title", 1.5, "x"]"#] {
        assert!(matches!(Cursor::decode(text), Err(ViewError::BadCursor)), "{text}");
    }
    // Well made, and of the wrong types.
    let gbp = ProductSort::Price(Currency::new("GBP").unwrap());
    for (sort, text) in
        [(gbp, r#"["price GBP", "dear", "x"]"#), (gbp, r#"["price GBP", 250, 7]"#), (ProductSort::Title, r#"["title", 7, "x"]"#)]
    {
        let page = Page::first(5).after(Cursor::decode(text).unwrap());
        let forged = views.read_blocking(|reader| reader.products(&all(), sort, false, &page));
        assert!(matches!(forged, Err(ViewError::BadCursor)), "{text}: {forged:?}");
    }
}

async fn products_are_found_by_every_filter_alone_and_together(home: Home) {
    let mut history = catalog();
    history.happens(ProductId(id(100)), ProductEvent::from(ProductArchived { reason: "old".to_owned() }), day(1, 0));
    let counted = StockCounted { sku: sku("SKU-1"), location: LocationId::new("main").unwrap(), counted: 0, expected: 1_000 };
    history.happens("SKU-1@main", StockEvent::from(counted), day(1, 0));
    let views = views_of(&home, &history).await;
    let found = |filter: ProductFilter| titles(&views, &filter, ProductSort::Title, false, &Page::first(100));
    let published = ProductFilter { state: Some(ProductState::Published), ..all() };
    assert_eq!(found(published.clone()).len(), 11);
    assert_eq!(found(ProductFilter { category_ids: Some(vec![CategoryId(id(50))]), ..published.clone() }).len(), 3);
    assert_eq!(found(ProductFilter { available: Some(false), ..all() }), ["Tea 1"]);
    assert_eq!(found(ProductFilter { search: Some("TEA 11".to_owned()), ..all() }), ["Tea 11"]);
    assert_eq!(found(ProductFilter { search: Some("SKU-7".to_owned()), ..all() }), ["Tea 7"]);
    assert!(found(ProductFilter { search: Some("100%_' OR 1=1".to_owned()), ..all() }).is_empty());
    let garden = vec![("origin".to_owned(), vec!["garden 1".to_owned()])];
    let price = Some((Currency::new("GBP").unwrap(), Some(300), Some(330)));
    assert_eq!(found(ProductFilter { attributes: garden.clone(), price, ..published.clone() }), ["Tea 5", "Tea 7"]);

    let facets = views.read_blocking(|reader| {
        reader.product_facets(&ProductFilter { attributes: garden, ..published }, Some(Currency::new("GBP").unwrap()))
    });
    let facets = facets.unwrap();
    assert_eq!(facets.categories.iter().map(|facet: &CategoryFacet| facet.products).sum::<u64>(), 6);
    assert_eq!((facets.attributes.len(), facets.attributes[0].products), (1, 6));
    assert_eq!(facets.prices.iter().map(|facet| facet.products).sum::<u64>(), 6);
    assert!(facets.prices.len() <= 5 && facets.prices[0].from_minor == 260);
}

async fn a_removed_variant_and_its_price_are_gone_from_the_catalog(home: Home) {
    let mut history = catalog();
    let (product_id, dear) = (ProductId(id(103)), VariantId(id(900)));
    let added = VariantAdded {
        variant_id: dear,
        sku: sku("BIG"),
        name: "1 kg".to_owned(),
        options: Default::default(),
        weight_grams: 1_000,
    };
    history.happens(product_id, ProductEvent::from(added), day(1, 0));
    let price = VariantPriceSet { variant_id: dear, price: pounds(2_000), valid_from: None, valid_until: None };
    history.happens(product_id, ProductEvent::from(price), day(1, 1));
    let range = |views: &Views| {
        let ranges = views.read_blocking(|reader| reader.price_ranges_of(&[product_id])).unwrap();
        (ranges[&product_id][0].lowest_minor, ranges[&product_id][0].highest_minor)
    };
    assert_eq!(range(&views_of(&home, &history).await), (280, 2_000));
    history.happens(product_id, ProductEvent::from(VariantRemoved { variant_id: dear, sku: sku("BIG") }), day(2, 0));
    let views = views_from(&home, "after.db", &history).await;
    assert_eq!(range(&views), (280, 280));
    let variants = views.read_blocking(|reader| reader.variants_of(&[product_id])).unwrap();
    assert_eq!(variants[&product_id].len(), 1);
}

async fn categories_come_with_their_path_and_all_below(home: Home) {
    let mut history = History::default();
    for (number, name, parent) in [(1, "Drinks", None), (2, "Tea", Some(1)), (3, "Green tea", Some(2)), (4, "Books", None)] {
        let created = CategoryCreated {
            category_id: CategoryId(id(number)),
            name: name.to_owned(),
            slug: Slug::new(format!("category-{number}")).unwrap(),
            parent_id: parent.map(|parent| CategoryId(id(parent))),
        };
        history.happens(CategoryId(id(number)), CategoryEvent::from(created), day(0, 0));
    }
    let views = views_of(&home, &history).await;
    let placed = views.read_blocking(|reader| reader.categories()).unwrap();
    let names: Vec<_> = placed.iter().map(|placed| (placed.category.name.as_str(), placed.path.len())).collect();
    assert_eq!(names, [("Books", 1), ("Drinks", 1), ("Tea", 2), ("Green tea", 3)]);
    let below = views.read_blocking(|reader| reader.category_with_all_below(CategoryId(id(2)))).unwrap();
    assert_eq!(below, [CategoryId(id(2)), CategoryId(id(3))]);
}

async fn stock_is_set_aside_committed_and_shipped(home: Home) {
    let mut history = catalog();
    let (first, second) = (placed(1, "GB", vec![line(1, 30, 260)]), placed(2, "GB", vec![line(1, 5, 260)]));
    let policy = StockPolicySet {
        sku: sku("SKU-1"),
        location: LocationId::new("main").unwrap(),
        safety_stock: 10,
        backorder_limit: 0,
        low_stock_threshold: 965,
    };
    history.happens("SKU-1@main", StockEvent::from(policy), day(1, 0));
    place(&mut history, &first, day(1, 1));
    place(&mut history, &second, day(1, 2));
    pay(&mut history, &first, day(1, 3));
    let level = |history: &History| {
        let own = |event: &Recorded| event.event.stream.aggregate_id == "SKU-1@main";
        let events: Vec<_> = history.recorded().into_iter().filter(own).collect();
        let level = fold_in_memory(&STOCK, events).unwrap().held::<StockLevel>().remove(0);
        (level.on_hand, level.reserved, level.committed, level.available, level.low)
    };
    assert_eq!(level(&history), (1_000, 5, 30, 955, true));
    ship(&mut history, &first, day(1, 4));
    assert_eq!(level(&history), (970, 5, 0, 955, true));
    let views = views_of(&home, &history).await;
    let filter = StockFilter { low: Some(true), ..StockFilter::default() };
    let low = views.read_blocking(|reader| reader.stock_levels(&filter, StockSort::Sku, false, &Page::first(10))).unwrap();
    assert_eq!(low.items.len(), 1);
    let held = views.read_blocking(|reader| reader.rows::<Reservation>("", &[])).unwrap();
    assert_eq!(held.iter().map(|held| (held.order_id, held.quantity)).collect::<Vec<_>>(), [(second.order_id, 5)]);
}

async fn a_customer_sees_their_own_orders_the_newest_first_with_lines_and_payments(home: Home) {
    let history = busy_days(8);
    let views = views_of(&home, &history).await;
    let filter = OrderFilter { customer_id: Some(CustomerId::new("customer-3").unwrap()), ..OrderFilter::default() };
    let listed =
        views.read_blocking(|reader| reader.orders(&filter, OrderSort::Placed, true, &Page::first(3).counted())).unwrap();
    let placed: Vec<_> = listed.items.iter().map(|(_, order)| order.placed_at).collect();
    assert!(placed.len() == 3 && placed.is_sorted_by(|a, b| a >= b) && listed.total > Some(3) && listed.has_next);
    let ids: Vec<_> = listed.items.iter().map(|(_, order)| order.order_id).collect();
    let (lines, payments) = views.read_blocking(|reader| Ok((reader.lines_of(&ids)?, reader.payments_of(&ids)?))).unwrap();
    for (_, order) in &listed.items {
        let goods: i64 = lines[&order.order_id].iter().map(|line| line.gross_minor).sum();
        assert_eq!(goods + order.shipping_minor, order.gross_minor);
        assert_eq!(payments[&order.order_id][0].captured_minor, order.received_minor);
    }
}

//! One property per aggregate: any sequence of commands keeps its invariants, and folding what was decided never panics.

use domain::{
    Adjustment, AdjustmentCommand, Cart, CartCommand, Category, CategoryCommand, Claim, ClaimCommand, ClaimName, GatewayOutcome,
    MAX_CART_LINES, MAX_LINE_QUANTITY, MAX_ON_HAND, NewPrice, NewVariant, Order, OrderCommand, Payment, PaymentCommand, Product,
    ProductCommand, Promotion, PromotionCommand, Review, ReviewCommand, State, Stock, StockCommand,
};
use event_schemas::{
    AdjustmentId, AdjustmentReason, BadDebtAdjusted, CancelledBy, CartCreated, CartDetailsSet, CartId, CartLineSet,
    CategoryCreated, CategoryId, FulfilmentId, OrderFulfilled, OrderId, OrderItemsReturned, OrderLine, OrderPaymentReceived,
    OrderPlaced, OrderRefunded, OrderTotals, PaymentId, PaymentOpened, PricingBasis, ProductCreated, ProductDetailsChanged,
    ProductId, PromotionCreated, PromotionEffect, PromotionId, RefundId, ReleaseReason, ReturnId, ReviewId, ReviewSubmitted,
    RoundingLevel, SalesChannel, Sku, SkuQuantity, Slug, StockPolicySet, StreamId, VariantId,
};
use proptest::prelude::*;

use crate::shop::{coupon, currency, eur, id, location, minutes, morning, sku, stock_id};

/// Decides each command on what was decided before, and gives the state after each step, refused or not.
fn run<A, C, E, R>(commands: Vec<C>, decide: impl Fn(&A, C) -> Result<Vec<E>, R>, evolve: impl Fn(&mut A, &E)) -> Vec<A>
where
    A: Default + Clone,
{
    let mut state = A::default();
    let mut states = Vec::new();
    for command in commands {
        for event in decide(&state, command).unwrap_or_default() {
            evolve(&mut state, &event);
        }
        states.push(state.clone());
    }
    states
}

/// A state survives being written to a snapshot and read back.
fn keeps_in_a_snapshot(state: State) {
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
}

fn few() -> impl Strategy<Value = u128> {
    1..4_u128
}

fn quantity() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..12_u32, 1 => any::<u32>()]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -2..1_200_i64, 1 => any::<i64>()]
}

fn order_id() -> impl Strategy<Value = OrderId> {
    few().prop_map(|number| OrderId(id(number)))
}

fn any_sku() -> impl Strategy<Value = Sku> {
    few().prop_map(|number| sku(&format!("S{number}")))
}

fn stock_command() -> impl Strategy<Value = StockCommand> {
    let tea = || stock_id("TEA@main");
    prop_oneof![
        quantity().prop_map(move |quantity| StockCommand::Receive { stock: tea(), quantity, reference: None }),
        prop_oneof![-12..12_i64, any::<i64>()].prop_map(move |delta| StockCommand::Adjust {
            stock: tea(),
            delta,
            reason: AdjustmentReason::Correction,
            note: None
        }),
        quantity().prop_map(|quantity| StockCommand::TransferOut { quantity, to: location("outlet") }),
        (0..4_u32, 0..4_u32).prop_map(|(safety_stock, backorder_limit)| StockCommand::SetPolicy(StockPolicySet {
            sku: sku("TEA"),
            location: location("main"),
            safety_stock,
            backorder_limit,
            low_stock_threshold: 0
        })),
        (order_id(), quantity(), any::<bool>()).prop_map(|(order_id, quantity, paid)| StockCommand::Reserve {
            sku: sku("TEA"),
            order_id,
            quantity,
            expires_at: (!paid).then(morning)
        }),
        order_id().prop_map(|order_id| StockCommand::Commit { order_id }),
        order_id().prop_map(|order_id| StockCommand::Release { order_id, reason: ReleaseReason::Cancelled }),
        (order_id(), quantity()).prop_map(|(order_id, quantity)| StockCommand::Ship { order_id, quantity }),
    ]
}

fn cart_command() -> impl Strategy<Value = CartCommand> {
    let moment = || (0..3_000_i64).prop_map(|count| morning() + minutes(count));
    let created = CartCreated {
        cart_id: CartId(id(1)),
        currency: currency("EUR"),
        customer_id: None,
        expires_at: morning() + minutes(1_440),
    };
    let line = (any_sku(), quantity(), amount(), any::<bool>(), moment()).prop_map(|(sku, quantity, minor, yen, now)| {
        let mut unit_price = eur(minor);
        if yen {
            unit_price.currency = currency("JPY");
        }
        let expires_at = now + minutes(1_440);
        let (product_id, variant_id, title) = (ProductId(id(1)), VariantId(id(1)), "Tea".to_owned());
        CartCommand::SetLine { line: CartLineSet { product_id, variant_id, sku, title, quantity, unit_price, expires_at }, now }
    });
    prop_oneof![
        2 => Just(CartCommand::Create(created)),
        6 => line,
        2 => (any_sku(), moment()).prop_map(|(sku, now)| CartCommand::RemoveLine { sku, expires_at: now + minutes(60), now }),
        1 => moment().prop_map(|now| CartCommand::SetDetails {
            details: Box::new(CartDetailsSet {
                email: None,
                shipping_address: None,
                billing_address: None,
                country: None,
                shipping_method: Some("standard".to_owned()),
                coupon_codes: Some(vec![coupon("SPRING")]),
                expires_at: now + minutes(60)
            }),
            now
        }),
        1 => moment().prop_map(|now| CartCommand::Expire { now }),
        1 => (order_id(), moment()).prop_map(|(order_id, now)| CartCommand::CheckOut { order_id, now }),
    ]
}

fn placed(quantities: &[(Sku, u32)], due: i64) -> OrderPlaced {
    let line = |(sku, quantity): &(Sku, u32)| OrderLine {
        product_id: ProductId(id(1)),
        variant_id: VariantId(id(1)),
        sku: sku.clone(),
        title: "Tea".to_owned(),
        category_id: None,
        seller: None,
        quantity: *quantity,
        unit_price_minor: 1,
        discount_minor: 0,
        tax_rate_ppm: 0,
        net_minor: 1,
        tax_minor: 0,
        gross_minor: 1,
        allocations: vec![],
    };
    OrderPlaced {
        order_id: OrderId(id(1)),
        number: "1".to_owned(),
        channel: SalesChannel::Storefront,
        cart_id: None,
        customer_id: None,
        email: None,
        shipping_address: None,
        billing_address: None,
        country: None,
        currency: currency("EUR"),
        lines: quantities.iter().map(line).collect(),
        charges: vec![],
        discounts: vec![],
        totals: OrderTotals {
            subtotal_minor: due,
            discount_minor: 0,
            shipping_minor: 0,
            net_minor: due,
            tax_minor: 0,
            gross_minor: due,
        },
        pricing: PricingBasis { prices_include_tax: true, rounding: RoundingLevel::Line },
        payment_id: Some(PaymentId(id(1))),
        pay_by: Some(morning() + minutes(15)),
    }
}

fn order_command() -> impl Strategy<Value = OrderCommand> {
    let payment = || few().prop_map(|number| PaymentId(id(number)));
    let items = || {
        prop::collection::vec((any_sku(), quantity()), 0..3)
            .prop_map(|items| items.into_iter().map(|(sku, quantity)| SkuQuantity { sku, quantity }).collect::<Vec<_>>())
    };
    let parcel = || few().prop_map(|number| FulfilmentId(id(number)));
    let euros = || (0..1_200_i64).prop_map(eur);
    prop_oneof![
        2 => (prop::collection::vec((any_sku(), 0..9_u32), 0..3), 0..1_000_i64)
            .prop_map(|(lines, due)| OrderCommand::Place(Box::new(placed(&lines, due)))),
        4 => (payment(), euros()).prop_map(|(payment_id, amount)| {
            OrderCommand::ReceivePayment(OrderPaymentReceived { payment_id, amount })
        }),
        2 => (payment(), euros()).prop_map(|(payment_id, amount)| {
            OrderCommand::RecordRefund(OrderRefunded { payment_id, amount })
        }),
        1 => Just(OrderCommand::Cancel { by: CancelledBy::Staff, reason: "test".to_owned() }),
        1 => (0..30_i64).prop_map(|count| OrderCommand::Expire { now: morning() + minutes(count) }),
        1 => Just(OrderCommand::Reinstate { allocations: vec![] }),
        1 => Just(OrderCommand::StartProcessing),
        4 => (parcel(), items()).prop_map(|(fulfilment_id, items)| {
            OrderCommand::Fulfil(OrderFulfilled { fulfilment_id, items, tracking: None })
        }),
        2 => parcel().prop_map(|fulfilment_id| OrderCommand::Deliver { fulfilment_id }),
        2 => items().prop_map(|items| {
            OrderCommand::ReturnItems(OrderItemsReturned { return_id: ReturnId(id(1)), items, reason: "test".to_owned() })
        }),
    ]
}

fn payment_command() -> impl Strategy<Value = PaymentCommand> {
    let refund = || few().prop_map(|number| RefundId(id(number)));
    let reference = || few().prop_map(|number| format!("r-{number}"));
    let euros = || amount().prop_map(eur);
    let opened = PaymentOpened {
        payment_id: PaymentId(id(1)),
        order_id: OrderId(id(1)),
        amount: eur(1_000),
        gateway: "sandbox".to_owned(),
        method: None,
    };
    let outcome = prop_oneof![
        (euros(), reference()).prop_map(|(amount, gateway_reference)| {
            GatewayOutcome::Authorised { amount, gateway_reference, expires_at: None }
        }),
        (euros(), reference()).prop_map(|(amount, gateway_reference)| GatewayOutcome::Captured { amount, gateway_reference }),
        reference().prop_map(|gateway_reference| GatewayOutcome::Voided { gateway_reference }),
        (refund(), euros(), reference()).prop_map(|(refund_id, amount, gateway_reference)| {
            GatewayOutcome::Refunded { refund_id, amount, gateway_reference }
        }),
        refund().prop_map(|refund_id| GatewayOutcome::RefundFailed { refund_id, reason: "no".to_owned() }),
        Just(GatewayOutcome::Declined { code: "no".to_owned(), message: "no".to_owned() }),
        euros().prop_map(|amount| GatewayOutcome::Disputed { amount, reason: "fraud".to_owned() }),
        any::<bool>().prop_map(|won| GatewayOutcome::DisputeClosed { won }),
    ];
    prop_oneof![
        1 => Just(PaymentCommand::Open(opened)),
        1 => Just(PaymentCommand::Confirm { token: "tok".to_owned(), capture: false }),
        2 => prop::option::of(euros()).prop_map(|amount| PaymentCommand::RequestCapture { amount }),
        1 => Just(PaymentCommand::RequestVoid { reason: "test".to_owned() }),
        3 => (refund(), prop::option::of(euros())).prop_map(|(refund_id, amount)| {
            PaymentCommand::RequestRefund { refund_id, amount, reason: "test".to_owned() }
        }),
        1 => refund().prop_map(|refund_id| PaymentCommand::Close { refund_id, reason: "test".to_owned() }),
        1 => Just(PaymentCommand::Expire),
        6 => outcome.prop_map(PaymentCommand::Record),
    ]
}

fn slug(number: u128) -> Slug {
    Slug::new(format!("s-{number}")).unwrap()
}

fn product_command() -> impl Strategy<Value = ProductCommand> {
    let price = || amount().prop_map(|minor| NewPrice { price: eur(minor), valid_from: None, valid_until: None });
    let variant = (few(), any_sku(), prop::collection::vec(price(), 0..2)).prop_map(|(number, sku, prices)| NewVariant {
        variant_id: VariantId(id(number)),
        sku,
        name: String::new(),
        options: std::collections::BTreeMap::new(),
        weight_grams: 1,
        prices,
    });
    let created = ProductCreated {
        product_id: ProductId(id(1)),
        title: "Tea".to_owned(),
        slug: slug(1),
        description: String::new(),
        category_ids: vec![],
        attributes: std::collections::BTreeMap::new(),
        tax_category: "standard".to_owned(),
    };
    let details = |title: String| ProductDetailsChanged {
        title,
        slug: slug(1),
        description: String::new(),
        tax_category: "standard".to_owned(),
    };
    prop_oneof![
        2 => Just(ProductCommand::Create { product: created, variants: vec![] }),
        1 => ".{0,3}".prop_map(move |title| ProductCommand::ChangeDetails(details(title))),
        4 => variant.prop_map(ProductCommand::AddVariant),
        2 => few().prop_map(|number| ProductCommand::RemoveVariant { variant_id: VariantId(id(number)) }),
        3 => (few(), price()).prop_map(|(number, price)| ProductCommand::SetPrice { variant_id: VariantId(id(number)), price }),
        2 => Just(ProductCommand::Publish),
        1 => Just(ProductCommand::Archive { reason: "test".to_owned() }),
    ]
}

fn category_command() -> impl Strategy<Value = CategoryCommand> {
    let parent = || prop::option::of(few().prop_map(|number| CategoryId(id(number))));
    let (category_id, name) = (CategoryId(id(1)), "Tea".to_owned());
    prop_oneof![
        parent().prop_map(move |parent_id| {
            CategoryCommand::Create(CategoryCreated { category_id, name: name.clone(), slug: slug(1), parent_id })
        }),
        (".{0,3}", few()).prop_map(|(name, number)| CategoryCommand::Rename { name, slug: slug(number) }),
        parent().prop_map(|parent_id| CategoryCommand::Move { parent_id }),
        Just(CategoryCommand::Archive),
    ]
}

fn promotion_command() -> impl Strategy<Value = PromotionCommand> {
    let created = (0..2_000_000_u32, prop::option::of(0..4_u32)).prop_map(|(ppm, usage_limit)| PromotionCreated {
        promotion_id: PromotionId(id(1)),
        name: "Spring".to_owned(),
        code: coupon("SPRING"),
        effect: PromotionEffect::PercentOff { ppm },
        starts_at: None,
        ends_at: None,
        usage_limit,
    });
    prop_oneof![
        2 => created.prop_map(PromotionCommand::Create),
        5 => order_id().prop_map(|order_id| PromotionCommand::Redeem {
            order_id, customer_id: None, currency: currency("EUR"), now: morning()
        }),
        2 => order_id().prop_map(|order_id| PromotionCommand::Restore { order_id }),
        1 => Just(PromotionCommand::End),
    ]
}

proptest! {
    #[test]
    fn stock_held_never_exceeds_what_is_there_and_what_may_be_sold_beyond(
        commands in prop::collection::vec(stock_command(), 0..60)
    ) {
        for stock in run(commands, Stock::decide, Stock::evolve) {
            prop_assert!(i128::from(stock.held()) <= i128::from(stock.on_hand()) + i128::from(stock.backorder_limit()));
            prop_assert!((0..=MAX_ON_HAND).contains(&stock.on_hand()));
            keeps_in_a_snapshot(State::Stock(stock));
        }
    }

    #[test]
    fn after_any_count_nothing_is_sold_beyond_what_is_there_until_there_is_enough_again(
        before in prop::collection::vec(stock_command(), 0..20),
        counted in 0..12_u32,
        after in prop::collection::vec(stock_command(), 0..20),
    ) {
        let counts = StockCommand::Count { stock: stock_id("TEA@main"), counted };
        let at = before.len();
        let commands = before.into_iter().chain([counts]).chain(after).collect();
        let mut owed = 0;
        for (index, stock) in run(commands, Stock::decide, Stock::evolve).into_iter().enumerate() {
            let beyond = i128::from(stock.held()) - i128::from(stock.on_hand()) - i128::from(stock.backorder_limit());
            prop_assert!(beyond <= 0 || stock.sellable() == 0);
            prop_assert!(index == at || beyond <= owed.max(0), "only the count itself may find too little");
            owed = beyond;
        }
    }

    #[test]
    fn a_cart_stays_within_its_limits_and_its_currency(commands in prop::collection::vec(cart_command(), 0..40)) {
        for cart in run(commands, Cart::decide, Cart::evolve) {
            if let Cart::Open(open) = &cart {
                prop_assert!(open.lines.len() <= MAX_CART_LINES);
                prop_assert!(open.lines.iter().all(|line| (1..=MAX_LINE_QUANTITY).contains(&line.quantity)));
                prop_assert!(open.lines.iter().all(|line| line.unit_price.currency == open.currency));
                prop_assert!(domain::cart_subtotal(open).is_ok());
            }
            keeps_in_a_snapshot(State::Cart(cart));
        }
    }

    #[test]
    fn an_order_never_ships_more_than_ordered_nor_takes_back_more_than_shipped(
        commands in prop::collection::vec(order_command(), 0..40)
    ) {
        for order in run(commands, Order::decide, Order::evolve) {
            if let Order::Placed(placed) = &order {
                let facts = &placed.facts;
                for (sku, shipped) in &facts.shipped {
                    prop_assert!(*shipped <= facts.ordered.get(sku).copied().unwrap_or(0));
                    prop_assert!(facts.returned.get(sku).copied().unwrap_or(0) <= *shipped);
                }
                prop_assert!(facts.refunded_minor <= facts.received_minor);
                prop_assert!(!facts.cancelled || facts.shipped.is_empty());
            }
            keeps_in_a_snapshot(State::Order(order));
        }
    }

    #[test]
    fn a_payment_is_always_authorised_for_what_is_captured_and_captured_for_what_goes_back(
        commands in prop::collection::vec(payment_command(), 0..40)
    ) {
        for payment in run(commands, Payment::decide, Payment::evolve) {
            if let Payment::Opened(opened) = &payment {
                prop_assert!(opened.authorised_minor() >= opened.captured_minor());
                prop_assert!(opened.captured_minor() >= opened.refunded_minor() + opened.pending_refunds_minor());
                prop_assert!(opened.hold_minor() >= 0 && opened.refundable_minor() >= 0);
            }
            keeps_in_a_snapshot(State::Payment(payment));
        }
    }

    #[test]
    fn a_product_offers_only_prices_that_are_not_negative(commands in prop::collection::vec(product_command(), 0..40)) {
        for product in run(commands, Product::decide, Product::evolve) {
            for number in 1..4 {
                let sku = sku(&format!("S{number}"));
                if let Ok(offer) = product.offer(&sku, currency("EUR"), morning()) {
                    prop_assert!(offer.unit_price.minor >= 0);
                    prop_assert_eq!(product.sku_of(offer.variant_id), Some(&sku));
                }
            }
            keeps_in_a_snapshot(State::Product(product));
        }
    }

    #[test]
    fn an_archived_category_stays_archived(commands in prop::collection::vec(category_command(), 0..20)) {
        let mut archived = false;
        for category in run(commands, Category::decide, Category::evolve) {
            prop_assert!(!archived || category == Category::Archived);
            archived = category == Category::Archived;
            keeps_in_a_snapshot(State::Category(category));
        }
    }

    #[test]
    fn a_promotion_is_never_used_more_often_than_its_limit(commands in prop::collection::vec(promotion_command(), 0..30)) {
        let mut uses = 0_i64;
        let mut promotion = Promotion::default();
        for command in commands {
            for event in promotion.decide(command).unwrap_or_default() {
                match event.event_type() {
                    "PromotionRedeemed" => uses += 1,
                    "PromotionRestored" => uses -= 1,
                    _ => {}
                }
                promotion.evolve(&event);
            }
            let limit = promotion.terms().and_then(|terms| terms.usage_limit);
            prop_assert!(uses >= 0 && limit.is_none_or(|limit| uses <= i64::from(limit)));
            keeps_in_a_snapshot(State::Promotion(promotion.clone()));
        }
    }

    #[test]
    fn a_unique_name_has_one_holder_who_alone_gives_it_back(moves in prop::collection::vec((any::<bool>(), few()), 0..30)) {
        let mut claim = Claim::default();
        for (takes, number) in moves {
            let holder = StreamId::new("product", number);
            let before = claim.holder();
            let name = ClaimName::Sku(sku("TEA"));
            let release = ClaimCommand::Release { holder: holder.clone() };
            let command = if takes { ClaimCommand::Take { name, holder: holder.clone() } } else { release };
            let decided = claim.decide(command);
            prop_assert_eq!(decided.is_ok(), before.as_ref() == Some(&holder) || (takes && before.is_none()));
            decided.unwrap_or_default().iter().for_each(|event| claim.evolve(event));
            keeps_in_a_snapshot(State::Claim(claim.clone()));
        }
    }

    #[test]
    fn a_review_is_submitted_once_with_a_rating_of_1_to_5(ratings in prop::collection::vec(any::<u8>(), 0..10)) {
        let mut review = Review::default();
        let mut submitted = 0;
        for rating in ratings {
            let (review_id, order_id) = (ReviewId(id(1)), OrderId(id(1)));
            let text = ReviewSubmitted { review_id, order_id, customer_id: None, rating, title: None, comment: None };
            for event in review.decide(ReviewCommand::Submit(text)).unwrap_or_default() {
                prop_assert!((1..=5).contains(&rating));
                submitted += 1;
                review.evolve(&event);
            }
        }
        prop_assert!(submitted <= 1);
        keeps_in_a_snapshot(State::Review(review));
    }

    #[test]
    fn a_correction_of_the_books_is_booked_once(amounts in prop::collection::vec(any::<i64>(), 0..10)) {
        let mut adjustment = Adjustment::default();
        let mut booked = 0;
        for minor in amounts {
            let (adjustment_id, number) = (AdjustmentId(id(1)), "A-1".to_owned());
            let reason = "bankrupt".to_owned();
            let debt = BadDebtAdjusted { adjustment_id, number, amount: eur(minor), reason, effective_at: None };
            for event in adjustment.decide(AdjustmentCommand::AdjustBadDebt(debt)).unwrap_or_default() {
                booked += 1;
                adjustment.evolve(&event);
            }
        }
        prop_assert!(booked <= 1);
        keeps_in_a_snapshot(State::Adjustment(adjustment));
    }
}

//! What is offered can be done, and what is not offered is refused or changes nothing: over shops as they come to be by chance.

use std::collections::BTreeMap;

use domain::*;
use event_schemas::*;

use crate::shop::{Shop, coupon, currency, eur, id, minutes, sku};

/// A small source of chance: xorshift, <https://doi.org/10.18637/jss.v008.i14>.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

type Attempt = Box<dyn Decision>;

fn attempt(decision: impl Decision) -> Attempt {
    Box::new(decision)
}

/// What there is in the shop to do something with.
struct Things {
    orders: Vec<(OrderId, PaymentId)>,
    carts: Vec<CartId>,
    products: Vec<ProductId>,
    promotion: PromotionId,
    category: CategoryId,
    accounts: [AccountId; 2],
    api_key: ApiKeyId,
    webhook: WebhookId,
}

const SKUS: [&str; 3] = ["TEA", "MATE", "CUP"];
/// Nobody takes this one off sale.
const ALWAYS: &str = "BOX";

/// A product that is not for sale yet, and has nothing to sell.
fn drafted(shop: &mut Shop) -> ProductId {
    let product = ProductCreated {
        product_id: ProductId(shop.id()),
        title: "Draft".to_owned(),
        slug: Slug::new("draft").unwrap(),
        description: String::new(),
        category_ids: vec![],
        attributes: BTreeMap::new(),
        tax_category: "standard".to_owned(),
    };
    let product_id = product.product_id;
    shop.must(CreateProduct { product, variants: vec![] });
    product_id
}

fn opened() -> (Shop, Things) {
    let mut shop = Shop::new();
    let mut products = SKUS.map(|name| shop.sells(name, eur(500), 40).0).to_vec();
    products.push(drafted(&mut shop));
    shop.sells(ALWAYS, eur(100), 1_000);
    let promotion = PromotionId(id(1));
    let terms = PromotionCreated {
        promotion_id: promotion,
        name: "Spring".to_owned(),
        code: coupon("SPRING"),
        effect: PromotionEffect::PercentOff { ppm: 100_000 },
        starts_at: None,
        ends_at: None,
        usage_limit: Some(3),
    };
    shop.must(CreatePromotion { promotion: terms });
    let category = CategoryId(id(2));
    let (slug, name) = (Slug::new("teas").unwrap(), "Teas".to_owned());
    shop.must(CreateCategory { category: CategoryCreated { category_id: category, slug, name, parent_id: None } });
    let accounts = [AccountId(id(3)), AccountId(id(4))];
    shop.must(ClaimFirstAdmin { account_id: accounts[0] });
    shop.must(RegisterAccount { account_id: accounts[1] });
    let api_key = ApiKeyId(id(5));
    let permissions = vec!["view_orders".to_owned()];
    shop.must(IssueApiKey { api_key_id: api_key, permissions, label: "till".to_owned(), expires_at: None });
    let webhook = WebhookId(id(6));
    let (url, label) = ("https://example.com/hook".to_owned(), "erp".to_owned());
    shop.must(CreateWebhook { webhook_id: webhook, url, types: vec![], label, allow_http: false });
    let things = Things { orders: vec![], carts: vec![], products, promotion, category, accounts, api_key, webhook };
    (shop, things)
}

fn asking(shop: &Shop) -> Asking {
    Asking { now: shop.now, config: shop.config.clone() }
}

fn order_attempts(shop: &mut Shop, order_id: OrderId, payment_id: PaymentId, action: OrderAction) -> Vec<Attempt> {
    let one = |sku: &Sku| vec![SkuQuantity { sku: sku.clone(), quantity: 1 }];
    let (fulfilment_id, return_id) = (FulfilmentId(shop.id()), ReturnId(shop.id()));
    let order = shop.get::<Order>(order_id);
    let facts = &order.placed().unwrap().facts;
    match action {
        OrderAction::Pay => payment_attempts(shop, payment_id, PaymentAction::Confirm),
        OrderAction::Capture => payment_attempts(shop, payment_id, PaymentAction::Capture),
        OrderAction::Refund => payment_attempts(shop, payment_id, PaymentAction::Refund),
        OrderAction::Cancel => {
            let (by, reason, refund_id) = (CancelledBy::Customer, "changed my mind".to_owned(), RefundId(shop.id()));
            vec![attempt(CancelOrder { order_id, by, reason, refund_id })]
        }
        OrderAction::StartProcessing => vec![attempt(StartProcessing { order_id })],
        OrderAction::Fulfil => {
            let of_one = facts.ordered.keys().map(|sku| Some(one(sku)));
            let parcel = |items| attempt(FulfilOrder { order_id, fulfilment_id, items, tracking: None });
            std::iter::once(None).chain(of_one).map(parcel).collect()
        }
        OrderAction::Deliver => {
            let deliver = |fulfilment_id: &FulfilmentId| DeliverFulfilment { order_id, fulfilment_id: *fulfilment_id };
            facts.parcels.keys().map(|parcel| attempt(deliver(parcel))).collect()
        }
        OrderAction::Return => {
            let place = || Some(LocationId::new("main").unwrap());
            let back =
                |sku: &Sku| ReturnItems { order_id, return_id, items: one(sku), reason: "late".to_owned(), restock: place() };
            facts.ordered.keys().map(|sku| attempt(back(sku))).collect()
        }
    }
}

fn payment_attempts(shop: &mut Shop, payment_id: PaymentId, action: PaymentAction) -> Vec<Attempt> {
    let (refund_id, reason) = (RefundId(shop.id()), "asked for".to_owned());
    let now = shop.now;
    match action {
        PaymentAction::Confirm => {
            [true, false].map(|capture| attempt(ConfirmPayment { payment_id, token: "tok_visa".to_owned(), capture, now })).into()
        }
        PaymentAction::Capture => {
            [None, Some(eur(1))].map(|amount| attempt(RequestCapture { payment_id, amount })).into_iter().collect()
        }
        PaymentAction::Void => vec![attempt(RequestVoid { payment_id, reason })],
        PaymentAction::Refund => {
            let back = |amount| attempt(RequestRefund { payment_id, refund_id, amount, reason: reason.clone() });
            [None, Some(eur(1))].map(back).into_iter().collect()
        }
    }
}

fn product_attempts(shop: &mut Shop, product_id: ProductId, action: ProductAction) -> Vec<Attempt> {
    let variant_id = VariantId(shop.id());
    let title = Some(format!("Title {}", variant_id.0));
    let variants: Vec<VariantId> = shop.get::<Product>(product_id).variant_ids().collect();
    let price = || NewPrice { price: eur(700), valid_from: None, valid_until: None };
    match action {
        ProductAction::Update => {
            let (slug, description, attributes, tax_category) = (None, None, None, None);
            vec![attempt(UpdateProduct { product_id, title, slug, description, attributes, tax_category })]
        }
        ProductAction::Publish => vec![attempt(PublishProduct { product_id })],
        ProductAction::Archive => vec![attempt(ArchiveProduct { product_id, reason: "old".to_owned() })],
        ProductAction::AddVariant => {
            let (sku, options) = (sku(&format!("NEW-{}", variant_id.0)), BTreeMap::new());
            let variant = NewVariant { variant_id, sku, name: String::new(), options, weight_grams: 1, prices: vec![price()] };
            vec![attempt(AddVariant { product_id, variant })]
        }
        ProductAction::RemoveVariant => {
            variants.into_iter().map(|variant_id| attempt(RemoveVariant { product_id, variant_id })).collect()
        }
        ProductAction::SetPrice => {
            let set = |variant_id| attempt(SetVariantPrice { product_id, variant_id, price: price() });
            variants.into_iter().map(set).collect()
        }
    }
}

fn cart_attempts(shop: &mut Shop, cart_id: CartId, action: CartAction) -> Vec<Attempt> {
    match action {
        CartAction::AddLines => vec![attempt(shop.lines(cart_id, &[(ALWAYS, QuantityChange::Add(1))]))],
        CartAction::UpdateLines => {
            let skus = SKUS.into_iter().chain([ALWAYS]);
            skus.map(|name| attempt(shop.lines(cart_id, &[(name, QuantityChange::Set(0))]))).collect()
        }
        CartAction::Update => vec![attempt(SetCartDetails { shipping_method: None, ..shop.details(cart_id) })],
        CartAction::Checkout => vec![attempt(shop.checkout(cart_id))],
    }
}

fn account_attempts(account_id: AccountId, action: AccountAction) -> Vec<Attempt> {
    let roles = RoleName::BUILT_IN.map(|role| RoleName::new(role).unwrap());
    let change = |command| attempt(ChangeAccount { account_id, command });
    match action {
        AccountAction::GrantRole => roles.map(|role| change(AccountCommand::GrantRole { role })).into(),
        AccountAction::RevokeRole => roles.map(|role| change(AccountCommand::RevokeRole { role })).into(),
        AccountAction::Disable => vec![change(AccountCommand::Disable { reason: None })],
        AccountAction::Enable => vec![change(AccountCommand::Enable)],
    }
}

fn webhook_attempts(shop: &mut Shop, webhook_id: WebhookId, action: WebhookAction) -> Vec<Attempt> {
    let command = match action {
        WebhookAction::Change => {
            let label = Some(shop.id().to_string());
            WebhookCommand::Change { url: None, types: Some(vec!["order.placed".to_owned()]), label, allow_http: false }
        }
        WebhookAction::Pause => WebhookCommand::Pause { reason: WebhookPauseReason::Failing },
        WebhookAction::Resume => WebhookCommand::Resume,
        WebhookAction::Remove => WebhookCommand::Remove,
    };
    vec![attempt(ChangeWebhook { webhook_id, command })]
}

fn category_attempts(shop: &mut Shop, category_id: CategoryId, action: CategoryAction) -> Vec<Attempt> {
    let other = CategoryId(shop.id());
    let slug = Slug::new("teas").unwrap();
    match action {
        CategoryAction::Update => ["Teas", "Fine teas"]
            .map(|name| attempt(RenameCategory { category_id, name: name.to_owned(), slug: slug.clone() }))
            .into(),
        // A category of one alone goes nowhere: there is always another.
        CategoryAction::Move => vec![attempt(InTurn {
            first: CreateCategory {
                category: CategoryCreated {
                    category_id: other,
                    slug: Slug::new(format!("other-{}", other.0)).unwrap(),
                    name: "Other".to_owned(),
                    parent_id: None,
                },
            },
            second: Some(MoveCategory { category_id, parent_id: Some(other) }),
        })],
        CategoryAction::Archive => vec![attempt(ArchiveCategory { category_id })],
    }
}

/// Everything that could be asked of the things of a shop: what it is, whether it is offered, and ways to ask it.
fn everything(shop: &mut Shop, things: &Things) -> Vec<(String, bool, Vec<Attempt>)> {
    let asking = asking(shop);
    let mut all = Vec::new();
    macro_rules! each {
        ($ids:expr, $asked:path, $action:ident, |$id:ident, $each:ident| $attempts:expr) => {
            for $id in $ids {
                let offered = shop.look(|world| $asked(world, &$id, &asking));
                for $each in $action::ALL.iter().copied() {
                    all.push((format!("{:?} of {:?}", $each, $id), offered.contains(&$each), $attempts));
                }
            }
        };
    }
    for (order_id, payment_id) in &things.orders {
        each!([*order_id], order_actions, OrderAction, |id, action| order_attempts(shop, id, *payment_id, action));
        each!([*payment_id], payment_actions, PaymentAction, |id, action| payment_attempts(shop, id, action));
        let parcels = shop.get::<Order>(order_id).placed().unwrap().facts.parcels.clone();
        let parcels = parcels.into_keys().map(|parcel| (*order_id, parcel));
        each!(parcels, fulfilment_actions, FulfilmentAction, |id, _action| {
            vec![attempt(DeliverFulfilment { order_id: id.0, fulfilment_id: id.1 })]
        });
        each!([*order_id], return_actions, ReturnAction, |id, _action| {
            order_attempts(shop, id, *payment_id, OrderAction::Refund)
        });
    }
    each!(things.carts.clone(), cart_actions, CartAction, |id, action| cart_attempts(shop, id, action));
    each!(things.products.clone(), product_actions, ProductAction, |id, action| product_attempts(shop, id, action));
    each!([things.promotion], promotion_actions, PromotionAction, |id, _action| {
        vec![attempt(EndPromotion { promotion_id: id })]
    });
    each!([things.category], category_actions, CategoryAction, |id, action| category_attempts(shop, id, action));
    each!(things.accounts, account_actions, AccountAction, |id, action| account_attempts(id, action));
    each!([things.api_key], api_key_actions, ApiKeyAction, |id, _action| vec![attempt(RevokeApiKey { api_key_id: id })]);
    each!([things.webhook], webhook_actions, WebhookAction, |id, action| webhook_attempts(shop, id, action));
    all
}

/// Something that nobody is offered: time goes by, buyers come, the gateway answers.
fn goes_on(shop: &mut Shop, things: &mut Things, chance: &mut Chance) {
    match chance.below(8) {
        0 => shop.now += minutes(20),
        1 | 2 => things.carts.push(shop.cart_in("EUR")),
        3 | 4 => {
            // Of a product that is not for sale any more, no cart can be made ready.
            let mut trial = shop.clone();
            let cart_id = trial.cart_in("EUR");
            let lines = [(SKUS[chance.below(3)], QuantityChange::Set(1 + chance.below(3) as u32))];
            if trial.decide(trial.lines(cart_id, &lines)).is_ok() && trial.decide(trial.details(cart_id)).is_ok() {
                let checkout = trial.checkout(cart_id);
                let ids = (checkout.order_id, checkout.payment_id);
                if chance.below(4) > 0 && trial.decide(checkout).is_ok() {
                    things.orders.push(ids);
                } else {
                    things.carts.push(cart_id);
                }
                *shop = trial;
            }
        }
        5 => {
            let held = things.orders.last().copied();
            if let Some((_, payment_id)) = held.filter(|(_, payment)| shop.get::<Payment>(payment) != Payment::Absent) {
                let outcome = GatewayOutcome::Disputed { amount: eur(1), reason: "fraud".to_owned() };
                let mut trial = shop.clone();
                if trial.decide(RecordGatewayOutcomes { payment_id, outcomes: vec![outcome] }).is_ok() {
                    *shop = trial;
                }
            }
        }
        6 => drop(shop.decide(ChangeAccount { account_id: things.accounts[1], command: AccountCommand::Verify })),
        _ => shop.receives("TEA@main", 1),
    }
}

#[test]
fn what_is_offered_can_be_done_and_nothing_else() {
    let (mut offered_once, mut refused_once) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for seed in 1..=12_u64 {
        let (mut shop, mut things) = opened();
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for _ in 0..30 {
            goes_on(&mut shop, &mut things, &mut chance);
            let (mut doable, mut of_orders) = (Vec::new(), Vec::new());
            for (what, offered, attempts) in everything(&mut shop, &things) {
                let does = |attempt: Attempt| {
                    let mut trial = shop.clone();
                    trial.decide(attempt).is_ok_and(|changes| !changes.is_empty()).then_some(trial)
                };
                let after: Vec<Shop> = attempts.into_iter().filter_map(does).collect();
                assert_eq!(!after.is_empty(), offered, "seed {seed}: {what}");
                let name = what.split('(').next().unwrap_or_default().to_owned();
                if offered {
                    offered_once.insert(name)
                } else {
                    refused_once.insert(name)
                };
                // An order goes far only if it is often its turn.
                if what.contains("OrderId") || what.starts_with("Deliver") {
                    of_orders.extend(after);
                } else {
                    doable.extend(after);
                }
            }
            if !of_orders.is_empty() && chance.below(3) > 0 {
                doable = of_orders;
            }
            if !doable.is_empty() {
                let from = shop.happened.len();
                shop = doable.swap_remove(chance.below(doable.len()));
                // The gateway answers at once, or later.
                if chance.below(3) > 0 {
                    shop.runs_processes(from);
                }
            }
        }
    }
    // Each was offered somewhere, and refused somewhere: the shops differ enough.
    assert_eq!(offered_once, refused_once);
    assert!(offered_once.len() >= 36, "{offered_once:?}");
}

#[test]
fn an_item_that_can_be_had_in_part_is_put_in_the_cart_as_far_as_it_goes() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(500), 3);
    shop.sells("CUP", eur(500), 0);
    let cart_id = shop.cart_in("EUR");
    let units = |shop: &Shop| match shop.get::<Cart>(cart_id) {
        Cart::Open(open) => open.line(&sku("TEA")).map_or(0, |line| line.quantity),
        other => panic!("{other:?}"),
    };
    shop.must(SetAvailableLines(shop.lines(cart_id, &[("TEA", QuantityChange::Add(2))])));
    assert_eq!(units(&shop), 2);
    shop.must(SetAvailableLines(shop.lines(cart_id, &[("TEA", QuantityChange::Add(2))])));
    assert_eq!(units(&shop), 3);
    shop.must(SetAvailableLines(shop.lines(cart_id, &[("TEA", QuantityChange::Set(9)), ("TEA", QuantityChange::Add(1))])));
    assert_eq!(units(&shop), 3);
    let none = SetAvailableLines(shop.lines(cart_id, &[("TEA", QuantityChange::Set(1)), ("CUP", QuantityChange::Add(1))]));
    assert_eq!(shop.refusal(none).code(), "INSUFFICIENT_STOCK");
    shop.must(SetAvailableLines(shop.lines(cart_id, &[("TEA", QuantityChange::Set(0))])));
    assert_eq!(units(&shop), 0);
}

#[test]
fn all_that_stands_in_the_way_of_a_checkout_is_told_ahead() {
    let mut shop = Shop::new();
    let (tea, _) = shop.sells("TEA", eur(500), 3);
    let (cup, variant_id) = shop.sells("CUP", eur(700), 1);
    let cart_id = shop.cart_in("EUR");
    let checkout = shop.checkout(cart_id);
    let codes = |shop: &mut Shop, checkout: &Checkout| {
        let obstacles = shop.look(|world| checkout.obstacles(world));
        obstacles.iter().map(CheckoutRefusal::code).collect::<Vec<_>>()
    };
    shop.must(shop.lines(cart_id, &[("TEA", QuantityChange::Set(2)), ("CUP", QuantityChange::Set(1))]));
    assert!(codes(&mut shop, &checkout).is_empty(), "what is only not said yet is no obstacle");
    shop.must(SetVariantPrice {
        product_id: cup,
        variant_id,
        price: NewPrice { price: eur(800), valid_from: None, valid_until: None },
    });
    assert_eq!(codes(&mut shop, &checkout), ["PRICE_CHANGED"]);
    shop.must(shop.lines(cart_id, &[("TEA", QuantityChange::Set(5))]));
    shop.must(ArchiveProduct { product_id: tea, reason: "old".to_owned() });
    assert_eq!(codes(&mut shop, &checkout), ["INSUFFICIENT_STOCK", "NOT_FOR_SALE"]);
    let (currency, now, config) = (currency("EUR"), shop.now, shop.config.clone());
    let other = CreateCart { cart_id: CartId(shop.id()), currency, customer_id: None, now, config };
    let empty = Checkout { cart_id: other.cart_id, ..checkout };
    shop.must(other);
    assert!(codes(&mut shop, &empty).is_empty());
}

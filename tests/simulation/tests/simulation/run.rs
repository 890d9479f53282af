//! One seed from the first event to the last check.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{CreateProduct, CreatePromotion, Decision, NewPrice, NewVariant, PublishProduct, StoreConfig};
use engine::CommandError;
use event_schemas::{
    CouponCode, Idempotency, Metadata, ProductCreated, ProductId, PromotionCreated, PromotionEffect, PromotionId, Recorded, Sku,
    Slug, VariantId,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    ask::{Ask, euros},
    bugs::{self, Bug},
    closing,
    model::{CART_MINUTES, LOCATIONS, METHODS, MINUTE, RESERVATION_MINUTES},
    node::Nodes,
    shoppers::{COUPONS, SKUS, Shopper},
    world::World,
};

/// What became of one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub seed: u64,
    /// A fingerprint of everything that happened, in order.
    pub trace: u64,
    /// Commands that buyers and staff generated.
    pub commands: u64,
    /// What the log holds at the end.
    pub log: Vec<Recorded>,
    /// What must not be, if anything was found.
    pub finding: Option<String>,
    /// How often each thing happened.
    pub counts: BTreeMap<String, u64>,
}

/// Runs one seed.
pub fn run(seed: u64, bug: Option<Bug>, aloud: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (world, commands) = runtime.block_on(async {
        let world = Arc::new(World::new(seed, bug, aloud));
        let commands = simulate(&world, seed).await;
        (world, commands)
    });
    drop(runtime);
    let (trace, contents) = (world.trace(), world.contents());
    let (log, finding) = (contents.truth.events.clone(), contents.finding.clone());
    Report { seed, trace, commands, log, finding, counts: contents.auditor.counts.clone() }
}

pub fn config() -> Arc<StoreConfig> {
    let default = StoreConfig::default();
    let method = |(code, minor): (&str, i64)| {
        let mut method = default.shipping_methods[0].clone();
        code.clone_into(&mut method.code);
        method.prices.iter_mut().for_each(|price| price.rate = domain::ShippingRate::Flat { minor });
        method
    };
    Arc::new(StoreConfig {
        locations: LOCATIONS.into_iter().map(|place| event_schemas::LocationId::new(place).unwrap()).collect(),
        reservation_minutes: u32::try_from(RESERVATION_MINUTES).unwrap(),
        cart_hours: u32::try_from(CART_MINUTES / 60).unwrap(),
        shipping_methods: METHODS.into_iter().map(method).collect(),
        ..default
    })
}

async fn simulate(world: &Arc<World>, seed: u64) -> u64 {
    let nodes = Nodes::new(world);
    for node in 0..world.profile.nodes {
        nodes.start(node).await;
    }
    for decision in opening(seed) {
        carry_out(world.clone(), nodes.clone(), Ask::Open, Some(decision), None).await;
    }
    for sku in SKUS {
        let ask = Ask::Receive { shelf: (sku.to_owned(), "main".to_owned()), quantity: 5 };
        carry_out(world.clone(), nodes.clone(), ask, None, None).await;
    }
    world.set_calm(false);
    let weather = tokio::spawn(storms(world.clone(), nodes.clone()));
    let mut callers = JoinSet::new();
    let generated = generate(world, &nodes, &mut callers).await;
    let answered = tokio::time::timeout(Duration::from_secs(600), async { while callers.join_next().await.is_some() {} }).await;
    if answered.is_err() {
        world.find(format!("{} callers were never answered", world.contents().auditor.waiting()));
    }
    world.set_calm(true);
    weather.await.expect("the weather does not panic");
    if !world.has_failed() {
        closing::close(world, &nodes).await;
    }
    generated
}

/// What opens the shop: eight products and four promotions.
fn opening(seed: u64) -> Vec<Box<dyn Decision>> {
    let id = |kind: u128, index: usize| Uuid::from_u128(u128::from(seed) << 64 | kind << 16 | index as u128);
    let mut decisions: Vec<Box<dyn Decision>> = Vec::new();
    for (index, sku) in SKUS.iter().enumerate() {
        let product_id = ProductId(id(1, index));
        let price = NewPrice { price: euros(333 * (index as i64 + 1)), valid_from: None, valid_until: None };
        let variant = NewVariant {
            variant_id: VariantId(id(2, index)),
            sku: Sku::new(*sku).unwrap(),
            name: String::new(),
            options: BTreeMap::new(),
            weight_grams: 100,
            prices: vec![price],
        };
        let product = ProductCreated {
            product_id,
            title: (*sku).to_owned(),
            slug: Slug::new(sku.to_lowercase()).unwrap(),
            description: String::new(),
            category_ids: vec![],
            attributes: BTreeMap::new(),
            tax_category: "standard".to_owned(),
        };
        decisions.push(Box::new(CreateProduct { product, variants: vec![variant] }));
        decisions.push(Box::new(PublishProduct { product_id }));
    }
    let effects = [100_000, 0, 50_000, 1_000_000];
    for (index, (code, ppm)) in COUPONS.iter().zip(effects).enumerate() {
        let effect =
            if ppm == 0 { PromotionEffect::AmountOff { amount: euros(500) } } else { PromotionEffect::PercentOff { ppm } };
        let promotion = PromotionCreated {
            promotion_id: PromotionId(id(3, index)),
            name: (*code).to_owned(),
            code: CouponCode::new(*code).unwrap(),
            effect,
            starts_at: None,
            ends_at: None,
            usage_limit: (*code == "ONCE").then_some(1),
        };
        decisions.push(Box::new(CreatePromotion { promotion }));
    }
    decisions
}

/// Lets buyers and staff ask, each on their own.
async fn generate(world: &Arc<World>, nodes: &Arc<Nodes>, callers: &mut JoinSet<()>) -> u64 {
    let mut generated = 0;
    let mut keyed: Vec<(Ask, Idempotency)> = Vec::new();
    while generated < world.profile.commands as u64 && !world.has_failed() {
        if world.below(3) > 0 {
            tokio::time::sleep(Duration::from_millis(world.below(world.profile.pause + 1))).await;
        }
        let (mut ask, webhook) = (next(world), nodes.till.webhook(world));
        if let Some((payment, outcomes)) = webhook.filter(|_| world.chance(world.profile.webhooks / 2)) {
            ask = Ask::Report { payment, outcomes };
        }
        let mut key = (world.below(3) > 0)
            .then(|| Idempotency { scope: format!("buyer|{}", world.new_id()), fingerprint: "first".to_owned() });
        if !keyed.is_empty() && world.chance(world.profile.repeats) {
            let known = keyed.len() as u64 - 1 - world.below(keyed.len().min(12) as u64);
            let (again, known) = keyed[usize::try_from(known).unwrap()].clone();
            let other = world.below(4) == 0;
            let fingerprint = if other { "other".to_owned() } else { known.fingerprint };
            ask = if other { ask } else { renewed(again, world) };
            key = Some(Idempotency { fingerprint, ..known });
        } else if let Some(key) = &key {
            keyed.push((ask.clone(), key.clone()));
        }
        generated += 1;
        callers.spawn(carry_out(world.clone(), nodes.clone(), ask, None, key));
        while callers.try_join_next().is_some() {}
    }
    generated
}

fn next(world: &World) -> Ask {
    let contents = &mut *world.contents();
    Shopper { model: &contents.auditor.model, rng: &mut contents.rng, hostile: world.profile.hostile }.next()
}

/// The same request once more: what the shop itself makes up for a request is made up anew.
fn renewed(ask: Ask, world: &World) -> Ask {
    match ask {
        Ask::Checkout { cart, .. } => Ask::Checkout { cart, order: world.new_id(), payment: world.new_id() },
        Ask::NewCart { .. } => Ask::NewCart { cart: world.new_id() },
        Ask::Cancel { order, .. } => Ask::Cancel { order, refund: world.new_id() },
        other => other,
    }
}

/// Asks, and asks again while the outcome is not known and a key makes that safe.
async fn carry_out(
    world: Arc<World>,
    nodes: Arc<Nodes>,
    mut ask: Ask,
    mut given: Option<Box<dyn Decision>>,
    key: Option<Idempotency>,
) {
    for attempt in 0..40 {
        if world.has_failed() {
            return;
        }
        let Some(node) = nodes.any() else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if attempt > 0 {
            ask = renewed(ask, &world);
        }
        let (now, id) = (node.engine.clock().now(), world.new_id());
        let decision = given.take().unwrap_or_else(|| ask.decision(now, &config()));
        let decision = bugs::mutated(&world, &ask, decision);
        let (correlation_id, causation_id, trace_id) = (None, None, None);
        let actor = "buyer".to_owned();
        let metadata = Metadata { actor, command_id: id, correlation_id, causation_id, trace_id, idempotency: key.clone() };
        {
            let contents = &mut *world.contents();
            let head = contents.truth.head().position;
            contents.auditor.issue(id, &ask, now.timestamp_micros(), key.clone(), head);
        }
        world.note(format_args!("node {} is asked {id} {ask:?} at {now} {key:?}", node.life.node));
        let answer = tokio::select! {
            biased;
            () = node.life.death() => None,
            answer = node.engine.submit_boxed(decision, metadata) => Some(answer),
        };
        let Some(answer) = answer else {
            world.note(format_args!("{id} gets no answer"));
            world.contents().auditor.abandon(id);
            if key.is_some() { continue } else { return }
        };
        world.note(format_args!("{id} gets {answer:?}"));
        let finding = {
            let contents = &mut *world.contents();
            contents.auditor.answered(id, &answer, &contents.truth.events)
        };
        finding.into_iter().for_each(|finding| world.find(finding));
        let again = matches!(&answer, Err(CommandError::Fault(_) | CommandError::Overloaded { .. }));
        if !again || key.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20 + world.below(400))).await;
    }
}

/// Crashes, clocks that jump, time that passes, and notes of processes that are lost, until all is calm.
async fn storms(world: Arc<World>, nodes: Arc<Nodes>) {
    while !world.is_calm() {
        tokio::time::sleep(Duration::from_millis(20 + world.below(300))).await;
        let profile = &world.profile;
        let node = usize::try_from(world.below(profile.nodes as u64)).unwrap();
        if world.chance(profile.crash) && nodes.crash(node) {
            let (world, nodes) = (world.clone(), nodes.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(world.below(1_500))).await;
                nodes.start(node).await;
            });
        }
        if world.chance(profile.clock_jumps) {
            let minutes = i64::try_from(world.below(120)).unwrap() - 60;
            world.note(format_args!("the clock of node {node} is {minutes} minutes off"));
            world.skew(node, minutes * MINUTE);
        }
        if world.chance(profile.time_passes) {
            let minutes = i64::try_from(world.below(20)).unwrap();
            world.note(format_args!("{minutes} minutes pass"));
            world.let_time_pass(minutes * MINUTE);
        }
        if world.chance(profile.bookkeeping_lost) {
            lose_notes(&world, &nodes).await;
        }
    }
}

/// The notes of a process are rolled back: its checkpoint alone, or all of them, from a copy that is brought back while every
/// node is down.
async fn lose_notes(world: &Arc<World>, nodes: &Arc<Nodes>) {
    let back = usize::try_from(world.below(10_000)).unwrap();
    if world.below(2) == 0 {
        let lost = world.contents().truth.roll_back(back, false);
        world.note(format_args!("a checkpoint is rolled back: {lost:?}"));
        return;
    }
    let down: Vec<usize> = (0..world.profile.nodes).filter(|node| nodes.crash(*node)).collect();
    if nodes.any_starting(down.len()) {
        // A node on its way up already knows how its processes stood.
        for node in down {
            nodes.start(node).await;
        }
        return;
    }
    let lost = world.contents().truth.roll_back(back, true);
    world.note(format_args!("notes are lost: {lost:?}"));
    for node in down {
        nodes.start(node).await;
    }
}

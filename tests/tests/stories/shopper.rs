//! People of the shop: one who stocked the shelves before it opened, and those who buy until it is gone.

use std::{collections::BTreeMap, sync::Arc};

use domain::{CreateProduct, Decision, NewPrice, NewVariant, PublishProduct, ReceiveStock};
use engine::{Engine, Limits, SystemClock, SystemIds};
use event_schemas::{Currency, LocationId, Metadata, Money, ProductCreated, ProductId, Sku, Slug, StockId, VariantId};
use event_store::Log;
use serde_json::{Value, json};
use uuid::Uuid;

/// The SKUs on the shelves.
pub const SKUS: [&str; 3] = ["TEA-ASSAM-100", "TEA-SENCHA-50", "MUG-BLUE"];

/// A mutation that was answered as done.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The document.
    pub query: &'static str,
    /// Its input, with an idempotency key of its own.
    pub input: Value,
    /// What was answered.
    pub payload: Value,
}

impl Acknowledged {
    /// The key that only this mutation has.
    pub fn key(&self) -> &str {
        self.input["idempotencyKey"].as_str().unwrap()
    }

    /// The position that was answered.
    pub fn position(&self) -> u64 {
        let position = &self.payload["position"];
        position.as_u64().or_else(|| position.as_str()?.parse().ok()).unwrap()
    }
}

/// Fills the shelves of a shop that is not open yet, with so many units of each SKU.
pub async fn stock_the_shelves(log: Arc<dyn Log>, shelves: &BTreeMap<String, u32>) {
    let engine = Engine::start(log, Arc::new(SystemClock), Arc::new(SystemIds), Limits::default()).await.unwrap();
    let carry_out = async |decision: Box<dyn Decision>| {
        let (actor, command_id) = ("merchant:ana".to_owned(), Uuid::now_v7());
        let metadata =
            Metadata { actor, command_id, correlation_id: None, causation_id: None, trace_id: None, idempotency: None };
        engine.submit_boxed(decision, metadata).await.unwrap()
    };
    let fill = async |(sku, units): (&String, &u32)| {
        let product_id = ProductId(Uuid::now_v7());
        let product = ProductCreated {
            product_id,
            title: sku.to_lowercase(),
            slug: Slug::new(sku.to_lowercase()).unwrap(),
            description: String::new(),
            category_ids: Vec::new(),
            attributes: BTreeMap::new(),
            tax_category: "standard".to_owned(),
        };
        let price = NewPrice { price: Money::new(450, Currency::new("EUR").unwrap()), valid_from: None, valid_until: None };
        let variant = NewVariant {
            variant_id: VariantId(Uuid::now_v7()),
            sku: Sku::new(sku).unwrap(),
            name: String::new(),
            options: BTreeMap::new(),
            weight_grams: 130,
            prices: vec![price],
        };
        carry_out(Box::new(CreateProduct { product, variants: vec![variant] })).await;
        carry_out(Box::new(PublishProduct { product_id })).await;
        let stock = StockId { sku: Sku::new(sku).unwrap(), location: LocationId::new("main").unwrap() };
        carry_out(Box::new(ReceiveStock { stock, quantity: *units, reference: None })).await;
    };
    futures::future::join_all(shelves.iter().map(fill)).await;
    engine.drain().await;
}

/// What a shopper asks for.
pub const CREATE: &str = "mutation($input: CartCreateInput!) {
    done: cartCreate(input: $input) { cart { id } position userErrors { code message } } }";
/// What a shopper asks for.
pub const ADD: &str = "mutation($input: CartLinesAddInput!) {
    done: cartLinesAdd(input: $input) { cart { id } position userErrors { code message } } }";
/// What a shopper asks for.
pub const UPDATE: &str = "mutation($input: CartUpdateInput!) {
    done: cartUpdate(input: $input) { cart { id } position userErrors { code message } } }";
/// What a shopper asks for.
pub const CHECKOUT: &str = "mutation($input: CartCheckoutInput!) {
    done: cartCheckout(input: $input) { order { id } payment { id } position userErrors { code message } } }";
/// What a shopper asks for.
pub const CONFIRM: &str = "mutation($input: PaymentConfirmInput!) {
    done: paymentConfirm(input: $input) { payment { id } position userErrors { code message } } }";

/// The input of `UPDATE`: who buys a cart, and where it goes.
pub fn details(cart: &Value) -> Value {
    let address = json!({ "name": "Ben", "line1": "Kai 1", "city": "Hamburg", "postalCode": "20457", "country": "DE" });
    json!({ "cartId": cart, "email": "ben@example.com", "shippingAddress": address, "shippingMethod": "standard" })
}

/// What came back.
pub enum Answer {
    /// It was done.
    Done(Value),
    /// There is not enough of it.
    SoldOut,
    /// Nobody knows: the shop was gone, stopping or overloaded before it answered.
    None,
}

/// A shopper with an empty basket.
pub struct Shopper {
    client: reqwest::Client,
    graphql: String,
    done: Vec<Acknowledged>,
}

impl Shopper {
    /// Someone who goes to the shop at `url`.
    pub fn new(url: &str) -> Self {
        Self::with(reqwest::Client::new(), url)
    }

    /// The same with connections of others: making a client reads all certificates of the machine.
    pub fn with(client: reqwest::Client, url: &str) -> Self {
        Self { client, graphql: format!("{url}/graphql"), done: Vec::new() }
    }

    /// Asks for a mutation; none when the shop is gone before it has answered.
    pub async fn ask(&self, query: &str, input: &Value) -> Option<Value> {
        match self.answer(query, input).await {
            Answer::Done(payload) => Some(payload),
            Answer::SoldOut => panic!("{query}: there is not enough of it"),
            Answer::None => None,
        }
    }

    /// Asks for a mutation.
    pub async fn answer(&self, query: &str, input: &Value) -> Answer {
        let body = json!({ "query": query, "variables": { "input": input } });
        let Ok(response) = self.client.post(&self.graphql).json(&body).send().await else { return Answer::None };
        let Ok(answer) = response.json::<Value>().await else { return Answer::None };
        let payload = &answer["data"]["done"];
        match payload["userErrors"].as_array().map(|errors| errors.iter().map(|error| &error["code"]).collect::<Vec<_>>()) {
            Some(codes) if codes.is_empty() => Answer::Done(payload.clone()),
            Some(codes) if codes == ["INSUFFICIENT_STOCK"] => Answer::SoldOut,
            Some(_) => panic!("{query}: {answer}"),
            None => Answer::None,
        }
    }

    async fn mutate(&mut self, query: &'static str, mut input: Value) -> Option<Value> {
        input["idempotencyKey"] = Uuid::new_v4().to_string().into();
        let payload = self.ask(query, &input).await?;
        self.done.push(Acknowledged { query, input, payload: payload.clone() });
        Some(payload)
    }

    /// One purchase, from an empty cart to a confirmed payment.
    pub async fn buy(&mut self, sku: &str) -> Option<()> {
        let cart = self.mutate(CREATE, json!({ "currency": "EUR" })).await?["cart"]["id"].clone();
        let lines = json!([{ "sku": sku, "quantity": 2 }, { "sku": SKUS[0], "quantity": 1 }]);
        self.mutate(ADD, json!({ "cartId": cart, "lines": lines })).await?;
        self.mutate(UPDATE, details(&cart)).await?;
        let payment = self.mutate(CHECKOUT, json!({ "cartId": cart })).await?["payment"]["id"].clone();
        // The sandbox gateway answers twice to this token, as real ones sometimes do.
        let token = if sku == SKUS[1] { "sandbox_twice" } else { "a_card" };
        self.mutate(CONFIRM, json!({ "paymentId": payment, "token": token })).await?;
        Some(())
    }

    /// Buys again and again, and tells what was acknowledged until the shop stopped answering.
    pub async fn buy_until_the_shop_is_gone(mut self) -> Vec<Acknowledged> {
        for sku in SKUS.iter().cycle() {
            if self.buy(sku).await.is_none() {
                break;
            }
        }
        self.done
    }
}

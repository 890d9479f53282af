//! `daybook bench checkout`: how many whole purchases a second a running server takes, every step durable.

use std::{sync::Arc, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use super::{
    BenchError,
    client::Client,
    measure::closed_loop,
    table::{decimal, print_table},
};

const OFFERS: &str = "query($after: String) { products(first: 100, after: $after, filter: { inStock: true }) {
    nodes { variants { sku price(currency: \"EUR\") { amountMinor } availability { inStock } } }
    pageInfo { hasNextPage endCursor } } }";
const CREATE: &str = "mutation($i: CartCreateInput!) { cartCreate(input: $i) { cart { id } userErrors { code message } } }";
const ADD: &str = "mutation($i: CartLinesAddInput!) { cartLinesAdd(input: $i) { cart { id } userErrors { code message } } }";
const UPDATE: &str = "mutation($i: CartUpdateInput!) { cartUpdate(input: $i) { cart { id } userErrors { code message } } }";
const CHECKOUT: &str =
    "mutation($i: CartCheckoutInput!) { cartCheckout(input: $i) { order { id } payment { id } userErrors { code message } } }";
const CONFIRM: &str =
    "mutation($i: PaymentConfirmInput!) { paymentConfirm(input: $i) { payment { status } userErrors { code message } } }";

/// `daybook bench checkout`
#[derive(Debug, Args)]
pub struct CheckoutArgs {
    /// The server to buy from.
    #[arg(long, env = "DAYBOOK_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How many buyers buy at the same time, each one purchase after the other.
    #[arg(long, env = "DAYBOOK_CONCURRENCY", default_value_t = 32)]
    concurrency: usize,
    /// For how long, in seconds.
    #[arg(long, env = "DAYBOOK_SECONDS", default_value_t = 10)]
    seconds: u64,
    /// Print one JSON object instead of a table.
    #[arg(long, env = "DAYBOOK_JSON")]
    json: bool,
}

/// Buys, and prints how fast.
///
/// # Errors
/// When the server cannot be reached, sells nothing, or refuses a purchase.
pub async fn run(args: CheckoutArgs) -> Result<(), BenchError> {
    let client = Client::new(&args.url);
    let skus = Arc::new(offers(&client).await?);
    if skus.is_empty() {
        return Err(BenchError::Answer(
            "the shop has nothing in stock with a price in EUR; try `daybook serve --demo`".to_owned(),
        ));
    }
    eprintln!("{} variants in stock; {} buyers for {} s", skus.len(), args.concurrency, args.seconds);
    let purchase = move |buyer: usize, turn: u64| {
        let (client, skus) = (client.clone(), skus.clone());
        let mut random = fastrand::Rng::with_seed(turn.wrapping_mul(0x9e37_79b9).wrapping_add(buyer as u64));
        async move {
            loop {
                match buy(&client, &skus[random.usize(0..skus.len())]).await {
                    // Somebody else took the last unit: the buyer takes something else.
                    Err(BenchError::SoldOut) => {}
                    bought => return bought,
                }
            }
        }
    };
    let measured = closed_loop(args.concurrency, Duration::from_secs(args.seconds.max(1)), purchase).await?;
    let [p50_ms, p90_ms, p99_ms] = [0.5, 0.9, 0.99].map(|quantile| measured.quantile_ms(quantile));
    let per_second = measured.per_second();
    if args.json {
        let row = json!({ "concurrency": args.concurrency, "purchases": measured.count, "purchases_per_s": per_second,
            "p50_ms": p50_ms, "p90_ms": p90_ms, "p99_ms": p99_ms });
        println!("{}", json!({ "rows": [row] }));
        return Ok(());
    }
    println!("whole purchases: cart, line, details, checkout, confirmed payment");
    let figures = [measured.count as f64, per_second, p50_ms, p90_ms, p99_ms];
    let [count, per_second, p50, p90, p99] = figures.map(|figure| decimal(figure, 1));
    let row = [args.concurrency.to_string(), count, per_second, p50, p90, p99];
    print_table(["buyers", "purchases", "purchases/s", "p50 ms", "p90 ms", "p99 ms"], std::iter::once(row));
    Ok(())
}

/// The SKUs that can be bought in euros.
async fn offers(client: &Client) -> Result<Vec<String>, BenchError> {
    let (mut skus, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = client.run(OFFERS, json!({ "after": after })).await?;
        let products = page["products"]["nodes"].as_array().into_iter().flatten();
        let variants = products.flat_map(|product| product["variants"].as_array().into_iter().flatten());
        let sold = variants.filter(|v| v["price"].is_object() && v["availability"]["inStock"] == true);
        skus.extend(sold.filter_map(|variant| variant["sku"].as_str().map(str::to_owned)));
        let info = &page["products"]["pageInfo"];
        if info["hasNextPage"] != true {
            return Ok(skus);
        }
        after = info["endCursor"].clone();
    }
}

/// One purchase, from the cart to the confirmed payment.
async fn buy(client: &Client, sku: &str) -> Result<(), BenchError> {
    let cart = step(client, CREATE, json!({ "currency": "EUR" }), "cartCreate").await?["cart"]["id"].clone();
    step(client, ADD, json!({ "cartId": cart, "lines": [{ "sku": sku, "quantity": 1 }] }), "cartLinesAdd").await?;
    let address =
        json!({ "name": "Bench Buyer", "line1": "1 Loop Road", "city": "Berlin", "postalCode": "10115", "country": "DE" });
    let details =
        json!({ "cartId": cart, "email": "bench@example.com", "shippingAddress": address, "shippingMethod": "standard" });
    step(client, UPDATE, details, "cartUpdate").await?;
    let payment = step(client, CHECKOUT, json!({ "cartId": cart }), "cartCheckout").await?["payment"]["id"].clone();
    let paid = step(client, CONFIRM, json!({ "paymentId": payment, "token": "sandbox_card" }), "paymentConfirm").await?;
    if paid["payment"].is_null() {
        return Err(BenchError::Answer("the payment was not settled in time".to_owned()));
    }
    Ok(())
}

/// One mutation; its payload, if it was not refused.
async fn step(client: &Client, mutation: &str, input: Value, field: &str) -> Result<Value, BenchError> {
    let mut data = client.run(mutation, json!({ "i": input })).await?;
    let payload = data[field].take();
    match payload["userErrors"].as_array() {
        Some(errors) if errors.is_empty() => Ok(payload),
        Some(errors) if errors[0]["code"] == "INSUFFICIENT_STOCK" => Err(BenchError::SoldOut),
        _ => Err(BenchError::Answer(format!("{field} was refused: {}", payload["userErrors"]))),
    }
}

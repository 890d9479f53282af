//! `daybook serve --demo`: a shop with a past, made in a second, the same for everyone on the same day.

mod calendar;
mod catalog;
mod history;
mod people;
mod welcome;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use domain::{CreateCategory, CreateProduct, NewPrice, NewVariant, PublishProduct, StoreConfig, TaxRate};
use engine::Ids as _;
use event_schemas::{
    CategoryCreated, CategoryId, CountryCode, Currency, Money, ProductCreated, ProductId, Sku, Slug, Timestamp, VariantId,
};
use event_store::Log;
use vault::{PersonError, Persons};

use self::{
    calendar::{DAYS, Planted},
    catalog::{DemoProduct, TREE},
    history::{History, Offer, Plan},
};

pub(crate) use self::welcome::{greeting, greeting_json};

/// Why the demo shop could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The log cannot be written.
    #[error(transparent)]
    Append(#[from] event_store::AppendError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] event_store::ReadError),
    /// A command of the demo was not carried out.
    #[error("the demo shop is not consistent: {0}")]
    Command(#[from] engine::CommandError),
    /// The sandbox gateway gave no answer.
    #[error(transparent)]
    Gateway(#[from] engine::GatewayError),
    /// An event of the demo cannot be read back.
    #[error(transparent)]
    Decode(#[from] event_schemas::DecodeError),
    /// What is about a customer cannot be sealed.
    #[error(transparent)]
    Persons(#[from] PersonError),
    /// An id of the demo is not valid.
    #[error(transparent)]
    Id(#[from] event_schemas::InvalidId),
    /// A currency of the demo is not valid.
    #[error(transparent)]
    Money(#[from] event_schemas::MoneyError),
}

/// Fills an empty log with the demo shop, whose last day is the one before `today`. A log that has events is left alone.
/// Gives the number of events written.
///
/// # Errors
/// See [`DemoError`]; nothing was written then.
pub async fn fill(log: &dyn Log, persons: &Persons, today: NaiveDate) -> Result<u64, DemoError> {
    if log.head().await?.position > 0 {
        return Ok(0);
    }
    let midnight = today.and_time(NaiveTime::MIN).and_utc();
    let opening = midnight - TimeDelta::days(i64::from(DAYS) + 1);
    let mut history = History::begin(config()?, opening, persons.clone()).await?;
    build_catalog(&mut history).await?;
    plan_visits(&mut history, today);
    history.live_until(midnight).await?;
    history.engine.drain().await;
    let events = history.log.read(0, usize::MAX).await?;
    // One append, so that a demo shop is there as a whole or not at all.
    let events: Vec<_> = events.into_iter().map(|recorded| recorded.event).collect();
    Ok(log.append(0, events).await?)
}

/// The configuration of the demo shop: the default, with taxes.
///
/// # Errors
/// Never for the countries listed here.
pub fn config() -> Result<StoreConfig, DemoError> {
    let rate = |(country, rate_ppm): (&str, u32)| -> Result<TaxRate, DemoError> {
        let country = Some(CountryCode::new(country)?);
        Ok(TaxRate { country, category: None, rate_ppm, valid_from: None, valid_until: None })
    };
    let tax_rates = [("DE", 190_000), ("FR", 200_000), ("GB", 200_000)].into_iter().map(rate).collect::<Result<_, _>>()?;
    Ok(StoreConfig { tax_rates, ..StoreConfig::default() })
}

async fn build_catalog(history: &mut History) -> Result<(), DemoError> {
    let mut leaf_number = 0;
    for (root, leaves) in TREE {
        let parent = create_category(history, root, None).await?;
        for leaf in *leaves {
            leaf_number += 1;
            let category = create_category(history, leaf.name, Some(parent)).await?;
            for product in leaf.products(&format!("D{leaf_number:02}"), &mut history.random.clone()) {
                create_product(history, product, category, parent).await?;
            }
        }
    }
    // What comes first is bought most often: mix the categories.
    let mut offers = std::mem::take(&mut history.offers);
    history.random.shuffle(&mut offers);
    history.offers = offers;
    Ok(())
}

async fn create_category(history: &mut History, name: &str, parent_id: Option<CategoryId>) -> Result<CategoryId, DemoError> {
    let category_id = CategoryId(history.ids.next());
    let category = CategoryCreated { category_id, name: name.to_owned(), slug: slug(name)?, parent_id };
    history.decide("merchant:demo", CreateCategory { category }).await?;
    Ok(category_id)
}

async fn create_product(
    history: &mut History,
    product: DemoProduct,
    category: CategoryId,
    parent: CategoryId,
) -> Result<(), DemoError> {
    let product_id = ProductId(history.ids.next());
    let mut variants = Vec::new();
    for variant in product.variants {
        let sku = Sku::new(variant.sku)?;
        let prices = prices(variant.price_minor)?;
        history.offers.push(Offer { sku: sku.clone() });
        variants.push(NewVariant {
            variant_id: VariantId(history.ids.next()),
            sku,
            name: variant.name,
            options: [variant.option].into(),
            weight_grams: variant.weight_grams,
            prices: prices.into_iter().map(|price| NewPrice { price, valid_from: None, valid_until: None }).collect(),
        });
    }
    let skus: Vec<Sku> = variants.iter().map(|variant| variant.sku.clone()).collect();
    let product = ProductCreated {
        product_id,
        slug: slug(&product.title)?,
        title: product.title,
        description: product.description,
        category_ids: vec![category, parent],
        attributes: product.attributes,
        tax_category: "standard".to_owned(),
    };
    history.decide("merchant:demo", CreateProduct { product, variants }).await?;
    history.decide("merchant:demo", PublishProduct { product_id }).await?;
    for sku in skus {
        let quantity = history.random.u32(20..=200);
        history.restock(sku, quantity).await?;
    }
    Ok(())
}

/// A price of so many euro cents in each of the demo's currencies, rounded to a price tag.
fn prices(euro_cents: i64) -> Result<[Money; 3], DemoError> {
    let price = |minor: i64, code| Ok::<_, DemoError>(Money::new(minor, Currency::new(code)?));
    Ok([price(euro_cents, "EUR")?, price(euro_cents * 86 / 500 * 5, "GBP")?, price(euro_cents * 108 / 500 * 5, "USD")?])
}

fn slug(name: &str) -> Result<Slug, DemoError> {
    Ok(Slug::new(name.to_lowercase().replace(' ', "-"))?)
}

fn plan_visits(history: &mut History, today: NaiveDate) {
    for days_ago in (1..=DAYS).rev() {
        let day = today - TimeDelta::days(i64::from(days_ago));
        let count = calendar::orders(day, days_ago, &mut history.random);
        for number in 0..count {
            let bulk = if calendar::planted(days_ago) == Planted::BulkBuyers && number % 12 == 0 { 10 } else { 1 };
            let at = opening_hour(day) + TimeDelta::seconds(history.random.i64(0..15 * 3600));
            history.plan(at, Plan::Shop { bulk });
        }
        for _ in 0..8 {
            let index = history.random.usize(0..history.offers.len() / 4);
            let sku = history.offers[index].sku.clone();
            history.plan(opening_hour(day), Plan::Restock(sku));
        }
    }
}

/// Eight in the morning, UTC.
fn opening_hour(day: NaiveDate) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_store::MemoryLog;

    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 21).unwrap()
    }

    /// The events of a log with what was sealed in them opened.
    async fn plain(log: &MemoryLog, persons: &Persons) -> Vec<event_schemas::Proposed> {
        let mut events = Vec::new();
        for recorded in log.read(0, usize::MAX).await.unwrap() {
            let sealed = recorded.sealed_texts().unwrap();
            let mut event = recorded.event;
            assert!(!event.payload.contains("@example.com"), "{}", event.payload);
            if event.payload.contains("sealed:") {
                let mut payload = serde_json::from_str(&event.payload).unwrap();
                persons.open_json(&mut payload, &sealed).await.unwrap();
                event.payload = payload.to_string();
            }
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn the_demo_shop_is_the_same_for_everyone_on_the_same_day() {
        let folder = tempfile::tempdir().unwrap();
        let vault = format!("sqlite:{}", folder.path().join("vault.db").display());
        let persons = Persons::new(vault::Vault::open(&vault, vault::VaultKey::generate()).await.unwrap());
        let (one, two) = (MemoryLog::new(), MemoryLog::new());
        let events = fill(&one, &persons, today()).await.unwrap();
        fill(&two, &persons, today()).await.unwrap();
        let (mut one_events, mut two_events) = (plain(&one, &persons).await, plain(&two, &persons).await);
        assert!(one_events == two_events, "the same events, position by position, once they are opened");
        assert!(one_events.drain(..).chain(two_events.drain(..)).any(|event| event.payload.contains("@example.com")));
        assert!(events > 20_000, "{events}");
        assert_eq!(fill(&one, &persons, today()).await.unwrap(), 0, "a shop that has a past is left alone");
    }
}

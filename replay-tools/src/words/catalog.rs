//! Products, categories and promotions in words.

use event_schemas::{CategoryEvent, ProductEvent, PromotionEffect, PromotionEvent};

use super::{also, listed, until};

pub(super) fn product(event: &ProductEvent) -> String {
    match event {
        ProductEvent::ProductCreated(event) => {
            let (title, slug, tax) = (&event.title, &event.slug, &event.tax_category);
            format!("product “{title}” was added as {slug}, taxed as {tax}, not yet for sale")
        }
        ProductEvent::ProductDetailsChanged(event) => {
            let (title, slug, tax) = (&event.title, &event.slug, &event.tax_category);
            format!("its details were changed: “{title}”, at {slug}, taxed as {tax}")
        }
        ProductEvent::ProductCategorised(event) => format!("its categories were set to {}", listed(&event.category_ids)),
        ProductEvent::ProductAttributesSet(event) => format!("its attributes were set: {}", listed(event.attributes.keys())),
        ProductEvent::VariantAdded(event) => {
            format!("variant “{}” was added as {}, {} g", event.name, event.sku, event.weight_grams)
        }
        ProductEvent::VariantRemoved(event) => format!("variant {} was removed", event.sku),
        ProductEvent::VariantPriceSet(event) => {
            let (from, until) = (until(" from ", event.valid_from), until(" until ", event.valid_until));
            format!("the price of variant {} was set to {}{from}{until}", event.variant_id, event.price)
        }
        ProductEvent::ProductPublished(_) => "it went on sale".to_owned(),
        ProductEvent::ProductArchived(event) => format!("it was taken off sale: {}", event.reason),
    }
}

pub(super) fn category(event: &CategoryEvent) -> String {
    match event {
        CategoryEvent::CategoryCreated(event) => {
            format!("category “{}” was added as {}{}", event.name, event.slug, also(" below ", event.parent_id.as_ref()))
        }
        CategoryEvent::CategoryRenamed(event) => format!("it was renamed “{}”, at {}", event.name, event.slug),
        CategoryEvent::CategoryMoved(event) => match event.parent_id {
            Some(parent) => format!("it was moved below {parent}"),
            None => "it was moved to the top".to_owned(),
        },
        CategoryEvent::CategoryArchived(_) => "it was taken out of the shop".to_owned(),
    }
}

pub(super) fn promotion(event: &PromotionEvent) -> String {
    match event {
        PromotionEvent::PromotionCreated(event) => {
            let effect = match &event.effect {
                PromotionEffect::PercentOff { ppm } => format!("{} % off", percent(*ppm)),
                PromotionEffect::AmountOff { amount } => format!("{amount} off"),
            };
            let limit = event.usage_limit.map_or(String::new(), |limit| format!(", for {limit} orders at most"));
            let (from, until) = (until(" from ", event.starts_at), until(" until ", event.ends_at));
            format!("promotion “{}” was set up: {effect} with code {}{from}{until}{limit}", event.name, event.code)
        }
        PromotionEvent::PromotionRedeemed(event) => {
            format!("order {} used it{}", event.order_id, also(", by customer ", event.customer_id.as_ref()))
        }
        PromotionEvent::PromotionRestored(event) => format!("order {} was called off and its use given back", event.order_id),
        PromotionEvent::PromotionEnded(_) => "it was ended".to_owned(),
    }
}

/// Parts per million as percent, without decimals that say nothing.
fn percent(ppm: u32) -> String {
    let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn percents_keep_only_the_decimals_that_say_something() {
        assert_eq!([percent(100_000), percent(75_500), percent(1), percent(0)], ["10", "7.55", "0.0001", "0"]);
    }
}

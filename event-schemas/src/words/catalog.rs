//! Products, categories and promotions in words.

use crate::{CategoryEvent, ProductEvent, PromotionEffect, PromotionEvent};

use super::{also, because, listed, until};

pub(super) fn product(event: &ProductEvent, of: &str) -> String {
    match event {
        ProductEvent::ProductCreated(event) => {
            let (title, slug, tax) = (&event.title, &event.slug, &event.tax_category);
            format!("added {of} “{title}” as {slug}, taxed as {tax}, not yet for sale")
        }
        ProductEvent::ProductDetailsChanged(event) => {
            let (title, slug, tax) = (&event.title, &event.slug, &event.tax_category);
            format!("changed the details of {of}: “{title}”, at {slug}, taxed as {tax}")
        }
        ProductEvent::ProductCategorised(event) => format!("set the categories of {of} to {}", listed(&event.category_ids)),
        ProductEvent::ProductAttributesSet(event) => {
            format!("set the attributes of {of}: {}", listed(event.attributes.keys()))
        }
        ProductEvent::VariantAdded(event) => {
            format!("added variant “{}” to {of} as {}, {} g", event.name, event.sku, event.weight_grams)
        }
        ProductEvent::VariantRemoved(event) => format!("removed variant {} from {of}", event.sku),
        ProductEvent::VariantPriceSet(event) => {
            let (from, until) = (until(" from ", event.valid_from), until(" until ", event.valid_until));
            format!("set the price of variant {} of {of} to {}{from}{until}", event.variant_id, event.price)
        }
        ProductEvent::ProductPublished(_) => format!("put {of} on sale"),
        ProductEvent::ProductArchived(event) => format!("took {of} off sale{}", because(&event.reason)),
    }
}

pub(super) fn category(event: &CategoryEvent, of: &str) -> String {
    match event {
        CategoryEvent::CategoryCreated(event) => {
            format!("added {of} “{}” as {}{}", event.name, event.slug, also(" below ", event.parent_id.as_ref()))
        }
        CategoryEvent::CategoryRenamed(event) => format!("renamed {of} “{}”, at {}", event.name, event.slug),
        CategoryEvent::CategoryMoved(event) => match event.parent_id {
            Some(parent) => format!("moved {of} below {parent}"),
            None => format!("moved {of} to the top"),
        },
        CategoryEvent::CategoryArchived(_) => format!("took {of} out of the shop"),
    }
}

pub(super) fn promotion(event: &PromotionEvent, of: &str) -> String {
    match event {
        PromotionEvent::PromotionCreated(event) => {
            let effect = match &event.effect {
                PromotionEffect::PercentOff { ppm } => format!("{} % off", percent(*ppm)),
                PromotionEffect::AmountOff { amount } => format!("{amount} off"),
            };
            let limit = event.usage_limit.map_or(String::new(), |limit| format!(", for {limit} orders at most"));
            let (from, until) = (until(" from ", event.starts_at), until(" until ", event.ends_at));
            format!("set up {of} “{}”: {effect} with code {}{from}{until}{limit}", event.name, event.code)
        }
        PromotionEvent::PromotionRedeemed(event) => {
            format!("used {of} for order {}{}", event.order_id, also(" of customer ", event.customer_id.as_ref()))
        }
        PromotionEvent::PromotionRestored(event) => {
            format!("gave the use of {of} by order {} back, because that was called off", event.order_id)
        }
        PromotionEvent::PromotionEnded(_) => format!("ended {of}"),
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

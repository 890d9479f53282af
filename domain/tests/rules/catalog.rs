//! The rules of products, categories, reviews and corrections of the books.

use domain::{
    AddVariant, AdjustBadDebt, ArchiveCategory, ArchiveProduct, CreateCategory, CreateProduct, IssueCreditNote, MoveCategory,
    NewPrice, NewVariant, PublishProduct, RemoveVariant, RenameCategory, SetProductCategories, SetVariantPrice, SubmitReview,
    UpdateProduct,
};
use event_schemas::{
    AdjustmentId, BadDebtAdjusted, CategoryCreated, CategoryId, CommerceEvent, CreditNoteIssued, CreditNoteLine, ProductCreated,
    ProductId, ReviewEvent, ReviewId, ReviewSubmitted, Slug, VariantId,
};

use crate::shop::{Shop, eur, id, sku};

fn slug(text: &str) -> Slug {
    Slug::new(text).unwrap()
}

fn product(number: u128, name: &str) -> ProductCreated {
    ProductCreated {
        product_id: ProductId(id(number)),
        title: "Green tea".to_owned(),
        slug: slug(name),
        description: "From the hills.".to_owned(),
        category_ids: vec![],
        attributes: std::collections::BTreeMap::new(),
        tax_category: "food".to_owned(),
    }
}

fn variant(number: u128, name: &str) -> NewVariant {
    NewVariant {
        variant_id: VariantId(id(number)),
        sku: sku(name),
        name: "100 g".to_owned(),
        options: std::collections::BTreeMap::new(),
        weight_grams: 120,
        prices: vec![NewPrice { price: eur(450), valid_from: None, valid_until: None }],
    }
}

fn category(number: u128, parent: Option<u128>) -> CreateCategory {
    let category = CategoryCreated {
        category_id: CategoryId(id(number)),
        name: "Tea".to_owned(),
        slug: slug(&format!("tea-{number}")),
        parent_id: parent.map(|parent| CategoryId(id(parent))),
    };
    CreateCategory { category }
}

#[test]
fn a_sku_and_a_slug_belong_to_one_product_at_a_time() {
    let mut shop = Shop::new();
    shop.must(CreateProduct { product: product(1, "green-tea"), variants: vec![variant(11, "TEA")] });
    let same_sku = CreateProduct { product: product(2, "other-tea"), variants: vec![variant(12, "TEA")] };
    let refusal = shop.refusal(same_sku);
    assert_eq!((refusal.code(), refusal.field()), ("SKU_TAKEN", Some("sku")));
    let same_slug = CreateProduct { product: product(2, "green-tea"), variants: vec![] };
    assert_eq!(shop.refusal(same_slug).code(), "SLUG_TAKEN");
    let again = CreateProduct { product: product(1, "third-tea"), variants: vec![] };
    assert_eq!(shop.refusal(again).code(), "PRODUCT_EXISTS");
    let twice = CreateProduct { product: product(3, "tea-3"), variants: vec![variant(13, "A"), variant(14, "A")] };
    assert_eq!(shop.refusal(twice).code(), "VARIANT_EXISTS");
}

#[test]
fn names_that_are_given_up_can_be_taken_by_others() {
    let mut shop = Shop::new();
    let product_id = ProductId(id(1));
    shop.must(CreateProduct { product: product(1, "green-tea"), variants: vec![variant(11, "TEA")] });
    let renamed = UpdateProduct {
        product_id,
        title: None,
        slug: Some(slug("best-tea")),
        description: None,
        tax_category: None,
        attributes: None,
    };
    shop.must(renamed.clone());
    assert_eq!(shop.must(renamed).len(), 0, "what changes nothing gives no event");
    shop.must(RemoveVariant { product_id, variant_id: VariantId(id(11)) });
    shop.must(CreateProduct { product: product(2, "green-tea"), variants: vec![variant(12, "TEA")] });
}

#[test]
fn a_product_is_published_with_something_to_buy_and_keeps_it() {
    let mut shop = Shop::new();
    let product_id = ProductId(id(1));
    shop.must(CreateProduct { product: product(1, "green-tea"), variants: vec![] });
    assert_eq!(shop.refusal(PublishProduct { product_id }).code(), "NOTHING_TO_SELL");
    shop.must(AddVariant { product_id, variant: variant(11, "TEA") });
    shop.must(PublishProduct { product_id });
    assert_eq!(shop.refusal(PublishProduct { product_id }).code(), "PRODUCT_ALREADY_PUBLISHED");
    assert_eq!(shop.refusal(RemoveVariant { product_id, variant_id: VariantId(id(11)) }).code(), "LAST_VARIANT");
    assert_eq!(shop.refusal(AddVariant { product_id, variant: variant(12, "TEA") }).code(), "VARIANT_EXISTS");
}

#[test]
fn an_archived_product_stays_as_it_is() {
    let mut shop = Shop::new();
    let product_id = ProductId(id(1));
    shop.must(CreateProduct { product: product(1, "green-tea"), variants: vec![variant(11, "TEA")] });
    shop.must(ArchiveProduct { product_id, reason: "out of season".to_owned() });
    assert_eq!(shop.refusal(PublishProduct { product_id }).code(), "PRODUCT_ARCHIVED");
    assert_eq!(shop.refusal(AddVariant { product_id, variant: variant(12, "TEA-2") }).code(), "PRODUCT_ARCHIVED");
}

#[test]
fn prices_are_not_negative_and_end_after_they_begin() {
    let mut shop = Shop::new();
    let (product_id, variant_id) = shop.sells("TEA", eur(450), 1);
    let set = |price| SetVariantPrice { product_id, variant_id, price };
    let negative = NewPrice { price: eur(-1), valid_from: None, valid_until: None };
    assert_eq!(shop.refusal(set(negative)).code(), "INVALID_PRICE");
    let backwards = NewPrice { price: eur(1), valid_from: Some(shop.now), valid_until: Some(shop.now) };
    assert_eq!(shop.refusal(set(backwards)).code(), "INVALID_PRICE");
    let unknown = SetVariantPrice {
        product_id,
        variant_id: VariantId(id(5)),
        price: NewPrice { price: eur(1), valid_from: None, valid_until: None },
    };
    assert_eq!(shop.refusal(unknown).code(), "VARIANT_NOT_FOUND");
}

#[test]
fn texts_have_limits_and_a_title_is_not_empty() {
    let mut shop = Shop::new();
    for title in [String::new(), "  ".to_owned(), "x".repeat(201)] {
        let nameless = CreateProduct { product: ProductCreated { title, ..product(1, "green-tea") }, variants: vec![] };
        assert_eq!(shop.refusal(nameless).code(), "INVALID_TEXT");
    }
}

#[test]
fn the_category_tree_has_no_cycles() {
    let mut shop = Shop::new();
    shop.must(category(1, None));
    shop.must(category(2, Some(1)));
    shop.must(category(3, Some(2)));
    let below = |category: u128, parent: u128| MoveCategory {
        category_id: CategoryId(id(category)),
        parent_id: Some(CategoryId(id(parent))),
    };
    for (category, parent) in [(1, 1), (1, 2), (1, 3)] {
        assert_eq!(shop.refusal(below(category, parent)).code(), "CATEGORY_CYCLE");
    }
    shop.must(below(3, 1));
    shop.must(below(2, 3));
    assert_eq!(shop.refusal(below(3, 2)).code(), "CATEGORY_CYCLE");
}

#[test]
fn the_category_tree_has_at_most_32_levels() {
    let mut shop = Shop::new();
    shop.must(category(1, None));
    for number in 2..=32 {
        shop.must(category(number, Some(number - 1)));
    }
    assert_eq!(shop.refusal(category(33, Some(32))).code(), "CATEGORY_TOO_DEEP");
}

#[test]
fn categories_that_are_unknown_or_archived_take_nothing_in() {
    let mut shop = Shop::new();
    let (product_id, _) = shop.sells("TEA", eur(450), 1);
    let category_ids = vec![CategoryId(id(1))];
    let set = SetProductCategories { product_id, category_ids: category_ids.clone() };
    assert_eq!(shop.refusal(set.clone()).code(), "CATEGORY_NOT_FOUND");
    shop.must(category(1, None));
    shop.must(set);
    shop.must(ArchiveCategory { category_id: category_ids[0] });
    let late = CreateProduct { product: ProductCreated { category_ids, ..product(2, "late") }, variants: vec![] };
    assert_eq!(shop.refusal(late).code(), "CATEGORY_NOT_FOUND");
    assert_eq!(shop.refusal(category(2, Some(1))).code(), "CATEGORY_NOT_FOUND");
}

#[test]
fn a_renamed_category_gives_its_slug_up() {
    let mut shop = Shop::new();
    shop.must(category(1, None));
    shop.must(category(2, None));
    let rename = |name: &str| RenameCategory { category_id: CategoryId(id(1)), name: "Teas".to_owned(), slug: slug(name) };
    assert_eq!(shop.refusal(rename("tea-2")).code(), "SLUG_TAKEN");
    shop.must(rename("teas"));
    let mut taken = category(3, None);
    taken.category.slug = slug("tea-1");
    shop.must(taken);
}

#[test]
fn only_the_buyer_reviews_a_paid_order_and_only_once() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 5);
    let (order_id, payment_id) = shop.places(&[("TEA", 1)]);
    let review = |number, rating| SubmitReview {
        review: ReviewSubmitted {
            review_id: ReviewId(id(number)),
            order_id,
            customer_id: None,
            rating,
            title: None,
            comment: None,
        },
    };
    assert_eq!(shop.refusal(review(1, 5)).code(), "NOT_PAID");
    shop.pays(payment_id);
    assert_eq!(shop.refusal(review(1, 0)).code(), "INVALID_RATING");
    assert_eq!(shop.refusal(review(1, 6)).code(), "INVALID_RATING");
    // The order is a guest's: whoever writes its review down is not its customer.
    let mut written_down = review(1, 5);
    written_down.review.customer_id = Some(event_schemas::CustomerId::new("someone").unwrap());
    let from = shop.happened.len();
    shop.must(written_down);
    let of = shop.happened[from..].iter().find_map(|change| match &change.event {
        CommerceEvent::Review(ReviewEvent::ReviewSubmitted(review)) => Some(review.customer_id.clone()),
        _ => None,
    });
    assert_eq!(of, Some(None));
    assert_eq!(shop.refusal(review(2, 4)).code(), "ALREADY_REVIEWED");
}

#[test]
fn a_credit_note_comes_to_the_sum_of_its_lines() {
    let mut shop = Shop::new();
    let line = |amount_minor| CreditNoteLine { sku: None, description: "broken cup".to_owned(), quantity: 1, amount_minor };
    let note = |amounts: &[i64], total| IssueCreditNote {
        note: CreditNoteIssued {
            adjustment_id: AdjustmentId(id(1)),
            number: "C-1".to_owned(),
            customer_id: None,
            country: None,
            lines: amounts.iter().copied().map(line).collect(),
            total: eur(total),
        },
    };
    assert_eq!(shop.refusal(note(&[], 0)).code(), "INVALID_AMOUNT");
    assert_eq!(shop.refusal(note(&[5, -1], 4)).code(), "INVALID_AMOUNT");
    assert_eq!(shop.refusal(note(&[5, 6], 12)).code(), "WRONG_TOTAL");
    assert_eq!(shop.refusal(note(&[i64::MAX, 1], 1)).code(), "TOTAL_TOO_LARGE");
    shop.must(note(&[5, 6], 11));
    assert_eq!(shop.refusal(note(&[5, 6], 11)).code(), "ADJUSTMENT_EXISTS");
}

#[test]
fn a_bad_debt_is_of_something() {
    let mut shop = Shop::new();
    let debt = |minor| AdjustBadDebt {
        debt: BadDebtAdjusted {
            adjustment_id: AdjustmentId(id(1)),
            number: "A-1".to_owned(),
            amount: eur(minor),
            reason: "bankrupt".to_owned(),
            effective_at: None,
        },
    };
    assert_eq!(shop.refusal(debt(0)).code(), "INVALID_AMOUNT");
    shop.must(debt(-1_106_244));
}

//! The catalog of the demo shop: what a shop for tea and table would sell, made from short lists and a seed.

use std::collections::BTreeMap;

use event_schemas::AttributeValue;

/// A category and what hangs below it: name, and the leaves with what they sell.
pub(super) const TREE: &[(&str, &[Leaf])] = &[
    (
        "Tea",
        &[
            Leaf {
                name: "Green tea",
                kinds: &["Sencha", "Gyokuro", "Matcha", "Genmaicha", "Dragon Well", "Jasmine Pearls"],
                sizes: WEIGHTS,
                price: 690,
            },
            Leaf {
                name: "Black tea",
                kinds: &["Assam", "Darjeeling", "Ceylon", "Keemun", "Earl Grey", "English Breakfast"],
                sizes: WEIGHTS,
                price: 590,
            },
            Leaf {
                name: "Oolong",
                kinds: &["Tie Guan Yin", "Dong Ding", "Da Hong Pao", "Milk Oolong", "Oriental Beauty"],
                sizes: WEIGHTS,
                price: 990,
            },
            Leaf {
                name: "Herbal infusions",
                kinds: &["Camomile", "Peppermint", "Rooibos", "Verbena", "Ginger Lemon", "Rose Hip"],
                sizes: WEIGHTS,
                price: 450,
            },
        ],
    ),
    (
        "Coffee",
        &[
            Leaf {
                name: "Whole beans",
                kinds: &["Yirgacheffe", "Huehuetenango", "Sidamo", "Mandheling", "Huila"],
                sizes: BAGS,
                price: 1090,
            },
            Leaf {
                name: "Ground coffee",
                kinds: &["Filter Blend", "Espresso Blend", "Decaf Blend", "Moka Blend"],
                sizes: BAGS,
                price: 990,
            },
        ],
    ),
    (
        "Teaware",
        &[
            Leaf {
                name: "Teapots",
                kinds: &["Porcelain Pot", "Cast Iron Pot", "Glass Pot", "Kyusu", "Gaiwan"],
                sizes: VOLUMES,
                price: 2990,
            },
            Leaf {
                name: "Cups",
                kinds: &["Tea Bowl", "Mug", "Latte Cup", "Espresso Cup", "Tumbler"],
                sizes: COLOURS,
                price: 1290,
            },
            Leaf {
                name: "Tools",
                kinds: &["Infuser", "Tea Whisk", "Scoop", "Strainer", "Thermometer"],
                sizes: COLOURS,
                price: 890,
            },
        ],
    ),
    (
        "Table",
        &[
            Leaf {
                name: "Sweets",
                kinds: &["Shortbread", "Almond Biscuits", "Candied Ginger", "Nougat", "Dark Chocolate"],
                sizes: WEIGHTS,
                price: 490,
            },
            Leaf { name: "Linen", kinds: &["Napkin", "Runner", "Tea Towel", "Table Cloth"], sizes: COLOURS, price: 1590 },
        ],
    ),
];

const WEIGHTS: &[(&str, i64, u32)] = &[("50 g", 100, 60), ("100 g", 180, 115), ("250 g", 410, 270), ("500 g", 760, 530)];
const BAGS: &[(&str, i64, u32)] = &[("250 g", 100, 265), ("500 g", 185, 520), ("1 kg", 340, 1030)];
const VOLUMES: &[(&str, i64, u32)] = &[("0.4 l", 100, 600), ("0.8 l", 135, 900), ("1.2 l", 160, 1200)];
const COLOURS: &[(&str, i64, u32)] = &[("White", 100, 250), ("Indigo", 105, 250), ("Moss", 105, 250), ("Ochre", 105, 250)];
const ORIGINS: &[&str] = &["Hill", "Garden", "Harbour", "Monastery", "Village", "Atelier"];

/// A category that products are in.
pub(super) struct Leaf {
    /// Its name.
    pub name: &'static str,
    kinds: &'static [&'static str],
    /// What its variants differ in: name, price in per cent of the base price, weight in grams.
    sizes: &'static [(&'static str, i64, u32)],
    /// Base price in minor units of the euro.
    price: i64,
}

/// A product of the demo shop.
pub(super) struct DemoProduct {
    pub title: String,
    pub description: String,
    pub attributes: BTreeMap<String, AttributeValue>,
    pub variants: Vec<DemoVariant>,
}

/// A variant of a product of the demo shop.
pub(super) struct DemoVariant {
    pub sku: String,
    pub name: String,
    pub option: (String, String),
    pub weight_grams: u32,
    pub price_minor: i64,
}

impl Leaf {
    /// The products of this category; their SKUs begin with `prefix`.
    pub fn products(&self, prefix: &str, random: &mut fastrand::Rng) -> Vec<DemoProduct> {
        let pairs = self.kinds.iter().flat_map(|kind| ORIGINS.iter().map(move |origin| (*kind, *origin)));
        pairs.enumerate().map(|(number, (kind, origin))| self.product(prefix, number, kind, origin, random)).collect()
    }

    fn product(&self, prefix: &str, number: usize, kind: &str, origin: &str, random: &mut fastrand::Rng) -> DemoProduct {
        // Prices end in 0 or 5, like on a price tag.
        let base = self.price * random.i64(80..=150) / 500 * 5;
        let variant = |(index, (size, per_cent, grams)): (usize, &(&str, i64, u32))| DemoVariant {
            sku: format!("{prefix}-{:03}-{}", number + 1, index + 1),
            name: (*size).to_owned(),
            option: (if self.sizes == COLOURS { "colour" } else { "size" }.to_owned(), (*size).to_owned()),
            weight_grams: *grams,
            price_minor: base * per_cent / 500 * 5,
        };
        let attributes = BTreeMap::from([
            ("origin".to_owned(), AttributeValue::Text(origin.to_owned())),
            ("rating".to_owned(), AttributeValue::Number(random.i64(3..=5))),
        ]);
        DemoProduct {
            title: format!("{origin} {kind}"),
            description: format!("{kind} from the {} line, one of our {}.", origin.to_lowercase(), self.name.to_lowercase()),
            attributes,
            variants: self.sizes.iter().enumerate().map(variant).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<DemoProduct> {
        let mut random = fastrand::Rng::with_seed(1);
        let leaves = TREE.iter().flat_map(|(_, leaves)| leaves.iter()).enumerate();
        leaves.flat_map(|(number, leaf)| leaf.products(&format!("L{number}"), &mut random)).collect()
    }

    #[test]
    fn the_demo_shop_has_at_least_300_products_with_1000_variants() {
        let products = all();
        let variants: usize = products.iter().map(|product| product.variants.len()).sum();
        assert!(products.len() >= 300 && variants >= 1000, "{} products, {variants} variants", products.len());
    }

    #[test]
    fn every_sku_is_valid_and_its_own() {
        let skus: Vec<String> = all().into_iter().flat_map(|p| p.variants).map(|v| v.sku).collect();
        let unique: std::collections::BTreeSet<_> = skus.iter().collect();
        assert_eq!(unique.len(), skus.len());
        assert!(skus.iter().all(|sku| event_schemas::Sku::new(sku.clone()).is_ok()));
    }
}

//! What the model says of carts and of checking out.

use domain::QuantityChange;
use uuid::Uuid;

use super::{Answer, Ask, Cart, Code, Effect, LOCATIONS, METHODS, Model, Off, OpenCart, goods::on_shelf};

/// The most units of one line.
const MOST_UNITS: i64 = 9_999;
/// The most coupon codes of one cart.
const MOST_COUPONS: usize = 10;

/// The quotient, halves rounded to the even neighbour.
fn half_even(dividend: i128, divisor: i128) -> i128 {
    let (below, rest) = (dividend / divisor, dividend % divisor);
    let up = rest * 2 > divisor || (rest * 2 == divisor && below % 2 == 1);
    below + i128::from(up)
}

impl Model {
    fn open_cart(&self, cart: Uuid, now: i64) -> Result<&OpenCart, Code> {
        match self.carts.get(&cart) {
            None => Err("CART_NOT_FOUND"),
            Some(Cart::CheckedOut) => Err("CART_CHECKED_OUT"),
            Some(Cart::Expired) => Err("CART_EXPIRED"),
            Some(Cart::Open(open)) if open.expires_at <= now => Err("CART_EXPIRED"),
            Some(Cart::Open(open)) => Ok(open),
        }
    }

    /// The price of a SKU that is on sale.
    fn price(&self, sku: &str) -> Option<i64> {
        self.products.values().find(|product| product.sku == sku && product.on_sale).map(|product| product.price)
    }

    pub(super) fn filling(&self, ask: &Ask, now: i64) -> Answer {
        match ask {
            Ask::NewCart { cart } if self.carts.contains_key(cart) => Err("CART_EXISTS"),
            Ask::NewCart { cart } => Ok(vec![Effect::on("cart", cart, "CartCreated")]),
            Ask::Lines { cart, lines } => self.lines(*cart, lines, now),
            Ask::Details { cart, method, coupons, .. } => {
                self.open_cart(*cart, now)?;
                let codes = coupons.as_deref().unwrap_or_default();
                for code in codes {
                    self.coupon(code)?;
                }
                if method.as_ref().is_some_and(|method| METHODS.iter().all(|(known, _)| known != method)) {
                    return Err("SHIPPING_METHOD_UNAVAILABLE");
                }
                let different: std::collections::BTreeSet<_> = codes.iter().collect();
                if different.len() < codes.len() || codes.len() > MOST_COUPONS {
                    return Err("INVALID_COUPONS");
                }
                Ok(vec![Effect::on("cart", cart, "CartDetailsSet")])
            }
            other => panic!("{other:?} is not about a cart"),
        }
    }

    fn lines(&self, cart: Uuid, changes: &[(String, QuantityChange)], now: i64) -> Answer {
        let mut units: Option<Vec<(String, i64)>> = None;
        let mut effects = Vec::new();
        let mut closed_by = now;
        for (sku, change) in changes {
            let open = self.open_cart(cart, closed_by)?;
            // Once a line is changed, the cart lives on from now.
            closed_by = i64::MIN;
            let units = units.get_or_insert_with(|| open.lines.iter().map(|(sku, units, _)| (sku.clone(), *units)).collect());
            let before = units.iter().find(|(known, _)| known == sku).map(|(_, units)| *units);
            let wanted = match change {
                QuantityChange::Set(0) => {
                    before.ok_or("CART_LINE_NOT_FOUND")?;
                    units.retain(|(known, _)| known != sku);
                    effects.push(Effect::on("cart", cart, "CartLineRemoved").text("/sku", sku));
                    continue;
                }
                QuantityChange::Set(wanted) => i64::from(*wanted),
                QuantityChange::Add(0) => return Err("INVALID_QUANTITY"),
                QuantityChange::Add(more) => (before.unwrap_or(0) + i64::from(*more)).min(u32::MAX.into()),
            };
            let price = self.price(sku).ok_or("NOT_FOR_SALE")?;
            if !(1..=MOST_UNITS).contains(&wanted) {
                return Err("INVALID_QUANTITY");
            }
            match units.iter_mut().find(|(known, _)| known == sku) {
                Some(line) => line.1 = wanted,
                None => units.push((sku.clone(), wanted)),
            }
            let set = Effect::on("cart", cart, "CartLineSet").text("/sku", sku).number("/quantity", wanted);
            effects.push(set.number("/unit_price/minor", price));
        }
        Ok(effects)
    }

    /// Where the units of a line come from: what is there first, in the order of the locations, then what may be sold beyond.
    fn split(&self, sku: &str, quantity: i64) -> Option<Vec<(&'static str, i64)>> {
        let shelves: Vec<_> = LOCATIONS.iter().map(|place| self.shelf(&(sku.to_owned(), (*place).to_owned()))).collect();
        if shelves.iter().map(|stock| stock.sellable()).sum::<i64>() < quantity {
            return None;
        }
        let mut taken = vec![0; LOCATIONS.len()];
        let mut left = quantity;
        for (index, stock) in shelves.iter().enumerate() {
            taken[index] = left.min(stock.available());
            left -= taken[index];
        }
        for (index, stock) in shelves.iter().enumerate() {
            let more = left.min(stock.sellable() - taken[index]);
            taken[index] += more;
            left -= more;
        }
        Some(LOCATIONS.into_iter().zip(taken).filter(|(_, units)| *units > 0).collect())
    }

    pub(super) fn checkout(&self, cart: Uuid, order: Uuid, payment: Uuid, now: i64) -> Answer {
        let open = self.open_cart(cart, now)?;
        let demands = [
            (open.lines.is_empty(), "CART_EMPTY"),
            (!open.email, "EMAIL_REQUIRED"),
            (!open.address, "SHIPPING_ADDRESS_REQUIRED"),
            (open.method.is_none(), "SHIPPING_METHOD_REQUIRED"),
        ];
        if let Some((_, code)) = demands.iter().find(|(lacking, _)| *lacking) {
            return Err(code);
        }
        let prices: Option<Vec<i64>> = open.lines.iter().map(|(sku, ..)| self.price(sku)).collect();
        let prices = prices.ok_or("NOT_FOR_SALE")?;
        if open.lines.iter().zip(prices).any(|((_, _, then), today)| *then != today) {
            return Err("PRICE_CHANGED");
        }
        let splits: Option<Vec<_>> = open.lines.iter().map(|(sku, units, _)| self.split(sku, *units)).collect();
        let splits = splits.ok_or("INSUFFICIENT_STOCK")?;
        let coupons = open.coupons.iter().map(|code| self.coupon(code)).collect::<Result<Vec<_>, _>>()?;
        let due = price_of(open, &coupons);
        if self.orders.contains_key(&order) {
            return Err("ORDER_EXISTS");
        }
        let placed = Effect::on("order", order, "OrderPlaced").number("/totals/gross_minor", due).text("/cart_id", cart);
        let mut effects = vec![placed, Effect::on("cart", cart, "CartCheckedOut").text("/order_id", order)];
        for ((sku, ..), split) in open.lines.iter().zip(splits) {
            for (place, units) in split {
                let reserved = on_shelf(&(sku.clone(), place.to_owned()), "StockReserved");
                effects.push(reserved.text("/order_id", order).number("/quantity", units));
            }
        }
        for (id, _) in coupons {
            effects.push(Effect::on("promotion", id, "PromotionRedeemed").text("/order_id", order));
        }
        if due > 0 {
            effects.push(Effect::on("payment", payment, "PaymentOpened").number("/amount/minor", due).text("/order_id", order));
        }
        Ok(effects)
    }
}

/// What a cart costs: goods less coupons, one after the other, and shipping.
fn price_of(open: &OpenCart, coupons: &[(Uuid, Off)]) -> i64 {
    let mut goods: i64 = open.lines.iter().map(|(_, units, price)| units * price).sum();
    for (_, off) in coupons {
        let less = match off {
            Off::Ppm(ppm) => i64::try_from(half_even(i128::from(goods) * i128::from(*ppm), 1_000_000)).unwrap(),
            Off::Minor(minor) => *minor,
        };
        goods -= less.min(goods);
    }
    let shipping = METHODS.iter().find(|(method, _)| Some(*method) == open.method.as_deref());
    goods + shipping.map_or(0, |(_, minor)| *minor)
}

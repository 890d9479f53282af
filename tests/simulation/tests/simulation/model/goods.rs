//! What the model says of goods: shelves, prices and promotions.

use uuid::Uuid;

use super::{super::ask::Shelf, Answer, Ask, Code, Effect, Model, Off, Promotion, Stock};

/// The most units of a SKU that one location holds.
const MOST: i128 = 4_294_967_295;

impl Stock {
    pub fn set_aside(&self) -> i64 {
        self.held.values().map(|(units, _)| units).sum()
    }

    fn free(&self) -> i64 {
        self.on_hand - self.set_aside() - self.safety
    }

    pub fn available(&self) -> i64 {
        self.free().max(0)
    }

    pub fn sellable(&self) -> i64 {
        (self.free() + self.backorder).max(0)
    }

    fn must_move(&self, delta: i64) -> Result<(), Code> {
        let after = i128::from(self.on_hand) + i128::from(delta);
        match delta {
            0 => Err("INVALID_QUANTITY"),
            1.. if after > MOST => Err("TOO_MANY_UNITS"),
            ..0 if after < i128::from(self.set_aside()) => Err("STOCK_SET_ASIDE_FOR_ORDERS"),
            _ => Ok(()),
        }
    }

    pub fn must_take_in(&self, quantity: i64) -> Result<(), Code> {
        self.must_move(quantity)
    }

    /// Whether units of an order may leave.
    pub fn must_ship(&self, order: Uuid, quantity: i64) -> Result<(), Code> {
        let (units, paid) = self.held.get(&order).ok_or("STOCK_NOT_RESERVED")?;
        if !paid {
            return Err("STOCK_NOT_COMMITTED");
        }
        if quantity > *units {
            return Err("MORE_THAN_RESERVED");
        }
        if quantity > self.on_hand { Err("NOT_ON_HAND") } else { Ok(()) }
    }
}

pub fn on_shelf(shelf: &Shelf, kind: &'static str) -> Effect {
    Effect::on("stock", format!("{}@{}", shelf.0, shelf.1), kind)
}

impl Promotion {
    /// Whether it can be used.
    pub fn must_hold(&self) -> Result<Off, Code> {
        if self.ended {
            return Err("PROMOTION_ENDED");
        }
        if self.limit.is_some_and(|limit| self.uses >= limit) { Err("PROMOTION_USED_UP") } else { Ok(self.off) }
    }
}

impl Model {
    pub fn shelf(&self, shelf: &Shelf) -> &Stock {
        self.shelves.get(shelf).unwrap_or(&self.empty)
    }

    pub(super) fn goods(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Receive { shelf, quantity } => {
                self.shelf(shelf).must_take_in((*quantity).into())?;
                Ok(vec![on_shelf(shelf, "StockReceived").number("/quantity", *quantity)])
            }
            Ask::Adjust { shelf, delta } => {
                self.shelf(shelf).must_move(*delta)?;
                Ok(vec![on_shelf(shelf, "StockAdjusted").number("/delta", *delta)])
            }
            Ask::Count { shelf, counted } => {
                let expected = self.shelf(shelf).on_hand;
                Ok(vec![on_shelf(shelf, "StockCounted").number("/counted", *counted).number("/expected", expected)])
            }
            Ask::Transfer { sku, from, to, quantity } => {
                if from == to {
                    return Err("SAME_LOCATION");
                }
                let (source, target) = ((sku.clone(), from.clone()), (sku.clone(), to.clone()));
                self.shelf(&source).must_move(-i64::from(*quantity))?;
                self.shelf(&target).must_take_in((*quantity).into())?;
                Ok(vec![
                    on_shelf(&source, "StockTransferredOut").number("/quantity", *quantity),
                    on_shelf(&target, "StockTransferredIn").number("/quantity", *quantity),
                ])
            }
            Ask::Policy { shelf, safety, backorder } => {
                let stock = self.shelf(shelf);
                let beyond = stock.set_aside() - stock.on_hand;
                if beyond > i64::from(*backorder) && i64::from(*backorder) < stock.backorder {
                    return Err("BACKORDERS_OUTSTANDING");
                }
                let set = on_shelf(shelf, "StockPolicySet").number("/safety_stock", *safety);
                Ok(vec![set.number("/backorder_limit", *backorder)])
            }
            other => panic!("{other:?} is not about goods"),
        }
    }

    pub(super) fn catalog(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Price { product, variant, minor } => {
                let known = self.products.get(product).ok_or("PRODUCT_NOT_FOUND")?;
                if known.variant != *variant {
                    return Err("VARIANT_NOT_FOUND");
                }
                if *minor < 0 {
                    return Err("INVALID_PRICE");
                }
                Ok(vec![Effect::on("product", product, "VariantPriceSet").number("/price/minor", *minor)])
            }
            Ask::EndPromotion { promotion } => {
                let known = self.promotions.get(promotion).ok_or("PROMOTION_NOT_FOUND")?;
                if known.ended {
                    return Err("PROMOTION_ENDED");
                }
                let code = format!("coupon:{}", known.code);
                Ok(vec![Effect::on("promotion", promotion, "PromotionEnded"), Effect::on("claim", code, "ClaimReleased")])
            }
            other => panic!("{other:?} is not about the catalog"),
        }
    }

    /// The promotion of a code, and what it takes off.
    pub fn coupon(&self, code: &str) -> Result<(Uuid, Off), Code> {
        let running = self.promotions.iter().find(|(_, promotion)| promotion.code == code && !promotion.ended);
        let (id, promotion) = running.ok_or("COUPON_NOT_FOUND")?;
        Ok((*id, promotion.must_hold()?))
    }
}

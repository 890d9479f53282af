//! What can happen to a name that must be unique in the store: a SKU, a slug, a coupon code.
//!
//! The stream id is `kind:name`, such as `sku:TEA-100`. A decision that needs the name reads this stream, so uniqueness
//! is decided in the same append as the thing that carries the name.

event! {
    /// The name was taken.
    ClaimTaken {
        /// The stream of the thing that carries it, such as `product/0197…`.
        pub holder: String,
    }
}

event! {
    /// The name was given back.
    ClaimReleased {}
}

events! {
    /// Everything that can happen to a unique name.
    ClaimEvent of "claim" {
        ClaimTaken = 1,
        ClaimReleased = 1,
    }
}

//! The stable codes of refusals: the domain's own, as clients see them.

use async_graphql::{Enum, resolver_utils::EnumType};

/// Why a mutation was refused. Codes are added, never renamed or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum UserErrorCode {
    /// Staff have disabled the account.
    AccountDisabled,
    /// The account exists already.
    AccountExists,
    /// There is no such account.
    AccountNotFound,
    /// The account's e-mail address is not verified.
    AccountNotVerified,
    /// The correction exists already.
    AdjustmentExists,
    /// The store has an administrator already.
    AdminExists,
    /// The payment is made already.
    AlreadyPaid,
    /// It was brought in before.
    AlreadyRecorded,
    /// The order was reviewed already.
    AlreadyReviewed,
    /// A part of the order has left the house: it can be returned, not cancelled.
    AlreadyShipped,
    /// The API key exists already.
    ApiKeyExists,
    /// There is no such API key.
    ApiKeyNotFound,
    /// More is sold beyond what is there than the new limit allows.
    BackordersOutstanding,
    /// More than is authorised cannot be captured.
    CaptureExceedsAuthorised,
    /// The cart has become an order.
    CartCheckedOut,
    /// There is nothing in the cart.
    CartEmpty,
    /// The cart exists already.
    CartExists,
    /// Nothing happened to the cart for too long.
    CartExpired,
    /// The cart has no such line.
    CartLineNotFound,
    /// There is no such cart.
    CartNotFound,
    /// A category cannot be moved below itself.
    CategoryCycle,
    /// The category exists already.
    CategoryExists,
    /// There is no such category.
    CategoryNotFound,
    /// The category tree would be too deep.
    CategoryTooDeep,
    /// What was begun is unknown, done or too old: begin again.
    ChallengeInvalid,
    /// The code of a mail or link is wrong, was used before, or is too old.
    CodeInvalid,
    /// Another promotion has this coupon code.
    CouponCodeTaken,
    /// There is no such coupon.
    CouponNotFound,
    /// The e-mail address or the password is wrong, or the address was not verified yet.
    CredentialsInvalid,
    /// Amounts of different currencies do not mix.
    CurrencyMismatch,
    /// The shop does not sell in this currency.
    CurrencyNotOffered,
    /// There is no such dead letter.
    DeadLetterNotFound,
    /// A name is too long or has control characters.
    DisplayNameInvalid,
    /// This is not an address that mail can be sent to.
    EmailInvalid,
    /// The confirmation needs an e-mail address.
    EmailRequired,
    /// An account with this e-mail address exists.
    EmailTaken,
    /// Nobody has asked that the person be erased.
    ErasureNotRequested,
    /// It was asked for already that the person be erased; a second person has to agree.
    ErasurePending,
    /// The shipment exists already.
    FulfilmentExists,
    /// The order has no such shipment.
    FulfilmentNotFound,
    /// The idempotency key was used before, with other input.
    IdempotencyKeyReused,
    /// Fewer units can be sold than were asked for; see `InsufficientStock`.
    InsufficientStock,
    /// An amount is not one that is possible here.
    InvalidAmount,
    /// A caller is not named as callers are.
    InvalidCaller,
    /// The coupon codes repeat or are too many.
    InvalidCoupons,
    /// A webhook names too many types of events, or something that is none.
    InvalidEventTypes,
    /// An id, a SKU or another part of the input is malformed; `field` says which.
    InvalidInput,
    /// The permissions are none, too many, or not named as permissions are.
    InvalidPermissions,
    /// A price is negative or ends before it begins.
    InvalidPrice,
    /// A promotion's terms are not possible.
    InvalidPromotion,
    /// A quantity is zero, negative or too large.
    InvalidQuantity,
    /// A rating is not between 1 and 5.
    InvalidRating,
    /// A text is empty or too long.
    InvalidText,
    /// A URL is not one that is possible here.
    InvalidUrl,
    /// A label has 1 to 100 characters.
    LabelInvalid,
    /// The last administrator stays one.
    LastAdmin,
    /// A published product keeps at least one variant.
    LastVariant,
    /// The person has a legal hold of this name already.
    LegalHoldExists,
    /// The person has no legal hold of this name.
    LegalHoldNotFound,
    /// There were too many failed logins: try again later.
    LoginLocked,
    /// For this, the login must be less than 15 minutes ago.
    LoginTooOld,
    /// More units than were ordered.
    MoreThanOrdered,
    /// More units than are set aside.
    MoreThanReserved,
    /// More units than were shipped.
    MoreThanShipped,
    /// The name belongs to another thing.
    NameNotHeld,
    /// A note has 1 to 2000 characters.
    NoteInvalid,
    /// Nothing is authorised that could be let go.
    NothingAuthorised,
    /// A product needs a variant with a price to be published.
    NothingToSell,
    /// It is too early.
    NotDue,
    /// The product cannot be bought now.
    NotForSale,
    /// The units are not on the shelf.
    NotOnHand,
    /// Only who bought can review.
    NotTheBuyer,
    /// The order is not paid.
    NotPaid,
    /// No items are named.
    NoItems,
    /// The cart is empty.
    NoLines,
    /// The variant has no price in the cart's currency.
    NoPrice,
    /// The provider of the login elsewhere does not vouch for an e-mail address.
    OidcEmailMissing,
    /// The login elsewhere was not confirmed.
    OidcFailed,
    /// The login elsewhere belongs to another account.
    OidcLinkedElsewhere,
    /// The account with this e-mail address must be linked by its owner, who is logged in.
    OidcLinkNeeded,
    /// The account has no login with this issuer.
    OidcNotLinked,
    /// The shop has no login elsewhere.
    OidcOff,
    /// The order exists already.
    OrderExists,
    /// There is no such order.
    OrderNotFound,
    /// The passkey was not accepted.
    PasskeyInvalid,
    /// The account has no such passkey.
    PasskeyNotFound,
    /// The shop has no passkeys.
    PasskeysOff,
    /// The password is too easy to guess.
    PasswordTooCommon,
    /// A password has at most 128 characters.
    PasswordTooLong,
    /// A password has at least 12 characters.
    PasswordTooShort,
    /// The password is wrong.
    PasswordWrong,
    /// The payment exists already.
    PaymentExists,
    /// The payment can no longer be made.
    PaymentExpired,
    /// The gateway has been asked and has not answered yet.
    PaymentInProgress,
    /// There is no such payment.
    PaymentNotFound,
    /// The gateway's token is missing.
    PaymentTokenMissing,
    /// The person was erased.
    PersonErased,
    /// Nothing is known about such a person.
    PersonNotFound,
    /// Legal holds forbid that the person be erased; `message` names them.
    PersonOnHold,
    /// A price is no longer what the cart shows; see `PriceChanged`.
    PriceChanged,
    /// The product is published already.
    ProductAlreadyPublished,
    /// An archived product stays as it is.
    ProductArchived,
    /// The product exists already.
    ProductExists,
    /// There is no such product.
    ProductNotFound,
    /// The promotion is over.
    PromotionEnded,
    /// The promotion exists already.
    PromotionExists,
    /// There is no such promotion.
    PromotionNotFound,
    /// The promotion has not begun.
    PromotionNotStarted,
    /// The promotion was used as often as it can be.
    PromotionUsedUp,
    /// More than was captured cannot be refunded.
    RefundExceedsCaptured,
    /// More than was received cannot be refunded.
    RefundExceedsReceived,
    /// The refund exists already, with another amount.
    RefundExists,
    /// Another rule forbids it: see `message`.
    Refused,
    /// The review exists already.
    ReviewExists,
    /// The role is built in and cannot be defined.
    RoleBuiltIn,
    /// A role's name has 1 to 32 of a-z, 0-9 and `-`, beginning with a letter.
    RoleNameInvalid,
    /// There is no such role.
    RoleNotFound,
    /// A role of this name was removed, and accounts that had it must not come to other rights.
    RoleRemoved,
    /// A transfer needs two different locations.
    SameLocation,
    /// The code of the second factor is wrong or was used before.
    SecondFactorInvalid,
    /// The account has no second factor.
    SecondFactorOff,
    /// The account has a second factor already.
    SecondFactorOn,
    /// Somebody else has to agree than who asked.
    SecondPersonRequired,
    /// The session has ended: log in again.
    SessionEnded,
    /// The account has no such session.
    SessionNotFound,
    /// Whoever was named is more than one customer: name one of them, as `message` does.
    SeveralCustomers,
    /// The parcel needs a shipping address.
    ShippingAddressRequired,
    /// The parcel needs a shipping method.
    ShippingMethodRequired,
    /// The shipping method does not serve this cart.
    ShippingMethodUnavailable,
    /// Another variant has this SKU.
    SkuTaken,
    /// Another thing has this slug.
    SlugTaken,
    /// What was to be changed is no longer what was looked at; see `StaleVersion`.
    StaleVersion,
    /// Units are already set aside for the order.
    StockAlreadyReserved,
    /// The units belong to an order that is not paid.
    StockNotCommitted,
    /// No units are set aside for the order.
    StockNotReserved,
    /// Units that are set aside for orders stay.
    StockSetAsideForOrders,
    /// The order's time to be paid is over.
    TooLateToPay,
    /// There are too many of something; `message` says of what.
    TooMany,
    /// The cart has too many lines.
    TooManyLines,
    /// The account has as many passkeys as it may have.
    TooManyPasskeys,
    /// The shop has as many webhooks as it may have.
    TooManyWebhooks,
    /// A location cannot hold so many units.
    TooManyUnits,
    /// The amount does not fit in 64 bits of minor units.
    TotalTooLarge,
    /// The variant exists already.
    VariantExists,
    /// The product has no such variant.
    VariantNotFound,
    /// The webhook exists already.
    WebhookExists,
    /// There is no such webhook.
    WebhookNotFound,
    /// The parts do not add up to the total.
    WrongTotal,
    /// The thing's state forbids it.
    WrongState,
}

impl UserErrorCode {
    /// The code of that name; a rule that this list does not name yet is [`Self::Refused`].
    pub(crate) fn named(name: &str) -> Self {
        Self::items().iter().find(|item| item.name == name).map_or(Self::Refused, |item| item.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_the_name_that_the_domain_gives_it() {
        assert_eq!(UserErrorCode::named("INSUFFICIENT_STOCK"), UserErrorCode::InsufficientStock);
        assert_eq!(UserErrorCode::named("A_RULE_OF_TOMORROW"), UserErrorCode::Refused);
    }

    #[test]
    fn every_rule_of_the_domain_has_a_code_of_its_own() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain/src");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for (_, rest) in source.match_indices("=> \"").map(|(at, arrow)| source.split_at(at + arrow.len())) {
                let code = rest.split('"').next().unwrap();
                if code.len() > 3 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
                    assert_ne!(UserErrorCode::named(code), UserErrorCode::Refused, "{code}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 80, "{seen}");
        for code in identity::IdentityRefusal::CODES {
            assert_ne!(UserErrorCode::named(code), UserErrorCode::Refused, "{code}");
        }
    }
}

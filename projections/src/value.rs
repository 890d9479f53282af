//! What a column holds: integers, text and null, the same in every view store. No floats, so that a view is exact.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use event_schemas::{
    AccountId, AdjustmentId, ApiKeyId, AttributeValue, CartId, CategoryId, CountryCode, CouponCode, Currency, CustomerId,
    FulfilmentId, LocationId, OrderId, PaymentId, PersonId, Personal, ProductId, PromotionId, RefundId, ReturnId, ReviewId,
    RoleName, Sku, Slug, Timestamp, VariantId, WebhookId,
};

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A whole number; booleans are 0 and 1.
    Integer(i64),
    /// Text; moments are RFC 3339 in UTC, lists and objects are JSON.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// The type of column that it belongs in; nothing belongs in either.
    pub fn column_type(&self) -> Option<ColumnType> {
        match self {
            Self::Null => None,
            Self::Integer(_) => Some(ColumnType::Integer),
            Self::Text(_) => Some(ColumnType::Text),
        }
    }

    /// The same value, owning its text.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(number),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }
}

/// A stored value that is not what its column says.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{found} is not {expected}")]
pub struct UnexpectedValue {
    /// What the column holds.
    pub expected: &'static str,
    /// What was found.
    pub found: String,
}

impl UnexpectedValue {
    /// An error that does not repeat the value, which may be about a person.
    fn hidden(expected: &'static str) -> Self {
        Self { expected, found: "the value".to_owned() }
    }

    pub(crate) fn new(expected: &'static str, found: &Value<'_>) -> Self {
        Self { expected, found: format!("{found:?}").chars().take(120).collect() }
    }
}

/// The kinds of column that every view store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// A 64-bit integer.
    Integer,
    /// Text.
    Text,
}

/// What a column's values mean to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A whole number.
    Number,
    /// Text.
    Text,
    /// Yes or no.
    YesNo,
    /// A moment.
    Moment,
    /// A day.
    Day,
    /// A list or an object, as JSON.
    Json,
    /// About a person: kept from those who need not know.
    Personal,
}

/// A Rust type that a column can hold.
pub trait Column: Sized {
    /// The column's type.
    const TYPE: ColumnType;
    /// What its values mean.
    const MEANING: Meaning = match Self::TYPE {
        ColumnType::Integer => Meaning::Number,
        ColumnType::Text => Meaning::Text,
    };
    /// Whether the column may be null.
    const NULLABLE: bool = false;

    /// The value to store.
    fn value(&self) -> Value<'_>;

    /// Reads a stored value.
    ///
    /// # Errors
    /// If the value is not what [`Column::value`] stores.
    fn read(value: Value<'_>) -> Result<Self, UnexpectedValue>;
}

impl<T: Column> Column for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const MEANING: Meaning = T::MEANING;
    const NULLABLE: bool = true;
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::value)
    }
    fn read(value: Value<'_>) -> Result<Self, UnexpectedValue> {
        if value == Value::Null { Ok(None) } else { T::read(value).map(Some) }
    }
}

impl Column for String {
    const TYPE: ColumnType = ColumnType::Text;
    fn value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
    fn read(value: Value<'_>) -> Result<Self, UnexpectedValue> {
        match value {
            Value::Text(text) => Ok(text.into_owned()),
            other => Err(UnexpectedValue::new("text", &other)),
        }
    }
}

impl Column for bool {
    const TYPE: ColumnType = ColumnType::Integer;
    const MEANING: Meaning = Meaning::YesNo;
    fn value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
    fn read(value: Value<'_>) -> Result<Self, UnexpectedValue> {
        match value {
            Value::Integer(number @ (0 | 1)) => Ok(number == 1),
            other => Err(UnexpectedValue::new("0 or 1", &other)),
        }
    }
}

macro_rules! integer_columns {
    ($($type:ty),+) => {$(
        impl Column for $type {
            const TYPE: ColumnType = ColumnType::Integer;
            fn value(&self) -> Value<'_> {
                // A position beyond i64::MAX cannot be reached: it would take a log of 9 quintillion events.
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
            fn read(value: Value<'_>) -> Result<Self, UnexpectedValue> {
                match value {
                    Value::Integer(number) => <$type>::try_from(number)
                        .map_err(|_| UnexpectedValue::new(stringify!($type), &Value::Integer(number))),
                    other => Err(UnexpectedValue::new("an integer", &other)),
                }
            }
        }
    )+};
}
integer_columns!(i64, u64, u32, u8);

macro_rules! id_columns {
    ($($type:ty: $text:expr),+ $(,)?) => {$(
        impl Column for $type {
            const TYPE: ColumnType = ColumnType::Text;
            fn value(&self) -> Value<'_> {
                let text: fn(&$type) -> Cow<'_, str> = $text;
                Value::Text(text(self))
            }
            fn read(value: Value<'_>) -> Result<Self, UnexpectedValue> {
                match value {
                    Value::Text(text) => text.parse().map_err(|_| UnexpectedValue::new(stringify!($type), &Value::Text(text))),
                    other => Err(UnexpectedValue::new(stringify!($type), &other)),
                }
            }
        }
    )+};
}
id_columns!(
    ProductId: |id| id.to_string().into(), VariantId: |id| id.to_string().into(), CategoryId: |id| id.to_string().into(),
    CartId: |id| id.to_string().into(), OrderId: |id| id.to_string().into(), PaymentId: |id| id.to_string().into(),
    RefundId: |id| id.to_string().into(), FulfilmentId: |id| id.to_string().into(), ReturnId: |id| id.to_string().into(),
    PromotionId: |id| id.to_string().into(), ReviewId: |id| id.to_string().into(), AdjustmentId: |id| id.to_string().into(),
    AccountId: |id| id.to_string().into(), ApiKeyId: |id| id.to_string().into(), WebhookId: |id| id.to_string().into(),
    PersonId: |id| id.to_string().into(), RoleName: |id| id.as_str().into(),
    Sku: |id| id.as_str().into(), LocationId: |id| id.as_str().into(), CustomerId: |id| id.as_str().into(),
    Slug: |id| id.as_str().into(), CouponCode: |id| id.as_str().into(), CountryCode: |id| id.as_str().into(),
    Currency: |currency| currency.code().into(),
);

impl Column for Timestamp {
    const TYPE: ColumnType = ColumnType::Text;
    const MEANING: Meaning = Meaning::Moment;
    fn value(&self) -> Value<'_> {
        Value::Text(event_schemas::rfc3339(*self).into())
    }
    fn read(value: Value<'_>) -> Result<Self, UnexpectedValue> {
        match value {
            Value::Text(text) => DateTime::parse_from_rfc3339(&text)
                .map(|moment| moment.with_timezone(&Utc))
                .map_err(|_| UnexpectedValue::new("a moment in RFC 3339", &Value::Text(text))),
            other => Err(UnexpectedValue::new("a moment in RFC 3339", &other)),
        }
    }
}

/// As the event holds it: sealed.
impl<T> Column for Personal<T> {
    const TYPE: ColumnType = ColumnType::Text;
    const MEANING: Meaning = Meaning::Personal;
    fn value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self.as_str()))
    }
    fn read(value: Value<'_>) -> Result<Self, UnexpectedValue> {
        Self::parse(String::read(value)?).map_err(|_| UnexpectedValue::hidden("personal data"))
    }
}

/// Makes types columns of JSON text: `json_columns!(Vec<u64>)`.
macro_rules! json_columns {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::Column for $type {
            const TYPE: $crate::ColumnType = $crate::ColumnType::Text;
            const MEANING: $crate::Meaning = $crate::Meaning::Json;
            fn value(&self) -> $crate::Value<'_> {
                // Plain data with text keys always has a JSON form; null would be refused by the column.
                serde_json::to_string(self).map_or($crate::Value::Null, |text| $crate::Value::Text(text.into()))
            }
            fn read(value: $crate::Value<'_>) -> Result<Self, $crate::UnexpectedValue> {
                match value {
                    $crate::Value::Text(text) => serde_json::from_str(&text).map_err(|_| {
                        $crate::UnexpectedValue::new(concat!("the JSON of ", stringify!($type)), &$crate::Value::Text(text))
                    }),
                    other => Err($crate::UnexpectedValue::new(concat!("the JSON of ", stringify!($type)), &other)),
                }
            }
        }
    )+};
}
json_columns!(
    BTreeMap<String, String>,
    BTreeMap<String, AttributeValue>,
    Vec<CategoryId>,
    Vec<VariantId>,
    Vec<CouponCode>,
    Vec<String>,
    Vec<u64>,
);

/// Declares an enum that a column stores as text: `text_enum! { CartState { Open = "open" } }`.
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// The text that is stored.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl $crate::Column for $name {
            const TYPE: $crate::ColumnType = $crate::ColumnType::Text;
            fn value(&self) -> $crate::Value<'_> { $crate::Value::Text(self.as_str().into()) }
            fn read(value: $crate::Value<'_>) -> Result<Self, $crate::UnexpectedValue> {
                match &value {
                    $($crate::Value::Text(text) if text == $text => Ok(Self::$variant),)+
                    other => Err($crate::UnexpectedValue::new(stringify!($name), other)),
                }
            }
        }
    };
}

/// Makes the enums of the contract columns: the text that their JSON is.
macro_rules! text_column {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::Column for $type {
            const TYPE: $crate::ColumnType = $crate::ColumnType::Text;
            fn value(&self) -> $crate::Value<'_> {
                // Such an enum's JSON is always a string; null would be refused by the column.
                match serde_json::to_value(self) {
                    Ok(serde_json::Value::String(text)) => $crate::Value::Text(text.into()),
                    _ => $crate::Value::Null,
                }
            }
            fn read(value: $crate::Value<'_>) -> Result<Self, $crate::UnexpectedValue> {
                let unexpected = |value: &$crate::Value<'_>| $crate::UnexpectedValue::new(stringify!($type), value);
                match value {
                    $crate::Value::Text(text) => serde_json::from_value(serde_json::Value::String(text.to_string()))
                        .map_err(|_| unexpected(&$crate::Value::Text(text))),
                    other => Err(unexpected(&other)),
                }
            }
        }
    )+};
}

//! Personal data: one wrapper, from the first event on, so that protecting and erasing it touches one place.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value about a person (name, e-mail, address, phone, free text). Rules never read it, logs never print it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Personal<T>(pub T);

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<personal>")
    }
}

event! {
    /// A postal address.
    Address {
        /// The person or company that the parcel is for.
        pub name: String,
        /// Street and number, first line.
        pub line1: String,
        /// Second line, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub line2: Option<String>,
        /// City or town.
        pub city: String,
        /// Postal code, where the country has them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub postal_code: Option<String>,
        /// State or region, where the country needs one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub region: Option<String>,
        /// The country, which tax and shipping are decided by (events repeat it outside the personal part).
        pub country: crate::CountryCode,
        /// Phone number for the carrier, if given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub phone: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::Personal;

    #[test]
    fn personal_data_never_reaches_a_log_line() {
        assert_eq!(format!("{:?}", Personal("ana@example.com")), "<personal>");
    }
}

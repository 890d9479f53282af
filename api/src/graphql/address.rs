//! Postal addresses.

use async_graphql::{InputObject, SimpleObject};
use event_schemas::Address as Recorded;

use crate::graphql::{read_input, user_error::UserError};

/// A postal address.
#[derive(Debug, SimpleObject)]
pub(crate) struct Address {
    /// The person or company that the parcel is for.
    name: String,
    /// Street and number, first line.
    line1: String,
    /// Second line, if any.
    line2: Option<String>,
    /// City or town.
    city: String,
    /// Postal code, where the country has them.
    postal_code: Option<String>,
    /// State or region, where the country needs one.
    region: Option<String>,
    /// The country, ISO 3166-1 alpha-2, such as `GB`.
    country: String,
    /// Phone number for the carrier, if given.
    phone: Option<String>,
}

impl From<Recorded> for Address {
    fn from(address: Recorded) -> Self {
        Self {
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            postal_code: address.postal_code,
            region: address.region,
            country: address.country.to_string(),
            phone: address.phone,
        }
    }
}

/// A postal address.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct AddressInput {
    /// The person or company that the parcel is for.
    name: String,
    /// Street and number, first line.
    line1: String,
    /// Second line, if any.
    line2: Option<String>,
    /// City or town.
    city: String,
    /// Postal code, where the country has them.
    postal_code: Option<String>,
    /// State or region, where the country needs one.
    region: Option<String>,
    /// The country, ISO 3166-1 alpha-2, such as `GB`.
    country: String,
    /// Phone number for the carrier, if given.
    phone: Option<String>,
}

/// The most characters of one line of an address.
const LINE: usize = 200;

impl AddressInput {
    /// The address as it is sealed.
    pub(crate) fn read(self, field: &str) -> Result<Recorded, UserError> {
        let country = read_input::name(&self.country, &[field, "country"])?;
        let lines = [Some(&self.name), Some(&self.line1), self.line2.as_ref(), Some(&self.city), self.postal_code.as_ref()];
        let too_long = lines.into_iter().chain([self.region.as_ref(), self.phone.as_ref()]).flatten();
        if too_long.into_iter().any(|line| line.chars().count() > LINE) {
            return Err(UserError::invalid(&[field], format!("a line of an address has at most {LINE} characters")));
        }
        if [&self.name, &self.line1, &self.city].iter().any(|line| line.trim().is_empty()) {
            return Err(UserError::invalid(&[field], "`name`, `line1` and `city` must not be empty"));
        }
        Ok(Recorded {
            name: self.name,
            line1: self.line1,
            line2: self.line2,
            city: self.city,
            postal_code: self.postal_code,
            region: self.region,
            country,
            phone: self.phone,
        })
    }
}

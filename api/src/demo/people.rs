//! The customers of the demo shop. Nobody here exists.

use event_schemas::{Address, CountryCode, InvalidId};

const FIRST: &[&str] = &["Ana", "Ben", "Chloe", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Luca"];
const LAST: &[&str] = &["Almeida", "Becker", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Hughes", "Ivanova", "Jansen"];
const STREETS: &[&str] = &["Mill Lane", "Rue du Port", "Gartenweg", "Via Roma", "Calle Mayor", "High Street"];

/// Where a market's customers live and what they pay in: currency, country, city, postal code, and share of all orders.
pub(super) struct Market {
    pub currency: &'static str,
    pub country: &'static str,
    city: &'static str,
    postal_code: &'static str,
    share: u32,
}

pub(super) const MARKETS: &[Market] = &[
    Market { currency: "EUR", country: "DE", city: "Berlin", postal_code: "10115", share: 40 },
    Market { currency: "EUR", country: "FR", city: "Lyon", postal_code: "69001", share: 25 },
    Market { currency: "GBP", country: "GB", city: "Leeds", postal_code: "LS1 4AP", share: 20 },
    Market { currency: "USD", country: "US", city: "Portland", postal_code: "97201", share: 15 },
];

/// A customer with an address.
pub(super) struct Person {
    pub email: String,
    pub address: Address,
}

impl Market {
    /// A market, as often as its share says.
    pub fn any(random: &mut fastrand::Rng) -> &'static Self {
        let mut draw = random.u32(0..100);
        for market in MARKETS {
            if draw < market.share {
                return market;
            }
            draw -= market.share;
        }
        &MARKETS[0]
    }

    /// A customer of this market.
    pub fn person(&self, random: &mut fastrand::Rng) -> Result<Person, InvalidId> {
        let pick = |list: &[&'static str], random: &mut fastrand::Rng| list[random.usize(0..list.len())];
        let (first, last) = (pick(FIRST, random), pick(LAST, random));
        let address = Address {
            name: format!("{first} {last}"),
            line1: format!("{} {}", random.u32(1..200), pick(STREETS, random)),
            line2: None,
            city: self.city.to_owned(),
            postal_code: Some(self.postal_code.to_owned()),
            region: None,
            country: CountryCode::new(self.country)?,
            phone: None,
        };
        Ok(Person { email: format!("{}.{}@example.com", first.to_lowercase(), last.to_lowercase()), address })
    }
}

//! Which stock codes of Online Retail are goods and which are charges, and which country each of its names is.

use event_schemas::{ChargeKind, CountryCode};

/// Codes that are no goods. Every other code is: also vouchers (they are printed and counted), test products and pads.
const CHARGES: &[(&str, ChargeKind)] = &[
    ("POST", ChargeKind::Shipping),
    ("DOT", ChargeKind::Shipping),
    ("C2", ChargeKind::Shipping),
    ("C3", ChargeKind::Shipping),
    ("D", ChargeKind::Discount),
    ("M", ChargeKind::Manual),
    ("ADJUST", ChargeKind::Manual),
    ("ADJUST2", ChargeKind::Manual),
    ("S", ChargeKind::Manual),
    ("BANK CHARGES", ChargeKind::Fee),
    ("AMAZONFEE", ChargeKind::Fee),
    ("CRUK", ChargeKind::Fee),
    ("B", ChargeKind::Fee),
];

/// The source's country names, ISO 3166-1 alpha-2. The Channel Islands have no common code: JE, the larger of them, stands
/// for them.
const COUNTRIES: &[(&str, &str)] = &[
    ("Australia", "AU"),
    ("Austria", "AT"),
    ("Bahrain", "BH"),
    ("Belgium", "BE"),
    ("Bermuda", "BM"),
    ("Brazil", "BR"),
    ("Canada", "CA"),
    ("Channel Islands", "JE"),
    ("Cyprus", "CY"),
    ("Czech Republic", "CZ"),
    ("Denmark", "DK"),
    ("EIRE", "IE"),
    ("Finland", "FI"),
    ("France", "FR"),
    ("Germany", "DE"),
    ("Greece", "GR"),
    ("Hong Kong", "HK"),
    ("Iceland", "IS"),
    ("Israel", "IL"),
    ("Italy", "IT"),
    ("Japan", "JP"),
    ("Korea", "KR"),
    ("Lebanon", "LB"),
    ("Lithuania", "LT"),
    ("Malta", "MT"),
    ("Netherlands", "NL"),
    ("Nigeria", "NG"),
    ("Norway", "NO"),
    ("Poland", "PL"),
    ("Portugal", "PT"),
    ("RSA", "ZA"),
    ("Saudi Arabia", "SA"),
    ("Singapore", "SG"),
    ("Spain", "ES"),
    ("Sweden", "SE"),
    ("Switzerland", "CH"),
    ("Thailand", "TH"),
    ("USA", "US"),
    ("United Arab Emirates", "AE"),
    ("United Kingdom", "GB"),
];

/// What a code that is no goods charges for; `None` for goods.
pub(crate) fn charge_kind(code: &str) -> Option<ChargeKind> {
    CHARGES.iter().find(|(charge, _)| charge.eq_ignore_ascii_case(code)).map(|(_, kind)| *kind)
}

/// The country of a name; `None` for `Unspecified`, `European Community`, `West Indies` and names that are not known.
pub(crate) fn country(name: &str) -> Option<CountryCode> {
    COUNTRIES.iter().find(|(known, _)| *known == name).and_then(|(_, code)| CountryCode::new(*code).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_country_has_a_valid_code_of_its_own() {
        let codes: std::collections::BTreeSet<_> = COUNTRIES.iter().filter_map(|(name, _)| country(name)).collect();
        assert_eq!(codes.len(), COUNTRIES.len());
        assert_eq!([country("Unspecified"), country("West Indies")], [None, None]);
    }

    #[test]
    fn postage_is_shipping_in_any_case_and_a_voucher_is_goods() {
        assert_eq!(charge_kind("post"), Some(ChargeKind::Shipping));
        assert_eq!(charge_kind("m"), Some(ChargeKind::Manual));
        assert_eq!(charge_kind("gift_0001_20"), None);
    }
}

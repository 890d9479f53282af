//! Who looked at personal data, and who took data along.

use chrono::NaiveDate;
use domain::{Audit, MAX_AUDITED, RecordAudit, State, is_reference};
use event_schemas::{AuditEvent, DataExported, PersonalDataRead};

use crate::shop::{Shop, morning};

fn records(event: impl Into<AuditEvent>) -> RecordAudit {
    RecordAudit { day: NaiveDate::from_ymd_opt(2026, 3, 2).unwrap(), events: vec![event.into()] }
}

fn read() -> PersonalDataRead {
    PersonalDataRead {
        reader: "support:0197".to_owned(),
        fields: vec!["email".to_owned()],
        subjects: vec!["order/1".to_owned()],
        reason: Some("TICKET-4711".to_owned()),
        since: morning(),
    }
}

fn export() -> DataExported {
    DataExported {
        exporter: "auditor:ana".to_owned(),
        what: "log".to_owned(),
        format: "jsonl".to_owned(),
        reason: None,
        from_position: Some(1),
        to_position: Some(9),
    }
}

#[test]
fn reads_and_exports_are_written_down_by_day() {
    let mut shop = Shop::new();
    let changes: Vec<_> = [shop.must(records(read())), shop.must(records(export()))].concat();
    assert!(changes.iter().all(|change| change.stream.to_string() == "audit/2026-03-02"));
    let audit = shop.get::<Audit>("2026-03-02");
    assert_eq!((changes.len(), audit.recorded()), (2, 2));
    let text = serde_json::to_string(&State::Audit(audit.clone())).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), State::Audit(audit));
}

#[test]
fn a_read_says_who_saw_what_of_whom() {
    let many = vec!["order/1".to_owned(); MAX_AUDITED + 1];
    let cases = [
        (PersonalDataRead { reader: " ".to_owned(), ..read() }, "INVALID_CALLER"),
        (PersonalDataRead { reader: "address:00ff00ff00ff00ff".to_owned(), ..read() }, "INVALID_CALLER"),
        (PersonalDataRead { fields: vec![], ..read() }, "INVALID_QUANTITY"),
        (PersonalDataRead { fields: vec!["a\nb".to_owned()], ..read() }, "INVALID_TEXT"),
        (PersonalDataRead { subjects: vec![], ..read() }, "INVALID_QUANTITY"),
        (PersonalDataRead { subjects: many, ..read() }, "INVALID_QUANTITY"),
        (PersonalDataRead { subjects: vec!["order".to_owned()], ..read() }, "INVALID_TEXT"),
    ];
    for (event, code) in cases {
        assert_eq!(Shop::new().refusal(records(event.clone())).code(), code, "{event:?}");
    }
    for wrong in [DataExported { what: "everything".to_owned(), ..export() }, DataExported { format: String::new(), ..export() }]
    {
        assert_eq!(Shop::new().refusal(records(wrong)).code(), "INVALID_TEXT");
    }
}

#[test]
fn a_reason_is_a_reference_and_never_words_about_somebody() {
    for reason in ["TICKET-4711", "gdpr:2026/17", "#12"] {
        assert!(is_reference(reason), "{reason}");
        Shop::new().must(records(PersonalDataRead { reason: Some(reason.to_owned()), ..read() }));
    }
    for reason in ["", "Ana Marques called", "ana@example.com", "Ölwechsel", &"x".repeat(65)] {
        assert!(!is_reference(reason), "{reason}");
        let refusal = Shop::new().refusal(records(DataExported { reason: Some(reason.to_owned()), ..export() }));
        assert_eq!(refusal.code(), "INVALID_TEXT", "{reason}");
    }
}

//! Who was shown personal data of whom, and who took data along, as the view tells it.

use event_schemas::*;
use projections::*;

use crate::{
    runner::followed,
    shop::{History, day},
    store::Home,
};

on_each_store!(who_was_shown_what_of_whom_is_listed_by_reader_and_by_subject);

/// So much that was looked at that no list of it is of few rows.
pub fn many(history: &mut History, count: u128) {
    for number in 0..count {
        let at = day(1 + number as i64 / 40, number as i64);
        history.happens("2026-01-02", read("support:1", &["order/1", "order/2"], None), at);
        history.happens("2026-01-02", exported("auditor:1"), at);
    }
}

fn read(reader: &str, subjects: &[&str], reason: Option<&str>) -> AuditEvent {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    PersonalDataRead {
        reader: reader.to_owned(),
        fields: texts(&["email", "shippingAddress"]),
        subjects: texts(subjects),
        reason: reason.map(ToOwned::to_owned),
        since: day(0, 9),
    }
    .into()
}

fn exported(exporter: &str) -> AuditEvent {
    DataExported {
        exporter: exporter.to_owned(),
        what: "log".to_owned(),
        format: "jsonl".to_owned(),
        reason: None,
        from_position: Some(1),
        to_position: Some(90),
    }
    .into()
}

async fn who_was_shown_what_of_whom_is_listed_by_reader_and_by_subject(home: Home) {
    let mut history = History::default();
    history.happens("2026-01-02", read("support:ana", &["order/1", "order/2"], Some("TICKET-1")), day(1, 0));
    history.happens("2026-01-02", read("support:ben", &["order/2"], None), day(1, 60));
    history.happens("2026-01-03", exported("auditor:eve"), day(2, 0));
    let views = home.views("views.db");
    followed(&history.log().await, &views, 1_000).await;
    let list = |filter: AuditFilter, page: Page| {
        views.read_blocking(move |reader| reader.audit(&filter, AuditSort::Entry, true, &page)).unwrap()
    };
    let told = |filter: AuditFilter| {
        let told = |(_, entry): (_, AuditEntry)| format!("{} {} {}", entry.entry, entry.reader, entry.subject);
        list(filter, Page::first(9)).items.into_iter().map(told).collect::<Vec<_>>()
    };
    let all = ["3 auditor:eve log", "2 support:ben order/2", "1 support:ana order/2", "1 support:ana order/1"];
    assert_eq!(told(AuditFilter::default()), all);
    let of = |kind| AuditFilter { kind: Some(kind), ..AuditFilter::default() };
    assert_eq!(told(of(AuditKind::Export)), all[..1]);
    assert_eq!(told(of(AuditKind::Read)), all[1..]);
    let by_ana = AuditFilter { reader: Some("support:ana".to_owned()), ..AuditFilter::default() };
    assert_eq!(told(by_ana.clone()), all[2..]);
    let about = AuditFilter { subject: Some("order/2".to_owned()), ..AuditFilter::default() };
    assert_eq!(told(about.clone()), all[1..3]);
    assert_eq!(told(AuditFilter { reader: by_ana.reader, ..about }), all[2..3]);

    // Two subjects of one event stand on both sides of a cursor.
    let first = list(of(AuditKind::Read), Page::first(2));
    let (after, entry) = first.items.last().cloned().unwrap();
    let expected = ("email shippingAddress", Some("TICKET-1"), day(0, 9), day(1, 0));
    assert_eq!((entry.details.as_str(), entry.reason.as_deref(), entry.since, entry.recorded_at), expected);
    let rest = list(of(AuditKind::Read), Page { after: Some(after), ..Page::first(2) });
    assert_eq!(rest.items.into_iter().map(|(_, entry)| entry.subject).collect::<Vec<_>>(), ["order/1"]);
    let export = list(of(AuditKind::Export), Page::first(1)).items.remove(0).1;
    assert_eq!((export.details.as_str(), export.from_position, export.to_position), ("jsonl", Some(1), Some(90)));
}

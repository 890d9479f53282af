//! Everything about a person, opened with the vault for whoever says who they are, and nothing about anybody else.

use std::process::Output;

use event_schemas::{
    Address, CartCheckedOut, CartCreated, CartDetailsSet, CartEvent, CartId, CommerceEvent, CountryCode, OrderId, OrderPlaced,
    PersonId, StockEvent, StockReceived, StreamId, Timestamp,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use vault::{Persons, Vault, VaultKey};

use crate::{
    shop::{self, Pen, id},
    verbs::Desk,
};

/// How many events the log has.
const EVENTS: u64 = 16;

/// A desk with a log in which Ana and Ben have bought something, and the shop's vault, which is elsewhere.
struct Counter {
    desk: Desk,
    persons: Persons,
    ana: PersonId,
    ben: PersonId,
    key: String,
    vault: String,
    _folder: TempDir,
}

impl Counter {
    async fn with_two_purchases() -> Self {
        let (folder, key) = (TempDir::new().unwrap(), VaultKey::generate());
        let vault = format!("sqlite:{}", folder.path().join("vault.db").display());
        let persons = Persons::new(Vault::open(&vault, key.clone()).await.unwrap());
        let [ana, ben] = [persons.somebody().await.unwrap(), persons.somebody().await.unwrap()];
        let mut pen = Pen::new();
        // Somebody typed what looks sealed for Ana: it makes nothing hers.
        let typed = StockReceived {
            sku: shop::tea(),
            location: shop::main_location(),
            quantity: 50,
            reference: Some(format!("sealed:1:{ana}:{}", "A".repeat(60))),
        };
        let tea = shop::tea_stream();
        pen.command("merchant:ana", vec![(tea.clone(), shop::received(50)), (tea, StockEvent::from(typed).into())]);
        purchase(&mut pen, &persons, 1, ana, "ana@example.com").await;
        purchase(&mut pen, &persons, 2, ben, "ben@example.com").await;
        assert_eq!(pen.events().len() as u64, EVENTS);
        let desk = Desk::with(&pen).await;
        Self { desk, persons, ana, ben, key: key.to_base64(), vault, _folder: folder }
    }

    /// `export-person` with the vault, of whoever it is.
    fn export(&self, whose: PersonId, args: &[&str]) -> Output {
        let environment = [("DAYBOOK_VAULT", self.vault.as_str()), ("DAYBOOK_VAULT_KEY", self.key.as_str())];
        self.desk.run_where(&environment, &[&["export-person", &whose.to_string()], args].concat())
    }

    /// What is said of one that must be refused, after which the log must be as it was.
    fn refusal(&self, whose: PersonId, args: &[&str]) -> String {
        let output = self.export(whose, args);
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        self.nothing_was_written();
        String::from_utf8(output.stderr).unwrap()
    }

    fn nothing_was_written(&self) {
        let said = self.desk.refusal(&["show", &(EVENTS + 1).to_string()]);
        assert!(said.contains(&format!("the log ends at position {EVENTS}")), "{said}");
    }
}

fn cart(order: u128) -> StreamId {
    StreamId::new("cart", id(2_000_000 + order))
}

fn address(line1: &str) -> Address {
    Address {
        name: "A Buyer".to_owned(),
        line1: line1.to_owned(),
        line2: None,
        city: "Porto".to_owned(),
        postal_code: None,
        region: None,
        country: CountryCode::new("PT").unwrap(),
        phone: None,
    }
}

/// A cart that becomes an order, with its payment: seven events, two of them with what is about the buyer, sealed.
async fn purchase(pen: &mut Pen, persons: &Persons, order: u128, whose: PersonId, email: &str) {
    let at = Timestamp::from_timestamp(1_767_225_600, 0).unwrap();
    let cart_event = |event: CartEvent| (cart(order), CommerceEvent::from(event));
    let (currency, cart_id) = (shop::eur(0).currency, CartId(id(2_000_000 + order)));
    let email = Some(persons.seal(whose, &email.to_owned()).await.unwrap());
    let shipping_address = Some(persons.seal(whose, &address(&format!("Kai {order}"))).await.unwrap());
    let created = CartCreated { cart_id, currency, customer_id: None, expires_at: at };
    let details = CartDetailsSet {
        email: email.clone(),
        shipping_address: shipping_address.clone(),
        billing_address: None,
        country: None,
        shipping_method: None,
        coupon_codes: None,
        expires_at: at,
    };
    pen.command("shopper", vec![cart_event(created.into()), cart_event(details.into())]);
    let placed = OrderPlaced { cart_id: Some(cart_id), email, shipping_address, ..shop::placed(order) };
    let checked_out = CartCheckedOut { order_id: OrderId(id(order)) };
    let placed = (shop::order_stream(order), shop::order(placed));
    let opened = (shop::payment_stream(order), shop::opened(order));
    pen.command("shopper", vec![placed, opened, cart_event(checked_out.into())]);
    let payment = shop::payment_stream(order);
    let taken = [shop::authorised(shop::eur(1200)), shop::captured(shop::eur(1200))];
    pen.command("process:orders", taken.map(|event| (payment.clone(), event)).to_vec());
}

fn parsed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The data of an event of a stream in a copy, each from 0.
fn data(copy: &Value, stream: usize, event: usize) -> &Value {
    &copy["streams"][stream]["events"][event]["data"]
}

#[tokio::test]
async fn a_person_is_told_with_their_cart_order_and_payment_opened_and_the_log_says_who_took_it() {
    let counter = Counter::with_two_purchases().await;
    let output = counter.export(counter.ana, &["--record-as", "eva", "--reason", "CASE-7", "--json"]);
    let copy = parsed(&output);
    let streams: Vec<_> = copy["streams"].as_array().unwrap().iter().map(|stream| stream["stream"].clone()).collect();
    let hers = [cart(1), shop::order_stream(1), shop::payment_stream(1)].map(|stream| json!(stream.to_string()));
    assert_eq!(streams, hers);
    assert_eq!((&copy["from"], &copy["to"], &copy["events"]), (&json!(1), &json!(EVENTS), &json!(7)));
    for entered in [data(&copy, 0, 1), data(&copy, 1, 0)] {
        let told = (&entered["email"], &entered["shipping_address"]["line1"]);
        assert_eq!(told, (&json!("ana@example.com"), &json!("Kai 1")), "{entered}");
    }
    let captured = (&copy["streams"][2]["events"][2]["type"], &data(&copy, 2, 2)["amount"]);
    assert_eq!(captured, (&json!("PaymentCaptured"), &json!(shop::eur(1200))));
    let text = String::from_utf8(output.stdout).unwrap();
    for of_another in ["ben@example.com", "Kai 2", &counter.ben.to_string(), "sealed:1:", "<sealed"] {
        assert!(!text.contains(of_another), "{of_another} is in {text}");
    }
    let shown = counter.desk.json(&["show", &(EVENTS + 1).to_string()]);
    assert_eq!((&shown["type"], &shown["metadata"]["actor"]), (&json!("DataExported"), &json!("operator:eva")));
    let taken = format!("person/{}", counter.ana);
    let export = json!({ "exporter": "operator:eva", "what": taken, "format": "json", "reason": "CASE-7" });
    assert_eq!(shown["payload"], export);
}

#[tokio::test]
async fn a_copy_in_a_file_is_the_whole_one_and_only_its_owner_can_read_it() {
    let counter = Counter::with_two_purchases().await;
    let said = parsed(&counter.export(counter.ben, &["--record-as", "eva", "--out", "ben.json", "--json"]));
    assert_eq!((&said["events"], &said["out"]), (&json!(7), &json!("ben.json")));
    let path = counter.desk.path("ben.json");
    let copy: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&copy["person"], &data(&copy, 1, 0)["email"]), (&json!(counter.ben.to_string()), &json!("ben@example.com")));
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(counter.desk.json(&["show", &(EVENTS + 1).to_string()])["type"], "DataExported");
}

#[tokio::test]
async fn without_the_vault_what_is_sealed_stays_so_and_nobody_has_to_say_who_they_are() {
    let counter = Counter::with_two_purchases().await;
    let copy = counter.desk.json(&["export-person", &counter.ana.to_string()]);
    let sealed = json!(format!("<sealed for person {}>", counter.ana));
    assert_eq!((&copy["events"], &data(&copy, 0, 1)["email"], &data(&copy, 1, 0)["email"]), (&json!(7), &sealed, &sealed));
    assert!(!copy.to_string().contains("ana@example.com"), "{copy}");
    counter.nothing_was_written();
}

#[tokio::test]
async fn of_somebody_erased_the_vault_opens_nothing_any_more() {
    let counter = Counter::with_two_purchases().await;
    counter.persons.destroy_key(counter.ana).await.unwrap();
    let copy = parsed(&counter.export(counter.ana, &["--record-as", "eva", "--json"]));
    assert_eq!(data(&copy, 1, 0)["email"], format!("<person {} was erased>", counter.ana));
}

#[tokio::test]
async fn what_is_refused_is_neither_handed_out_nor_written_down() {
    let counter = Counter::with_two_purchases().await;
    let ana = counter.ana;
    assert!(counter.refusal(ana, &[]).contains("with --record-as NAME"));
    assert!(counter.refusal(ana, &["--reason", "CASE-7"]).contains("--record-as"));
    assert!(counter.refusal(ana, &["--record-as", " "]).contains("names nobody"));
    let stranger = PersonId(id(77));
    let said = counter.refusal(stranger, &["--record-as", "eva", "--out", "ana.json"]);
    assert!(said.contains(&format!("the log has nothing about person {stranger}")), "{said}");
    // Words about somebody are no reason, and the file that was made for the copy goes away again.
    let words = ["--record-as", "eva", "--reason", "Ana Ruiz asked", "--out", "ana.json"];
    assert!(counter.refusal(ana, &words).contains("reason"));
    assert!(!counter.desk.path("ana.json").exists());
    std::fs::write(counter.desk.path("ana.json"), "a letter").unwrap();
    let said = counter.refusal(ana, &["--record-as", "eva", "--out", "ana.json"]);
    assert!(said.contains("ana.json is there already"), "{said}");
    assert_eq!(std::fs::read(counter.desk.path("ana.json")).unwrap(), b"a letter");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_hands_out_nothing_readable() {
    let counter = Counter::with_two_purchases().await;
    counter.desk.text(&["export", "--out", "shop.jsonl"]);
    let of_the_export = ["--log", "jsonl:shop.jsonl", "--record-as", "eva", "--out", "ana.json"];
    let said = counter.refusal(counter.ana, &of_the_export);
    assert!(said.contains("could not be written to the log, so it is not made"), "{said}");
    assert!(!counter.desk.path("ana.json").exists());
    let told = counter.desk.text(&["export-person", &counter.ana.to_string(), "--log", "jsonl:shop.jsonl"]);
    assert!(told.contains(&format!("<sealed for person {}>", counter.ana)), "{told}");
}

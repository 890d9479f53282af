//! The rules of payments, one by one. At every moment: authorised ≥ captured ≥ refunded.

use cqrs_es::test::{AggregateTestExecutor, TestFramework};
use domain::{GatewayOutcome, Payment, PaymentCommand, PaymentRefusal};
use event_schemas::{
    Money, OrderId, PaymentActionRequired, PaymentAuthorised, PaymentCaptureRequested, PaymentCaptured,
    PaymentConfirmationRequested, PaymentDeclined, PaymentDisputeClosed, PaymentDisputed, PaymentEvent, PaymentExpired,
    PaymentId, PaymentOpened, PaymentRefundFailed, PaymentRefundRequested, PaymentRefunded, PaymentVoidRequested, PaymentVoided,
    RefundId,
};

use crate::shop::{currency, eur, id};

fn opened() -> PaymentEvent {
    let (payment_id, order_id) = (PaymentId(id(1)), OrderId(id(2)));
    PaymentOpened { payment_id, order_id, amount: eur(1_000), gateway: "sandbox".to_owned(), method: None }.into()
}

fn asked(minor: i64) -> PaymentEvent {
    let (token, gateway) = ("tok".to_owned(), "sandbox".to_owned());
    PaymentConfirmationRequested { token, capture: true, amount: eur(minor), gateway }.into()
}

fn authorised(minor: i64) -> PaymentEvent {
    PaymentAuthorised { amount: eur(minor), gateway_reference: "auth".to_owned(), expires_at: None }.into()
}

fn captured(minor: i64) -> PaymentEvent {
    PaymentCaptured { amount: eur(minor), gateway_reference: "cap".to_owned() }.into()
}

fn refund_requested(number: u128, minor: i64) -> PaymentEvent {
    let (reason, gateway) = ("broken".to_owned(), "sandbox".to_owned());
    PaymentRefundRequested { refund_id: RefundId(id(number)), amount: eur(minor), reason, gateway }.into()
}

fn refunded(number: u128, minor: i64) -> PaymentEvent {
    let gateway_reference = format!("ref-{number}");
    PaymentRefunded { refund_id: RefundId(id(number)), amount: eur(minor), gateway_reference }.into()
}

fn given(events: &[PaymentEvent]) -> AggregateTestExecutor<Payment> {
    let mut all = vec![opened()];
    all.extend_from_slice(events);
    TestFramework::<Payment>::with(()).given(all)
}

fn confirm() -> PaymentCommand {
    PaymentCommand::Confirm { token: "tok".to_owned(), capture: true }
}

fn capture(minor: i64) -> PaymentCommand {
    PaymentCommand::RequestCapture { amount: Some(eur(minor)) }
}

fn refund(number: u128, amount: Option<Money>) -> PaymentCommand {
    PaymentCommand::RequestRefund { refund_id: RefundId(id(number)), amount, reason: "broken".to_owned() }
}

fn hears(outcome: GatewayOutcome) -> PaymentCommand {
    PaymentCommand::Record(outcome)
}

fn says_captured(minor: i64) -> PaymentCommand {
    hears(GatewayOutcome::Captured { amount: eur(minor), gateway_reference: "cap".to_owned() })
}

fn says_authorised(minor: i64) -> PaymentCommand {
    hears(GatewayOutcome::Authorised { amount: eur(minor), gateway_reference: "auth".to_owned(), expires_at: None })
}

fn says_declined() -> PaymentCommand {
    hears(GatewayOutcome::Declined { code: "no_funds".to_owned(), message: "try another card".to_owned() })
}

fn declined() -> PaymentEvent {
    PaymentDeclined { code: "no_funds".to_owned(), message: "try another card".to_owned() }.into()
}

fn says_refunded(number: u128, minor: i64) -> PaymentCommand {
    let gateway_reference = format!("ref-{number}");
    hears(GatewayOutcome::Refunded { refund_id: RefundId(id(number)), amount: eur(minor), gateway_reference })
}

#[test]
fn confirming_asks_the_gateway_once_for_what_is_due() {
    given(&[]).when(confirm()).then_expect_events(vec![asked(1_000)]);
    given(&[asked(1_000)]).when(confirm()).then_expect_error(PaymentRefusal::InProgress);
    given(&[captured(1_000)]).when(confirm()).then_expect_error(PaymentRefusal::AlreadyPaid);
    given(&[captured(400)]).when(confirm()).then_expect_events(vec![asked(600)]);
    given(&[PaymentExpired {}.into()]).when(confirm()).then_expect_error(PaymentRefusal::Expired);
    let blank = PaymentCommand::Confirm { token: " ".to_owned(), capture: true };
    given(&[]).when(blank).then_expect_error(PaymentRefusal::NoToken);
}

#[test]
fn after_a_decline_or_while_the_buyer_has_to_act_another_means_of_payment_may_be_tried() {
    given(&[asked(1_000), declined()]).when(confirm()).then_expect_events(vec![asked(1_000)]);
    let action = PaymentActionRequired { action_url: "https://bank.example".to_owned(), gateway_reference: "a".to_owned() };
    given(&[asked(1_000), action.into()]).when(confirm()).then_expect_events(vec![asked(1_000)]);
}

#[test]
fn what_a_gateway_says_twice_is_applied_once() {
    given(&[asked(1_000)]).when(says_captured(1_000)).then_expect_events(vec![captured(1_000)]);
    given(&[asked(1_000), captured(1_000)]).when(says_captured(1_000)).then_expect_events(vec![]);
    given(&[authorised(1_000)]).when(says_authorised(1_000)).then_expect_events(vec![]);
    given(&[asked(1_000), declined()]).when(says_declined()).then_expect_events(vec![]);
    given(&[captured(1_000), refunded(1, 300)]).when(says_refunded(1, 300)).then_expect_events(vec![]);
    let voided = || hears(GatewayOutcome::Voided { gateway_reference: "v".to_owned() });
    let once: PaymentEvent = PaymentVoided { gateway_reference: "v".to_owned() }.into();
    given(&[authorised(1_000)]).when(voided()).then_expect_events(vec![once.clone()]);
    given(&[authorised(1_000), once]).when(voided()).then_expect_events(vec![]);
}

#[test]
fn a_webhook_that_comes_before_the_one_it_follows_ends_in_the_same_state() {
    let fold = |events: &[PaymentEvent]| {
        let mut payment = Payment::default();
        [opened()].iter().chain(events).for_each(|event| payment.evolve(event));
        payment
    };
    assert_eq!(fold(&[authorised(1_000), captured(1_000)]), fold(&[captured(1_000), authorised(1_000)]));
    given(&[captured(1_000)]).when(says_declined()).then_expect_events(vec![]);
}

#[test]
fn no_more_is_taken_than_is_held() {
    let asked: PaymentEvent = PaymentCaptureRequested { amount: eur(600), gateway: "sandbox".to_owned() }.into();
    given(&[authorised(1_000)]).when(capture(600)).then_expect_events(vec![asked.clone()]);
    let refusal = PaymentRefusal::CaptureExceedsHeld { held: eur(400), requested: eur(600) };
    given(&[authorised(1_000), asked.clone()]).when(capture(600)).then_expect_error(refusal.clone());
    given(&[authorised(1_000), asked, captured(600)]).when(capture(600)).then_expect_error(refusal);
    given(&[]).when(capture(1)).then_expect_error(PaymentRefusal::NothingHeld);
    given(&[authorised(1_000)]).when(capture(-1)).then_expect_error(PaymentRefusal::NothingToPay);
    let rest = PaymentCaptureRequested { amount: eur(700), gateway: "sandbox".to_owned() };
    let all = PaymentCommand::RequestCapture { amount: None };
    given(&[authorised(1_000), captured(300)]).when(all).then_expect_events(vec![rest.into()]);
}

#[test]
fn a_hold_is_let_go_once_and_not_while_it_is_being_taken() {
    let void = || PaymentCommand::RequestVoid { reason: "test".to_owned() };
    let requested: PaymentEvent = PaymentVoidRequested { reason: "test".to_owned(), gateway: "sandbox".to_owned() }.into();
    given(&[authorised(1_000)]).when(void()).then_expect_events(vec![requested.clone()]);
    given(&[authorised(1_000), requested.clone()]).when(void()).then_expect_events(vec![]);
    given(&[authorised(1_000), requested]).when(capture(1)).then_expect_error(PaymentRefusal::InProgress);
    given(&[]).when(void()).then_expect_error(PaymentRefusal::NothingHeld);
    let capturing = PaymentCaptureRequested { amount: eur(600), gateway: "sandbox".to_owned() };
    given(&[authorised(1_000), capturing.into()]).when(void()).then_expect_error(PaymentRefusal::InProgress);
}

#[test]
fn no_more_goes_back_than_was_taken_counting_what_is_on_its_way() {
    given(&[captured(1_000)]).when(refund(1, Some(eur(400)))).then_expect_events(vec![refund_requested(1, 400)]);
    let pending = [captured(1_000), refund_requested(1, 400)];
    let refusal = PaymentRefusal::RefundExceedsCaptured { refundable: eur(600), requested: eur(601) };
    given(&pending).when(refund(2, Some(eur(601)))).then_expect_error(refusal);
    given(&pending).when(refund(2, None)).then_expect_events(vec![refund_requested(2, 600)]);
    given(&[]).when(refund(1, None)).inspect_result().unwrap_err();
    given(&[captured(1_000)]).when(refund(1, Some(eur(0)))).then_expect_error(PaymentRefusal::NothingToPay);
}

#[test]
fn a_refund_asked_for_twice_is_one_refund() {
    let pending = [captured(1_000), refund_requested(1, 400)];
    given(&pending).when(refund(1, Some(eur(400)))).then_expect_events(vec![]);
    given(&pending).when(refund(1, Some(eur(500)))).then_expect_error(PaymentRefusal::RefundExists);
}

#[test]
fn a_refund_that_failed_can_be_asked_for_again_under_another_id() {
    let failed = PaymentRefundFailed { refund_id: RefundId(id(1)), reason: "account closed".to_owned() };
    let events = [captured(1_000), refund_requested(1, 1_000), failed.clone().into()];
    given(&events).when(refund(2, None)).then_expect_events(vec![refund_requested(2, 1_000)]);
    let says = || hears(GatewayOutcome::RefundFailed { refund_id: RefundId(id(1)), reason: "account closed".to_owned() });
    given(&events[..2]).when(says()).then_expect_events(vec![failed.into()]);
    given(&events).when(says()).then_expect_events(vec![]);
}

#[test]
fn a_gateway_that_says_it_refunded_more_than_was_taken_is_not_believed() {
    let refusal = PaymentRefusal::RefundExceedsCaptured { refundable: eur(1_000), requested: eur(1_001) };
    given(&[captured(1_000)]).when(says_refunded(1, 1_001)).then_expect_error(refusal);
    given(&[captured(1_000)]).when(says_refunded(1, 1_000)).then_expect_events(vec![refunded(1, 1_000)]);
}

#[test]
fn money_in_dispute_cannot_be_refunded_and_a_lost_dispute_takes_it_for_good() {
    let disputed: PaymentEvent = PaymentDisputed { amount: eur(800), reason: "fraud".to_owned() }.into();
    let lost: PaymentEvent = PaymentDisputeClosed { won: false, amount: eur(800) }.into();
    let refusal = PaymentRefusal::RefundExceedsCaptured { refundable: eur(200), requested: eur(300) };
    given(&[captured(1_000), disputed.clone()]).when(refund(1, Some(eur(300)))).then_expect_error(refusal.clone());
    given(&[captured(1_000), disputed.clone(), lost.clone()]).when(refund(1, Some(eur(300)))).then_expect_error(refusal);
    let dispute = || hears(GatewayOutcome::Disputed { amount: eur(800), reason: "fraud".to_owned() });
    given(&[captured(1_000)]).when(dispute()).then_expect_events(vec![disputed.clone()]);
    given(&[captured(1_000), disputed.clone()]).when(dispute()).then_expect_events(vec![]);
    given(&[captured(1_000), disputed]).when(hears(GatewayOutcome::DisputeClosed { won: false })).then_expect_events(vec![lost]);
}

#[test]
fn amounts_of_another_currency_or_of_nothing_are_refused() {
    let yen = Money::new(1_000, currency("JPY"));
    let refusal = PaymentRefusal::CurrencyMismatch { payment: currency("EUR"), requested: currency("JPY") };
    let outcome = GatewayOutcome::Captured { amount: yen, gateway_reference: "cap".to_owned() };
    given(&[]).when(hears(outcome)).then_expect_error(refusal.clone());
    given(&[captured(1_000)]).when(refund(1, Some(yen))).then_expect_error(refusal);
    given(&[]).when(says_captured(0)).then_expect_error(PaymentRefusal::NothingToPay);
    given(&[captured(i64::MAX - 1)])
        .when(hears(GatewayOutcome::Captured { amount: eur(2), gateway_reference: "more".to_owned() }))
        .then_expect_error(PaymentRefusal::AmountTooLarge);
}

#[test]
fn money_that_arrives_after_the_payment_expired_is_still_recorded() {
    given(&[PaymentExpired {}.into()]).when(says_captured(1_000)).then_expect_events(vec![captured(1_000)]);
}

#[test]
fn a_payment_that_was_taken_does_not_expire() {
    given(&[captured(1_000)]).when(PaymentCommand::Expire).then_expect_events(vec![]);
    given(&[authorised(1_000)]).when(PaymentCommand::Expire).then_expect_events(vec![PaymentExpired {}.into()]);
    TestFramework::<Payment>::with(())
        .given_no_previous_events()
        .when(PaymentCommand::Expire)
        .then_expect_error(PaymentRefusal::NotFound);
}

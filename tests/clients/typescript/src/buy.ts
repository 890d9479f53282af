// A guest buys the first product that is in stock, and is told what a rule forbids, with types all the way.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { Refused, Shop, present } from "./client.js";
import {
  AddCartLinesDocument,
  CheckoutDocument,
  ConfirmPaymentDocument,
  CreateCartDocument,
  ProductsDocument,
  SetCartDetailsDocument,
  TrackOrderDocument,
  type AddressInput,
} from "./shop.generated.js";

const shop = new Shop(present(process.env["SHOP_URL"], "SHOP_URL"));
const home: AddressInput = { name: "Ben", line1: "Kai 1", city: "Hamburg", postalCode: "20457", country: "DE" };

const { products } = await shop.ask(ProductsDocument, { first: 5, currency: "EUR" });
const variants = products.nodes.flatMap((product) => product.variants);
const chosen = present(
  variants.find((variant) => variant.availability.available > 0 && variant.price),
  "variant in stock",
);

const { cartCreate } = await shop.ask(CreateCartDocument, { input: { currency: "EUR" } });
const cart = present(shop.done(cartCreate).cart, "cart");

const added = await shop.ask(AddCartLinesDocument, { input: { cartId: cart.id, lines: [{ sku: chosen.sku, quantity: 1 }] } });
const filled = present(shop.done(added.cartLinesAdd).cart, "cart");
assert.deepEqual(
  filled.lines.map((line) => [line.sku, line.quantity, line.unitPrice.amount]),
  [[chosen.sku, 1, present(chosen.price, "price").amount]],
);

const early = await shop.ask(CheckoutDocument, { input: { cartId: cart.id } });
assert.throws(() => shop.done(early.cartCheckout), new Refused(["EMAIL_REQUIRED"]));

const { cartUpdate } = await shop.ask(SetCartDetailsDocument, {
  input: { cartId: cart.id, email: "ben@example.com", shippingAddress: home, shippingMethod: "standard" },
});
shop.done(cartUpdate);

// Sent twice under one key, as after a lost answer: it is one order.
const checkout = { input: { cartId: cart.id, idempotencyKey: randomUUID() } };
const first = await shop.ask(CheckoutDocument, checkout);
const second = await shop.ask(CheckoutDocument, checkout);
const order = present(shop.done(first.cartCheckout).order, "order");
assert.equal(present(shop.done(second.cartCheckout).order, "order").id, order.id);
const payment = present(first.cartCheckout.payment, "payment");

const { paymentConfirm } = await shop.ask(ConfirmPaymentDocument, { input: { paymentId: payment.id, token: "sandbox_card" } });
const status = present(shop.done(paymentConfirm).payment, "payment").status;
assert.ok(status === "CAPTURED" || status === "PROCESSING", status);

// The gateway is asked beside the answer: mostly it was faster, but a shop that has just been started may be busy for a while.
const track = async () => present((await shop.ask(TrackOrderDocument, { id: order.id })).order, "order");
const patience = Date.now() + 60_000;
let tracked = await track();
while (tracked.status !== "PAID" && Date.now() < patience) {
  await setTimeout(200);
  tracked = await track();
}
assert.deepEqual([tracked.number, tracked.status, tracked.lines.length], [order.number, "PAID", 1]);
assert.equal(tracked.total.gross.amount, payment.amount.amount);
console.log(`bought ${tracked.lines[0]?.title ?? ""} as ${tracked.number} for ${tracked.total.gross.amount}`);

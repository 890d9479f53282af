// Mistakes that must not compile: each would reach the shop if the generated types let it. This is never run.
import type { Shop } from "./client.js";
import { CheckoutDocument, OrderAsOfDocument, ProductsDocument, TrackOrderDocument } from "./shop.generated.js";

export async function mistakes(shop: Shop): Promise<void> {
  // @ts-expect-error: an input that is missing
  await shop.ask(CheckoutDocument, {});
  // @ts-expect-error: a field that the input does not have
  await shop.ask(CheckoutDocument, { input: { cart: "Cart/1" } });
  // @ts-expect-error: a number where the shop wants an id
  await shop.ask(TrackOrderDocument, { id: 7 });
  // @ts-expect-error: text where the shop wants a number
  await shop.ask(OrderAsOfDocument, { id: "Order/1", asOf: { position: "7" } });
  const { products } = await shop.ask(ProductsDocument, { first: 5, currency: "EUR" });
  // @ts-expect-error: a variant may have no price in a currency
  products.nodes[0]?.variants[0]?.price.amount;
  // @ts-expect-error: a field that was not asked for
  products.nodes[0]?.description;
  const { order } = await shop.ask(TrackOrderDocument, { id: "Order/1" });
  // @ts-expect-error: no order has that status
  if (order?.status === "SHIPED") throw new Error("a status that there is not");
}

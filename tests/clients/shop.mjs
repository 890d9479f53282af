// The shop that the tests are given, and what they all ask of it.
import assert from "node:assert/strict";
import { test } from "node:test";

export const url = process.env.SHOP_URL;

/** What an auditor's Authorization header says. */
export const auditor = `Bearer ${process.env.AUDITOR_TOKEN}`;

/** A subscription to everything that happens after a position. */
export const eventsAfter = (position) => ({
  query: "subscription($from: Long!) { events(fromPosition: $from) { position type } }",
  variables: { from: position },
});

/** Makes a cart; gives the position of its event. */
export async function makeCart() {
  const query = 'mutation { cartCreate(input: { currency: "EUR" }) { position } }';
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query }),
  });
  return (await response.json()).data.cartCreate.position;
}

/** The next answers of an operation, which goes on; fewer if it ends. */
export async function take(count, answers) {
  const taken = [];
  while (taken.length < count) {
    const { done, value } = await answers.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

/** All answers of an operation that ends by itself. */
export const all = (answers) => take(Infinity, answers);

/** The positions of events that a subscription answered with. */
export const positions = (answers) => answers.map((answer) => answer.data.events.position);

/** Runs tests, each with a client of its own, which is closed whatever becomes of the test. */
export const tester = (createClient) => (name, options, body) =>
  test(name, { timeout: 60_000 }, async () => {
    const client = createClient(options);
    try {
      await body(client);
    } finally {
      await client.dispose();
    }
  });

/** A query and a mutation give a client one answer each, and end. */
export async function answersOnce(client) {
  const [answer, ...more] = await all(client.iterate({ query: "{ me { role } }" }));
  assert.deepEqual([answer.data, more], [{ me: { role: "CUSTOMER" } }, []]);
  const made = await all(client.iterate({ query: 'mutation { cartCreate(input: { currency: "EUR" }) { position } }' }));
  assert.ok(made.length === 1 && made[0].data.cartCreate.position > 0);
}

/** A subscription tells a client what it missed, and then what happens. */
export async function tellsWhatWasMissed(client) {
  const made = [await makeCart(), await makeCart()];
  const answers = client.iterate(eventsAfter(made[0] - 1));
  assert.deepEqual(positions(await take(2, answers)), made);
  const later = await makeCart();
  assert.deepEqual(positions(await take(1, answers)), [later]);
}

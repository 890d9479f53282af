// The shop that the tests are given, and what they all ask of it.
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

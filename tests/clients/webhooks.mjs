// A receiver of webhooks that checks them with the library of Standard Webhooks, as docs/api/webhooks.md shows.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { makeCart, url } from "./shop.mjs";

/** What a merchant asks of the shop: the payload of a mutation with one input, which must be carried out. */
async function mutate(name, type, selection, input) {
  const query = `mutation($input: ${type}!) { ${name}(input: $input) { ${selection} userErrors { code message } } }`;
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${process.env.MERCHANT_TOKEN}` },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const answer = await response.json();
  assert.deepEqual(answer.data?.[name].userErrors, [], JSON.stringify(answer));
  return answer.data[name];
}

/** Receives messages in the order in which they come. The first `failing` of them are answered 500. */
async function receiver(failing = 0) {
  const [kept, waiting] = [[], []];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const message = { headers: request.headers, body: Buffer.concat(chunks).toString() };
    const next = waiting.shift();
    if (next) next(message);
    else kept.push(message);
    response.writeHead(failing-- > 0 ? 500 : 204).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const next = () => (kept.length ? Promise.resolve(kept.shift()) : new Promise((resolve) => waiting.push(resolve)));
  return { url: `http://127.0.0.1:${server.address().port}/daybook`, next, close: () => server.close() };
}

/** Runs a test with a receiver that the shop tells of new carts. */
const told = (name, body, failing = 0) =>
  test(name, { timeout: 60_000 }, async () => {
    const here = await receiver(failing);
    try {
      const input = { url: here.url, types: ["cart.created"], label: "A test" };
      const { webhook, secret } = await mutate("webhookCreate", "WebhookCreateInput", "webhook { id } secret", input);
      await body({ webhookId: webhook.id, secret, next: here.next });
      await mutate("webhookRemove", "WebhookRemoveInput", "position", { webhookId: webhook.id });
    } finally {
      here.close();
    }
  });

told("the library takes what the shop sends, which tells what happened", async ({ secret, next }) => {
  const made = [await makeCart(), await makeCart(), await makeCart()];
  const seen = [];
  for (const _ of made) {
    const { headers, body } = await next();
    const event = new Webhook(secret).verify(body, headers);
    const { position, stream, eventType, sequence } = event.data;
    assert.deepEqual([event.type, eventType, sequence], ["cart.created", "CartCreated", 1]);
    assert.match(stream, /^cart\//);
    assert.ok(Math.abs(Date.now() - Date.parse(event.timestamp)) < 300_000, event.timestamp);
    seen.push(position);
  }
  // Carts are streams of their own, which come side by side.
  assert.deepEqual(seen.sort((one, other) => one - other), made);
});

told("the library refuses a message that was changed, is old or is of another secret", async ({ secret, next }) => {
  await makeCart();
  const { headers, body } = await next();
  const webhook = new Webhook(secret);
  webhook.verify(body, headers);
  const long = Number(headers["webhook-timestamp"]) - 600;
  const other = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  for (const [by, changed, sent] of [
    [webhook, { ...headers, "webhook-id": `${headers["webhook-id"]}0` }, body],
    [webhook, { ...headers, "webhook-timestamp": String(long) }, body],
    [webhook, { ...headers, "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=" }, body],
    [webhook, headers, body.replace("cart.created", "cart.removed")],
    [new Webhook(other), headers, body],
  ]) {
    assert.throws(() => by.verify(sent, changed), WebhookVerificationError);
  }
});

told("for a day after a rotation the library takes messages by the old secret and by the new one", async (hook) => {
  const selection = "secret";
  const rotated = await mutate("webhookSecretRotate", "WebhookSecretRotateInput", selection, { webhookId: hook.webhookId });
  assert.notEqual(rotated.secret, hook.secret);
  await makeCart();
  const { headers, body } = await hook.next();
  for (const secret of [hook.secret, rotated.secret]) new Webhook(secret).verify(body, headers);
});

const again = "a message that was not taken comes again, with the same id, and the library takes it";
told(again, async ({ secret, next }) => {
  const position = await makeCart();
  const tries = [await next(), await next()].map(({ headers, body }) => ({
    id: headers["webhook-id"],
    at: Number(headers["webhook-timestamp"]),
    position: new Webhook(secret).verify(body, headers).data.position,
  }));
  assert.deepEqual([tries[1].id, tries[1].position], [tries[0].id, position]);
  assert.ok(tries[1].at > tries[0].at, "each try has a time and a signature of its own");
}, 1);

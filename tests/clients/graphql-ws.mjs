// The client of graphql-ws, and the close codes of graphql-transport-ws through a plain socket.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, createClient } from "graphql-ws";
import WebSocket from "ws";
import { all, answersOnce, auditor, eventsAfter, makeCart, positions, take, tellsWhatWasMissed, tester, url } from "./shop.mjs";

const address = `${url.replace("http", "ws")}/graphql`;
const me = { query: "{ me { role } }" };

const withClient = tester((options) => createClient({ url: address, webSocketImpl: WebSocket, retryAttempts: 0, ...options }));

/** The next time that something happens to a client. */
const happens = (client, event) => new Promise((resolve) => client.on(event, resolve));

const asAuditor = { connectionParams: { Authorization: auditor } };

withClient("a query and a mutation give one answer and end", {}, answersOnce);

withClient("a subscriber is told what it missed and then what happens", asAuditor, tellsWhatWasMissed);

withClient("a subscriber goes on where it was over another connection", asAuditor, async (client) => {
  const made = [await makeCart(), await makeCart(), await makeCart()];
  const seen = positions(await take(1, client.iterate(eventsAfter(made[0] - 1))));
  const other = createClient({ url: address, webSocketImpl: WebSocket, retryAttempts: 0, ...asAuditor });
  try {
    seen.push(...positions(await take(2, other.iterate(eventsAfter(seen.at(-1))))));
  } finally {
    await other.dispose();
  }
  assert.deepEqual(seen, made);
});

withClient("what cannot run is an error for its subscriber alone", { lazy: false }, async (client) => {
  let connections = 0;
  client.on("connected", () => (connections += 1));
  await happens(client, "connected");
  await assert.rejects(all(client.iterate({ query: "{ nothing }" })), ([error]) => {
    assert.equal(error.extensions.code, "GRAPHQL_VALIDATION_FAILED");
    return true;
  });
  assert.deepEqual((await all(client.iterate(me)))[0].data, { me: { role: "CUSTOMER" } });
  assert.equal(connections, 1);
});

withClient("what a caller may not follow is an answer with an error", {}, async (client) => {
  const [answer] = await all(client.iterate(eventsAfter(0)));
  assert.equal(answer.errors[0].extensions.code, "FORBIDDEN");
});

withClient("the client's pings are answered", { keepAlive: 50, lazy: false }, async (client) => {
  await happens(client, "pong");
});

const forged = { connectionParams: { Authorization: "Bearer nonsense" } };
withClient("a forged token closes the connection", forged, async (client) => {
  await assert.rejects(all(client.iterate(me)), { code: CloseCode.Forbidden });
});

/** What a plain socket is told when it sends messages at once: the messages, then the close code. */
async function told(messages, protocol = GRAPHQL_TRANSPORT_WS_PROTOCOL) {
  const socket = new WebSocket(address, protocol);
  const heard = [];
  socket.on("message", (text) => heard.push(JSON.parse(text)));
  const raw = (message) => typeof message === "string" || Buffer.isBuffer(message);
  socket.on("open", () => messages.forEach((message) => socket.send(raw(message) ? message : JSON.stringify(message))));
  const code = await new Promise((resolve, reject) => socket.on("close", resolve).on("error", reject));
  return { heard, code };
}

const init = { type: "connection_init" };
const subscribe = { type: "subscribe", id: "1", payload: { query: "{ me { role } }" } };
const initAsAuditor = { ...init, payload: { Authorization: auditor } };
const follow = { ...subscribe, payload: { query: "subscription { events { position } }" } };

const breaches = [
  ["text that is not JSON", ["{"], CloseCode.BadRequest],
  ["a message that is not an object", ["7"], CloseCode.BadRequest],
  ["a message of no type", [{}], CloseCode.BadRequest],
  ["a message of another type", [{ type: "start" }], CloseCode.BadRequest],
  ["bytes", [Buffer.from(JSON.stringify(init))], CloseCode.BadRequest],
  ["a payload of connection_init that is not an object", [{ ...init, payload: [] }], CloseCode.BadRequest],
  ["a payload of a ping that is not an object", [{ type: "ping", payload: "p" }], CloseCode.BadRequest],
  ["a payload of a pong that is not an object", [{ type: "pong", payload: 7 }], CloseCode.BadRequest],
  ["an operation without an id", [init, { ...subscribe, id: undefined }], CloseCode.BadRequest],
  ["an operation with an empty id", [init, { ...subscribe, id: "" }], CloseCode.BadRequest],
  ["an operation without a payload", [init, { ...subscribe, payload: undefined }], CloseCode.BadRequest],
  ["an operation without a query", [init, { ...subscribe, payload: {} }], CloseCode.BadRequest],
  ["variables that are no object", [init, { ...subscribe, payload: { query: "{ a }", variables: [] } }], CloseCode.BadRequest],
  ["a completion without an id", [init, { type: "complete" }], CloseCode.BadRequest],
  ["an operation before the handshake", [subscribe], CloseCode.Unauthorized],
  ["a second handshake", [init, init], CloseCode.TooManyInitialisationRequests],
  ["an id that is in use", [initAsAuditor, follow, follow], CloseCode.SubscriberAlreadyExists],
  ["no handshake", [], CloseCode.ConnectionInitialisationTimeout],
];

for (const [name, messages, expected] of breaches) {
  test(`${name} closes the connection with ${expected}`, { timeout: 60_000 }, async () => {
    assert.equal((await told(messages)).code, expected);
  });
}

test(`another subprotocol closes the connection with ${CloseCode.SubprotocolNotAcceptable}`, { timeout: 60_000 }, async () => {
  assert.equal((await told([], [])).code, CloseCode.SubprotocolNotAcceptable);
});

test("a client that has completed an operation hears no more of it", { timeout: 60_000 }, async () => {
  const messages = [initAsAuditor, follow, { type: "complete", id: "1" }, { type: "ping", payload: { n: 1 } }, init];
  const { heard, code } = await told(messages);
  assert.deepEqual(heard, [{ type: "connection_ack" }, { type: "pong", payload: { n: 1 } }]);
  assert.equal(code, CloseCode.TooManyInitialisationRequests);
});

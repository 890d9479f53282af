// The client of graphql-sse in its distinct connections mode: one request per operation.
import assert from "node:assert/strict";
import { createClient } from "graphql-sse";
import { all, answersOnce, auditor, eventsAfter, makeCart, positions, take, tellsWhatWasMissed, tester, url } from "./shop.mjs";

const me = { query: "{ me { role } }" };

const withClient = tester((options) => createClient({ url: `${url}/graphql`, retryAttempts: 0, ...options }));

const asAuditor = { headers: { Authorization: auditor } };

for (const path of ["/graphql", "/graphql/stream"]) {
  withClient(`a query and a mutation over ${path} give one answer and end`, { url: url + path }, answersOnce);
}

withClient("a subscriber is told what it missed and then what happens", asAuditor, tellsWhatWasMissed);

withClient("a subscriber goes on where it was after a break", asAuditor, async (client) => {
  const made = [await makeCart(), await makeCart(), await makeCart()];
  const answers = client.iterate(eventsAfter(made[0] - 1));
  const seen = positions(await take(1, answers));
  await answers.return();
  seen.push(...positions(await take(2, client.iterate(eventsAfter(seen.at(-1))))));
  assert.deepEqual(seen, made);
});

withClient("what cannot run is an answer with an error", {}, async (client) => {
  for (const [query, code] of [
    ["{", "GRAPHQL_PARSE_FAILED"],
    ["{ nothing }", "GRAPHQL_VALIDATION_FAILED"],
    ["subscription { events { position } }", "FORBIDDEN"],
  ]) {
    const [answer, ...more] = await all(client.iterate({ query }));
    assert.deepEqual([answer.errors[0].extensions.code, more], [code, []]);
  }
});

withClient("a forged token is refused", { headers: { Authorization: "Bearer nonsense" } }, async (client) => {
  await assert.rejects(all(client.iterate(me)), (error) => {
    assert.equal(error.response.status, 401);
    return true;
  });
});

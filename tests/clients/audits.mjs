// The audits of graphql-http: every MUST, SHOULD and MAY of GraphQL over HTTP, each a test of its own name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serverAudits } from "graphql-http";

const audits = serverAudits({ url: `${process.env.SHOP_URL}/graphql` });

test("the suite is there, with audits of each level", () => {
  const levels = new Set(audits.map((audit) => audit.name.split(" ")[0]));
  assert.deepEqual([...levels].sort(), ["MAY", "MUST", "SHOULD"]);
  assert.ok(audits.length >= 61, `${audits.length} audits`);
});

for (const audit of audits) {
  test(`${audit.id}: ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, "ok", result.reason);
  });
}

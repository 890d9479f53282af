// What the schema has become since the last release: nothing that breaks a client, but what is listed with its reason.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { buildSchema, findBreakingChanges, findDangerousChanges } from "graphql";

const read = (name) => readFileSync(process.env[name], "utf8");

/** What is wrong: changes that break clients and are not listed, and listed ones that there are not or that have no reason. */
function findings(released, now, listed) {
  const broken = findBreakingChanges(buildSchema(released), buildSchema(now)).map((change) => change.description);
  const allowed = listed.map((exception) => exception.change);
  return [
    ...broken.filter((change) => !allowed.includes(change)).map((change) => `breaks clients: ${change}`),
    ...allowed.filter((change) => !broken.includes(change)).map((change) => `listed, but there is no such change: ${change}`),
    ...listed.filter((exception) => !(exception.reason?.length > 10)).map(({ change }) => `listed without a reason: ${change}`),
  ];
}

test("the schema breaks no client of the last release but where it says why", () => {
  const [released, now] = [read("SCHEMA_RELEASED"), read("SCHEMA")];
  const dangerous = findDangerousChanges(buildSchema(released), buildSchema(now));
  for (const change of dangerous) console.log(`a client should expect this: ${change.description}`);
  assert.deepEqual(findings(released, now, JSON.parse(read("BREAKING_CHANGES"))), []);
});

test("a change that breaks clients is found unless it is listed with its reason", () => {
  const released = "type Query { order(id: ID!): Order } type Order { id: ID! status: Status! } enum Status { OPEN PAID }";
  const now = "type Query { order(id: ID!, shop: ID!): Order } type Order { id: ID! status: Status } enum Status { OPEN }";
  const found = findings(released, now, []);
  assert.equal(found.length, 3, found.join("\n"));
  const listed = found.map((finding) => ({ change: finding.replace("breaks clients: ", ""), reason: "it was wrong before" }));
  assert.deepEqual(findings(released, now, listed), []);
  assert.equal(findings(released, now, [{ ...listed[0], reason: "" }, ...listed.slice(1)]).length, 1);
  assert.equal(findings(released, released, listed).length, 3);
});

test("what is added breaks nothing", () => {
  const released = "type Query { order(id: ID!): ID }";
  assert.deepEqual(findings(released, "type Query { order(id: ID!, asOf: Int): ID orders: [ID!]! }", []), []);
});

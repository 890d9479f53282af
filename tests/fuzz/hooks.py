"""How schemathesis speaks to the shop: values of its scalars, ids of things that exist, and what no answer may be."""

import json
import os

import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes


def mostly(usual, odd):
    """One value in six is odd: an operation has many, and one that cannot be read hides what the others would do."""
    return st.one_of(usual, usual, usual, usual, usual, odd)


#: Ids, SKUs and names of things that exist.
KNOWN = json.loads(os.environ.get("FUZZ_KNOWN", '{"ids": [""], "texts": [""]}'))
TEXT = st.text(max_size=60)
WHOLE = mostly(
    st.integers(-3, 120),
    st.sampled_from([2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 10**40]),
)
ODD_MOMENTS = ["1969-12-31T23:59:60Z", "+262142-12-31T23:59:59Z", "2026-11-21T00:00:00+23:59", "9999-12-31T23:59:59.999999999Z"]
ODD_DAYS = ["0000-00-00", "2026-02-30", "-262143-01-01", "+262142-12-31"]
ODD_DECIMALS = ["0", "-0", "4.555", "1e9", ".5", "5.", "NaN", "99999999999999999999", "0." + "0" * 36 + "1"]
ODD_CODES = ["XXX", "eur", ""]

VALUES = {
    "String": mostly(st.sampled_from(KNOWN["texts"]), TEXT),
    "ID": mostly(st.sampled_from(KNOWN["ids"]), st.one_of(st.uuids().map(str), TEXT)),
    "CurrencyCode": mostly(st.sampled_from(["EUR", "GBP", "JPY", "KWD", "CLF"]), st.one_of(st.sampled_from(ODD_CODES), TEXT)),
    "Decimal": mostly(
        st.integers(0, 9999).map(lambda minor: f"{minor / 100:.2f}"), st.one_of(st.sampled_from(ODD_DECIMALS), TEXT)
    ),
    "NaiveDate": mostly(st.dates().map(str), st.one_of(st.sampled_from(ODD_DAYS), TEXT)),
    "DateTime": mostly(
        st.datetimes().map(lambda moment: moment.isoformat() + "Z"), st.one_of(st.sampled_from(ODD_MOMENTS), TEXT)
    ),
    "JSON": TEXT,
}
for name, values in VALUES.items():
    schemathesis.graphql.scalar(name, values.map(nodes.String))
schemathesis.graphql.scalar("Long", mostly(WHOLE.map(nodes.Int), WHOLE.map(lambda number: nodes.String(str(number)))))


@schemathesis.check
def answers_for_itself(ctx, response, case):
    """Whatever is asked, the answer is one of GraphQL, and nothing failed on the shop's side."""
    assert response.status_code < 500, f"status {response.status_code}"
    answer = response.json()
    assert "data" in answer or answer.get("errors"), "neither data nor errors"
    for error in answer.get("errors", []):
        assert error.get("extensions", {}).get("code"), f"an error without a code: {error}"
        assert error["extensions"]["code"] != "INTERNAL", f"it failed on our side: {error}"

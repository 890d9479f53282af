"""Reads an export with DuckDB, pandas (through pyarrow) and polars, and prints the same questions' answers, one JSON line each."""

import json
import sys

import duckdb
import pandas
import polars

FILE = sys.argv[1]


def answer(tool, events, by_type, quantity, last, first_recorded, scopes):
    found = {"events": int(events), "by_type": by_type, "quantity": int(quantity), "last": int(last),
             "first_recorded": first_recorded, "scopes": scopes}
    print(json.dumps({"tool": tool} | found, sort_keys=True))


def with_duckdb():
    ask = lambda sql: duckdb.sql(sql.replace("$file", f"'{FILE}'")).fetchall()
    events, last = ask("SELECT count(*), max(position) FROM $file")[0]
    by_type = dict(ask("SELECT event_type, count(*) FROM $file GROUP BY ALL"))
    quantity = ask("SELECT sum(CAST(payload->>'quantity' AS BIGINT)) FROM $file WHERE event_type = 'StockReserved'")[0][0]
    recorded = ask("SELECT epoch_us(min(recorded_at)) FROM $file")[0][0]
    scopes = [row[0] for row in ask("SELECT idempotency_scope FROM $file WHERE idempotency_scope IS NOT NULL")]
    answer("duckdb", events, by_type, quantity, last, recorded, scopes)


def with_pandas():
    table = pandas.read_parquet(FILE, engine="pyarrow")
    reserved = table[table.event_type == "StockReserved"]
    quantity = sum(json.loads(payload)["quantity"] for payload in reserved.payload)
    recorded = int((table.recorded_at.min() - pandas.Timestamp(0, tz="UTC")) / pandas.Timedelta(microseconds=1))
    answer("pandas", len(table), table.event_type.value_counts().to_dict(), quantity, table.position.max(), recorded,
           list(table.idempotency_scope.dropna()))


def with_polars():
    table = polars.read_parquet(FILE)
    reserved = table.filter(polars.col("event_type") == "StockReserved")
    quantity = sum(json.loads(payload)["quantity"] for payload in reserved["payload"])
    by_type = dict(table.group_by("event_type").len().iter_rows())
    recorded = table["recorded_at"].dt.epoch("us").min()
    answer("polars", table.height, by_type, quantity, table["position"].max(), recorded,
           table["idempotency_scope"].drop_nulls().to_list())


with_duckdb()
with_pandas()
with_polars()

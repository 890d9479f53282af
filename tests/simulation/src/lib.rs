//! Deterministic simulation of the engine, beside an independent model: see `tests/simulation/main.rs`.

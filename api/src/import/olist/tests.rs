//! Small Olist folders written by hand, and what becomes of them.

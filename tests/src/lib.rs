//! Stories over the whole shop: contract suites, crash tests and checks of the house itself.

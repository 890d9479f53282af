//! The door: GraphQL over HTTP, configuration and wiring, and the daybook binary.

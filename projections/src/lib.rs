//! The views: read models folded from the log, and the runner that keeps them.

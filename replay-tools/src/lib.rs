//! The auditor: the daybook-replay binary, one file per verb.

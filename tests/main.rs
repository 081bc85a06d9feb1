//! End-to-end tests: the binary against real servers.

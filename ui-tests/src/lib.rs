//! One mistake per file in `tests/fail`.

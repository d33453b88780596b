//! One mistake per file in `tests/fail`, unusual but right code in `tests/pass`.

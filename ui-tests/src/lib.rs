//! One mistake per file in `tests/fail`, odd but right code in `tests/pass`.

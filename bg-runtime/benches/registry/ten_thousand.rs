//! See `registry/mod.rs`: 10,000 tasks.

#[path = "mod.rs"]
mod registry;

registry::register!([_ _ _ _]);

fn main() {
    registry::print_build_time(10_000);
}

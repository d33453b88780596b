//! See `registry/mod.rs`: 1,000 tasks.

#[path = "mod.rs"]
mod registry;

registry::register!([_ _ _]);

fn main() {
    registry::print_build_time(1_000);
}

//! A task that is configured out is out as a whole, whether its `#[cfg]` is above or below the attribute.

#![deny(warnings)]

use bg_runtime::background_task;

#[cfg(any())]
#[background_task]
fn above(x: Missing) {}

#[background_task]
#[cfg(any())]
fn below(x: Missing) {}

#[background_task(timeout = "1s")]
#[cfg_attr(all(), cfg(any()))]
fn conditionally(x: Missing) {}

#[cfg(all())]
#[background_task]
#[cfg_attr(all(), doc = "Kept.", inline)]
fn kept(x: u8) {
    let _ = x;
}

struct Above;
struct Below;
struct Conditionally;

fn main() {
    let _ = (Above, Below, Conditionally, Kept::new(1), Kept { x: 2 });
}

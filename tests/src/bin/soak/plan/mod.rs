//! What a run does, drawn from its seed before any of it happens.
//!
//! Each part is drawn on its own from the seed and its own numbers, so the same seed gives the same
//! plan however the threads take turns, and server and clients know a request's plan by its number.

mod client;
mod request;
mod round;
mod tasks;

pub(crate) use self::client::{ConnectionPlan, Departure, Manner, Parting, RequestOnWire};
pub(crate) use self::request::{Answer, BodyPlan, Path, RequestPlan};
pub(crate) use self::round::{RoundPlan, ServerPlan, WARM_UP};
pub(crate) use self::tasks::{Failing, Kind, ListPlan, MemberPlan, TaskPlan, When, Work};

use std::time::Duration;

use fastrand::Rng;

/// The random numbers of one part of the plan.
fn draw(seed: u64, part: &[u64]) -> Rng {
    let mut rng = Rng::with_seed(seed);
    for number in part {
        rng = Rng::with_seed(rng.u64(..) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    rng
}

/// Draws whether something happens that happens `percent` of the time.
fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

fn millis(rng: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_one_does_not() {
        let plans = |seed| {
            let round = RoundPlan::draw(seed, 3);
            let connections = (0..20).map(|n| ConnectionPlan::draw(&round, n));
            let requests = (0..160).map(|n| RequestPlan::draw(&round, n));
            format!(
                "{round:?} {:?} {:?}",
                connections.collect::<Vec<_>>(),
                requests.collect::<Vec<_>>()
            )
        };
        assert_eq!(plans(7), plans(7));
        assert_ne!(plans(7), plans(8));
    }
}

//! Zombies where nothing holds them off. In Redis a claim has a token, without which nothing is recorded.

use super::*;
use crate::durable::engine::tests::zombies::stalls;

on_each_database!(without_the_fence_a_zombie_wins);

/// Shows that the other tests can fail.
/// P-DURABLE-12
async fn without_the_fence_a_zombie_wins(lab: &Lab) {
    assert!(!stalls(lab, Verdict::Completed, false).await);
}

//! What is River's alone, or its databases'; all else is asked of every engine, in `engine/tests`.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::*;
use crate::durable::Verdict;
use crate::durable::engine::tests::*;

mod leader;
mod starts;
mod transactions;
mod zombies;

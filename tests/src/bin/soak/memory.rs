//! Judges whether the process ends with the memory that it had when it was warm.

#[cfg(unix)]
use std::{env, os::unix::process::CommandExt, process::Command};
use std::{fmt, fs, io};

use crate::{
    judge::{Broken, Violation},
    plan::WARM_UP,
};

/// How much more than after the warm-up is too much, in percent.
const TOLERANCE: usize = 5;

/// The resident memory after each round.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The most after any round of the warm-up, in KiB.
    warm: Option<usize>,
    /// After the last rounds.
    last: Vec<usize>,
}

impl Memory {
    /// Takes a sample after a round.
    pub(crate) fn sample(&mut self, round: u64) {
        let Some(now) = resident() else { return };
        if round < WARM_UP {
            self.warm = self.warm.max(Some(now));
        } else {
            self.last.push(now);
            let old = self.last.len().saturating_sub(5);
            self.last.drain(..old);
        }
    }

    /// What the last rounds have in common: one alone may have left a large buffer to the allocator.
    fn end(&self) -> Option<usize> {
        self.last.iter().min().copied()
    }

    pub(crate) fn judge(&self) -> Vec<Violation> {
        let (Some(warm), Some(end)) = (self.warm, self.end()) else {
            return Vec::new();
        };
        let grown = end > warm + warm * TOLERANCE / 100;
        let what = format!("{warm} KiB when warm, {end} KiB at the end");
        let violation = grown.then(|| Violation::new(Broken::Memory, what));
        violation.into_iter().collect()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.warm, self.end()) {
            (Some(warm), Some(end)) => write!(f, "warm_kib={warm} end_kib={end}"),
            (Some(warm), None) => write!(f, "warm_kib={warm}"),
            _ => f.write_str("memory=unknown"),
        }
    }
}

/// Starts the process again with an allocator that gives back what is free. With glibc's defaults, what
/// is resident depends on which threads happened to free the largest buffers, and in which order.
#[cfg(unix)]
pub(crate) fn use_a_tidy_heap() -> io::Result<()> {
    const SETTINGS: [(&str, &str); 4] = [
        ("MALLOC_ARENA_MAX", "1"),
        ("MALLOC_MMAP_THRESHOLD_", "32768"),
        ("MALLOC_TRIM_THRESHOLD_", "32768"),
        ("MALLOC_TOP_PAD_", "0"),
    ];
    if SETTINGS.iter().all(|(name, _)| env::var_os(name).is_some()) {
        return Ok(());
    }
    let mut again = Command::new(env::current_exe()?);
    Err(again.args(env::args_os().skip(1)).envs(SETTINGS).exec())
}

/// The resident memory is not known here.
#[cfg(not(unix))]
pub(crate) fn use_a_tidy_heap() -> io::Result<()> {
    Ok(())
}

/// The resident memory in KiB, if the system tells.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Memory;

    fn judged(warm: usize, last: &[usize]) -> usize {
        let memory = Memory {
            warm: Some(warm),
            last: last.to_vec(),
        };
        memory.judge().len()
    }

    #[test]
    fn a_process_that_has_grown_is_found_and_one_large_round_is_not_growth() {
        assert_eq!(judged(1000, &[1200, 1050, 1300]), 0);
        assert_eq!(judged(1000, &[1200, 1051, 1300]), 1);
    }
}

//! Tasks, and the lists they stand in.

use std::time::Duration;

use fastrand::Rng;

use super::{chance, millis};

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct TaskPlan {
    pub(crate) kind: Kind,
    pub(crate) work: Work,
    /// The number of runs that fail before one succeeds.
    pub(crate) failures: u32,
    pub(crate) failing: Failing,
    pub(crate) retries: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) delay: Duration,
    pub(crate) when: When,
    /// It is a list of its own.
    pub(crate) independent: bool,
    /// How long a synchronous run goes on in its thread when it was told that nothing waits for it.
    pub(crate) lingers: Duration,
    /// A handle follows it; the time after which that aborts it, if it does.
    pub(crate) tracked: Option<Option<Duration>>,
    /// A task that it queues onto its request while it runs.
    pub(crate) adds: Option<Box<Self>>,
}

/// What it is made of, which decides whose limits it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Blocking,
    OneOff,
    OneOffBlocking,
    /// Of one key, one runs at a time.
    Exclusive(u8),
    /// Of one key, two run at a time, and few may wait.
    Crowded(u8),
    /// Three run at a time.
    Scarce,
}

/// What it does before it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Nothing,
    Yield(u32),
    Sleep(Duration),
    /// Keeps its thread.
    Block(Duration),
}

/// How a run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    Error,
    Panic,
    /// It never ends on its own.
    Hang,
    /// It ends when it is told that nothing will wait for it any longer.
    UntilCancelled,
}

/// Which responses it runs after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Default,
    Always,
    OnErrorResponse,
}

/// What may be drawn for a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freedom {
    pub(super) retries: bool,
    /// It may be such that only a shutdown ends it.
    pub(super) may_outlast_shutdown: bool,
}

impl TaskPlan {
    pub(super) fn draw(rng: &mut Rng, freedom: Freedom) -> Self {
        let kind = match rng.u32(0..20) {
            0..=6 => Kind::Plain,
            7..=9 => Kind::Blocking,
            10..=12 => Kind::OneOff,
            13 => Kind::OneOffBlocking,
            14..=15 => Kind::Exclusive(rng.u8(0..4)),
            16..=17 => Kind::Crowded(rng.u8(0..4)),
            _ => Kind::Scarce,
        };
        let work = match rng.u32(0..10) {
            0..=3 => Work::Nothing,
            4..=5 => Work::Yield(rng.u32(1..5)),
            6..=8 => Work::Sleep(millis(rng, 1..=6)),
            _ => Work::Block(Duration::from_micros(rng.u64(10..3000))),
        };
        let one_off = matches!(kind, Kind::OneOff | Kind::OneOffBlocking);
        let retries = match freedom.retries && !one_off && chance(rng, 25) {
            true => rng.u32(1..=3),
            false => 0,
        };
        let mut failing = match rng.u32(0..3) {
            0 => Failing::Panic,
            1 if kind != Kind::OneOffBlocking => Failing::Hang,
            _ => Failing::Error,
        };
        let failures = match chance(rng, 25) {
            true => rng.u32(1..=4),
            false => 0,
        };
        let mut timeout = match failing == Failing::Hang || chance(rng, 10) {
            true => Some(millis(rng, 3..=25)),
            false => None,
        };
        let mut delay = match chance(rng, 8) {
            true => millis(rng, 1..=15),
            false => Duration::ZERO,
        };
        if freedom.may_outlast_shutdown && kind != Kind::OneOffBlocking && chance(rng, 50) {
            match rng.u32(0..4) {
                0 => (failing, timeout) = (Failing::Hang, None),
                1 | 2 if kind != Kind::OneOff => {
                    (failing, timeout) = (Failing::UntilCancelled, None);
                }
                _ => delay = Duration::from_secs(60),
            }
        }
        Self {
            kind,
            work,
            failures: match failing {
                Failing::UntilCancelled => 9,
                Failing::Hang if timeout.is_none() => 9,
                _ => failures,
            },
            failing,
            retries,
            timeout,
            delay,
            when: When::Default,
            independent: false,
            lingers: match kind == Kind::Blocking && chance(rng, 50) {
                true => millis(rng, 1..=20),
                false => Duration::ZERO,
            },
            tracked: None,
            adds: None,
        }
    }

    /// A task of a request.
    pub(super) fn of_request(rng: &mut Rng, retries: bool) -> Self {
        let freedom = Freedom {
            retries,
            may_outlast_shutdown: false,
        };
        let when = match rng.u32(0..10) {
            0 => When::Always,
            1 => When::OnErrorResponse,
            _ => When::Default,
        };
        let adds = chance(rng, 4).then(|| Box::new(Self::draw(rng, freedom)));
        let tracked = chance(rng, 15).then(|| chance(rng, 50).then(|| millis(rng, 0..=8)));
        Self {
            when,
            independent: chance(rng, 10),
            tracked,
            adds,
            ..Self::draw(rng, freedom)
        }
    }

    pub(crate) fn is_blocking(&self) -> bool {
        matches!(self.kind, Kind::Blocking | Kind::OneOffBlocking)
    }
}

/// Tasks that are queued together.
#[derive(Debug, Clone)]
pub(crate) struct ListPlan {
    pub(crate) concurrent: bool,
    pub(crate) continue_on_error: bool,
    pub(crate) members: Vec<MemberPlan>,
}

#[derive(Debug, Clone)]
pub(crate) enum MemberPlan {
    Task(TaskPlan),
    List(ListPlan),
}

impl ListPlan {
    /// A list of up to `most` members, with lists among them.
    pub(super) fn draw(rng: &mut Rng, most: usize, retries: bool) -> Self {
        let mut list = Self::flat(rng, most, retries);
        if chance(rng, 15) {
            let inner = Self::flat(rng, 3, retries);
            let at = rng.usize(..=list.members.len());
            list.members.insert(at, MemberPlan::List(inner));
        }
        list
    }

    fn flat(rng: &mut Rng, most: usize, retries: bool) -> Self {
        let members = (0..rng.usize(0..=most)).map(|_| TaskPlan::of_request(rng, retries));
        let members = members.map(MemberPlan::Task).collect();
        Self {
            concurrent: chance(rng, 25),
            continue_on_error: chance(rng, 25),
            members,
        }
    }
}

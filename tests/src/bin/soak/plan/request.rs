//! One request, as its handler sees it.

use std::time::Duration;

use fastrand::Rng;

use super::tasks::{Failing, Freedom, Kind, ListPlan, TaskPlan};
use super::{RoundPlan, chance, draw, millis};

const LARGEST_BODY: usize = 8 << 20;

/// What the handler does.
#[derive(Debug, Clone)]
pub(crate) struct RequestPlan {
    pub(crate) path: Path,
    pub(crate) method: &'static str,
    /// The number of bytes that come with the request.
    pub(crate) upload: usize,
    pub(crate) reads_upload: bool,
    /// Before it queues its tasks.
    pub(crate) wait: Option<Duration>,
    /// After it has queued them.
    pub(crate) wait_again: Option<Duration>,
    pub(crate) answer: Answer,
    pub(crate) route: Option<ListPlan>,
    pub(crate) handler: ListPlan,
    pub(crate) response: Option<ListPlan>,
    pub(crate) spawned: Vec<SpawnPlan>,
    pub(crate) late: Vec<LatePlan>,
}

/// Which route answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// A route attribute.
    Declared,
    /// A route attribute whose handler is finished even if the client leaves.
    Detached,
    /// A route of plain axum.
    Plain,
}

/// What comes back.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Panic,
    Response { status: u16, body: BodyPlan },
}

#[derive(Debug, Clone)]
pub(crate) enum BodyPlan {
    Empty,
    Full(usize),
    Stream {
        frames: usize,
        size: usize,
        pause: Option<Duration>,
        /// Ends with an error in place of its last frame.
        breaks: bool,
        /// If it is sent while its server stops, it waits for that before its last frame.
        until_stopping: bool,
        /// Queued by the body while it is sent.
        adds: Option<Box<TaskPlan>>,
    },
}

/// A task outside of the request's lists.
#[derive(Debug, Clone)]
pub(crate) struct SpawnPlan {
    pub(crate) task: TaskPlan,
    /// The handle aborts it after this time.
    pub(crate) abort_after: Option<Duration>,
}

/// A task that something which kept a handle adds some time after the handler's own.
#[derive(Debug, Clone)]
pub(crate) struct LatePlan {
    pub(crate) task: TaskPlan,
    pub(crate) after: Duration,
}

impl RequestPlan {
    pub(crate) fn draw(round: &RoundPlan, number: u64) -> Self {
        let rng = &mut draw(round.seed, &[round.round, 1, number]);
        let retries = round.retries;
        let path = match rng.u32(0..10) {
            0..=4 => Path::Declared,
            5..=6 => Path::Detached,
            _ => Path::Plain,
        };
        let method = ["GET", "GET", "GET", "HEAD", "POST"][rng.usize(..5)];
        let upload = match method {
            "POST" => rng.usize(1..6000),
            _ => 0,
        };
        let answer = match rng.u32(0..100) {
            // For HEAD, the layer that answers for a panic would not say that no body follows.
            0..=4 if method != "HEAD" => Answer::Panic,
            _ => Answer::draw(rng, retries),
        };
        let declared = path != Path::Plain;
        Self {
            path,
            method,
            upload,
            reads_upload: chance(rng, 60),
            wait: chance(rng, 30).then(|| millis(rng, 0..=5)),
            wait_again: chance(rng, 30).then(|| millis(rng, 0..=5)),
            answer,
            route: (declared && chance(rng, 60)).then(|| ListPlan::draw(rng, 3, retries)),
            handler: ListPlan {
                concurrent: false,
                ..ListPlan::draw(rng, 4, retries)
            },
            response: chance(rng, 40).then(|| ListPlan::draw(rng, 2, retries)),
            spawned: (0..rng.usize(0..=8).saturating_sub(6))
                .map(|_| SpawnPlan::draw(rng, retries))
                .collect(),
            late: (0..rng.usize(0..=10).saturating_sub(8))
                .map(|_| LatePlan {
                    task: TaskPlan::draw(
                        rng,
                        Freedom {
                            retries,
                            may_outlast_shutdown: false,
                        },
                    ),
                    after: millis(rng, 0..=8),
                })
                .collect(),
        }
    }

    /// Returns whether the body waits for the end of its server.
    pub(crate) fn until_stopping(&self) -> bool {
        let Answer::Response { body, .. } = &self.answer else {
            return false;
        };
        matches!(
            body,
            BodyPlan::Stream {
                until_stopping: true,
                ..
            }
        )
    }

    pub(crate) fn panics(&self) -> bool {
        matches!(self.answer, Answer::Panic)
    }

    /// Returns whether nothing follows the head of the response.
    pub(crate) fn has_no_body(&self) -> bool {
        match &self.answer {
            Answer::Panic => false,
            Answer::Response { status, body } => {
                self.method == "HEAD"
                    || matches!(status, 204 | 304)
                    || matches!(body, BodyPlan::Empty)
            }
        }
    }

    /// How many bytes a client reads that reads all of it; `None` if it ends with an error.
    pub(crate) fn body_length(&self) -> Option<usize> {
        match &self.answer {
            Answer::Panic => None,
            Answer::Response { .. } if self.has_no_body() => Some(0),
            Answer::Response { body, .. } => match *body {
                BodyPlan::Empty => Some(0),
                BodyPlan::Full(size) => Some(size),
                BodyPlan::Stream { breaks: true, .. } => None,
                BodyPlan::Stream { frames, size, .. } => Some(frames * size),
            },
        }
    }
}

impl Answer {
    fn draw(rng: &mut Rng, retries: bool) -> Self {
        let status = match rng.u32(0..20) {
            0..=11 => 200,
            12 => 201,
            13..=14 => 204,
            15 => 304,
            16 => 303,
            17 => 404,
            18 => 422,
            _ => 503,
        };
        let body = match rng.u32(0..20) {
            _ if matches!(status, 204 | 304) => BodyPlan::Empty,
            0..=3 => BodyPlan::Empty,
            4..=11 => BodyPlan::Full(rng.usize(1..2000)),
            12..=13 => BodyPlan::Full(rng.usize(2000..200_000)),
            14 => BodyPlan::Full(rng.usize(200_000..=LARGEST_BODY)),
            _ => {
                let frames = rng.usize(1..12);
                let largest = [20, 2000, LARGEST_BODY / 40][rng.usize(..3)];
                BodyPlan::Stream {
                    frames,
                    size: rng.usize(1..largest),
                    pause: chance(rng, 50).then(|| millis(rng, 0..=4)),
                    breaks: chance(rng, 10),
                    until_stopping: chance(rng, 30),
                    adds: chance(rng, 30).then(|| {
                        let freedom = Freedom {
                            retries,
                            may_outlast_shutdown: false,
                        };
                        Box::new(TaskPlan::draw(rng, freedom))
                    }),
                }
            }
        };
        Self::Response { status, body }
    }
}

impl SpawnPlan {
    fn draw(rng: &mut Rng, retries: bool) -> Self {
        let freedom = Freedom {
            retries,
            may_outlast_shutdown: false,
        };
        let mut task = TaskPlan::draw(rng, freedom);
        let abort_after = chance(rng, 40).then(|| millis(rng, 0..=8));
        if abort_after.is_some() && task.kind != Kind::OneOffBlocking && chance(rng, 50) {
            // Only the handle ends it.
            (task.failing, task.failures, task.timeout) = (Failing::Hang, 9, None);
        }
        Self { task, abort_after }
    }
}

//! Tasks that do what was planned for them, and mark it in the ledger.

use std::{fmt, panic::panic_any, thread, time::Duration};

use bg_runtime::{
    BoxTask, TaskContext, TaskExt, after_response, background_task, named, named_blocking,
};

use crate::{
    history::{End, Source},
    ledger::{Ledger, Line, Running},
    plan::{Failing, Kind, TaskPlan, When, Work},
};

/// The message of panics on purpose, about which the panic hook keeps quiet.
pub(crate) const PLANNED: &str = "a planned panic";

/// A task's plan, and its line in the ledger.
#[derive(Clone)]
pub(crate) struct Job {
    ledger: Ledger,
    line: Line,
    request: Option<u64>,
    plan: TaskPlan,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.line).finish()
    }
}

#[background_task(name = "soak.plain", retries = 3, backoff = "1ms..10ms")]
async fn plain(job: Job, #[context] cx: TaskContext) -> Result<(), &'static str> {
    job.run(&cx).await
}

#[background_task(name = "soak.blocking", retries = 3, backoff = "1ms..10ms")]
fn blocking(job: &Job, #[context] cx: TaskContext) -> Result<(), &'static str> {
    job.run_blocking(cx.attempt(), move || cx.is_cancelled())
}

#[background_task(name = "soak.exclusive", retries = 3, backoff = "5ms", key = key, max_per_key = 1)]
async fn exclusive(
    #[expect(unused_variables, reason = "only the library reads it")] key: u8,
    job: Job,
    #[context] cx: TaskContext,
) -> Result<(), &'static str> {
    job.run(&cx).await
}

#[background_task(
    name = "soak.crowded",
    retries = 3,
    backoff = "0s",
    key = key,
    max_per_key = 2,
    max_pending_per_key = 6
)]
async fn crowded(
    #[expect(unused_variables, reason = "only the library reads it")] key: u8,
    job: Job,
    #[context] cx: TaskContext,
) -> Result<(), &'static str> {
    job.run(&cx).await
}

#[background_task(
    name = "soak.scarce",
    retries = 3,
    backoff = "1ms..10ms",
    max_concurrent = 3
)]
async fn scarce(job: Job, #[context] cx: TaskContext) -> Result<(), &'static str> {
    job.run(&cx).await
}

impl Job {
    /// Makes the task, and notes that it is handed over: to be called right before that.
    pub(crate) fn hand_over(
        ledger: &Ledger,
        plan: &TaskPlan,
        request: Option<u64>,
        source: Source,
    ) -> (Line, BoxTask) {
        let line = ledger.open(plan, request, source);
        let job = Self {
            ledger: ledger.clone(),
            line,
            request,
            plan: plan.clone(),
        };
        let task = job.into_queued();
        ledger.hand_over(line, &task);
        (line, task)
    }

    fn into_queued(self) -> BoxTask {
        let plan = self.plan.clone();
        let mut task = match plan.kind {
            Kind::Plain => Plain::new(self).retries(plan.retries),
            Kind::Blocking => Blocking::new(self).retries(plan.retries),
            Kind::Exclusive(key) => Exclusive::new(key, self).retries(plan.retries),
            Kind::Crowded(key) => Crowded::new(key, self).retries(plan.retries),
            Kind::Scarce => Scarce::new(self).retries(plan.retries),
            Kind::OneOff => named("soak.one-off", async move { self.run_once().await }),
            Kind::OneOffBlocking => named_blocking("soak.one-off-blocking", move || {
                self.run_blocking(1, || false)
            }),
        };
        if let Some(timeout) = plan.timeout {
            task = task.timeout(timeout);
        }
        if !plan.delay.is_zero() {
            task = task.delay(plan.delay);
        }
        if plan.independent {
            task = task.independent();
        }
        match plan.when {
            When::Default => task,
            When::Always => task.always(),
            When::OnErrorResponse => task.on_error_response(),
        }
    }

    async fn run(&self, cx: &TaskContext) -> Result<(), &'static str> {
        let running = self.begin(cx.attempt()).await;
        cx.progress(1, 2, "worked");
        if self.fails(cx.attempt()) && self.plan.failing == Failing::UntilCancelled {
            cx.cancelled().await;
            running.end(End::Succeeded);
            return Ok(());
        }
        self.end(running, cx.attempt()).await
    }

    async fn run_once(&self) -> Result<(), &'static str> {
        let running = self.begin(1).await;
        self.end(running, 1).await
    }

    async fn begin(&self, attempt: u32) -> Running {
        let running = self.ledger.start(self.line, attempt);
        match self.plan.work {
            Work::Nothing => {}
            Work::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            Work::Sleep(time) => tokio::time::sleep(time).await,
            Work::Block(time) => thread::sleep(time),
        }
        self.add_another();
        running
    }

    async fn end(&self, running: Running, attempt: u32) -> Result<(), &'static str> {
        if self.fails(attempt) && self.plan.failing == Failing::Hang {
            std::future::pending::<()>().await;
        }
        self.finish(running, attempt)
    }

    fn run_blocking(
        &self,
        attempt: u32,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<(), &'static str> {
        let running = self.ledger.start(self.line, attempt);
        if let Work::Sleep(time) | Work::Block(time) = self.plan.work {
            thread::sleep(time);
        }
        self.add_another();
        let waits = matches!(self.plan.failing, Failing::Hang | Failing::UntilCancelled);
        if self.fails(attempt) && waits {
            while !is_cancelled() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(self.plan.lingers);
        }
        self.finish(running, attempt)
    }

    fn finish(&self, running: Running, attempt: u32) -> Result<(), &'static str> {
        if !self.fails(attempt) || self.plan.failing == Failing::UntilCancelled {
            running.end(End::Succeeded);
            return Ok(());
        }
        if self.plan.failing == Failing::Panic {
            running.end(End::Panicked);
            panic_any(PLANNED);
        }
        running.end(End::Failed);
        Err("a planned failure")
    }

    fn fails(&self, attempt: u32) -> bool {
        attempt <= self.plan.failures
    }

    fn add_another(&self) {
        if let Some(plan) = &self.plan.adds {
            add_late(&self.ledger, plan, self.request);
        }
    }
}

/// Adds a task to the request that this code belongs to.
pub(crate) fn add_late(ledger: &Ledger, plan: &TaskPlan, request: Option<u64>) {
    let (line, task) = Job::hand_over(ledger, plan, request, Source::Late);
    if after_response(task).is_err() {
        ledger.not_taken(line);
    }
}

//! The guide: what the library does, page by page, and why.
//!
//! | page | subject |
//! |---|---|
//! | [`declaring`] | what a task is, what its function may take and return, and which settings it has |
//! | [`attaching`] | how to attach a task to a route, a request or a response, or run one without any of these |
//! | [`when_tasks_run`] | when exactly tasks run, in what order, and what happens if the request fails |
//! | [`failure`] | what becomes of an error, a panic or a timeout, and where it is reported |
//! | [`surroundings`] | how a task's run is put inside of what surrounded its request |
//! | [`limits`] | how many tasks run and wait at once, and what happens to those beyond |
//! | [`durable_tasks`] | tasks that are stored, and survive the process |
//! | [`workers`] | processes that run stored tasks: deploys, scaling, health, databases |
//! | [`shutdown`] | how the program ends without losing tasks |
//! | [`testing`] | how to test code that queues tasks |
//! | [`recipes`] | tasks of middleware and extractors, dependencies, errors with tasks |
//! | [`openapi`] | routes with tasks in an OpenAPI description |
//! | [`from_a_task_table`] | coming from a task table of one's own in PostgreSQL |
//! | [`from_kinvey`] | coming from background-task of Kinvey, with Redis |
//! | [`internals`] | how it all works, for contributors and the curious |
//!
//! Every Rust block on these pages is a test. Those about durable tasks are there with the features `sqlite` and
//! `postgres`, and the one about Kinvey's library with `redis`.

// The pages are also read as files of the repository, where their links lead to files. Here they have to
// lead to modules: `links.md` defines them so, and comes first, because the first definition of a link
// wins.

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/declaring.md")]
/// # Reference
///
/// [`background_task`](macro@crate::background_task), [`Task`](crate::Task),
/// [`TaskDef`](crate::TaskDef), [`TaskContext`](crate::TaskContext), [`TaskExt`](crate::TaskExt),
/// [`IntoText`](crate::IntoText), [`State`](crate::State), [`named`](crate::named),
/// [`named_blocking`](crate::named_blocking), [`register!`](crate::register)
pub mod declaring {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/attaching.md")]
/// # Reference
///
/// [`post`](macro@crate::post) and the other route attributes, [`routes!`](crate::routes),
/// [`BackgroundTasks`](crate::BackgroundTasks), [`tasks!`](crate::tasks),
/// [`WithBackground`](crate::WithBackground), [`after_response`](crate::after_response),
/// [`Background::spawn`](crate::Background::spawn), [`TaskHandle`](crate::TaskHandle),
/// [`BackgroundTasks::add_tracked`](crate::BackgroundTasks::add_tracked),
/// [`Background::handle`](crate::Background::handle), [`Background::live`](crate::Background::live),
/// [`Background::layer`](crate::Background::layer)
pub mod attaching {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/when_tasks_run.md")]
/// # Reference
///
/// [`Background::serve`](crate::Background::serve), [`Background::layer`](crate::Background::layer),
/// [`TaskExt::always`](crate::TaskExt::always),
/// [`TaskExt::on_error_response`](crate::TaskExt::on_error_response),
/// [`SkipReason`](crate::SkipReason)
pub mod when_tasks_run {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/failure.md")]
/// # Reference
///
/// [`TaskFailure`](crate::TaskFailure), [`FailureKind`](crate::FailureKind),
/// [`SkipReason`](crate::SkipReason),
/// [`BackgroundBuilder::on_error`](crate::BackgroundBuilder::on_error),
/// [`BackgroundBuilder::on_error_async`](crate::BackgroundBuilder::on_error_async),
/// [`Backoff`](crate::Backoff), [`Stats`](crate::Stats)
pub mod failure {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/surroundings.md")]
/// # Reference
///
/// [`BackgroundBuilder::around`](crate::BackgroundBuilder::around),
/// [`BackgroundBuilder::around_blocking`](crate::BackgroundBuilder::around_blocking),
/// [`BackgroundBuilder::on_span`](crate::BackgroundBuilder::on_span), [`TaskRun`](crate::TaskRun)
pub mod surroundings {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/limits.md")]
/// # Reference
///
/// [`TaskDef`](crate::TaskDef), [`TaskLimits`](crate::TaskLimits),
/// [`BackgroundBuilder`](crate::BackgroundBuilder),
/// [`FailureKind::Rejected`](crate::FailureKind::Rejected)
pub mod limits {}

#[doc = include_str!("docs/guide/links.md")]
#[cfg_attr(
    all(feature = "sqlite", feature = "postgres"),
    doc = include_str!("docs/guide/durable_tasks.md")
)]
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres")),
    doc = "Tasks that are stored. This page needs the features `sqlite` and `postgres`."
)]
pub mod durable_tasks {}

#[doc = include_str!("docs/guide/links.md")]
#[cfg_attr(
    all(feature = "sqlite", feature = "postgres"),
    doc = include_str!("docs/guide/workers.md")
)]
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres")),
    doc = "Processes that run stored tasks. This page needs the features `sqlite` and `postgres`."
)]
pub mod workers {}

#[doc = include_str!("docs/guide/links.md")]
#[cfg_attr(
    all(feature = "sqlite", feature = "postgres"),
    doc = include_str!("docs/guide/from_a_task_table.md")
)]
#[cfg_attr(
    not(all(feature = "sqlite", feature = "postgres")),
    doc = "From a task table in PostgreSQL. This page needs the features `sqlite` and `postgres`."
)]
pub mod from_a_task_table {}

#[doc = include_str!("docs/guide/links.md")]
#[cfg_attr(feature = "redis", doc = include_str!("docs/guide/from_kinvey.md"))]
#[cfg_attr(
    not(feature = "redis"),
    doc = "From Kinvey's background-task. This page needs the feature `redis`."
)]
pub mod from_kinvey {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/shutdown.md")]
/// # Reference
///
/// [`Background::serve`](crate::Background::serve),
/// [`Background::shutdown`](crate::Background::shutdown),
/// [`BackgroundBuilder::drain_timeout`](crate::BackgroundBuilder::drain_timeout),
/// [`ShutdownReport`](crate::ShutdownReport), [`TaskContext`](crate::TaskContext)
pub mod shutdown {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/testing.md")]
/// # Reference
///
/// [`Recorder`](crate::testing::Recorder), [`Background`](crate::Background), [`Stats`](crate::Stats)
pub mod testing {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/recipes.md")]
/// # Reference
///
/// [`BackgroundTasks`](crate::BackgroundTasks), [`TaskExt`](crate::TaskExt), [`IntoTask`](crate::IntoTask),
/// [`WithBackground`](crate::WithBackground)
pub mod recipes {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/openapi.md")]
/// # Reference
///
/// [`method_router!`](crate::method_router)
pub mod openapi {}

#[doc = include_str!("docs/guide/links.md")]
#[doc = include_str!("docs/guide/internals.md")]
pub mod internals {}

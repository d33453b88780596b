/// Fetches a feed.
async fn fetch_feed(user: &str, feed: Feed, token: String, client: Client) {
    client.fetch(user, feed, token).await
}
/// Fetches a feed.
#[must_use = "a task does nothing until it is queued or attached to a response"]
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
struct FetchFeed {
    ///The `user` argument of [`fetch_feed`](fn@fetch_feed).
    user: ::std::string::String,
    ///The `feed` argument of [`fetch_feed`](fn@fetch_feed).
    feed: Feed,
    ///The `token` argument of [`fetch_feed`](fn@fetch_feed).
    token: String,
}
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
impl FetchFeed {
    ///A task that calls [`fetch_feed`](fn@fetch_feed) with these arguments. It does nothing until it is queued.
    fn new(
        user: impl ::bg_runtime::IntoText<::std::string::String>,
        feed: Feed,
        token: impl ::bg_runtime::IntoText<String>,
    ) -> Self {
        Self {
            user: ::bg_runtime::IntoText::into_text(user),
            feed: feed,
            token: ::bg_runtime::IntoText::into_text(token),
        }
    }
}
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
const _: () = {
    const __RECORD: &::bg_runtime::TaskDef = &(::bg_runtime::TaskDef::new)(
            ::core::concat!(::core::module_path!(), "::", "fetch_feed"),
        )
        .docs("Fetches a feed.")
        .retries(3)
        .backoff(
            ::bg_runtime::Backoff::exponential(
                ::core::time::Duration::from_millis(1000u64),
                ::core::time::Duration::from_millis(60000u64),
            ),
        )
        .max_concurrent(4)
        .max_per_key(1)
        .max_pending_per_key(LIMIT)
        .parameters({
            const PARAMETERS: &[::bg_runtime::Parameter] = &[
                ::bg_runtime::Parameter::new("user", "&str"),
                ::bg_runtime::Parameter::new("feed", "Feed"),
                ::bg_runtime::Parameter::new("token", "String").secret(),
            ];
            PARAMETERS
        })
        .states({
            const STATES: &[::bg_runtime::StateDef] = &[
                ::bg_runtime::StateDef::of::<Client>("client"),
            ];
            STATES
        });
    impl ::bg_runtime::Task for FetchFeed {
        const DEF: &'static ::bg_runtime::TaskDef = __RECORD;
        fn run(
            self,
            __cx: ::bg_runtime::TaskContext,
        ) -> impl ::core::marker::Send + ::core::future::Future<
            Output = ::bg_runtime::TaskResult,
        > {
            let Self { user: __arg0, feed: __arg1, token: __arg2 } = self;
            let _ = fetch_feed;
            async move {
                let __arg3 = ::bg_runtime::__private::state::<Client>(&__cx, "client")?;
                ::bg_runtime::__private::IntoTaskResult::into_task_result(
                    fetch_feed(&__arg0, __arg1, __arg2, __arg3).await,
                )
            }
        }
        fn try_clone(&self) -> ::core::option::Option<Self> {
            ::core::option::Option::Some(Self {
                user: ::bg_runtime::__private::copy::<::std::string::String>(&self.user),
                feed: ::bg_runtime::__private::copy::<Feed>(&self.feed),
                token: ::bg_runtime::__private::copy::<String>(&self.token),
            })
        }
        fn key(&self) -> ::core::option::Option<::std::string::String> {
            ::bg_runtime::__private::key::<::std::string::String>(&self.user)
        }
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            use ::bg_runtime::__private::{DebugArgument as _, OpaqueArgument as _};
            ::bg_runtime::__private::arguments([
                ("user", (&::bg_runtime::__private::Probe(&self.user)).__bg_argument()),
                ("feed", (&::bg_runtime::__private::Probe(&self.feed)).__bg_argument()),
                ("token", ::bg_runtime::__private::SECRET),
            ])
        }
    }
    ::bg_runtime::__private::value! {
        FetchFeed { user : ::std::string::String, feed : Feed, token : String }
    }
    ::bg_runtime::__private::debug! {
        FetchFeed { "user" user : ::std::string::String, "feed" feed : Feed, "token"
        token }
    }
    ::bg_runtime::__private::response_part! {
        FetchFeed
    }
    ::bg_runtime::__private::inventory::submit! {
        __RECORD
    }
};
#[allow(unexpected_cfgs, unused_imports)]
const _: () = {
    #[cfg(rust_analyzer)]
    const _: () = {
        #[allow(non_upper_case_globals)]
        mod settings {
            /**The task's name in logs and reports. Without it: the function's path.

```ignore
name = "emails.welcome"
```*/
            pub const name: () = ();
            /**How long one run may take: text such as `"500ms"`, `"30s"` or `"1h30m"`, or a constant `Duration`.

```ignore
timeout = "30s"
```*/
            pub const timeout: () = ();
            /**How long after it was queued the task may still begin; after that it is skipped. Text such as `"30s"`, or a constant `Duration`. Without it: the task does not expire.

```ignore
expires = "30s"
```*/
            pub const expires: () = ();
            /**How many times the task runs again after a run that failed, panicked or timed out. Its arguments are `Clone`.

```ignore
retries = 3
```*/
            pub const retries: () = ();
            /**How long the task waits before it runs again: always the same, as in `"1s"`, or growing between two bounds, as in `"1s..1m"`, or a constant `Backoff`. Without it: `"100ms..10s"`.

```ignore
retries = 3, backoff = "1s..1m"
```*/
            pub const backoff: () = ();
            /**How many of these tasks run at once; others wait, in order. Without it: no limit.

```ignore
max_concurrent = 4
```*/
            pub const max_concurrent: () = ();
            /**How many runs may begin in any such time, for each key if there is a `key`; others wait, in order. Text such as `"10/s"`, `"100/h"` or `"10/30s"`, or a constant `Rate`. Without it: no limit.

```ignore
rate = "10/s"
```*/
            pub const rate: () = ();
            /**The parameter that `max_per_key`, `max_pending_per_key`, `max_unfinished_per_key` and `rate` count by. It is `Display`, and logs and reports show it.

```ignore
key = user_id, max_per_key = 1
```*/
            pub const key: () = ();
            /**How many of these tasks with the same key run at once; others of that key wait, in order. Without it: no limit.

```ignore
key = user_id, max_per_key = 1
```*/
            pub const max_per_key: () = ();
            /**How many of these tasks with the same key may wait to run; more are refused, or what `on_full` says. Without it: no limit.

```ignore
key = user_id, max_pending_per_key = 100
```*/
            pub const max_pending_per_key: () = ();
            /**How many of these tasks with the same key may wait and run together; more are refused, or what `on_full` says. Without it: no limit.

```ignore
key = user_id, max_unfinished_per_key = 1
```*/
            pub const max_unfinished_per_key: () = ();
            /**What happens to a task beyond `max_pending_per_key` or `max_unfinished_per_key`: `reject` it, have it `replace` the oldest that waits, or `ignore` it. Without it: `reject`.

```ignore
key = user_id, max_pending_per_key = 1, on_full = replace
```*/
            pub const on_full: () = ();
            /**A function that is called with each failure of this task.

```ignore
on_error = report_failure // fn report_failure(failure: &TaskFailure)
```*/
            pub const on_error: () = ();
            /**The task is stored before anybody is told that it will run, and survives the process. It has a `name`, and arguments that serde can write and read. Without other settings it has `retries = 20, backoff = "1s..1h", timeout = "1h"`.

```ignore
durable, name = "emails.welcome"
```*/
            pub const durable: () = ();
            /**The queue of a durable task: a lane with workers of its own. Without it: `default`.

```ignore
durable, name = "videos.cut", queue = "slow"
```*/
            pub const queue: () = ();
            /**A durable task is stored only if no other of its name with the same arguments, or the same values of those that are named, is unfinished.

```ignore
durable, name = "events.index", unique = [event_id]
```*/
            pub const unique: () = ();
            /**The name that a durable task had before, or a list of them: what is stored under it runs as this task.

```ignore
durable, name = "emails.welcome", was = "emails.hello"
```*/
            pub const was: () = ();
            /**The limits of a durable task that hold in each process alone: `rate`, `max_concurrent` and `max_per_key`.

```ignore
per_process(rate = "10/s", max_concurrent = 4)
```*/
            pub const per_process: () = ();
        }
        use settings::retries as _;
        use settings::backoff as _;
        use settings::max_concurrent as _;
        use settings::key as _;
        use settings::max_per_key as _;
        use settings::max_pending_per_key as _;
    };
};

fn ping(host: String) {}
///A call of [`ping`](fn@ping), to be run in the background.
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
struct Ping {
    ///The `host` argument of [`ping`](fn@ping).
    host: String,
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
impl Ping {
    ///A task that calls [`ping`](fn@ping) with these arguments. It does nothing until it is queued.
    fn new(host: impl ::bg_runtime::IntoText<String>) -> Self {
        Self {
            host: ::bg_runtime::IntoText::into_text(host),
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
            ::core::concat!(::core::module_path!(), "::", "ping"),
        )
        .blocking()
        .parameters({
            const PARAMETERS: &[::bg_runtime::Parameter] = &[
                ::bg_runtime::Parameter::new("host", "String"),
            ];
            PARAMETERS
        });
    impl ::bg_runtime::Task for Ping {
        const DEF: &'static ::bg_runtime::TaskDef = __RECORD;
        fn run(
            self,
            __cx: ::bg_runtime::TaskContext,
        ) -> impl ::core::marker::Send + ::core::future::Future<
            Output = ::bg_runtime::TaskResult,
        > {
            let Self { host: __arg0 } = self;
            ::bg_runtime::__private::blocking(move || {
                ::bg_runtime::__private::IntoTaskResult::into_task_result(ping(__arg0))
            })
        }
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            use ::bg_runtime::__private::{DebugArgument as _, OpaqueArgument as _};
            ::bg_runtime::__private::arguments([
                ("host", (&::bg_runtime::__private::Probe(&self.host)).__bg_argument()),
            ])
        }
    }
    ::bg_runtime::__private::response_part! {
        Ping
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
            /**A function that is told of each failure of this task.

```ignore
on_error = report_failure // fn report_failure(failure: &TaskFailure)
```*/
            pub const on_error: () = ();
        }
        use settings::timeut as _;
    };
};
::core::compile_error! {
    "unknown setting `timeut`, did you mean `timeout`?\nthe settings are `name`, `timeout`, `on_error`, `crate`"
}

async fn update_analytics() {}
///A call of [`update_analytics`](fn@update_analytics), to be run in the background.
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
struct UpdateAnalytics;
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
impl UpdateAnalytics {
    ///A task that calls [`update_analytics`](fn@update_analytics). It does nothing until it is queued.
    fn new() -> Self {
        Self
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
    const __RECORD: &crate::tasks::TaskDef = &(crate::tasks::TaskDef::new)(
            ::core::concat!(::core::module_path!(), "::", "update_analytics"),
        )
        .timeout(LIMIT);
    impl crate::tasks::Task for UpdateAnalytics {
        const DEF: &'static crate::tasks::TaskDef = __RECORD;
        fn run(
            self,
            __cx: crate::tasks::TaskContext,
        ) -> impl ::core::marker::Send + ::core::future::Future<
            Output = crate::tasks::TaskResult,
        > {
            let _ = update_analytics;
            async move {
                crate::tasks::__private::IntoTaskResult::into_task_result(
                    update_analytics().await,
                )
            }
        }
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            crate::tasks::__private::arguments([])
        }
    }
    crate::tasks::__private::response_part! {
        UpdateAnalytics
    }
    crate::tasks::__private::inventory::submit! {
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
        use settings::timeout as _;
    };
};

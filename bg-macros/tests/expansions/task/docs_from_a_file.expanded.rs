/// From here
#[doc = include_str!("../docs.md")]
/// and there.
async fn documented(x: &'static str) {}
/// From here
#[doc = include_str!("../docs.md")]
/// and there.
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
struct Documented {
    ///The `x` argument of [`documented`](fn@documented).
    x: &'static str,
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
impl Documented {
    ///A task that calls [`documented`](fn@documented) with these arguments. It does nothing until it is queued.
    fn new(x: &'static str) -> Self {
        Self { x: x }
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
            ::core::concat!(::core::module_path!(), "::", "documented"),
        )
        .docs(::core::concat!("From here\n", include_str!("../docs.md"), "\nand there."))
        .parameters({
            const PARAMETERS: &[::bg_runtime::Parameter] = &[
                ::bg_runtime::Parameter::new("x", "&'static str"),
            ];
            PARAMETERS
        });
    impl ::bg_runtime::Task for Documented {
        const DEF: &'static ::bg_runtime::TaskDef = __RECORD;
        fn run(
            self,
            __cx: ::bg_runtime::TaskContext,
        ) -> impl ::core::marker::Send + ::core::future::Future<
            Output = ::bg_runtime::TaskResult,
        > {
            let Self { x: __arg0 } = self;
            let _ = documented;
            async move {
                ::bg_runtime::__private::IntoTaskResult::into_task_result(
                    documented(__arg0).await,
                )
            }
        }
        fn try_clone(&self) -> ::core::option::Option<Self> {
            use ::bg_runtime::__private::{CloneTask as _, OnceTask as _};
            (&::bg_runtime::__private::Probe(self)).__bg_try_clone()
        }
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            use ::bg_runtime::__private::{DebugArgument as _, OpaqueArgument as _};
            ::bg_runtime::__private::arguments([
                ("x", (&::bg_runtime::__private::Probe(&self.x)).__bg_argument()),
            ])
        }
    }
    ::bg_runtime::__private::value! {
        Documented { x : & 'static str }
    }
    ::bg_runtime::__private::debug! {
        Documented { "x" x : & 'static str }
    }
    ::bg_runtime::__private::response_part! {
        Documented
    }
    ::bg_runtime::__private::inventory::submit! {
        __RECORD
    }
};

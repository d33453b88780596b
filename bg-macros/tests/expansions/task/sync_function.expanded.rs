#[cfg(unix)]
#[deprecated]
#[cfg_attr(docsrs, doc(cfg(unix)), inline)]
pub(crate) fn resize_image(
    path: &Path,
    sizes: &[u32],
    mode: &Mode,
    label: &'static str,
    pool: &Pool,
) {
    pool.resize(path, sizes, mode, label);
}
#[cfg(unix)]
#[deprecated]
#[cfg_attr(docsrs, doc(cfg(unix)))]
///A call of [`resize_image`](fn@resize_image), to be run in the background.
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
pub(crate) struct ResizeImage {
    ///The `path` argument of [`resize_image`](fn@resize_image).
    pub(crate) path: ::std::path::PathBuf,
    ///The `sizes` argument of [`resize_image`](fn@resize_image).
    pub(crate) sizes: ::std::vec::Vec<u32>,
    ///The `mode` argument of [`resize_image`](fn@resize_image).
    pub(crate) mode: Mode,
    ///The `label` argument of [`resize_image`](fn@resize_image).
    pub(crate) label: &'static str,
}
#[cfg(unix)]
#[allow(
    deprecated,
    missing_copy_implementations,
    missing_debug_implementations,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
)]
impl ResizeImage {
    ///A task that calls [`resize_image`](fn@resize_image) with these arguments. It does nothing until it is queued.
    pub(crate) fn new(
        path: impl ::bg_runtime::IntoText<::std::path::PathBuf>,
        sizes: ::std::vec::Vec<u32>,
        mode: Mode,
        label: &'static str,
    ) -> Self {
        Self {
            path: ::bg_runtime::IntoText::into_text(path),
            sizes: sizes,
            mode: mode,
            label: label,
        }
    }
}
#[cfg(unix)]
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
            ::core::concat!(::core::module_path!(), "::", "resize_image"),
        )
        .blocking()
        .parameters({
            const PARAMETERS: &[::bg_runtime::Parameter] = &[
                ::bg_runtime::Parameter::new("path", "&Path"),
                ::bg_runtime::Parameter::new("sizes", "&[u32]"),
                ::bg_runtime::Parameter::new("mode", "&Mode"),
                ::bg_runtime::Parameter::new("label", "&'static str"),
            ];
            PARAMETERS
        })
        .states({
            const STATES: &[::bg_runtime::StateDef] = &[
                ::bg_runtime::StateDef::of::<Pool>("pool"),
            ];
            STATES
        });
    impl ::bg_runtime::Task for ResizeImage {
        const DEF: &'static ::bg_runtime::TaskDef = __RECORD;
        fn run(
            self,
            __cx: ::bg_runtime::TaskContext,
        ) -> impl ::core::marker::Send + ::core::future::Future<
            Output = ::bg_runtime::TaskResult,
        > {
            let Self { path: __arg0, sizes: __arg1, mode: __arg2, label: __arg3 } = self;
            ::bg_runtime::__private::blocking(move || {
                let __arg4 = ::bg_runtime::__private::state::<Pool>(&__cx, "pool")?;
                ::bg_runtime::__private::IntoTaskResult::into_task_result(
                    resize_image(&__arg0, &__arg1, &__arg2, __arg3, &__arg4),
                )
            })
        }
        fn try_clone(&self) -> ::core::option::Option<Self> {
            use ::bg_runtime::__private::{CloneTask as _, OnceTask as _};
            (&::bg_runtime::__private::Probe(self)).__bg_try_clone()
        }
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            use ::bg_runtime::__private::{DebugArgument as _, OpaqueArgument as _};
            ::bg_runtime::__private::arguments([
                ("path", (&::bg_runtime::__private::Probe(&self.path)).__bg_argument()),
                (
                    "sizes",
                    (&::bg_runtime::__private::Probe(&self.sizes)).__bg_argument(),
                ),
                ("mode", (&::bg_runtime::__private::Probe(&self.mode)).__bg_argument()),
                ("label", (&::bg_runtime::__private::Probe(&self.label)).__bg_argument()),
            ])
        }
    }
    ::bg_runtime::__private::value! {
        ResizeImage { path : ::std::path::PathBuf, sizes : ::std::vec::Vec < u32 >, mode
        : Mode, label : & 'static str }
    }
    ::bg_runtime::__private::debug! {
        ResizeImage { "path" path : ::std::path::PathBuf, "sizes" sizes : ::std::vec::Vec
        < u32 >, "mode" mode : Mode, "label" label : & 'static str }
    }
    ::bg_runtime::__private::response_part! {
        ResizeImage
    }
    ::bg_runtime::__private::inventory::submit! {
        __RECORD
    }
};

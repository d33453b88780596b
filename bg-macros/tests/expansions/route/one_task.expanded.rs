async fn index(_: HeaderMap) -> &'static str {
    "index"
}
#[doc(hidden)]
#[allow(
    missing_copy_implementations,
    missing_debug_implementations,
    non_camel_case_types
)]
struct index {}
#[allow(
    deprecated,
    private_bounds,
    private_interfaces,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::nursery,
    clippy::pedantic
)]
impl index {
    pub const __ROUTE: ::bg_runtime::__private::RouteDef = ::bg_runtime::__private::RouteDef::new(
        &[::bg_runtime::__private::Method::Get],
        "/",
    );
    pub fn __method_router<__S, __M: 'static>() -> ::bg_runtime::__private::axum::routing::MethodRouter<
        __S,
    >
    where
        __S: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
            + 'static,
        HeaderMap: ::bg_runtime::__private::axum::extract::FromRequest<__S, __M>
            + ::core::marker::Send,
    {
        ::bg_runtime::__private::method_router(Self::__ROUTE, Self::__handle)
    }
    fn __handle(
        __arg0: HeaderMap,
    ) -> impl ::core::future::Future<
        Output = ::bg_runtime::__private::axum::response::Response,
    > + ::core::marker::Send {
        let _ = index;
        async move {
            {
                #[allow(unused_imports)]
                use ::bg_runtime::__private::{ByReference as _, ByValue as _};
                ::bg_runtime::__private::queue_route_tasks(|
                    __tasks: ::bg_runtime::__private::RouteTasks,
                | -> ::bg_runtime::__private::RouteTasks {
                    __tasks.push([Count; 2].into_iter().collect::<BackgroundTasks>());
                    __tasks
                });
            }
            let __output = ::bg_runtime::__private::handler_future(index(__arg0)).await;
            ::bg_runtime::__private::axum::response::IntoResponse::into_response(
                __output,
            )
        }
    }
}
::bg_runtime::__private::inventory::submit! {
    & < index > ::__ROUTE
}
#[allow(unexpected_cfgs, unused_imports)]
const _: () = {
    #[cfg(rust_analyzer)]
    const _: () = {
        #[allow(non_upper_case_globals)]
        mod settings {
            /**The task to run after the response, or a list of them. Evaluated for each request before the handler, whose arguments it sees.

```ignore
background = [SendEmail::new(&user.email), UpdateAnalytics]
```*/
            pub const background: () = ();
            ///Finishes the handler, and runs its tasks, even if the client goes away.
            pub const detach: () = ();
        }
        use settings::background as _;
    };
};

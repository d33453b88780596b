pub async fn form() {}
#[doc(hidden)]
#[allow(
    missing_copy_implementations,
    missing_debug_implementations,
    non_camel_case_types
)]
pub struct form {}
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
impl form {
    pub const __ROUTE: ::bg_runtime::__private::RouteDef = ::bg_runtime::__private::RouteDef::new(
        &[::bg_runtime::__private::Method::Get, ::bg_runtime::__private::Method::Post],
        "/form",
    );
    pub fn __method_router<__S>() -> ::bg_runtime::__private::axum::routing::MethodRouter<
        __S,
    >
    where
        __S: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
            + 'static,
    {
        ::bg_runtime::__private::method_router(Self::__ROUTE, Self::__handle)
    }
    fn __handle() -> impl ::core::future::Future<
        Output = ::bg_runtime::__private::axum::response::Response,
    > + ::core::marker::Send {
        let _ = form;
        async move {
            let __output = ::bg_runtime::__private::handler_future(form()).await;
            ::bg_runtime::__private::axum::response::IntoResponse::into_response(
                __output,
            )
        }
    }
}
::bg_runtime::__private::inventory::submit! {
    & < form > ::__ROUTE
}
#[allow(unexpected_cfgs, unused_imports)]
const _: () = {
    #[cfg(rust_analyzer)]
    const _: () = {
        #[allow(non_upper_case_globals)]
        mod settings {
            /**The methods that the route answers to.

```ignore
methods = [GET, POST]
```*/
            pub const methods: () = ();
            /**The task to run after the response, or a list of them. Evaluated for each request before the handler, whose arguments it sees.

```ignore
background = [SendEmail::new(&user.email), UpdateAnalytics]
```*/
            pub const background: () = ();
            ///Finishes the handler, and runs its tasks, even if the client goes away.
            pub const detach: () = ();
        }
        use settings::methods as _;
    };
};

async fn register(
    #[allow(unused_variables)]
    source: u8,
    Extension(&limit): Extension<&u64>,
    Json(mut user): Json<NewUser>,
) -> Json<NewUser> {
    user.limit = limit;
    Json(user)
}
#[doc(hidden)]
#[allow(
    missing_copy_implementations,
    missing_debug_implementations,
    non_camel_case_types
)]
struct register {}
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
impl register {
    pub const __ROUTE: ::bg_runtime::__private::RouteDef = ::bg_runtime::__private::RouteDef::new(
            &[::bg_runtime::__private::Method::Post],
            "/register/{source}",
        )
        .detach();
    pub fn __method_router<__S, __M: 'static>() -> ::bg_runtime::__private::axum::routing::MethodRouter<
        __S,
    >
    where
        __S: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
            + 'static,
        ::bg_runtime::__private::axum::extract::Path<
            ::bg_runtime::__private::Named<register, (u8,)>,
        >: ::bg_runtime::__private::axum::extract::FromRequestParts<__S>
            + ::core::marker::Send,
        Extension<
            &'static u64,
        >: ::bg_runtime::__private::axum::extract::FromRequestParts<__S>
            + ::core::marker::Send,
        Json<
            NewUser,
        >: ::bg_runtime::__private::axum::extract::FromRequest<__S, __M>
            + ::core::marker::Send,
    {
        ::bg_runtime::__private::method_router(Self::__ROUTE, Self::__handle)
    }
    fn __handle(
        ::bg_runtime::__private::axum::extract::Path(
            ::bg_runtime::__private::Named((__arg0,), _),
        ): ::bg_runtime::__private::axum::extract::Path<
            ::bg_runtime::__private::Named<register, (u8,)>,
        >,
        __arg1: Extension<&'static u64>,
        __arg2: Json<NewUser>,
    ) -> impl ::core::future::Future<
        Output = ::bg_runtime::__private::axum::response::Response,
    > + ::core::marker::Send {
        let _ = register;
        async move {
            {
                #[allow(unused_imports)]
                use ::bg_runtime::__private::{ByReference as _, ByValue as _};
                #[allow(warnings)]
                let source = &__arg0;
                #[allow(warnings)]
                let source = (&::bg_runtime::__private::Seen(source)).__bg_seen();
                ::bg_runtime::__private::used(&source);
                #[allow(warnings)]
                let Extension(limit) = &__arg1;
                #[allow(warnings)]
                let limit = (&::bg_runtime::__private::Seen(*limit)).__bg_seen();
                ::bg_runtime::__private::used(&limit);
                #[allow(warnings)]
                let Json(user) = &__arg2;
                #[allow(warnings)]
                let user = (&::bg_runtime::__private::Seen(user)).__bg_seen();
                ::bg_runtime::__private::used(&user);
                ::bg_runtime::__private::queue_route_tasks(|
                    __tasks: ::bg_runtime::__private::RouteTasks,
                | -> ::bg_runtime::__private::RouteTasks {
                    __tasks.push(SendEmail::new(&user.email, source));
                    #[cfg(unix)] __tasks.push(Count);
                    __tasks
                });
            }
            let __output = ::bg_runtime::__private::handler_future(
                    register(__arg0, __arg1, __arg2),
                )
                .await;
            ::bg_runtime::__private::axum::response::IntoResponse::into_response(
                __output,
            )
        }
    }
}
impl ::bg_runtime::__private::ParameterNames for register {
    const NAMES: &'static [&'static str] = &["source"];
}
::bg_runtime::__private::inventory::submit! {
    & < register > ::__ROUTE
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
        use settings::detach as _;
    };
};

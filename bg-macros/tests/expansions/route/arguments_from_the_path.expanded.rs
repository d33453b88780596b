#[cfg(unix)]
/// Reads a post.
pub(crate) async fn get_post(
    post: u64,
    State(db): State<Db>,
) -> Result<Json<Post>, StatusCode> {
    db.post(post).await
}
#[cfg(unix)]
#[doc(hidden)]
#[allow(
    missing_copy_implementations,
    missing_debug_implementations,
    non_camel_case_types
)]
pub(crate) struct get_post {}
#[cfg(unix)]
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
impl get_post {
    pub const __ROUTE: crate::tasks::__private::RouteDef = crate::tasks::__private::RouteDef::new(
        &[crate::tasks::__private::Method::Get],
        "/users/{_user}/posts/{post}",
    );
    pub fn __method_router<__S, __M: 'static>() -> crate::tasks::__private::axum::routing::MethodRouter<
        __S,
    >
    where
        __S: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
            + 'static,
        crate::tasks::__private::axum::extract::Path<
            crate::tasks::__private::Named<get_post, (u64,)>,
        >: crate::tasks::__private::axum::extract::FromRequestParts<__S>
            + ::core::marker::Send,
        State<
            Db,
        >: crate::tasks::__private::axum::extract::FromRequest<__S, __M>
            + ::core::marker::Send,
    {
        crate::tasks::__private::method_router(Self::__ROUTE, Self::__handle)
    }
    fn __handle(
        crate::tasks::__private::axum::extract::Path(
            crate::tasks::__private::Named((__arg0,), _),
        ): crate::tasks::__private::axum::extract::Path<
            crate::tasks::__private::Named<get_post, (u64,)>,
        >,
        __arg1: State<Db>,
    ) -> impl ::core::future::Future<
        Output = crate::tasks::__private::axum::response::Response,
    > + ::core::marker::Send {
        let _ = get_post;
        async move {
            let __output = crate::tasks::__private::handler_future(
                    get_post(__arg0, __arg1),
                )
                .await;
            crate::tasks::__private::axum::response::IntoResponse::into_response(
                __output,
            )
        }
    }
}
#[cfg(unix)]
impl crate::tasks::__private::ParameterNames for get_post {
    const NAMES: &'static [&'static str] = &["post"];
}
#[cfg(unix)]
crate::tasks::__private::inventory::submit! {
    & < get_post > ::__ROUTE
}

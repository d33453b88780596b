pub async fn get_user(id: u64) -> String {
    id.to_string()
}
#[doc(hidden)]
#[allow(
    missing_copy_implementations,
    missing_debug_implementations,
    non_camel_case_types
)]
pub struct get_user {}
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
impl get_user {
    pub const __ROUTE: ::bg_runtime::__private::RouteDef = ::bg_runtime::__private::RouteDef::new(
        &[],
        "",
    );
    pub fn __method_router<__S>() -> ::bg_runtime::__private::axum::routing::MethodRouter<
        __S,
    >
    where
        __S: ::core::clone::Clone,
    {
        ::bg_runtime::__private::axum::routing::MethodRouter::new()
    }
}
::core::compile_error! {
    "write a path parameter as `{id}`, not `:id`"
}

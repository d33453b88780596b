//! The attributes of `bg-runtime`. Use them from there: they are documented on its re-exports.

mod errors;
#[cfg(test)]
mod expansions;
mod function;
#[cfg(test)]
mod fuzz;
mod hints;
mod krate;
mod route;
mod routes;
mod settings;
mod source_text;
mod syntax;
mod task;

use proc_macro::TokenStream;

/// See `bg_runtime::background_task`.
#[proc_macro_attribute]
pub fn background_task(args: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(args.into(), item.into()).into()
}

/// See `bg_runtime::get`.
#[proc_macro_attribute]
pub fn get(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::One("get"), args.into(), item.into()).into()
}

/// See `bg_runtime::post`.
#[proc_macro_attribute]
pub fn post(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::One("post"), args.into(), item.into()).into()
}

/// See `bg_runtime::put`.
#[proc_macro_attribute]
pub fn put(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::One("put"), args.into(), item.into()).into()
}

/// See `bg_runtime::patch`.
#[proc_macro_attribute]
pub fn patch(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::One("patch"), args.into(), item.into()).into()
}

/// See `bg_runtime::delete`.
#[proc_macro_attribute]
pub fn delete(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::One("delete"), args.into(), item.into()).into()
}

/// See `bg_runtime::head`.
#[proc_macro_attribute]
pub fn head(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::One("head"), args.into(), item.into()).into()
}

/// See `bg_runtime::options`.
#[proc_macro_attribute]
pub fn options(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::One("options"), args.into(), item.into()).into()
}

/// See `bg_runtime::route`.
#[proc_macro_attribute]
pub fn route(args: TokenStream, item: TokenStream) -> TokenStream {
    route::expand(route::Methods::Listed, args.into(), item.into()).into()
}

/// See `bg_runtime::routes`.
#[proc_macro]
pub fn routes(input: TokenStream) -> TokenStream {
    routes::expand(input.into()).into()
}

/// See `bg_runtime::method_router`.
#[proc_macro]
pub fn method_router(input: TokenStream) -> TokenStream {
    routes::expand_one(input.into()).into()
}

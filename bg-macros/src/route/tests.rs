//! Promises about every expansion. What one looks like is in `tests/expansions`, and what the
//! messages look like is in `ui-tests`.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{format_ident, quote};
use syn::File;

use super::{Methods, expand};
use crate::errors::is_error;
use crate::syntax::mentions;

const GET: Methods = Methods::One("get");

/// The errors of a handler with this path and these arguments.
fn errors(path: &str, arguments: &TokenStream) -> String {
    let expansion = expand(GET, quote!(#path), quote!(async fn f(#arguments) {}));
    let text = expansion.to_string();
    let start = text.find(":: core :: compile_error").unwrap_or(text.len());
    text[start..].to_owned()
}

#[test]
fn only_the_path_that_crate_sets_leads_to_the_runtime() {
    let everything = quote!(
        pub async fn f(id: u8, State(db): State<Db>, _: &'_ str) -> String {}
    );
    let broken = quote!(
        async fn f(id: impl Sized) {}
    );
    for item in [everything, broken] {
        let args = quote!(
            "/{id}",
            crate = ::renamed::tasks,
            background = [A, B],
            detach
        );
        let expansion = expand(GET, args, item);
        assert!(mentions(expansion.clone(), "renamed"));
        assert!(!mentions(expansion.clone(), "bg_runtime"), "{expansion}");
    }
}

#[test]
fn the_handler_comes_back_as_it_was() {
    for item in [
        quote!(
            async fn f() {}
        ),
        quote!(#[inline] pub(super) async fn f(#[allow(unused)] mut x: u8) -> u8 { x. ; let }),
        quote!(fn f(&self, x) {}),
        quote!(
            struct F;
        ),
    ] {
        for args in [
            quote!("/"),
            quote!("/{x}", background = Task),
            quote!(),
            quote!(= = =),
        ] {
            let expansion = expand(GET, args, item.clone());
            assert!(
                expansion.to_string().starts_with(&item.to_string()),
                "{expansion}"
            );
        }
    }
}

#[test]
fn an_argument_that_background_uses_is_not_called_unused() {
    let item = quote!(
        async fn f(Json(user): Json<User>, id: u64, other: Other) {}
    );
    let args = quote!(
        "/{id}",
        background = [Greet::new(&user.name), Log::new(format!("{id}"))]
    );
    let expansion = expand(GET, args, item).to_string().replace(' ', "");
    let marked = "asyncfnf(#[allow(unused_variables)]Json(user):Json<User>,\
                  #[allow(unused_variables)]id:u64,other:Other)";
    assert!(expansion.starts_with(marked), "{expansion}");
}

#[test]
fn wrong_settings_are_an_error_and_leave_something_to_mount() {
    for methods in [GET, Methods::Listed] {
        for args in [
            quote!(),
            quote!(,),
            quote!(= = =),
            quote!("/" "/"),
            quote!("/", "/"),
            quote!("/",,),
            quote!("/", background),
            quote!("/", background =),
            quote!("/", background = 1 2),
            quote!("/", detach = true),
            quote!("/", crate = 1),
            quote!("/", methods = [GET, 1, <A as B>::C, get, a::b, GET]),
            quote!("/", methods = [[]]),
            quote!("/", methods),
            quote!(b"/"),
            quote!(concat!("/", "a")),
            quote!(detach, "/"),
            quote!(detach, detach),
            quote!(crate, "/"),
            quote!({ a: b } [c] 'd "e" 1.5),
        ] {
            let expansion = expand(
                methods,
                args.clone(),
                quote!(
                    async fn f() {}
                ),
            );
            assert!(is_error(&expansion), "{args}");
            assert!(mentions(expansion, "__method_router"), "{args}");
        }
    }
}

/// `macro_rules!` wraps fragments in such groups.
#[test]
fn an_invisible_group_of_more_than_a_path_is_an_error() {
    let item = quote!(
        async fn f() {}
    );
    let group = Group::new(Delimiter::None, quote!("/" "x"));
    let half_read = TokenTree::from(group).into();
    assert!(is_error(&expand(GET, half_read, item)));
}

#[test]
fn an_item_that_is_no_handler_is_an_error() {
    for item in [
        quote!(),
        quote!(;),
        quote!(
            struct F;
        ),
        quote!(impl F { fn f() {} }),
        quote!(1 + [2] "three"),
        quote!(fn),
        quote!(fn f),
        quote!(fn f(x) {}),
        quote!(
            fn f() {}
        ),
        quote!(
            fn f() -> Json<u8> {}
        ),
        quote!(
            fn f() -> impl IntoResponse {}
        ),
        quote!(
            async fn f(&self) {}
        ),
        quote!(
            async fn f(self: Box<Self>, x: u8) {}
        ),
        quote!(
            async fn f(x: Json<impl Sized>) {}
        ),
        quote!(
            async fn f(#[cfg(a)] x: X) {}
        ),
        quote!(
            #[get("/")]
            async fn f() {}
        ),
        quote!(
            const unsafe extern "C" fn f<'a, T, const N: usize>(x: [T; N], ...) -> ! {}
        ),
    ] {
        let expansion = expand(GET, quote!("/"), item.clone());
        assert!(is_error(&expansion), "{item}");
    }
}

#[test]
fn an_expansion_of_a_route_parses_as_items() {
    for item in [
        quote!(
            async fn f() {}
        ),
        quote!(
            #[cfg_attr(a, cfg(b), doc = "b")]
            pub(in crate::a) async fn f(_: A) -> ! {}
        ),
        quote!(
            async fn r#type(r#fn: u8, r#mod: &[u8], f: fn(&u8) -> &u8) -> () {}
        ),
        quote!(
            async fn f(
                (A {
                    a: ref b, mut c, ..
                }
                | &mut [c, b @ ..]): T<'_>,
                D: D,
            ) {
            }
        ),
        quote!(
            async fn f(id: impl Sized) {}
        ),
    ] {
        let args = quote!(
            "/{fn}/{_id}",
            background = [
                a,
                #[cfg(b)]
                b
            ],
            detach
        );
        let expansion = expand(GET, args, item);
        let parsed = syn::parse2::<File>(expansion.clone());
        assert!(parsed.is_ok(), "{expansion}");
    }
}

#[test]
fn without_background_no_argument_is_borrowed() {
    let item = quote!(
        async fn f(Json(body): Json<Body>) {}
    );
    let expansion = expand(GET, quote!("/"), item.clone());
    assert!(!mentions(expansion, "Seen"));
    let expansion = expand(GET, quote!("/", background = body), item);
    assert!(mentions(expansion, "Seen"));
}

#[test]
fn a_parameter_of_the_path_that_nothing_can_take_is_an_error() {
    let nothing = "nothing takes the path parameter `id`";
    assert!(errors("/{id}", &quote!()).contains(nothing));
    assert!(errors("/{id}", &quote!(Json(id): Json<Id>, state: State<u8>)).contains(nothing));
    assert!(errors("/{id}/{x}", &quote!(x: u8)).contains(nothing));
    assert!(errors("/{*id}", &quote!(body: String)).contains(nothing));
    // Two errors in one place.
    let both = errors("/{id}/{x}", &quote!());
    assert!(both.contains(nothing) && both.contains("the path parameter `x`"));

    for arguments in [
        quote!(id: Uuid),
        quote!(mut id: u8),
        quote!(r#id: u8),
        quote!(Path(id): Path<u8>),
        quote!(Path(id): axum::extract::Path<Id>),
        quote!(id: Option<Path<u8>>),
        quote!(_: Session),
        quote!(session: a::Session<'_>),
        quote!(request: Request),
        quote!(_: MatchedPath),
        quote!(_: RawPathParams),
        quote!(_: (Json<u8>, Session)),
        quote!(_: extractor!()),
    ] {
        assert_eq!(errors("/{id}", &arguments), "", "{arguments}");
    }
    assert_eq!(errors("/{_id}", &quote!()), "");
}

#[test]
fn an_argument_that_can_only_be_a_parameter_has_to_be_one() {
    let misspelled = errors("/{user_id}", &quote!(user_idd: u64));
    assert!(misspelled.contains("no parameter `user_idd`, did you mean `user_id`?"));
    assert_eq!(misspelled.matches("compile_error").count(), 1);

    let unlike = errors("/{user_id}", &quote!(page: u64));
    assert!(unlike.contains("the path has no parameter `page`\\nit has `user_id`"));
    assert!(unlike.contains("nothing takes the path parameter `user_id`"));

    // A `String` may be the body.
    let body = quote!(_: RawPathParams, name: String);
    assert_eq!(errors("/{names}", &body), "");
    assert_eq!(
        errors("/{user_id}", &quote!(user_id: u64, user_idd: String)),
        ""
    );
    assert_eq!(errors("/users", &quote!(user: String)), "");
}

#[test]
fn a_path_extractor_has_room_for_every_parameter() {
    for (path, taken, expected) in [
        (
            "/{a}/{b}",
            quote!(u8),
            "the path has 2 parameters, this takes 1",
        ),
        (
            "/{a}/{b}",
            quote!(String),
            "the path has 2 parameters, this takes 1",
        ),
        (
            "/{a}/{b}/{c}",
            quote!((u8, u8)),
            "the path has 3 parameters, this takes 2",
        ),
    ] {
        let errors = errors(path, &quote!(_: Path<#taken>));
        assert!(errors.contains(expected), "{errors}");
    }
    for taken in [
        quote!((u8, u8)),
        quote!((u8, u8, u8)),
        quote!(()),
        quote!(Ids),
        quote!(HashMap<String, u8>),
        quote!(Vec<u8>),
    ] {
        assert_eq!(errors("/{a}/{b}", &quote!(_: Path<#taken>)), "", "{taken}");
    }
}

#[test]
fn a_handler_has_no_more_arguments_than_axum_calls_it_with() {
    let seventeen = |first: &TokenStream| {
        let others = vec![quote!(_: Method); 15];
        errors("/{id}", &quote!(#first, #(#others,)* _: Last))
    };
    assert!(seventeen(&quote!(_: Path<u8>)).contains("at most 16 extractors"));
    assert!(seventeen(&quote!(id: u8)).contains("at most 16 extractors"));
    let others = vec![quote!(_: Session); 16];
    assert_eq!(errors("/{id}", &quote!(#(#others),*)), "");

    let path: String = (0..17).map(|index| format!("/{{p{index}}}")).collect();
    assert_eq!(errors(&path, &quote!(p3: u8, _: Session)), "");
    let named = (0..17).map(|index| format_ident!("p{index}"));
    let named = quote!(#(#named: u8),*);
    assert!(errors(&path, &named).contains("at most 16 arguments from the path"));
    assert_eq!(errors(&path, &quote!(_: Session)), "");
}

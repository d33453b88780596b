//! What the attributes expand to, stored for people to read.
//!
//! Each `tests/expansions/**/name.rs` is expanded and compared with `name.expanded.rs` beside it.
//! `UPDATE_EXPANSIONS=1 cargo test -p bg-macros` writes these anew.

use std::path::{Path, PathBuf};
use std::{env, fs};

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{Attribute, File, Item, Meta};

use crate::route::Methods;
use crate::{route, task};

#[test]
fn expansions_equal_the_stored_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expansions");
    let mut sources = Vec::new();
    find_sources(&root, &mut sources);
    assert!(
        !sources.is_empty(),
        "nothing to expand in {}",
        root.display()
    );

    let update = env::var_os("UPDATE_EXPANSIONS").is_some();
    let mut changed = Vec::new();
    for source in sources {
        let expanded = expand_file(&fs::read_to_string(&source).expect("a readable source"));
        let golden = source.with_extension("expanded.rs");
        if update {
            fs::write(&golden, expanded).expect("a writable expansion");
        } else if fs::read_to_string(&golden).unwrap_or_default() != expanded {
            changed.push(format!("{} is now:\n{expanded}", golden.display()));
        }
    }
    assert!(
        changed.is_empty(),
        "{}\nto keep this, run with UPDATE_EXPANSIONS=1",
        changed.join("\n")
    );
}

fn find_sources(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a folder's entry").path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            find_sources(&path, sources);
        } else if name.ends_with(".rs") && !name.ends_with(".expanded.rs") {
            sources.push(path);
        }
    }
}

fn expand_file(source: &str) -> String {
    let file = syn::parse_file(source).expect("Rust");
    let items: TokenStream = file.items.into_iter().map(expand_item).collect();
    let file: File = syn::parse2(items).expect("items");
    prettyplease::unparse(&file)
}

fn expand_item(mut item: Item) -> TokenStream {
    let Item::Fn(function) = &mut item else {
        return item.into_token_stream();
    };
    let attr = function.attrs.remove(0);
    let name = attr
        .path()
        .require_ident()
        .expect("an attribute of this crate")
        .to_string();
    let (args, item) = (arguments(&attr), quote!(#function));
    match name.as_str() {
        "background_task" => task::expand(args, item),
        "route" => route::expand(Methods::Listed, args, item),
        method => {
            let methods = ["get", "post", "put", "patch", "delete", "head", "options"];
            let method = methods.into_iter().find(|known| *known == method);
            route::expand(Methods::One(method.expect("a method")), args, item)
        }
    }
}

fn arguments(attr: &Attribute) -> TokenStream {
    match &attr.meta {
        Meta::List(list) => list.tokens.clone(),
        Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
    }
}

//! Tasks and routes in a crate that denies every lint: none is about code that its author did not
//! write. For clippy's, run `cargo clippy --all-targets`.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    keyword_idents,
    let_underscore_drop,
    missing_copy_implementations,
    missing_debug_implementations,
    redundant_imports,
    redundant_lifetimes,
    rust_2018_idioms,
    rust_2024_compatibility,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unnameable_types,
    unreachable_pub,
    unused_import_braces,
    unused_lifetimes,
    unused_qualifications,
    unused_results,
    variant_size_differences
)]

/// Tasks of every form.
pub mod tasks {
    use std::fmt;
    use std::path::Path;
    use std::time::Duration;

    use bg_runtime::{Backoff, TaskContext, TaskFailure, background_task};

    const LIMIT: Duration = Duration::from_secs(5);
    const RETRIES: u32 = 3;

    /// Has no `Debug`, and does not need it.
    #[derive(Clone)]
    #[expect(missing_debug_implementations)]
    pub struct Mailer(String);

    fn report(failure: &TaskFailure) {
        assert!(!failure.to_string().is_empty());
    }

    /// Sends one email.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    #[background_task(timeout = "30s", on_error = report)]
    pub async fn send_email(
        to: String,
        /// What it is about.
        subject: &str,
        #[default = 1] priority: u8,
        #[default = "none"] note: &str,
        #[secret] code: [u64; 4],
        #[state] mailer: Mailer,
        #[context] cx: TaskContext,
    ) -> fmt::Result {
        std::future::ready(()).await;
        let text = format!("{to} {subject} {priority} {note} {code:?} {}", mailer.0);
        if text.is_empty() || cx.is_cancelled() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }

    #[background_task(timeout = LIMIT)]
    pub(crate) fn resize_image(path: &Path, width: u32) {
        assert!(path.is_absolute() && width > 0);
    }

    #[background_task]
    pub(crate) async fn literal(to: u8, #[default = 1] copies: u8) {
        std::future::ready(()).await;
        assert!(to < copies);
    }

    /// Has neither `Clone` nor `PartialEq`, and does not need them.
    #[expect(missing_copy_implementations, missing_debug_implementations)]
    pub struct Connection;

    /// Fetches a feed.
    #[background_task(
        retries = RETRIES,
        backoff = Backoff::fixed(LIMIT),
        max_concurrent = 4,
        key = user,
        max_per_key = 1,
        max_pending_per_key = 100
    )]
    pub async fn fetch_feed(user: &str, url: String, parse: fn(&str) -> u8, ratio: f64) {
        std::future::ready(()).await;
        let _ = (user.len(), parse(&url), ratio);
    }

    /// Does nothing, several times.
    #[background_task(retries = 1, backoff = "1s..1m")]
    pub async fn ping() {
        std::future::ready(()).await;
    }

    /// Closes a connection.
    #[background_task]
    pub async fn close(connection: Connection, next: Option<Box<Close>>) {
        std::future::ready(()).await;
        drop((connection, next));
    }

    /// Is stored.
    #[cfg(feature = "durable")]
    #[background_task(durable, name = "lints.ship", was = "lints.send", unique = [order], per_process(rate = "1/s"))]
    pub async fn ship(
        #[was("id")] order: u64,
        to: &str,
        #[default = 1] parcels: u8,
        #[secret] code: [u64; 4],
        #[secret(stored_in_clear)] hint: String,
    ) {
        std::future::ready(()).await;
        drop(format!("{order} {to} {parcels} {code:?} {hint}"));
    }

    /// Is stored, and nothing else.
    #[cfg(feature = "durable")]
    #[background_task(durable, name = "lints.tick")]
    pub async fn tick() {
        std::future::ready(()).await;
    }

    /// Does nothing, and is deprecated.
    #[deprecated]
    #[background_task]
    pub async fn update_analytics() {
        std::future::ready(()).await;
    }
}

/// Routes of every form.
pub mod routes {
    use axum::extract::{Extension, Path, State};
    use axum::{Json, Router};
    use bg_runtime::{get, post, route, routes};

    use crate::tasks::SendEmail;

    #[derive(Debug, Clone, Copy)]
    struct Secret;

    /// Has docs.
    #[get("/users/{id}/{_name}", background = [])]
    pub async fn get_user(mut id: u64, _name: String) -> String {
        std::future::ready(()).await;
        id += 1;
        id.to_string()
    }

    #[post("/users", background = [
        SendEmail::new(user, "welcome", [0; 4]),
        SendEmail::new("admin", format!("{}", port), [0; 4]).priority(2),
    ])]
    async fn create_user(
        State(_secret): State<Secret>,
        Extension(&port): Extension<&'static u16>,
        _: Extension<()>,
        Json(ref user): Json<String>,
    ) -> String {
        std::future::ready(()).await;
        format!("{user}{port}")
    }

    #[route("/form/{*_rest}", methods = [GET, POST], detach)]
    async fn form(Path(rest): Path<String>) -> String {
        std::future::ready(()).await;
        rest
    }

    /// All of them.
    pub fn all() -> Router {
        routes![get_user, create_user, form].with_state(Secret)
    }
}

#[test]
fn routes_of_every_form_are_mounted_without_a_warning() {
    assert!(routes::all().has_routes());
}

#[test]
fn tasks_of_every_form_are_made_without_a_warning() {
    let email = tasks::SendEmail::new("a@b.c", "hello", [0; 4])
        .priority(9)
        .note("!");
    assert_eq!(email.note, "!");
    let image = tasks::ResizeImage::new("/a.png", 3);
    assert_eq!(image.width, 3);
    let feed = tasks::FetchFeed::new("ada", "/feed", |_| 1, 0.5);
    assert!(feed.clone() == feed);
    let close = tasks::Close::new(tasks::Connection, None);
    assert!(close.next.is_none());
    let literal = tasks::Literal { to: 1, copies: 2 };
    assert_eq!(literal.to + literal.copies, 3);
}

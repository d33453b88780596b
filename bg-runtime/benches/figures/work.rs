//! The same work again and again, without a socket, so that nothing but the code counts.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use bg_runtime::Background;
use http::Request;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower::ServiceExt;

use crate::apps::{self, CountVisit, Route, count_visit};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// A call of the application.
    Call(Who, Route),
    /// A request over a connection that is kept in memory.
    Request(Who, Route),
    /// A task, outside of any request.
    Task(Who),
}

/// The code that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// axum, and `tokio::spawn`.
    Plain,
    /// `Background::serve`, and `Background::spawn`.
    Serve,
    /// `Background::layer` under axum's own server.
    Layer,
}

impl Work {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let calls =
            [Who::Plain, Who::Layer].map(|who| Route::ALL.map(|route| Self::Call(who, route)));
        let requests = [Who::Plain, Who::Serve, Who::Layer]
            .map(|who| Route::ALL.map(|route| Self::Request(who, route)));
        let tasks = [Who::Plain, Who::Serve].map(Self::Task);
        let of_requests = calls.into_iter().chain(requests).flatten();
        of_requests.chain(tasks)
    }

    /// Does it `times` times, and waits for all of its tasks.
    pub(crate) fn run(self, times: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let background = Background::builder()
                .build()
                .expect("no task needs a state");
            let visits = apps::visits();
            let tasks = match self {
                Self::Call(who, route) => {
                    call(&who.app(&background), route, times).await;
                    route.tasks()
                }
                Self::Request(who, route) => {
                    let (client, server) = tokio::io::duplex(4096);
                    let (listener, app) = (OneConnection(Some(server)), who.app(&background));
                    match who {
                        Who::Serve => {
                            tokio::spawn(background.serve(listener, app).into_future());
                        }
                        Who::Plain | Who::Layer => {
                            tokio::spawn(axum::serve(listener, app).into_future());
                        }
                    }
                    send(client, route, times)
                        .await
                        .expect("the connection stays open");
                    route.tasks()
                }
                Self::Task(who) => {
                    for _ in 0..times {
                        match who {
                            Who::Plain => drop(tokio::spawn(count_visit())),
                            Who::Serve | Who::Layer => drop(background.spawn(CountVisit)),
                        }
                        tokio::task::yield_now().await;
                    }
                    1
                }
            };
            while apps::visits() < visits + tasks * times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

impl Who {
    fn app(self, background: &Background) -> Router {
        match self {
            Self::Plain => apps::plain(),
            Self::Serve => apps::ours(),
            Self::Layer => apps::ours().layer(background.layer()),
        }
    }
}

async fn call(app: &Router, route: Route, times: u64) {
    for _ in 0..times {
        let request = Request::get(route.path())
            .body(Body::empty())
            .expect("a request");
        let Ok(response) = app.clone().oneshot(request).await;
        let body = response.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), "hello");
        tokio::task::yield_now().await;
    }
}

async fn send(mut client: DuplexStream, route: Route, times: u64) -> io::Result<()> {
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", route.path());
    let mut response = [0; 4096];
    for _ in 0..times {
        client.write_all(request.as_bytes()).await?;
        let mut length = 0;
        while !response[..length].ends_with(b"hello") {
            length += client.read(&mut response[length..]).await?;
        }
    }
    Ok(())
}

/// A listener with one connection to accept.
struct OneConnection(Option<DuplexStream>);

impl Listener for OneConnection {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.take() {
            Some(connection) => (connection, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

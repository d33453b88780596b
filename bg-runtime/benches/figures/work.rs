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

/// Who does it. We run calls under the layer, and connections under `serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Plain,
    Ours,
}

impl Work {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Who::Plain, Who::Ours].into_iter().flat_map(|who| {
            let routes = Route::ALL.into_iter();
            let on_routes = routes.flat_map(move |route| [Self::Call(who, route), Self::Request(who, route)]);
            on_routes.chain([Self::Task(who)])
        })
    }

    /// Does it so many times, and waits for all of its tasks.
    pub(crate) fn run(self, times: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let background = Background::builder().build().expect("no task needs a state");
            let visits = apps::visits();
            let tasks = match self {
                Self::Call(who, route) => {
                    let app = match who {
                        Who::Plain => apps::plain(),
                        Who::Ours => apps::ours().layer(background.layer()),
                    };
                    call(app, route, times).await;
                    route.tasks()
                }
                Self::Request(who, route) => {
                    let (client, server) = tokio::io::duplex(4096);
                    let listener = OneConnection(Some(server));
                    match who {
                        Who::Plain => drop(tokio::spawn(axum::serve(listener, apps::plain()).into_future())),
                        Who::Ours => drop(tokio::spawn(background.serve(listener, apps::ours()).into_future())),
                    }
                    send(client, route, times).await.expect("the connection stays open");
                    route.tasks()
                }
                Self::Task(who) => {
                    for _ in 0..times {
                        match who {
                            Who::Plain => drop(tokio::spawn(count_visit())),
                            Who::Ours => drop(background.spawn(CountVisit)),
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

async fn call(app: Router, route: Route, times: u64) {
    for _ in 0..times {
        let request = Request::get(route.path()).body(Body::empty()).expect("a request");
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

//! Durable tasks that are held until their response has been sent.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use bg_runtime::WithBackground;
use bg_runtime::durable::{SecretKey, StoredState, TaskStatus};
use futures_util::stream;
use tests::{Flavour, Http1, Server, Serving, Setup, on_each_store, within};

use crate::tasks::{KEY, Lab, Note};

const SETUP: Setup = Setup {
    flavour: Flavour::Workers(2),
    serving: Serving::Background,
};

/// A response whose second half waits for the gate, with a durable task.
fn app(lab: &Lab) -> Router {
    let lab = lab.clone();
    let handler = move || {
        let lab = lab.clone();
        async move {
            let parts = stream::unfold((0, lab), |(part, lab)| async move {
                match part {
                    0 => {}
                    1 => lab.gate.acquire().await.unwrap().forget(),
                    _ => return None,
                }
                let bytes = Ok::<_, Infallible>(Bytes::from_static(b"part"));
                Some((bytes, (part + 1, lab)))
            });
            Body::from_stream(parts).with_background(Note::new("hello"))
        }
    };
    Router::new().route("/", get(handler))
}

on_each_store! {
    /// P-DURABLE-6
    #[test]
    async fn a_held_task_starts_when_the_last_byte_has_been_sent(place: &Place) {
        let lab = Lab::new();
        let store = place.store().secret_keys([SecretKey::new(KEY)]).hold_until_sent();
        let builder = bg_runtime::Background::builder().state(lab.clone()).durable(store);
        let background = builder.build().unwrap();
        let (app, serving) = (app(&lab), background.clone());
        let server = Server::start(SETUP, &lab.timeline, move || (serving, app)).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        let head = client.head().await;
        assert_eq!(head.status, 200);
        let held = async || -> TaskStatus {
            let page = background.stored().list().await.unwrap();
            page.tasks.into_iter().next().expect("it is stored before the head")
        };
        // It is put off while the response is being sent, so that it is never due.
        let first = held().await;
        assert_eq!(first.state, StoredState::Scheduled);
        let put_off = async {
            loop {
                let now = held().await;
                assert_eq!(now.state, StoredState::Scheduled, "{now:?}");
                if now.due_at > first.due_at {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        within("another due time", put_off).await;
        assert!(lab.timeline.names().is_empty(), "{:?}", lab.timeline);
        lab.gate.add_permits(1);
        client.body(&head, "GET").await;
        let ended = client.end();
        let begun = lab.timeline.reached("hello").await;
        assert!(server.last_write(ended).await.is_before(&begun));
        let id = held().await.id;
        within("the end", background.stored().get(id).outcome()).await.unwrap();
        server.stop().await;
    }

    /// P-DURABLE-6
    #[test]
    async fn a_task_that_is_not_held_may_start_while_its_response_is_being_sent(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let app = app(&lab);
        let server = Server::start(SETUP, &lab.timeline, move || (background, app)).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        let head = client.head().await;
        lab.timeline.reached("hello").await;
        lab.gate.add_permits(1);
        client.body(&head, "GET").await;
        server.stop().await;
    }
}

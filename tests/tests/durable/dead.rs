//! Telling of the dead.

use bg_runtime::Background;
use bg_runtime::durable::StoredState;
use tests::{on_each_store, within};

use crate::tasks::{Lab, Note};

/// A worker that marks each death that it is told of.
fn worker(lab: &Lab, place: &tests::durable::Place) -> Background {
    let told = lab.timeline.clone();
    let builder = lab.builder(place).on_dead(move |task| {
        let told = told.clone();
        async move {
            assert_eq!(task.state, StoredState::Dead);
            let error = &task.errors.last().expect("why it is dead").error;
            told.mark(format!("told of {error} after {}", task.attempt));
        }
    });
    builder.build().expect("nothing to refuse")
}

on_each_store! {
    /// P-DURABLE-30
    #[test]
    async fn each_death_is_told_of_once_whichever_worker_it_was_in(place: &Place) {
        let lab = Lab::new();
        // The one that it dies in has nobody to tell.
        let dying = lab.background(place);
        dying.start().await.unwrap();
        let id = dying.enqueue(Note::new("fail")).await.unwrap();
        within("the end", dying.stored().get(id).outcome()).await.unwrap_err();
        let workers = [worker(&lab, place), worker(&lab, place)];
        for worker in &workers {
            worker.start().await.unwrap();
        }
        lab.timeline.reached("told of fail after 2").await;
        assert!(dying.stored().get(id).retry().await.unwrap());
        lab.timeline.reached("told of fail after 4").await;
        dying.shutdown().await;
        for worker in workers {
            worker.shutdown().await;
        }
        let names = lab.timeline.names();
        let told = names.iter().filter(|name| name.starts_with("told")).count();
        assert_eq!(told, 2, "{names:?}");
    }

    /// P-DURABLE-30
    #[test]
    async fn a_hook_for_the_dead_that_panics_is_no_end_of_the_worker(place: &Place) {
        let lab = Lab::new();
        let told = lab.timeline.clone();
        let builder = lab.builder(place).on_dead(move |task| {
            told.mark(format!("told of {}", task.id));
            async { panic!("as the test asks") }
        });
        let background = builder.build().unwrap();
        background.start().await.unwrap();
        for _ in 0..2 {
            let id = background.enqueue(Note::new("fail")).await.unwrap();
            lab.timeline.reached(&format!("told of {id}")).await;
        }
        background.shutdown().await;
    }
}

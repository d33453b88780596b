//! Two releases of a program at one store, as in the middle of a deploy. What each of their tasks is called and takes
//! is in `deploy_old` and `deploy_new`.

use std::path::Path;

use bg_runtime::durable::{StoredState, TaskStatus};
use bg_runtime::{Background, FailureKind};
use tests::durable::{Evidence, Node, Place};
use tests::{on_each_shared_store, within};

use crate::kill::{all_end, observer};

const OLD: &str = env!("CARGO_BIN_EXE_deploy_old");
const NEW: &str = env!("CARGO_BIN_EXE_deploy_new");

/// The processes of both releases, and what they have done.
struct Releases<'a> {
    place: &'a Place,
    evidence: Evidence,
    observer: Background,
    _directory: tempfile::TempDir,
}

impl<'a> Releases<'a> {
    async fn at(place: &'a Place) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let observer = observer(place);
        // Makes the tables.
        observer.start().await.unwrap();
        Self {
            place,
            evidence: Evidence::at(directory.path().join("evidence")),
            observer,
            _directory: directory,
        }
    }

    async fn start(&self, program: &str, role: &str) -> Node {
        Node::start(Path::new(program), role, self.place, &self.evidence).await
    }

    /// Stores tasks by a server of this release, which is gone afterwards.
    async fn store(&self, program: &str, tasks: &[&str]) {
        let server = self.start(program, "serve").await;
        for task in tasks {
            assert_eq!(server.post(task).await, Some(201), "{task}");
        }
        server.stop().await;
    }

    /// The tasks of a name.
    async fn named(&self, name: &str) -> Vec<TaskStatus> {
        let tasks = self.observer.stored().name(name).list().await;
        tasks.unwrap().tasks
    }

    /// Waits until the only task of a name is as it should be.
    async fn until(&self, name: &str, what: impl Fn(&TaskStatus) -> bool) -> TaskStatus {
        let seen = async {
            loop {
                match self.named(name).await.as_slice() {
                    [task] if what(task) => return task.clone(),
                    _ => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                }
            }
        };
        within(name, seen).await
    }
}

/// That this process leads, where one does.
async fn leads(node: &Node, place: &Place) {
    if let Some(leader) = place.leader().await {
        assert_eq!(leader, node.process());
    }
}

on_each_shared_store! {
    /// P-DURABLE-40, P-DURABLE-41
    #[test]
    async fn a_task_of_a_new_release_waits_for_a_worker_of_it(place: &Place) {
        let releases = Releases::at(place).await;
        let old = releases.start(OLD, "work").await;
        releases.store(NEW, &["/survey/ada", "/greet/ada", "/welcome/ada"]).await;
        // What was stored behind them shows that the old one has looked.
        releases.evidence.reached("old welcome ada").await;
        for name in ["deploy.survey", "deploy.greet"] {
            let waiting = releases.until(name, |_| true).await;
            assert_eq!((waiting.state, waiting.attempt), (StoredState::Waiting, 0));
        }
        let new = releases.start(NEW, "work").await;
        releases.evidence.reached("new survey ada 1").await;
        releases.evidence.reached("new greet ada").await;
        all_end(&releases.observer).await;
        old.stop().await;
        new.stop().await;
        let lines = releases.evidence.lines();
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    /// P-DURABLE-41
    #[test]
    async fn what_an_old_release_has_stored_is_run_by_a_new_one(place: &Place) {
        let releases = Releases::at(place).await;
        let tasks = ["/welcome/ada", "/report/7", "/remind/ada", "/hello/ada", "/bill/7"];
        releases.store(OLD, &tasks).await;
        let new = releases.start(NEW, "work").await;
        all_end(&releases.observer).await;
        new.stop().await;
        let mut lines = releases.evidence.lines();
        lines.sort();
        let expected = [
            "new bill number 7",
            "new greet ada",
            "new remind ada",
            "new report 7",
            "new welcome ada en",
        ];
        assert_eq!(lines, expected);
        let counts = releases.observer.stored().counts().await.unwrap();
        assert_eq!(counts, [(StoredState::Completed, 5)]);
    }

    /// Each is reported once, however often the old one looks at it, and its status says why it waits.
    ///
    /// P-DURABLE-42
    #[test]
    async fn what_an_old_worker_cannot_read_is_kept_for_a_new_one(place: &Place) {
        let releases = Releases::at(place).await;
        let old = releases.start(OLD, "work").await;
        releases.store(NEW, &["/report/7", "/remind/ada", "/bill/A-7"]).await;
        let names = ["deploy.report", "deploy.remind", "deploy.bill"];
        for looks in 1..=3 {
            for name in names {
                let kept = |task: &TaskStatus| {
                    task.state == StoredState::Scheduled && task.attempt == looks
                };
                let kept = releases.until(name, kept).await;
                let errors: Vec<_> = kept.errors.iter().map(|error| (error.kind, error.attempt)).collect();
                assert_eq!(errors, [(FailureKind::Undecodable, looks)], "whoever asks is told why");
            }
            place.let_time_pass().await;
        }
        old.stop().await;
        let mut lines = releases.evidence.lines();
        lines.sort();
        let reported = names.map(|name| format!("old failure {name} Undecodable"));
        let mut reported = reported.to_vec();
        reported.sort();
        assert_eq!(lines, reported);
        let new = releases.start(NEW, "work").await;
        // The old one may have looked once more.
        place.let_time_pass().await;
        for line in ["new report 7", "new remind ada", "new bill A-7"] {
            releases.evidence.reached(line).await;
        }
        all_end(&releases.observer).await;
        new.stop().await;
        let counts = releases.observer.stored().counts().await.unwrap();
        assert_eq!(counts, [(StoredState::Completed, 3)]);
    }

    /// The leader of the workers decides what becomes of the tasks of a dead one, also of those that it does not know.
    ///
    /// P-DURABLE-40
    #[test]
    async fn what_a_killed_new_worker_ran_runs_again_beside_an_old_leader(place: &Place) {
        let releases = Releases::at(place).await;
        let old = releases.start(OLD, "work").await;
        leads(&old, place).await;
        releases.store(NEW, &["/survey/slow"]).await;
        let new = releases.start(NEW, "work").await;
        releases.evidence.reached("new survey slow 1").await;
        releases.store(OLD, &["/export/a", "/export/b", "/export/c", "/export/d"]).await;
        let begun = |by: &str| {
            let lines = releases.evidence.lines().into_iter();
            let begin = format!("{by} export ");
            lines.filter(|line| line.starts_with(&begin)).count()
        };
        tests::eventually("all have begun", || begun("old") + begun("new") == 4).await;
        let lost = begun("new");
        new.kill().await;
        // The old one takes what it knows, and leaves the other one to a new one.
        let waiting = |task: &TaskStatus| task.state == StoredState::Waiting;
        let survey = releases.until("deploy.survey", waiting).await;
        assert_eq!((survey.attempt, survey.errors.len()), (1, 1), "{survey:?}");
        tests::eventually("what was lost runs again", || begun("old") == 4).await;
        leads(&old, place).await;
        let new = releases.start(NEW, "work").await;
        releases.evidence.reached("new survey slow 2").await;
        let survey = |task: &TaskStatus| task.state == StoredState::Completed;
        releases.until("deploy.survey", survey).await;
        let exported = |task: &&TaskStatus| task.state == StoredState::Completed;
        let exports = releases.named("deploy.export").await;
        assert!(exports.iter().filter(exported).count() <= lost, "{exports:?}");
        // Gives back what does not end, and the new one runs it.
        old.stop().await;
        all_end(&releases.observer).await;
        let exports = releases.named("deploy.export").await;
        assert_eq!(exports.iter().filter(exported).count(), 4, "{exports:?}");
        new.stop().await;
    }

    /// P-DURABLE-40, P-DURABLE-41, P-DURABLE-42
    #[test]
    async fn a_deploy_beside_which_tasks_are_stored_loses_none(place: &Place) {
        const EACH: usize = 8;
        let releases = Releases::at(place).await;
        let (old_server, old) = tokio::join!(
            releases.start(OLD, "serve"),
            releases.start(OLD, "work")
        );
        let (new_server, new) = tokio::join!(
            releases.start(NEW, "serve"),
            releases.start(NEW, "work")
        );
        let mut stored = 0;
        for number in 0..EACH {
            for task in ["welcome", "report", "remind", "bill"] {
                for server in [&old_server, &new_server] {
                    let status = server.post(&format!("/{task}/{number}")).await;
                    assert_eq!(status, Some(201), "{task} {number}");
                    stored += 1;
                }
            }
            assert_eq!(old_server.post(&format!("/hello/{number}")).await, Some(201));
            assert_eq!(new_server.post(&format!("/greet/{number}")).await, Some(201));
            assert_eq!(new_server.post(&format!("/survey/{number}")).await, Some(201));
            stored += 3;
        }
        old_server.stop().await;
        old.stop().await;
        place.let_time_pass().await;
        all_end(&releases.observer).await;
        new_server.stop().await;
        new.stop().await;
        let counts = releases.observer.stored().counts().await.unwrap();
        assert_eq!(counts, [(StoredState::Completed, stored)]);
        let lines = releases.evidence.lines().into_iter();
        let runs = lines.filter(|line| !line.starts_with("old failure")).count();
        assert_eq!(runs as u64, stored, "each has run once");
    }
}

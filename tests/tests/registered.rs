//! What a `Background` knows of the tasks of its program, whether or not one was ever queued.
//!
//! A program of its own: these are all of its tasks.

use std::time::Duration;

use bg_runtime::{Background, Parameter, TaskInfo, background_task};

/// Sends one mail.
#[background_task(name = "mail.send", timeout = "30s", retries = 3, max_concurrent = 4)]
pub async fn send_mail(to: String, body: &str, #[secret] code: u32, #[state] count: u64) {
    assert!(to.len() + body.len() + code as usize > 0 && count > 0);
}

/// Has no name of its own, and is synchronous.
#[background_task]
pub fn resize(width: Option<Vec<u8>>) {
    drop(width);
}

/// Comes last in the file, and first by name.
pub mod nested {
    use super::background_task;

    /// Takes nothing.
    #[background_task(name = "a.first")]
    pub async fn declared_last() {}
}

/// P-TASKS-1
#[tokio::test]
async fn every_task_of_the_program_is_listed_by_name_with_its_declaration() {
    let background = Background::builder().state(1_u64).build().unwrap();
    let tasks = background.tasks();
    let names: Vec<_> = tasks.iter().map(TaskInfo::name).collect();
    assert_eq!(names, ["a.first", "mail.send", "registered::resize"]);

    let [first, mail, resize] = tasks.as_slice() else {
        panic!("{tasks:?}")
    };
    let parameters = [
        Parameter::new("to", "String"),
        Parameter::new("body", "&str"),
        Parameter::new("code", "u32").secret(),
    ];
    assert_eq!(mail.parameters(), parameters);
    assert_eq!(mail.docs(), "Sends one mail.");
    assert_eq!(mail.timeout(), Some(Duration::from_secs(30)));
    assert_eq!(mail.retries(), 3);
    assert_eq!(mail.limits().concurrent, Some(4));
    assert_eq!(mail.states()[0].parameter(), "count");
    assert_eq!((mail.is_blocking(), resize.is_blocking()), (false, true));
    let type_name = resize.parameters()[0].type_name();
    assert_eq!(type_name, "Option<Vec<u8>>");
    assert!(
        tasks
            .iter()
            .all(|task| task.file().ends_with("registered.rs"))
    );
    assert!(mail.line() < resize.line() && resize.line() < first.line());
}

//! The `Debug` of the structs that `#[background_task]` makes.

use std::fmt::Debug;

use bg_runtime::background_task;
use bg_runtime::testing::Recorder;

#[background_task]
async fn write_log(line: String, #[secret] code: u32, #[default = 1] r#type: u8) {
    assert!(line.len() + usize::from(r#type) + code as usize > 0);
}

#[background_task]
async fn count_visit() {}

struct Opaque;

#[background_task]
async fn keep(opaque: Opaque) {
    let Opaque = opaque;
}

// A secret needs no `Debug`.
#[background_task]
async fn hide(name: u8, #[secret] opaque: Opaque) {
    let (Opaque, _) = (opaque, name);
}

/// P-DEBUG-1
#[tokio::test]
async fn queued_tasks_are_compared_and_shown_by_assert_eq() {
    let recorder = Recorder::new();
    drop(recorder.spawn(WriteLog::new("a", 7)));
    assert_eq!(recorder.queued::<WriteLog>(), [WriteLog::new("a", 7)]);
}

/// P-DEBUG-1
#[test]
fn the_debug_of_a_task_is_that_of_derive_with_secrets_hidden() {
    let task = WriteLog::new("a", 70_707);
    assert_eq!(
        format!("{task:?}"),
        r#"WriteLog { line: "a", code: ***, type: 1 }"#
    );
    assert_eq!(
        format!("{task:#?}"),
        "WriteLog {\n    line: \"a\",\n    code: ***,\n    type: 1,\n}"
    );
    assert_eq!(format!("{CountVisit:?}"), "CountVisit");
    let hidden = Hide::new(1, Opaque);
    assert_eq!(format!("{hidden:?}"), "Hide { name: 1, opaque: *** }");
}

/// P-DEBUG-2
#[test]
fn a_task_with_a_field_that_is_not_debug_is_not_debug_either() {
    trait Shown {
        fn shown(&self) -> bool;
    }
    impl<T: Debug> Shown for T {
        fn shown(&self) -> bool {
            true
        }
    }
    trait Hidden {
        fn shown(&self) -> bool;
    }
    impl<T> Hidden for &T {
        fn shown(&self) -> bool {
            false
        }
    }
    #[expect(clippy::needless_borrow, reason = "the borrow chooses the trait")]
    let shown = ((&CountVisit).shown(), (&Keep::new(Opaque)).shown());
    assert_eq!(shown, (true, false));
}

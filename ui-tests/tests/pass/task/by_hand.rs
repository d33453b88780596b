//! A task may be written without the attribute, beside one with it.

#![deny(warnings, missing_docs)]

use bg_runtime::{Task, TaskContext, TaskDef, TaskResult, background_task};

/// By hand.
#[derive(Debug)]
pub struct Count {
    /// What to count.
    pub words: String,
}

impl Task for Count {
    const DEF: &'static TaskDef = &TaskDef::new("count");

    async fn run(self, _: TaskContext) -> TaskResult {
        self.words.parse::<u64>()?;
        Ok(())
    }
}

/// By attribute.
#[background_task]
pub async fn measure(words: String) {
    drop(words);
}

impl Measure {
    /// More ways to make one.
    pub fn nothing() -> Self {
        Self::new("")
    }
}

impl Default for Measure {
    fn default() -> Self {
        Self::nothing()
    }
}

fn is_task(task: impl Task) {
    let _ = task.arguments().is_some();
}

fn main() {
    is_task(Count {
        words: "7".to_owned(),
    });
    is_task(Measure::default());
}

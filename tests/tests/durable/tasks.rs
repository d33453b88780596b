//! The tasks of these tests, and what they note.

use std::sync::Arc;
use std::time::Duration;

use bg_runtime::{DurableDef, StateDef, Task, TaskContext, TaskDef, TaskResult};
use serde::{Deserialize, Serialize};
use tests::Timeline;

/// Notes its text, or fails with it if that begins with `fail`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Note {
    pub text: String,
}

impl Note {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl Task for Note {
    const DEF: &'static TaskDef = &TaskDef::new("tests.note")
        .durable(DurableDef::serde::<Self>())
        .retries(1)
        .backoff(bg_runtime::Backoff::fixed(Duration::from_millis(20)))
        .states(&[StateDef::of::<Arc<Timeline>>("timeline")]);

    async fn run(self, cx: TaskContext) -> TaskResult {
        let timeline: Arc<Timeline> = cx.state("timeline")?;
        timeline.mark(self.text.clone());
        match self.text.starts_with("fail") {
            true => Err(self.text.into()),
            false => Ok(()),
        }
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

bg_runtime::register!(Note);

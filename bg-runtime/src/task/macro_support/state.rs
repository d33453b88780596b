use crate::task::{BoxError, State, TaskContext};

/// Returns the state for the parameter of this name.
pub fn state<T: State>(cx: &TaskContext, parameter: &'static str) -> Result<T, BoxError> {
    Ok(cx.state(parameter)?)
}

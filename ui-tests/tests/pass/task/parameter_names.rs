//! Parameters may have the name of anything in the generated code.

#![deny(warnings)]

use bg_runtime::{TaskContext, background_task};

#[background_task]
async fn run(
    run: u8,
    new: u8,
    cx: u8,
    __cx: u8,
    __arg0: u8,
    __output: u8,
    output: u8,
    arguments: u8,
    task: u8,
    def: u8,
    std: u8,
    core: u8,
    bg_runtime: u8,
    #[default = run_default()] run_default: u8,
    #[context] context: TaskContext,
) {
    let _ = (
        run, new, cx, __cx, __arg0, __output, output, arguments, task, def, std, core,
    );
    let _ = (bg_runtime, run_default, context);
}

fn run_default() -> u8 {
    7
}

fn main() {
    let task = Run::new(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
    assert_eq!(task.run_default, 7);
    assert_eq!(task.run_default(8).run_default, 8);
}

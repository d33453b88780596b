use bg_runtime::background_task;

#[background_task]
const fn send_email(to: u64) {
    let _ = to;
}

fn main() {}

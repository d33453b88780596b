use bg_runtime::background_task;

#[background_task]
unsafe fn send_email(to: String) {
    drop(to);
}

fn main() {}

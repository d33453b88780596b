use bg_runtime::background_task;

#[background_task]
extern "C" fn send_email(to: u64) {
    let _ = to;
}

fn main() {}

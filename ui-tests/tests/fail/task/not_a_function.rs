use bg_runtime::background_task;

#[background_task]
struct SendEmail {
    to: String,
}

fn main() {}

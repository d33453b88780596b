use bg_runtime::background_task;

struct Mailer;

#[background_task]
async fn send_email(#[state] mailer: Mailer) {
    drop(mailer);
}

fn main() {}

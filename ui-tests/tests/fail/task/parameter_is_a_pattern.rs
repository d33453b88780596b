use bg_runtime::background_task;

#[background_task]
async fn send_email((to, subject): (String, String)) {
    drop((to, subject));
}

fn main() {}

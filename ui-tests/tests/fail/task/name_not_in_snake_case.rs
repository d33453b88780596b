use bg_runtime::background_task;

#[allow(non_snake_case)]
#[background_task]
async fn SendEmail(to: String) {
    drop(to);
}

fn main() {}

use bg_runtime::background_task;

#[background_task(key = user_id, max_per_key = 1)]
async fn ping() {}

fn main() {}

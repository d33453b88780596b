#[background_task(crate = crate::tasks, timeout = LIMIT)]
async fn update_analytics() {}

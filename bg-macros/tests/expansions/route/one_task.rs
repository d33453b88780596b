#[get("/", background = [Count; 2].into_iter().collect::<BackgroundTasks>())]
async fn index(_: HeaderMap) -> &'static str {
    "index"
}

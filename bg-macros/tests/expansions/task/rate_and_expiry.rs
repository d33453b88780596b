#[background_task(
    timeout = "10s",
    expires = "30s",
    key = user,
    max_unfinished_per_key = 1,
    on_full = replace,
    rate = "10/m"
)]
/// Fetches a feed.
async fn fetch_feed(user: u64) {
    fetch(user).await
}

#[background_task(
    retries = 3,
    backoff = "1s..1m",
    max_concurrent = 4,
    key = user,
    max_per_key = 1,
    max_pending_per_key = LIMIT
)]
/// Fetches a feed.
async fn fetch_feed(user: &str, feed: Feed, #[secret] token: String, #[state] client: Client) {
    client.fetch(user, feed, token).await
}

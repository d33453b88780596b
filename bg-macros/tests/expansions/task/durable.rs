#[background_task(durable, name = "emails.welcome", was = "emails.hello", queue = "slow", unique = [to], retries = 5)]
async fn send_welcome(
    to: &str,
    #[was("urgency")]
    #[default = 1]
    priority: u8,
    #[secret] code: Code,
    #[secret(stored_in_clear)] hint: String,
    #[state] mailer: Mailer,
) {
    mailer.send(to, priority, code, hint).await
}

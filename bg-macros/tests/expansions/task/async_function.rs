#[background_task(name = "emails.send", timeout = "1m 30s", on_error = report)]
/// Sends one email.
///
/// To one recipient.
pub async fn send_email(
    /// Who gets it.
    to: String,
    subject: &str,
    #[default = 1] priority: u8,
    #[default = "none"] note: &str,
    #[secret] code: Code,
    #[state] mailer: Mailer,
    #[context] cx: &TaskContext,
) -> Result<(), MailError> {
    mailer.send(to, subject, priority, note, code, cx).await
}

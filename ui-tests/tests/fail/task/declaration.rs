use bg_runtime::background_task;

trait Mailer {
    #[background_task]
    async fn send_email(to: String, #[default = 1] copies: u8);
}

fn main() {}

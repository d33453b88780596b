use bg_runtime::background_task;

struct Mailer;

impl Mailer {
    #[background_task]
    async fn send_email(&self, to: String, #[state] key: u8) {
        drop((to, key));
    }
}

fn main() {}

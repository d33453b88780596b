use bg_runtime::background_task;

#[background_task]
async fn send_email(to: String) {
    drop(to);
}

impl Clone for SendEmail {
    fn clone(&self) -> Self {
        Self::new(&self.to)
    }
}

fn main() {}

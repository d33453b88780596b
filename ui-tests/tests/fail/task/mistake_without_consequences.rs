use bg_runtime::{Task, background_task};

#[background_task(name = 7)]
async fn send_email(to: String, subject: &mut String, #[default = 1] priority: u8) {
    drop((to, subject.len(), priority));
}

#[background_task]
async fn update_analytics(_: u8) {}

fn is_task(task: impl Task) {
    drop(task);
}

fn main() {
    let email = SendEmail::new("a@b.c", "hello").priority(9);
    assert!(email.clone() == email);
    is_task(email);
    is_task(UpdateAnalytics::new(1));
}

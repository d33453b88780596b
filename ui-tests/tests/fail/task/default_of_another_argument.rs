use bg_runtime::background_task;

#[background_task]
async fn send_email(to: String, #[default = to.len()] size: usize) {
    drop((to, size));
}

fn main() {}

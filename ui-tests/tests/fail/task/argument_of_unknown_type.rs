use bg_runtime::background_task;

#[background_task]
async fn send_email(to: String, connection: Connektion) {
    drop((to, connection));
}

fn main() {}

use bg_runtime::background_task;

#[background_task(retries = 3, key = connection, max_per_key = 1)]
async fn send_email(to: String, connection: Connektion) {
    drop((to, connection));
}

fn main() {}

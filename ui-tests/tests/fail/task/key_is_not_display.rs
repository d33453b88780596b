use bg_runtime::background_task;

struct Connection;

#[background_task(key = connection, max_per_key = 1)]
async fn send_email(to: String, connection: Connection) {
    drop((to, connection));
}

fn main() {}

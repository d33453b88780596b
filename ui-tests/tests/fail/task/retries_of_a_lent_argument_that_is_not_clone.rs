use bg_runtime::background_task;

struct Connection;

#[background_task(retries = 3)]
async fn send_email(connections: &[Connection], one: &Connection) {
    let _ = (connections, one);
}

fn main() {}

#[background_task(timeut = "30s")]
fn ping(host: String) {}

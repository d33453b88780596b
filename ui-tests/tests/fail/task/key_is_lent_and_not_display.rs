use bg_runtime::background_task;

#[background_task(key = words, max_per_key = 1)]
async fn send_email(to: String, words: &[u8]) {
    let _ = (to, words);
}

fn main() {}

use bg_runtime::background_task;

#[background_task]
async fn count(words: String) -> usize {
    words.len()
}

fn main() {}

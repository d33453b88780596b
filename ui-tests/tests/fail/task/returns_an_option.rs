use bg_runtime::background_task;

#[background_task]
fn first(words: String) -> Option<char> {
    words.chars().next()
}

fn main() {}

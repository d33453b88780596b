use bg_runtime::background_task;

#[background_task]
async fn parse(number: String) -> Result<(), u8> {
    drop(number);
    Err(1)
}

fn main() {}

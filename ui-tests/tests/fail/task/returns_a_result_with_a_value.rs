use bg_runtime::background_task;

#[background_task]
async fn parse(number: String) -> Result<u64, std::num::ParseIntError> {
    number.parse()
}

fn main() {}

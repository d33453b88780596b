#[background_task]
pub fn ping(host: &mut String, #[default = 3] times: u8) {}

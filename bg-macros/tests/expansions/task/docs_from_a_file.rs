#[background_task]
/// From here
#[doc = include_str!("../docs.md")]
/// and there.
async fn documented(x: &'static str) {}

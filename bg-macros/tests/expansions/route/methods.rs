#[route("/form", methods = [GET, POST])]
pub async fn form() {}

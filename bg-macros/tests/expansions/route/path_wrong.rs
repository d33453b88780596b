#[get("/users/:id")]
pub async fn get_user(id: u64) -> String {
    id.to_string()
}

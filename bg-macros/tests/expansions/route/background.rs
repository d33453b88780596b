#[post("/register/{source}", background = [SendEmail::new(&user.email, source), #[cfg(unix)] Count], detach)]
async fn register(source: u8, Extension(&limit): Extension<&u64>, Json(mut user): Json<NewUser>) -> Json<NewUser> {
    user.limit = limit;
    Json(user)
}

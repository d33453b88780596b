#[get("/users/{_user}/posts/{post}", crate = crate::tasks)]
#[cfg(unix)]
/// Reads a post.
pub(crate) async fn get_post(post: u64, State(db): State<Db>) -> Result<Json<Post>, StatusCode> {
    db.post(post).await
}

use bg_runtime::background_task;

#[background_task(tiemout = "30s", name = 7, on_error, timeout = "1 hour", crate = ::bg_runtime)]
async fn send_email(to: String, (subject, body): (String, String)) {
    drop((to, subject, body));
}

fn main() {
    let _ = SendEmail::new("a@b.c", ("hello".to_owned(), "world".to_owned()));
}

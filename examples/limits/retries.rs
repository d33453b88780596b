//! `retries`, and `backoff` between them. Each run that fails is reported; the list waits meanwhile,
//! so what comes after the task still does.

use bg_runtime::{TaskContext, background_task, post};
use tracing::info;

/// Random waits between 50 ms and a limit that doubles each time: 100 ms, 200 ms, and so on.
#[background_task(retries = 3, backoff = "50ms..1s", timeout = "10s")]
async fn send_invoice(order: u64, #[context] cx: TaskContext) -> Result<(), &'static str> {
    // Stands for a mail server that is busy twice.
    if cx.attempt() < 3 {
        return Err("the mail server is busy");
    }
    info!("invoice of order {order} sent by attempt {}", cx.attempt());
    Ok(())
}

#[background_task]
async fn book_invoice(order: u64) {
    info!("invoice of order {order} booked");
}

#[post("/retries/invoices/{order}", background = [SendInvoice::new(order), BookInvoice::new(order)])]
pub(crate) async fn invoice(order: u64) -> String {
    format!("the invoice of order {order} is on its way\n")
}

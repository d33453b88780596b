//! `isolated`: a task blocks its thread, and the next request on the same connection is still
//! answered. It brings what the task waits for.

use std::{
    sync::{Condvar, Mutex},
    thread,
    time::Duration,
};

use bg_runtime::{background_task, post};
use tracing::info;

static SHEETS: Mutex<u32> = Mutex::new(0);
static REFILLED: Condvar = Condvar::new();

/// Stands for a driver that knows nothing of `async`, and waits for paper.
fn print() -> Result<(), &'static str> {
    let sheets = SHEETS.lock().unwrap();
    let patience = Duration::from_secs(10);
    let waited = REFILLED.wait_timeout_while(sheets, patience, |sheets| *sheets == 0);
    let (mut sheets, timeout) = waited.unwrap();
    if timeout.timed_out() {
        return Err("the printer has no paper");
    }
    *sheets -= 1;
    thread::sleep(Duration::from_millis(50));
    Ok(())
}

// As a `fn` it would run on the blocking pool, which is for tasks like this. A warning says so.
#[background_task]
async fn print_label(order: u64) -> Result<(), &'static str> {
    info!("printing the label of order {order}");
    print()?;
    info!("label of order {order} printed");
    Ok(())
}

#[post("/threads/orders/{order}", background = PrintLabel::new(order))]
pub(crate) async fn ship(order: u64) -> String {
    format!("order {order} is shipped today\n")
}

#[post("/threads/paper")]
pub(crate) async fn add_paper() {
    *SHEETS.lock().unwrap() += 500;
    REFILLED.notify_all();
}

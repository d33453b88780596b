//! What to try, and what comes of it.

use examples::{Request, Step};
use serde_json::json;

pub(crate) fn every_limit() -> Vec<Step> {
    vec![
        Request::post("/one-task/prices")
            .json(&json!(["lamp", "chair", "table", "shelf"]))
            .answered(202)
            .in_any_order(&[
                "price of lamp fetched",
                "price of chair fetched",
                "price of table fetched",
                "price of shelf fetched",
            ]),
        Request::post("/one-user/exports/ada/2023")
            .answered(202)
            .then(&["export of ada, 2023: begun"]),
        Request::post("/one-user/exports/ada/2024").answered(202), // waits
        Request::post("/one-user/exports/grace/2023")
            .answered(202)
            .then(&["export of grace, 2023: begun"]),
        Request::post("/one-user/exports/ada/2025")
            .answered(202)
            .beside(&["no more than 1 with the key `ada` may wait to run"]),
        Request::post("/one-user/archive")
            .answered(200)
            .beside(&[
                "export of ada, 2023: done",
                "export of ada, 2024: begun",
                "export of ada, 2024: done",
            ])
            .beside(&["export of grace, 2023: done"]),
        Request::post("/retries/invoices/7").answered(200).then(&[
            "the mail server is busy (attempt 1, it will run again)",
            "the mail server is busy (attempt 2, it will run again)",
            "invoice of order 7 sent by attempt 3",
            "invoice of order 7 booked",
        ]),
        Request::post("/all-tasks/digests")
            .answered(202)
            .beside(&["no more than 4 may wait to run"])
            .in_any_order(&[
                "digest sent to user 1",
                "digest sent to user 2",
                "digest sent to user 3",
                "digest sent to user 4",
            ]),
        Request::post("/threads/orders/7")
            .answered(200)
            .then(&["printing the label of order 7"]),
        Request::post("/threads/paper").answered(200).beside(&[
            "label of order 7 printed",
            "a background task blocks its thread for",
        ]),
        Step::ctrl_c().then(&["14 completed, 0 failed, 2 skipped, 0 aborted"]),
    ]
}

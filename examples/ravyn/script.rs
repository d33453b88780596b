//! What to try, and what comes of it.

use examples::{Request, Step};
use serde_json::json;

pub(crate) fn every_section(receiver: &str) -> Vec<Step> {
    let ada = json!({ "email": "ada@example.com" });
    vec![
        Request::post("/quick-start/register")
            .json(&ada)
            .answered(200)
            .then(&["welcome email to ada@example.com sent"]),
        Request::post("/handlers/users")
            .json(&json!({ "name": "ada" }))
            .answered(200)
            .then(&["request to /users completed"]),
        Request::post("/handlers/register")
            .json(&ada)
            .answered(200)
            .then(&[
                "email to ada@example.com sent",
                "event logged: user_registered",
                "analytics updated",
            ]),
        Request::post("/responses/register")
            .json(&ada)
            .answered(200)
            .then(&[
                "email to ada@example.com sent",
                "event logged: user_registered",
            ]),
        Request::post("/responses/notify")
            .json(&json!({ "user_id": 7, "message": "your parcel is here" }))
            .answered(200)
            .then(&["notification to user 7: your parcel is here"]),
        Request::post("/responses/process")
            .json(&json!({ "user_id": 7, "email": "ada@example.com" }))
            .answered(200)
            .then(&[
                "email to ada@example.com sent",
                "database updated for user 7",
                "event logged: order_processed",
            ]),
        Request::post("/add-task/action")
            .json(&json!({ "user_email": "ada@example.com", "action_type": "important" }))
            .answered(200)
            .then(&[
                "email to ada@example.com: Important Action",
                "log: important action by ada@example.com",
            ]),
        Request::post("/add-task/action")
            .json(&json!({ "user_email": "ada@example.com", "action_type": "other" }))
            .answered(200)
            .then(&["log: regular action by ada@example.com"]),
        Request::post("/sync-and-async/mixed")
            .answered(200)
            .then(&["sync: Hello", "async: World"]),
        Request::post("/registration/register")
            .json(&json!({ "email": "ada@example.com", "password": "difference engine" }))
            .answered(201)
            .then(&[
                "sending welcome email to ada@example.com",
                "creating profile for user 123",
                "new user registered: ada@example.com",
            ]),
        Request::post("/registration/register")
            .json(&json!({ "email": "ada@example.com", "password": "1815" }))
            .answered(422),
        Request::post("/upload/7/notes.txt")
            .file("A file of 19 bytes.")
            .answered(202)
            .then(&["processing notes.txt for user 7: 19 bytes"]),
        Request::post("/webhook/orders")
            .json(&json!({ "item": "lamp", "quantity": 2, "webhook_url": receiver }))
            .answered(201)
            .then(&[
                r#"webhook received: {"item":"lamp","order_id":456,"quantity":2}"#,
                "webhook sent, and answered with 204",
            ]),
        Request::post("/pitfalls/calculate")
            .json(&json!([1, 2, 3]))
            .answered(200)
            .then(&["total of [1, 2, 3] calculated"]),
        Request::post("/pitfalls/risky")
            .json(&json!({ "other": 1 }))
            .answered(200)
            .then(&["ravyn::pitfalls::risky_operation"]),
        Request::get("/pitfalls/visit")
            .answered(200)
            .then(&["visited: GET /pitfalls/visit"]),
        Step::ctrl_c().then(&["23 completed, 1 failed, 0 skipped, 0 aborted"]),
    ]
}

//! What can be read: templates in pages, the number, the subscription, media.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::meta::Template;

use crate::fake_cloud::business::{ANNA, Business};

#[tokio::test]
async fn templates_come_in_pages_that_follow_each_other() {
    let business = Business::start();
    for number in 0..7 {
        let template = Template::new(&format!("t{number}"), "en_US").category("UTILITY").body("Hi {{1}}").footer("f");
        business.cloud.add_template(if number == 3 { template.status("REJECTED") } else { template });
    }
    business.cloud.set_page_size(3);
    let path = "/v26.0/102290129340398/message_templates?fields=name,status,language,components&limit=100";
    let (mut next, mut names, mut pages) = (Some(path.to_owned()), Vec::new(), 0);
    while let Some(page) = next {
        let (status, body) = business.get(&page).await;
        assert_eq!(status, 200, "{body}");
        for template in body["data"].as_array().unwrap() {
            names.push(template["name"].as_str().unwrap().to_owned());
            assert!(template["id"].is_string() && template.get("category").is_none());
            let body = json!({"type": "BODY", "text": "Hi {{1}}", "example": {"body_text": [["example"]]}});
            assert_eq!(template["components"], json!([body, {"type": "FOOTER", "text": "f"}]));
        }
        assert!(body["paging"]["cursors"]["after"].is_string());
        next = body["paging"]["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((pages, names), (3, (0..7).map(|number| format!("t{number}")).collect()));
    let (_, first) = business.get("/v26.0/102290129340398/message_templates?limit=2").await;
    let after = first["paging"]["cursors"]["after"].as_str().unwrap();
    let (_, second) = business.get(&format!("/v26.0/102290129340398/message_templates?limit=2&after={after}")).await;
    assert_eq!((&second["data"][0]["name"], &second["data"][1]["status"]), (&json!("t2"), &json!("REJECTED")));
    let (_, one) = business.get("/v26.0/102290129340398/message_templates?name=t5").await;
    assert_eq!((one["data"].as_array().unwrap().len(), &one["paging"].get("next")), (1, &None));
    business.cloud.remove_template("t5");
    let (_, none) = business.get("/v26.0/102290129340398/message_templates?name=t5").await;
    assert_eq!(none, json!({"data": []}));
    assert_eq!(business.get("/v26.0/102290129340398/message_templates?after=x").await.1["error"]["code"], 100);
}

#[tokio::test]
async fn the_number_and_the_subscription_can_be_looked_at() {
    let business = Business::start();
    let fields = "display_phone_number,verified_name,quality_rating";
    let (_, number) = business.get(&format!("/v26.0/106540352242922?fields={fields}")).await;
    let expected = json!({
        "id": "106540352242922", "display_phone_number": "+1 555-078-3881", "verified_name": "Test Shop",
        "quality_rating": "GREEN",
    });
    assert_eq!(number, expected);
    assert_eq!(business.get("/v26.0/102290129340398/subscribed_apps").await.1["data"].as_array().unwrap().len(), 1);
    business.cloud.set_subscribed(false);
    assert_eq!(business.get("/v26.0/102290129340398/subscribed_apps").await.1, json!({"data": []}));
    let numbers = business.get("/v26.0/102290129340398/phone_numbers").await.1;
    assert_eq!(numbers["data"][0]["id"], "106540352242922");
    for (path, code) in
        [("/v26.0/1", 100), ("/v26.0/1/message_templates", 100), ("/latest/106540352242922", 2500), ("/", 2500)]
    {
        assert_eq!(business.get(path).await.1["error"]["code"], code, "{path}");
    }
    let (status, body) = business.post("/v26.0/1/messages", &json!({})).await.unwrap();
    assert_eq!((status.as_u16(), &body["error"]["error_subcode"]), (400, &json!(33)));
    business.cloud.revoke_token();
    assert_eq!(business.get("/v26.0/106540352242922").await.0, 401);
}

#[tokio::test]
async fn media_is_fetched_by_its_id() {
    let business = Business::start();
    business.cloud.phone(ANNA).send_image(None);
    business.cloud.settle().await;
    let image = business.items("messages")[0]["image"].clone();
    let (_, found) = business.get(&format!("/v26.0/{}", image["id"].as_str().unwrap())).await;
    assert_eq!((&found["mime_type"], &found["url"]), (&json!("image/jpeg"), &image["url"]));
    let (status, bytes) = business.get(found["url"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    let Value::String(bytes) = bytes else { panic!("{bytes}") };
    assert_eq!(found["file_size"], bytes.len());
    assert_eq!(found["sha256"], hex::encode(Sha256::digest(&bytes)));
    assert_eq!(image["sha256"].as_str().unwrap().len(), 44, "webhooks have it in base64");
    business.cloud.revoke_token();
    assert_eq!(business.get(found["url"].as_str().unwrap()).await.0, 401);
}

//! Content codings: bodies that come compressed, and answers that go out so.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use qyvo::channels::ChannelKind;
use qyvo::config::DefaultChannel;
use qyvo::store::tokens::Scope;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, question, read, secret};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

fn unbrotli(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    brotli::BrotliDecompress(&mut &bytes[..], &mut plain).unwrap();
    plain
}

/// Sends a body in a coding.
async fn send(app: &TestApp, path: &str, coding: &str, body: Vec<u8>) -> Answer {
    let request = app.client.post(format!("{}{path}", app.base)).bearer_auth(secret(Scope::Admin));
    let request = request.header("Content-Type", "application/json").header("Content-Encoding", coding);
    read(request.header("Accept", "application/json, text/event-stream").body(body)).await
}

const TRIGGER: &str = "/api/v1/actions/trigger-flow";

#[actix_web::test]
async fn bodies_are_taken_that_gzip_has_packed() {
    let app = TestApp::start().await;
    let flow = app.publish(&question(30)).await;
    for (number, coding) in ["gzip", "GZIP", "x-gzip", "identity, gzip", " gzip ,"].into_iter().enumerate() {
        let body = json!({"flow_id": flow, "phone": format!("+1415555012{number}")}).to_string();
        send(&app, TRIGGER, coding, gzip(body.as_bytes())).await.expect(201);
    }
    for coding in ["identity", ""] {
        let body = json!({"flow_id": flow, "phone": PHONE}).to_string();
        assert!(send(&app, TRIGGER, coding, body.into()).await.status.is_success(), "{coding:?}");
    }
    // Wherever a body is read.
    let rows = json!([{"phone": "+14155550150"}, {"phone": "+14155550151"}]).to_string();
    let batch = send(&app, &format!("/api/v1/flows/{flow}/trigger-batch"), "gzip", gzip(rows.as_bytes())).await;
    assert_eq!(batch.expect(200)["started"], json!(2));
    let document = json!({"document": question(30), "name": "Packed"}).to_string();
    let made = send(&app, "/api/v1/flows", "gzip", gzip(document.as_bytes())).await.expect(201);
    let publish = format!("/api/v1/flows/{}/publish", made["id"].as_str().unwrap());
    send(&app, &publish, "gzip", gzip(br#"{"note": "packed"}"#)).await.expect(200);
    send(&app, &format!("/api/v1/flows/{}/stop", made["id"].as_str().unwrap()), "gzip", Vec::new()).await.expect(200);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    assert!(send(&app, "/mcp", "gzip", gzip(call.as_bytes())).await.expect(200)["result"]["tools"].is_array());
}

#[actix_web::test]
async fn a_packed_body_is_the_same_request_as_a_plain_one() {
    let app = TestApp::start().await;
    let flow = app.publish(&question(30)).await;
    let body = json!({"flow_id": flow, "phone": PHONE});
    let first = app.post_with_key("/actions/trigger-flow", "once", &body).await.expect(201);
    let request = app.client.post(format!("{}{TRIGGER}", app.base)).bearer_auth(secret(Scope::Admin));
    let request = request.header("Content-Type", "application/json").header("Content-Encoding", "gzip");
    let again = read(request.header("Idempotency-Key", "once").body(gzip(body.to_string().as_bytes()))).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(201), first);
}

#[actix_web::test]
async fn what_a_body_becomes_has_the_limit_of_its_route() {
    let app = TestApp::start_with(|config| config.server.max_body = "100KB".parse().unwrap()).await;
    let flow = app.publish(&question(30)).await;
    let before = app.rows();
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    for path in [TRIGGER, "/mcp", "/api/v1/flows", "/api/v1/flows/validate", "/api/v1/inbound"] {
        let refused = send(&app, path, "gzip", bomb.clone()).await.expect(413);
        assert!(refused["error"].as_str().unwrap().contains("more than"), "{path}: {refused}");
    }
    let batch = format!("/api/v1/flows/{flow}/trigger-batch");
    send(&app, &batch, "gzip", bomb.clone()).await.expect(413);
    // Three times as much as may lie there at once, one behind the other: nothing of it stays.
    for _ in 0..4 {
        send(&app, &batch, "gzip", gzip(&[&b"["[..], &vec![b' '; 15 << 20], b"]"].concat())).await.expect(200);
    }
    let context = "x".repeat(99_000);
    let large = json!({"flow_id": flow, "phone": PHONE, "context": {"a": context}}).to_string();
    assert!(large.len() < 100_000);
    let told = send(&app, TRIGGER, "gzip", gzip(large.as_bytes())).await.expect(422);
    assert!(told["errors"]["context"].is_array(), "it was read: {told}");
    for nonsense in [&b"{}"[..], &bomb[..bomb.len() - 3], &[&gzip(b"{}")[..], b"behind"].concat()] {
        let refused = send(&app, "/api/v1/flows/validate", "gzip", nonsense.to_vec()).await;
        assert!([400, 413].contains(&refused.status.as_u16()), "{refused:?}");
    }
    assert_eq!(send(&app, TRIGGER, "gzip", b"{}".to_vec()).await.status, 400);
    assert_eq!(app.rows(), before);
}

#[actix_web::test]
async fn other_codings_are_refused_by_name() {
    let app = TestApp::start().await;
    let flow = app.publish(&question(30)).await;
    let before = app.rows();
    let body = json!({"flow_id": flow, "phone": PHONE}).to_string();
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
    deflated.write_all(body.as_bytes()).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(body.as_bytes()).unwrap();
    for (coding, body) in [
        ("deflate", deflated.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("br", body.clone().into()),
        ("zstd", body.clone().into()),
        ("gzip, gzip", gzip(&gzip(body.as_bytes()))),
        ("gzip, br", body.clone().into()),
        ("made-up", body.clone().into()),
    ] {
        for path in [TRIGGER, "/mcp", "/api/v1/flows/validate", &format!("/api/v1/flows/{flow}/trigger-batch")] {
            let refused = send(&app, path, coding, body.clone()).await;
            assert_eq!(refused.header("accept-encoding"), Some("gzip, identity"), "{path} {coding}");
            let told = refused.expect(415);
            assert!(told["error"].as_str().unwrap().contains(coding), "{told}");
            assert!(told["hint"].as_str().unwrap().contains("gzip"), "{told}");
        }
    }
    assert_eq!(app.rows(), before);
}

#[actix_web::test]
async fn a_delivery_is_signed_as_it_was_sent() {
    use hmac::{Hmac, KeyInit, Mac};
    let app = TestApp::start_with(|config| {
        config.channel.default = DefaultChannel::Named(ChannelKind::WhatsApp);
        config.whatsapp.phone_number_id = "1".to_owned();
        config.whatsapp.business_account_id = "2".to_owned();
        config.whatsapp.access_token = "token".to_owned().into();
        config.whatsapp.app_secret = "secret".to_owned().into();
        config.whatsapp.verify_token = "verify".to_owned().into();
        config.whatsapp.api_base = "http://127.0.0.1:9".to_owned();
    })
    .await;
    let sign = |bytes: &[u8]| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(bytes);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    };
    let plain = br#"{"object": "something", "else": true}"#;
    let deliver = async |coding: &str, signature: &str, body: &[u8]| {
        let request = app.client.post(format!("{}/webhooks/whatsapp", app.base)).header("Content-Encoding", coding);
        let request = request.header("X-Hub-Signature-256", signature).header("Content-Type", "application/json");
        read(request.body(body.to_vec())).await.status.as_u16()
    };
    let strays = async || app.get("/channels/whatsapp/strays").await.expect(200)["data"].as_array().unwrap().len();
    let packed = gzip(br#"{"object": "something else", "else": 7}"#);
    assert_eq!(deliver("identity", &sign(plain), plain).await, 200);
    let kept = strays().await;
    assert_eq!(deliver("gzip", &sign(&packed), &packed).await, 200, "signed as it was sent");
    assert_eq!(strays().await, 2 * kept, "and read like the plain one");
    assert_eq!(deliver("gzip", &sign(plain), &packed).await, 401, "signed before it was packed");
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert_eq!(deliver("gzip", &sign(b""), &bomb).await, 401, "nothing of a stranger's is unpacked");
    assert_eq!(deliver("br", &sign(plain), plain).await, 415);
    // Meta would send it again and again; it is kept with what is wrong.
    assert_eq!(deliver("gzip", &sign(plain), plain).await, 200);
    assert_eq!(strays().await, 2 * kept + 1);
}

/// Asks for something, taking these codings.
async fn get(app: &TestApp, path: &str, accepted: &str, more: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    ask(app, Method::GET, path, accepted, more).await
}

async fn ask(
    app: &TestApp,
    method: Method,
    path: &str,
    accepted: &str,
    more: &[(&str, &str)],
) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = app.client.request(method, format!("{}{path}", app.base)).bearer_auth(secret(Scope::Admin));
    if !accepted.is_empty() {
        request = request.header("Accept-Encoding", accepted);
    }
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

/// The body of an answer, decoded by what its header says.
fn plain(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    match headers.get("content-encoding").map(|value| value.to_str().unwrap()) {
        None => body.to_vec(),
        Some("gzip") => gunzip(body),
        Some("br") => unbrotli(body),
        Some(other) => panic!("{other}"),
    }
}

#[actix_web::test]
async fn an_answer_worth_it_goes_out_as_its_client_takes_it() {
    let app = TestApp::start().await;
    let flow = app.publish(&question(30)).await;
    for number in 0..30 {
        app.trigger(flow, &format!("+141555501{number:02}")).await.expect(201);
    }
    let (_, headers, expected) = get(&app, "/api/v1/contacts", "", &[]).await;
    assert!(expected.len() > 1024);
    assert_eq!(headers["vary"], "Accept-Encoding", "it would be another with it");
    for (accepted, coding) in [
        ("gzip", Some("gzip")),
        ("br", Some("br")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip, br;q=0.5", Some("gzip")),
        ("br;q=0, *", Some("gzip")),
        ("*", Some("br")),
        ("identity", None),
        ("identity, gzip;q=0.1", None),
        ("*;q=0", None),
        ("deflate", None),
    ] {
        let (status, headers, body) = get(&app, "/api/v1/contacts", accepted, &[]).await;
        assert_eq!((status, headers.get("content-encoding").map(|value| value.to_str().unwrap())), (200, coding));
        assert_eq!(headers["vary"], "Accept-Encoding", "{accepted}");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(plain(&headers, &body), expected, "{accepted}");
        assert!(coding.is_none() || body.len() < expected.len() / 4, "{accepted}: {} bytes", body.len());
        let (_, head, none) = ask(&app, Method::HEAD, "/api/v1/contacts", accepted, &[]).await;
        for name in ["content-encoding", "content-length", "vary", "content-type"] {
            assert_eq!(head.get(name), headers.get(name), "{accepted}: {name}");
        }
        assert!(none.is_empty());
    }
    // An error as well, if it is long.
    let long = format!("/api/v1/{}", "x".repeat(2000));
    let (status, headers, body) = get(&app, &long, "gzip", &[]).await;
    assert_eq!((status, &headers["content-encoding"]), (404, &"gzip".parse().unwrap()));
    assert!(String::from_utf8(gunzip(&body)).unwrap().contains("There is nothing at"));
}

#[actix_web::test]
async fn small_answers_and_streams_go_out_as_they_are() {
    let app = TestApp::start().await;
    let flow = app.publish(&question(30)).await;
    let body = json!({"flow_id": flow, "phone": PHONE}).to_string();
    let trigger = async |accepted: &str| {
        let request = app.client.post(format!("{}{TRIGGER}", app.base)).bearer_auth(secret(Scope::Admin));
        let request = request.header("Content-Type", "application/json").header("Accept-Encoding", accepted);
        request.body(body.clone()).send().await.unwrap()
    };
    let answer = trigger("gzip, br").await;
    assert_eq!((answer.headers().get("content-encoding"), answer.headers().get("vary")), (None, None));
    // Who takes nothing else gets what it takes.
    let answer = trigger("gzip, identity;q=0").await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "Accept-Encoding");
    let told: Value = serde_json::from_slice(&gunzip(&answer.bytes().await.unwrap())).unwrap();
    assert_eq!(told["status"], "already_running");

    let request = app.client.get(format!("{}/api/v1/events", app.base)).bearer_auth(secret(Scope::Admin));
    let mut stream = request.header("Accept-Encoding", "gzip, br").send().await.unwrap();
    assert_eq!(stream.headers().get("content-encoding"), None);
    assert!(stream.chunk().await.unwrap().unwrap().starts_with(b"retry:"), "it comes at once");

    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let request = app.client.post(format!("{}/mcp", app.base)).bearer_auth(secret(Scope::Admin)).body(list);
    let request = request.header("Content-Type", "application/json").header("Accept-Encoding", "gzip, br");
    let answer = request.header("Accept", "application/json, text/event-stream").send().await.unwrap();
    assert_eq!(answer.headers().get("content-encoding"), None);
    assert!(answer.bytes().await.unwrap().len() > 1024);
}

#[actix_web::test]
async fn the_programs_files_have_a_tag_for_each_coding() {
    let app = TestApp::start().await;
    for path in [
        "/admin/",
        "/admin/old/",
        "/admin/old/app.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/api/v1/openapi.yaml",
    ] {
        let (_, headers, whole) = get(&app, path, "", &[]).await;
        assert_eq!(headers.get("content-encoding"), None, "{path}");
        let varies = whole.len() > 1024;
        let mut tags = Vec::new();
        for accepted in ["", "gzip", "br", "gzip, deflate, br, zstd", "identity;q=0, gzip"] {
            // The second time it is the kept one.
            for _ in 0..2 {
                let (status, headers, body) = get(&app, path, accepted, &[]).await;
                assert_eq!((status, headers.get("vary").is_some()), (200, varies), "{path} {accepted}");
                assert_eq!(plain(&headers, &body), whole, "{path} {accepted}");
                assert_eq!(headers["content-length"], body.len().to_string());
                let is_coded = headers.contains_key("content-encoding");
                assert_eq!(is_coded, varies && !accepted.is_empty(), "{path} {accepted}");
                assert!(!is_coded || body.len() < whole.len() / 2, "{path} {accepted}: {} bytes", body.len());
                let tag = headers["etag"].to_str().unwrap().to_owned();
                let known = [("If-None-Match", tag.as_str())];
                let (status, unchanged, none) = get(&app, path, accepted, &known).await;
                assert_eq!((status, none.len()), (304, 0), "{path} {accepted}");
                assert_eq!((unchanged.get("etag"), unchanged.get("vary")), (headers.get("etag"), headers.get("vary")));
                assert_eq!((unchanged.get("content-encoding"), unchanged.get("content-type")), (None, None));
                let (_, head, _) = ask(&app, Method::HEAD, path, accepted, &[]).await;
                for name in ["content-encoding", "content-length", "vary", "etag"] {
                    assert_eq!(head.get(name), headers.get(name), "{path} {accepted}: {name}");
                }
                tags.push(tag);
            }
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), if varies { 3 } else { 1 }, "{path}: {tags:?}");
        if varies {
            let of_gzip = tags.iter().find(|tag| tag.ends_with("-gzip\"")).unwrap();
            let known = format!("W/{of_gzip}, \"else\"");
            let (status, ..) = get(&app, path, "gzip", &[("If-None-Match", &known)]).await;
            assert_eq!(status, 304);
            let (status, ..) = get(&app, path, "", &[("If-None-Match", &known)]).await;
            assert_eq!(status, 200, "what it has is not what it takes now");
        }
    }
}

#[actix_web::test]
async fn a_draft_that_came_compressed_can_be_replaced() {
    let app = TestApp::start().await;
    let mut document = question(30);
    document["nodes"][0]["text"] = json!("Tea or coffee? ".repeat(100));
    let made = app.post("/flows", &json!({"document": document})).await.expect(201);
    let path = format!("/api/v1/flows/{}", made["id"].as_str().unwrap());
    let revision = made["revision"].as_u64().unwrap();
    for (next, accepted) in (revision + 1..).zip(["", "gzip", "br"]) {
        let (_, headers, _) = get(&app, &path, accepted, &[]).await;
        let tag = headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(tag.contains('-'), !accepted.is_empty(), "{tag}");
        let replace = async || {
            let request = app.client.put(format!("{}{path}", app.base)).bearer_auth(secret(Scope::Admin));
            read(request.header("If-Match", &tag).json(&json!({"document": document}))).await
        };
        let replaced = replace().await.expect(200);
        assert_eq!(replaced["revision"], json!(next));
        replace().await.expect(412);
    }
}

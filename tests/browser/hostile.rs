//! Texts of strangers on the page: whatever they hold, they stay texts.

use serde_json::{Value, json};
use testkit::chromium::Browser;
use testkit::process::Server;

use crate::story::{enter, old};

/// Texts that would run if any of them were taken for markup, an attribute, a script or an address.
const HOSTILE: [&str; 5] = [
    "<img src=x onerror=window.hacked=1>",
    "\"><script>window.hacked=1</script>",
    "' onmouseover='window.hacked=1' autofocus onfocus='window.hacked=1",
    "javascript:window.hacked=1",
    "</textarea></style></title><svg onload=window.hacked=1>${window.hacked=1}{{7*7}}",
];

fn hostile(text: &str) -> Value {
    json!({
        "schema_version": 1, "name": format!("Flow {text}"), "entry_node": "ask",
        "settings": {"session_ttl_minutes": 600},
        "inputs": [{"name": "note", "type": "string", "required": false}],
        "nodes": [
            {"id": "ask", "type": "menu", "name": text,
                "text": "{% raw %}Say {% endraw %}{{context.note}} {{contact.name}}",
             "options": [{"id": "tea", "title": "Tea <b>now</b>"}], "exits": {"tea": "keep", "no_match": "keep"}},
            {"id": "keep", "type": "set_variable", "assignments": [{"name": "said", "value": "{{input.text}}"}],
             "exits": {"next": "last"}},
            {"id": "last", "type": "ask", "text": "You said {{context.said}}", "expects": "any", "save_as": "last",
             "exits": {"reply": "done", "no_match": "done", "timeout": "done"}},
            {"id": "done", "type": "end", "outcome": text}
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_strangers_stay_texts() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("admin");
    let mut paths = vec!["flows".to_owned(), "sessions".to_owned(), "contacts".to_owned()];
    for (n, text) in HOSTILE.iter().enumerate() {
        let phone = format!("+1415555{n:04}");
        let flow = server.publish(&token, &hostile(text)).await;
        let (status, started) = server.trigger_with(&token, &flow, &phone, json!({"note": text})).await;
        assert_eq!(status, 201, "{started}");
        let contact = format!("/api/v1/contacts/{}", started["contact_id"].as_str().unwrap());
        let profile =
            json!({"name": text, "tags": [text.chars().take(64).collect::<String>()], "metadata": {*text: text}});
        server.send(&token, "PATCH", &contact, &profile).await;
        server.say(&token, &phone, text).await;
        server.send(&token, "POST", &format!("/api/v1/flows/{flow}/publish"), &json!({"note": text})).await;
        server.send(&token, "POST", "/api/v1/tokens", &json!({"name": text, "scope": "trigger"})).await;
        let script = json!({"name": text, "script": {"start": {}, "steps": []}});
        server.send(&token, "POST", &format!("/api/v1/flows/{flow}/test-cases"), &script).await;
        let session = started["id"].as_str().unwrap();
        paths.push(format!("sessions/{session}"));
        paths.push(format!("contacts/{}", started["contact_id"].as_str().unwrap()));
        for tab in ["document", "try", "sessions", "versions", "tests", "trigger", "stats"] {
            paths.push(format!("flows/{flow}/{tab}"));
        }
        let other = server.say(&token, &format!("+1415556{n:04}"), text).await;
        assert_eq!(other["handled"], "unrouted");
        let short: String = text.chars().take(60).collect();
        let template = json!({"name": format!("cart_{n}"), "language": "en", "body": text, "footer": short,
            "category": short, "header": {"kind": "text", "text": short},
            "buttons": [{"kind": "quick_reply", "text": text.chars().take(25).collect::<String>()}]});
        server.send(&token, "POST", "/api/v1/templates", &template).await;
        let endpoint = json!({"url": format!("http://127.0.0.1:9/{n}"), "description": text});
        let endpoint = server.send(&token, "POST", "/api/v1/webhook-endpoints", &endpoint).await;
        paths.push(format!("webhooks/{}", endpoint["id"].as_str().unwrap()));
        let cancel = json!({"reason": text});
        server.send(&token, "POST", &format!("/api/v1/sessions/{session}/cancel"), &cancel).await;
        // Not before: whatever a person sends moves the conversation.
        for (index, (kind, media)) in [
            ("image", json!({"url": text, "mime_type": text, "caption": text})),
            ("document", json!({"url": format!("data:text/html,{text}"), "filename": text})),
            ("location", json!({"latitude": 1.5, "longitude": 2.5, "name": text, "address": text})),
            (
                "contacts",
                json!({"contacts": [{"name": {"formatted_name": text}, "phones": [{"phone": text}], "emails": text}]}),
            ),
            ("contacts", json!({"contacts": text})),
            ("audio", json!({"voice": text, "duration": text})),
        ]
        .into_iter()
        .enumerate()
        {
            let message = json!({"id": format!("{n}-{index}"), "from": phone, "type": kind, "media": media});
            server.send(&token, "POST", "/api/v1/inbound", &message).await;
        }
    }
    paths.extend(["messages", "tokens", "settings", "templates", "webhooks", "channel", "server"].map(str::to_owned));
    let paused = json!({"reason": HOSTILE[1]});
    server.send(&token, "POST", "/api/v1/channels/simulator/pause", &paused).await;

    enter(&browser, &server, HOSTILE[0]).await;
    let mut shown = String::new();
    let of_both = paths.iter().flat_map(|path| {
        let is_of_old = path.starts_with("flows/");
        let new = (!is_of_old).then(|| server.url(&format!("/admin/#/{path}")));
        [Some(old(&server, path)), new].into_iter().flatten()
    });
    for path in of_both {
        browser.open(&path).await;
        browser.settle().await;
        shown.push_str(&browser.text().await);
        // What waits for the pointer or the focus would run now.
        let poke = "for (const one of document.querySelectorAll('*')) {
                one.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})); one.focus?.(); }
            const links = [...document.querySelectorAll('a[href]')].map((link) => link.href);
            return {hacked: typeof window.hacked, links: links.filter((href) => !href.startsWith(location.origin)
                        && href !== 'https://www.openstreetmap.org/?mlat=1.5&mlon=2.5#map=16/1.5/2.5'),
                    strays: document.querySelectorAll('img[src=x], svg[onload], script:not([src])').length};";
        let found = browser.run(poke).await;
        assert_eq!(found, json!({"hacked": "undefined", "links": [], "strays": 0}), "{path}");
    }
    assert!(shown.contains("is paused: nothing goes out"));
    for text in HOSTILE {
        assert!(shown.contains(text), "{text} is shown nowhere as it is");
    }
    let complaints = browser.complaints().await;
    assert!(!complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:#?}");
    browser.close().await;
}

//! Contacts and tags.

use serde_json::{Value, json};
use testkit::app::{PHONE, START};

use super::{NEW, NOBODY, Row, UNKNOWN, World, bodyless, documented, ours, ours_told, post, told};

const CONTACT: [&str; 14] = [
    "id",
    "phone",
    "name",
    "email",
    "locale",
    "source",
    "metadata",
    "tags",
    "opted_in_at",
    "opted_out_at",
    "last_message_at",
    "total_messages",
    "created_at",
    "updated_at",
];

pub(super) fn contacts(world: &World) -> Vec<Row> {
    let World { ana, .. } = world;
    let s = "4.1 create-contact";
    let create = |body: Value| post("create-contact", body);
    let new =
        json!({"phone": NEW, "name": "Bo", "email": "bo@shop.example", "tags": " new , vip", "metadata": {"a": 1}});
    let large = json!({"phone": NEW, "metadata": {"x": "y".repeat(64 * 1024)}});
    let mut rows = vec![
        documented(s, "201 for a new one", create(new).status(201).keys(&CONTACT)),
        documented(s, "201 for one that is there", create(json!({"phone": NEW})).status(201)),
        documented(
            s,
            "tags are comma-separated, blanks tolerated",
            create(json!({"phone": NEW})).status(201).at("/tags", json!(["new", "vip"])),
        ),
        ours(
            s,
            "what is blank is left alone",
            create(json!({"phone": NEW, "name": "", "email": "", "tags": ""}))
                .status(201)
                .at("/name", json!("Bo"))
                .at("/email", json!("bo@shop.example"))
                .at("/tags", json!(["new", "vip"])),
        ),
        ours(
            s,
            "tags are added",
            create(json!({"phone": NEW, "tags": "third"})).status(201).at("/tags", json!(["new", "third", "vip"])),
        ),
        ours(
            s,
            "metadata is merged",
            create(json!({"phone": NEW, "metadata": {"b": 2}})).status(201).at("/metadata", json!({"a": 1, "b": 2})),
        ),
        ours(
            s,
            "{} changes nothing",
            create(json!({"phone": NEW, "metadata": {}})).status(201).at("/metadata", json!({"a": 1, "b": 2})),
        ),
        ours(s, "source is api", create(json!({"phone": NEW})).status(201).at("/source", json!("api"))),
        ours(s, "no consent", create(json!({"phone": NEW})).status(201).at("/opted_in_at", Value::Null)),
        documented(
            s,
            "a valid email",
            create(json!({"phone": NEW, "email": "bo"})).invalid("email", "must be an email address"),
        ),
        documented(s, "about 64 KB of metadata", create(large).invalid("metadata", "65536")),
    ];
    let s = "4.2 update-contact";
    let update = |mut body: Value| {
        body["phone"] = json!(NEW);
        post("update-contact", body)
    };
    let metadata = |value: Value| post("get-contact", json!({"phone": NEW})).at("/metadata", value);
    rows.extend([
        documented(s, "fields", update(json!({})).keys(&["id", "phone", "name", "email", "tags", "updated_at"])),
        documented(s, "by contact_id", post("update-contact", json!({"contact_id": ana})).at("/phone", json!(PHONE))),
        documented(
            s,
            "only what is present is written",
            update(json!({"name": "Bob"}))
                .at("/name", json!("Bob"))
                .at("/email", json!("bo@shop.example"))
                .at("/tags", json!(["new", "third", "vip"])),
        ),
        documented(s, "an empty name clears", update(json!({"name": ""})).at("/name", Value::Null)),
        documented(s, "an empty email clears", update(json!({"email": ""})).at("/email", Value::Null)),
        documented(s, "tags are replaced", update(json!({"tags": "one, two"})).at("/tags", json!(["one", "two"]))),
        ours(s, "empty tags change nothing", update(json!({"tags": ""})).at("/tags", json!(["one", "two"]))),
        documented(s, "metadata is merged", update(json!({"metadata": {"b": {"c": 3}}}))),
        documented(s, "on its first level alone", metadata(json!({"a": 1, "b": {"c": 3}}))),
        ours(s, "null", update(json!({"metadata": {"a": null}}))),
        ours(s, "removes a key", metadata(json!({"b": {"c": 3}}))),
        documented(s, "{} is accepted", update(json!({"metadata": {}}))),
        documented(s, "and changes nothing", metadata(json!({"b": {"c": 3}}))),
        documented(
            s,
            "an unknown contact",
            post("update-contact", json!({"phone": NOBODY, "name": "x"})).error(404, "Contact not found"),
        ),
        documented(
            s,
            "neither",
            post("update-contact", json!({"name": "x"})).error(422, "Neither contact_id nor phone provided"),
        ),
        ours(
            s,
            "both, of two contacts",
            update(json!({"contact_id": ana})).invalid("contact_id", "different contacts"),
        ),
        ours(
            s,
            "the phone stays what it is",
            post("update-contact", json!({"contact_id": ana, "phone": NOBODY})).status(422),
        ),
    ]);
    let s = "4.3 get-contact";
    let contact = without(&CONTACT, "updated_at");
    rows.extend([
        documented(
            s,
            "by contact_id, with these fields",
            post("get-contact", json!({"contact_id": ana})).keys(&contact),
        ),
        documented(s, "source is api", post("get-contact", json!({"phone": PHONE})).at("/source", json!("api"))),
        told(s, "source is csv_import", "program/cli/contacts.rs", "people_go_in_and_a_second_import_adds_to_them"),
        documented(s, "by phone", post("get-contact", json!({"phone": PHONE})).at("/id", json!(ana))),
        documented(s, "by email", post("get-contact", json!({"email": "ana@shop.example"})).at("/id", json!(ana))),
        documented(
            s,
            "metadata and tags",
            post("get-contact", json!({"contact_id": ana}))
                .at("/metadata", json!({"crm": 4711}))
                .at("/tags", json!(["beta", "vip"])),
        ),
        documented(
            s,
            "last_message_at, either way",
            post("get-contact", json!({"contact_id": ana})).at("/last_message_at", json!(START)),
        ),
        documented(
            s,
            "total_messages",
            post("get-contact", json!({"contact_id": ana})).at("/total_messages", json!(3)),
        ),
        documented(
            s,
            "null where there is nothing",
            post("get-contact", json!({"phone": NEW}))
                .at("/name", Value::Null)
                .at("/locale", Value::Null)
                .at("/last_message_at", Value::Null)
                .at("/total_messages", json!(0)),
        ),
        documented(
            s,
            "an unknown email",
            post("get-contact", json!({"email": "x@shop.example"})).error(404, "Contact not found"),
        ),
        ours(
            s,
            "several: the id is looked up first",
            post("get-contact", json!({"contact_id": ana, "email": "x@shop.example"})).at("/id", json!(ana)),
        ),
    ]);
    let s = "4.4 search-contacts";
    let search = |body: Value| post("search-contacts", body);
    rows.extend([
        documented(
            s,
            "fields",
            search(json!({"query": "Ana"})).count(1).keys(&[
                "id",
                "phone",
                "name",
                "email",
                "source",
                "tags",
                "last_message_at",
                "created_at",
            ]),
        ),
        documented(s, "an empty body finds all", search(json!({})).count(3)),
        documented(s, "an empty body of no bytes, with a media type", bodyless("search-contacts", Some("")).count(3)),
        documented(s, "an empty body of no bytes, without one", bodyless("search-contacts", None).count(3)),
        ours(s, "nulls last", search(json!({})).at("/2/phone", json!(NEW))),
        documented(s, "query: a part of the name, in either case", search(json!({"query": "aN"})).count(1)),
        documented(s, "query: a part of the phone", search(json!({"query": "5550123"})).at("/0/id", json!(ana))),
        documented(s, "query: a part of the email", search(json!({"query": "@SHOP"})).at("/0/id", json!(ana))),
        documented(s, "tag: the whole name", search(json!({"tag": "vi"})).is(json!([]))),
        documented(s, "tag", search(json!({"tag": "vip"})).count(1)),
        ours(s, "tag: in its case", search(json!({"tag": "VIP"})).is(json!([]))),
        ours(s, "email: in any case", search(json!({"email": "ANA@Shop.Example"})).count(1).at("/0/id", json!(ana))),
        documented(
            s,
            "query: characters of any script",
            update(json!({"name": "李小龍"})).at("/name", json!("李小龍")),
        ),
        documented(s, "one of them", search(json!({"query": "小"})).count(1).at("/0/phone", json!(NEW))),
        documented(s, "two of them", search(json!({"query": "小龍"})).count(1)),
        documented(s, "not in another order", search(json!({"query": "龍小"})).is(json!([]))),
        documented(s, "the email of nobody else", search(json!({"email": "bo@shop.example"})).is(json!([]))),
        documented(s, "email: the whole address", search(json!({"email": "ana@shop"})).is(json!([]))),
        ours(s, "% is a percent sign", search(json!({"query": "%"})).is(json!([]))),
        ours(s, "_ is an underscore", search(json!({"query": "_"})).is(json!([]))),
    ]);
    let s = "4.5 add-tag";
    let tag = |tag: &str| json!({"phone": PHONE, "tag": tag});
    let tagged = json!({"id": ana, "phone": PHONE, "tag_added": "gold", "tags": ["beta", "gold", "vip"]});
    rows.extend([
        documented(s, "a new tag", post("add-tag", tag("gold")).is(tagged.clone())),
        documented(s, "twice is once", post("add-tag", tag("gold")).is(tagged)),
        documented(s, "tag is required", post("add-tag", json!({"phone": PHONE})).invalid("tag", "is required")),
        documented(
            s,
            "by contact_id",
            post("add-tag", json!({"contact_id": ana, "tag": "gold"})).at("/phone", json!(PHONE)),
        ),
        documented(
            s,
            "neither",
            post("add-tag", json!({"tag": "x"})).error(422, "Neither contact_id nor phone provided"),
        ),
        documented(
            s,
            "makes no contact",
            post("add-tag", json!({"phone": NOBODY, "tag": "x"})).error(404, "Contact not found"),
        ),
    ]);
    let s = "4.6 remove-tag";
    rows.extend([
        documented(
            s,
            "detaches",
            post("remove-tag", tag("gold"))
                .is(json!({"id": ana, "phone": PHONE, "tag_removed": "gold", "tags": ["beta", "vip"]})),
        ),
        documented(
            s,
            "by contact_id",
            post("remove-tag", json!({"contact_id": ana, "tag": "gold"})).at("/tags", json!(["beta", "vip"])),
        ),
        documented(s, "the tag stays", post("list-tags", json!({"name": "gold"})).count(1)),
        documented(s, "an unknown tag", post("remove-tag", tag("nothing")).at("/tags", json!(["beta", "vip"]))),
        documented(
            s,
            "an unknown contact",
            post("remove-tag", json!({"contact_id": UNKNOWN, "tag": "x"})).error(404, "Contact not found"),
        ),
        documented(
            s,
            "neither",
            post("remove-tag", json!({"tag": "x"})).error(422, "Neither contact_id nor phone provided"),
        ),
    ]);
    let s = "4.7 list-tags";
    let tags = ["beta", "gold", "new", "one", "third", "two", "vip"];
    let mut all = post("list-tags", json!({})).keys(&["id", "name"]).count(tags.len());
    for (pointer, name) in
        ["/0/name", "/1/name", "/2/name", "/3/name", "/4/name", "/5/name", "/6/name"].into_iter().zip(tags)
    {
        all = all.at(pointer, json!(name));
    }
    rows.extend([
        documented(s, "all, by name", all),
        documented(s, "name: a part", post("list-tags", json!({"name": "ET"})).count(1).at("/0/name", json!("beta"))),
    ]);
    for (fact, body) in [("no bytes, with a media type", Some("")), ("no bytes, without one", None)] {
        rows.push(ours(s, fact, bodyless("list-tags", body).count(tags.len())));
    }
    rows.push(ours_told(
        "4.7 list-tags",
        "a thousand at most",
        "app/api/conformance/mod.rs",
        "a_thousand_tags_are_listed",
    ));
    rows.push(told(
        "4.8 contacts over MCP",
        "search_contacts and get_contact",
        "app/api/mcp.rs",
        "people_are_found_and_looked_at",
    ));
    rows
}

fn without(keys: &[&'static str], one: &str) -> Vec<&'static str> {
    keys.iter().copied().filter(|key| *key != one).collect()
}

//! The document over small tables of routes.

use http::Method;

use super::*;
use crate::net::{Call, Reply};

fn route(face: &'static str, method: Method, address: &'static str, guard: Guard) -> Route {
    Route::new(face, method, address, "a.b", guard, |_: Call| async {
        Reply::empty(StatusCode::NO_CONTENT)
    })
}

#[test]
fn a_route_becomes_an_operation() {
    let table = [
        route("live", Method::PUT, "/files/{id}/{path*}", Guard::Optional)
            .summary("Store it")
            .query("q", json!({ "type": "integer" }), "How many")
            .header("X-A", "A header")
            .body(json!({ "type": "object" }))
            .reply(201, json!({ "type": "string" }))
            .raw_reply(201, "text/plain")
            .empty_reply(304)
            .example(Some(json!({ "a": 1 })), Some(json!("b")))
            .fails(&[404]),
        route("stack", Method::GET, "/files/{name}/{rest}", Guard::Owner),
    ];
    let made = document(&table, Part::Whole);
    let path = &made["paths"]["/files/{id}/{path}"];
    let put = &path["put"];
    assert_eq!((&put["operationId"], &put["summary"]), (&json!("a.b"), &json!("Store it")));
    let parameters = put["parameters"].as_array().unwrap();
    let named: Vec<_> = parameters.iter().map(|p| (&p["name"], &p["in"], &p["required"])).collect();
    assert_eq!(
        named,
        [
            (&json!("id"), &json!("path"), &json!(true)),
            (&json!("path"), &json!("path"), &json!(true)),
            (&json!("q"), &json!("query"), &json!(false)),
            (&json!("X-A"), &json!("header"), &json!(false)),
        ]
    );
    assert_eq!(put["requestBody"]["content"]["application/json"]["example"], json!({ "a": 1 }));
    let created = &put["responses"]["201"]["content"];
    assert_eq!(created["application/json"]["example"], "b");
    assert!(created["text/plain"]["schema"].is_object());
    assert!(put["responses"]["304"]["content"].is_null());
    let refused = &put["responses"]["404"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(refused, "#/components/schemas/LiveError");
    assert_eq!(put["security"], json!([{}, { "bearerAuth": [] }]));
    // The second route at the address speaks of the same parameters.
    assert_eq!(path["get"]["parameters"][0]["name"], "id");
    assert_eq!(path["get"]["description"], "For the owner alone.");
    assert_eq!(made["paths"].as_object().unwrap().len(), 1);
    assert!(made["components"]["schemas"]["StackError"].is_object());
    assert_eq!(made["tags"].as_array().unwrap().len(), 2);
    let live = document(&table, Part::Live);
    assert!(live["paths"]["/files/{id}/{path}"]["get"].is_null());
}

#[test]
fn the_documents_list_themselves() {
    let all = publish(Vec::new());
    let whole = document(&all, Part::Whole);
    for address in
        ["/_/openapi.json", "/openapi.json", "/api/openapi.json", "/docs", "/redoc", "/_/docs"]
    {
        let get = &whole["paths"][address]["get"];
        assert!(get["responses"]["200"].is_object(), "{address}");
        assert_eq!(get["security"], json!([]), "{address}");
    }
    let live = document(&all, Part::Live);
    let listed: Vec<_> = live["paths"].as_object().unwrap().keys().collect();
    assert_eq!(listed, ["/api/openapi.json", "/api/docs"]);
}

#[test]
fn addresses_have_one_spelling() {
    let names = |address| path(address).1;
    assert_eq!(path("/a/{b}/{c*}").0, "/a/{b}/{c}");
    assert_eq!(path("/a/{*c}").0, "/a/{c}");
    assert_eq!(names("/a/{b}/{c*}"), ["b", "c"]);
    assert_eq!(names("/a"), Vec::<String>::new());
    assert_eq!(shape("/a/{b}/c/{d}"), "/a/{}/c/{}");
}

//! Promises of wrapping, through the API.

use serde_json::{Value, json};

use crate::core::Response;
use crate::core::token::testing::World;
use crate::engine::Operation::{Read, Update};
use crate::engine::{Body, EngineError, WrapInfo};
use crate::types::{Secret, Ttl};

async fn wrap(world: &World, data: Value, is_jwt: bool) -> WrapInfo {
    let Value::Object(data) = data else { panic!("tests pass objects") };
    let response = Response { request_id: "inner".to_owned(), data: Some(data), ..Response::default() };
    world.write(|txn| world.wrapping.wrap(txn, response.clone(), "secret/data/a", Ttl(60), is_jwt, world.now())).await.unwrap()
}

async fn unwrap(world: &World, by: &Secret<String>, data: Value) -> Result<Value, EngineError> {
    match world.call(Some(by), Update, "sys/wrapping/unwrap", data).await?.body {
        Body::Raw(raw) => Ok(serde_json::from_slice(&raw.bytes).unwrap()),
        other => panic!("expected an envelope, got {other:?}"),
    }
}

const NOT_VALID: &str = "wrapping token is not valid or does not exist";

#[tokio::test]
async fn an_answer_is_given_out_once() {
    let world = World::new().await;
    let rows = world.rows("");
    let info = wrap(&world, json!({"k": "v"}), false).await;
    let looked = world.data(&info.token, Update, "sys/wrapping/lookup", json!({})).await;
    assert_eq!((&looked["creation_path"], &looked["creation_ttl"]), (&json!("secret/data/a"), &json!(60)));
    let given = unwrap(&world, &info.token, json!({})).await.unwrap();
    assert_eq!((&given["data"], &given["request_id"]), (&json!({"k": "v"}), &json!("inner")));
    assert_eq!(unwrap(&world, &info.token, json!({})).await.unwrap_err().to_string(), NOT_VALID);
    let refused = world.call(None, Update, "sys/wrapping/lookup", json!({"token": info.token.expose()})).await;
    assert_eq!(refused.unwrap_err().to_string(), NOT_VALID);
    assert_eq!(world.rows(""), rows, "nothing is left of it");
}

#[tokio::test]
async fn an_answer_that_nothing_is_there_stays_one() {
    let world = World::new().await;
    let response = Response { data: Some(serde_json::Map::new()), is_missing: true, ..Response::default() };
    let info = world.write(|txn| world.wrapping.wrap(txn, response.clone(), "kv/data/a", Ttl(60), false, world.now())).await.unwrap();
    let rewrapped = world.call(Some(&info.token), Update, "sys/wrapping/rewrap", json!({})).await.unwrap();
    let Body::Wrapped(info) = rewrapped.body else { panic!("expected a token, got {:?}", rewrapped.body) };
    let Body::Raw(raw) = world.call(Some(&info.token), Update, "sys/wrapping/unwrap", json!({})).await.unwrap().body else {
        panic!("expected an envelope")
    };
    assert!(raw.is_missing);
}

#[tokio::test]
async fn of_two_readers_at_one_time_one_is_first() {
    let world = World::new().await;
    let info = wrap(&world, json!({"k": "v"}), false).await;
    let sent = json!({"token": info.token.expose()});
    let (one, other, own) =
        tokio::join!(unwrap(&world, &world.root, sent.clone()), unwrap(&world, &world.root, sent), unwrap(&world, &info.token, json!({})));
    assert_eq!([&one, &other, &own].into_iter().filter(|given| given.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_jwt_is_as_good_as_the_token_inside() {
    let world = World::new().await;
    let info = wrap(&world, json!({"k": "v"}), true).await;
    let text = info.token.expose().clone();
    assert_eq!(text.matches('.').count(), 2);
    let shown = world.data(&world.root, Read, "sys/wrapping/pubkey", json!({})).await;
    assert_eq!(shown["jwt_curve"], "P-521");
    let (said, signature) = text.rsplit_once('.').unwrap();
    let forged = format!("{said}.{}", signature.chars().rev().collect::<String>());
    assert_eq!(unwrap(&world, &world.root, json!({ "token": forged })).await.unwrap_err().to_string(), NOT_VALID);
    assert!(unwrap(&world, &Secret::new(text.clone()), json!({})).await.is_ok());
    assert_eq!(unwrap(&world, &world.root, json!({ "token": text })).await.unwrap_err().to_string(), NOT_VALID);
}

#[tokio::test]
async fn rewrapping_keeps_where_it_came_from() {
    let world = World::new().await;
    let info = wrap(&world, json!({"k": "v"}), false).await;
    let reply = world.call(Some(&info.token), Update, "sys/wrapping/rewrap", json!({})).await.unwrap();
    let Body::Wrapped(again) = reply.body else { panic!("a wrapping token") };
    assert_eq!((again.creation_path.as_str(), again.ttl), ("secret/data/a", 60));
    assert_eq!(unwrap(&world, &info.token, json!({})).await.unwrap_err().to_string(), NOT_VALID);
    assert_eq!(unwrap(&world, &again.token, json!({})).await.unwrap()["data"], json!({"k": "v"}));
}

#[tokio::test]
async fn a_wrapping_token_ends_and_opens_nothing_else() {
    let world = World::new().await;
    let info = wrap(&world, json!({"k": "v"}), false).await;
    assert!(matches!(world.call(Some(&info.token), Read, "auth/token/lookup-self", json!({})).await, Err(EngineError::Denied)));
    let nobody = Secret::new("hvs.nobody".to_owned());
    let sent = json!({"token": info.token.expose()});
    assert!(matches!(unwrap(&world, &nobody, sent.clone()).await, Err(EngineError::Denied)), "others need a token of their own");
    assert_eq!(unwrap(&world, &world.root, json!({"token": world.root.expose()})).await.unwrap_err().to_string(), NOT_VALID);
    world.ground.clock.pass(60);
    assert_eq!(unwrap(&world, &world.root, sent).await.unwrap_err().to_string(), NOT_VALID);
    world.sweep().await;
    assert_eq!(world.rows("cubbyhole/"), 0);
}

//! Promises of tokens, through the API.

use serde_json::json;

use super::testing::World;
use crate::engine::Operation::{Delete, List, Read, Update};
use crate::engine::{Body, EngineError, Grant, TokenKind};
use crate::types::{Secret, Ttl};

#[tokio::test]
async fn a_token_is_looked_up_and_never_stored() {
    let world = World::new().await;
    let root = &world.root;
    let token = world.token(root, "auth/token/create", json!({"policies": ["app"], "ttl": "30m", "display_name": "me"})).await;
    let shown = world.data(&token, Read, "auth/token/lookup-self", json!({})).await;
    assert_eq!(shown["id"], json!(token.expose()));
    assert_eq!(shown["policies"], json!(["app", "default"]));
    assert_eq!(shown["ttl"], json!(1800));
    assert_eq!(shown["display_name"], "token-me");
    assert_eq!(shown["path"], "auth/token/create");
    assert_eq!(shown["orphan"], false);
    let accessor = shown["accessor"].as_str().unwrap().to_owned();
    let by_accessor = world.data(root, Update, "auth/token/lookup-accessor", json!({ "accessor": accessor })).await;
    assert_eq!(by_accessor["id"], "");
    assert_eq!(by_accessor["accessor"], json!(accessor));
    assert_eq!(world.refused(root, "auth/token/lookup", json!({"token": "hvs.none"})).await, "bad token");
    assert_eq!(world.refused(root, "auth/token/lookup", json!({})).await, "missing token ID");
    assert_eq!(world.refused(root, "auth/token/lookup-accessor", json!({"accessor": "x"})).await, "invalid accessor");
    let of_root = world.data(root, Read, "auth/token/lookup-self", json!({})).await;
    assert_eq!((&of_root["expire_time"], &of_root["ttl"]), (&json!(null), &json!(0)));
}

#[tokio::test]
async fn a_tree_of_tokens_dies_with_its_root_and_orphans_live() {
    let world = World::new().await;
    let root = &world.root;
    let parent = world.token(root, "auth/token/create", json!({"policies": ["root"], "ttl": "1h"})).await;
    let child = world.token(&parent, "auth/token/create", json!({"policies": ["root"], "ttl": "1h"})).await;
    let grandchild = world.token(&child, "auth/token/create", json!({"policies": ["a"]})).await;
    let orphan = world.token(&child, "auth/token/create-orphan", json!({"policies": ["a"]})).await;
    world.call(Some(root), Update, "auth/token/revoke", json!({"token": parent.expose()})).await.unwrap();
    for dead in [&parent, &child, &grandchild] {
        assert!(world.find(dead).is_none());
    }
    assert!(world.find(&orphan).is_some());
    world.sweep().await;
    assert!(world.find(&orphan).is_some());
    assert_eq!(world.rows("sys/token/id/"), 2, "root and the orphan");
    assert_eq!(world.rows("sys/token/accessor/"), 2);
    assert_eq!(world.rows("sys/token/parent/"), 0);
    assert_eq!(world.rows("sys/lease/due/"), 1);
}

#[tokio::test]
async fn a_large_tree_dies_in_steps() {
    let world = World::new().await;
    let parent = world.token(&world.root, "auth/token/create", json!({"policies": ["root"], "ttl": "1h"})).await;
    let mut children = Vec::new();
    for _ in 0..450 {
        children.push(world.token(&parent, "auth/token/create", json!({"policies": ["a"]})).await);
    }
    world.call(Some(&parent), Update, "auth/token/revoke-self", json!({})).await.unwrap();
    assert!(children.iter().all(|child| world.find(child).is_none()), "dead at once, before any sweep");
    world.sweep().await;
    assert_eq!(world.rows("sys/token/id/"), 1);
    assert_eq!(world.rows("sys/token/parent/") + world.rows("sys/lease/"), 0);
}

#[tokio::test]
async fn revoking_a_token_alone_makes_its_children_orphans() {
    let world = World::new().await;
    let parent = world.token(&world.root, "auth/token/create", json!({"policies": ["root"], "ttl": "1h"})).await;
    let child = world.token(&parent, "auth/token/create", json!({"policies": ["a"]})).await;
    world.call(Some(&world.root), Update, "auth/token/revoke-orphan", json!({"token": parent.expose()})).await.unwrap();
    world.sweep().await;
    assert!(world.find(&parent).is_none());
    assert!(world.find(&child).unwrap().entry.parent.is_empty());
}

#[tokio::test]
async fn a_token_is_used_as_often_as_it_may() {
    let world = World::new().await;
    let token = world.token(&world.root, "auth/token/create", json!({"policies": ["a"], "num_uses": 2})).await;
    let shown = world.data(&token, Read, "auth/token/lookup-self", json!({})).await;
    assert_eq!(shown["num_uses"], 1);
    assert!(world.call(Some(&token), Read, "auth/token/lookup-self", json!({})).await.is_ok(), "the last use succeeds");
    assert!(matches!(world.call(Some(&token), Read, "auth/token/lookup-self", json!({})).await, Err(EngineError::Denied)));
    world.sweep().await;
    assert_eq!(world.rows("sys/token/id/"), 1);
    let limited = world.token(&world.root, "auth/token/create", json!({"policies": ["root"], "ttl": "1h", "num_uses": 5})).await;
    let text = world.refused(&limited, "auth/token/create", json!({})).await;
    assert_eq!(text, "restricted use token cannot generate child tokens");
}

#[tokio::test]
async fn a_token_ends_and_renewing_is_capped() {
    let world = World::new().await;
    let token = world.token(&world.root, "auth/token/create", json!({"policies": ["a"], "ttl": 100, "explicit_max_ttl": 150})).await;
    world.ground.clock.pass(90);
    let reply = world.call(Some(&token), Update, "auth/token/renew-self", json!({"increment": 100})).await.unwrap();
    let Body::Auth(auth) = reply.body else { panic!("an auth block") };
    assert_eq!(auth.fields["lease_duration"], 60);
    assert_eq!(reply.warnings.len(), 1);
    world.ground.clock.pass(60);
    assert!(world.find(&token).is_none(), "dead at its end, before any sweep");
    world.sweep().await;
    assert_eq!(world.rows("sys/token/id/"), 1);
    assert_eq!(world.rows("sys/lease/"), 0);
}

#[tokio::test]
async fn batch_tokens_are_stored_nowhere_and_can_little() {
    let world = World::new().await;
    let root = &world.root;
    let rows = world.rows("");
    let parent = world.token(root, "auth/token/create", json!({"policies": ["root"], "ttl": "1h"})).await;
    let batch = world.token(&parent, "auth/token/create", json!({"policies": ["a"], "type": "batch", "ttl": 60})).await;
    assert!(batch.expose().starts_with("hvb."));
    assert_eq!(world.rows("sys/token/id/"), 2);
    let shown = world.data(&batch, Read, "auth/token/lookup-self", json!({})).await;
    assert_eq!((&shown["accessor"], &shown["renewable"], &shown["type"]), (&json!(""), &json!(false), &json!("batch")));
    for (path, text) in [
        ("auth/token/renew", "batch tokens cannot be renewed"),
        ("auth/token/revoke", "batch tokens cannot be revoked"),
        ("auth/token/revoke-orphan", "batch tokens cannot be revoked"),
    ] {
        assert_eq!(world.refused(root, path, json!({"token": batch.expose()})).await, text);
    }
    let mut forged = batch.expose().clone();
    forged.replace_range(20..21, if &forged[20..21] == "A" { "B" } else { "A" });
    assert!(world.find(&Secret::new(forged)).is_none());
    let text = world.refused(root, "auth/token/create", json!({"policies": ["root"], "type": "batch"})).await;
    assert_eq!(text, "batch tokens cannot be root tokens");
    world.call(Some(&parent), Update, "auth/token/revoke-self", json!({})).await.unwrap();
    assert!(world.find(&batch).is_none(), "it dies with its parent");
    world.sweep().await;
    assert_eq!(world.rows(""), rows);
}

#[tokio::test]
async fn what_needs_sudo_is_refused_without_it() {
    let world = World::new().await;
    let policy = r#"path "auth/token/create" { capabilities = ["update"] }"#;
    world.call(Some(&world.root), Update, "sys/policies/acl/maker", json!({ "policy": policy })).await.unwrap();
    let maker = world.token(&world.root, "auth/token/create", json!({"policies": ["maker"]})).await;
    for (data, text) in [
        (json!({"no_parent": true}), "root or sudo privileges required to create orphan token"),
        (json!({"period": "1h"}), "root or sudo privileges required to create periodic token"),
        (json!({"id": "mine"}), "root or sudo privileges required to specify token id"),
        (json!({"policies": ["root"]}), "child policies must be subset of parent"),
        (json!({"policies": ["other"]}), "child policies must be subset of parent"),
        (json!({"ttl": "-1s"}), "ttl must be positive"),
        (json!({"type": "odd"}), "invalid 'token_type' value"),
    ] {
        assert_eq!(world.refused(&maker, "auth/token/create", data).await, text);
    }
    assert!(matches!(world.call(Some(&maker), Update, "auth/token/create-orphan", json!({})).await, Err(EngineError::Denied)));
    let child = world.token(&maker, "auth/token/create", json!({})).await;
    assert_eq!(world.find(&child).unwrap().entry.policies, ["default", "maker"]);
    let own = world.token(&world.root, "auth/token/create", json!({"id": "mine"})).await;
    assert_eq!(own.expose(), "mine");
    assert_eq!(world.refused(&world.root, "auth/token/create", json!({"id": "mine"})).await, "cannot create a token with a duplicate ID");
}

#[tokio::test]
async fn roles_say_what_tokens_are() {
    let world = World::new().await;
    let root = &world.root;
    let role = json!({"allowed_policies": "a,b", "orphan": true, "period": "1h", "path_suffix": "end", "renewable": true});
    world.call(Some(root), Update, "auth/token/roles/r", role).await.unwrap();
    let shown = world.data(root, Read, "auth/token/roles/r", json!({})).await;
    assert_eq!((&shown["period"], &shown["token_period"], &shown["name"]), (&json!(3600), &json!(3600), &json!("r")));
    let token = world.token(root, "auth/token/create/r", json!({})).await;
    let shown = world.data(root, Update, "auth/token/lookup", json!({"token": token.expose()})).await;
    assert_eq!(shown["policies"], json!(["a", "b", "default"]));
    assert_eq!(shown["path"], "auth/token/create/r/end");
    assert_eq!((&shown["orphan"], &shown["period"], &shown["role"]), (&json!(true), &json!(3600), &json!("r")));
    assert_eq!(world.refused(root, "auth/token/create/none", json!({})).await, "unknown role none");
    assert_eq!(world.data(root, List, "auth/token/roles/", json!({})).await["keys"], json!(["r"]));
    world.call(Some(root), Delete, "auth/token/roles/r", json!({})).await.unwrap();
    let text = world.refused(root, "auth/token/renew", json!({"token": token.expose()})).await;
    assert!(text.contains("could not be found, not renewing"), "{text}");
}

#[tokio::test]
async fn a_login_never_makes_a_root_token() {
    let world = World::new().await;
    let login = |policies: &[&str], kind| {
        let grant = Grant {
            policies: policies.iter().map(|name| (*name).to_owned()).collect(),
            display_name: "userpass-a".to_owned(),
            kind,
            renewable: true,
            ttl: Ttl(60),
            ..Grant::default()
        };
        let mount = world.mount("auth/userpass/");
        let world = &world;
        async move { world.write(|txn| world.tokens.login(txn, &mount, "auth/userpass/login/a", grant.clone(), "", world.now())).await }
    };
    for name in ["root", "ROOT", " Root "] {
        let refused = login(&["a", name], TokenKind::Service).await.unwrap_err().to_string();
        assert_eq!(refused, "auth methods cannot create root tokens");
    }
    let made = login(&["A"], TokenKind::Service).await.unwrap();
    assert_eq!(made.entry.policies, ["a", "default"]);
    assert!(made.entry.parent.is_empty());
    let auth = made.auth(world.now());
    assert_eq!((&auth.fields["lease_duration"], &auth.fields["orphan"]), (&json!(60), &json!(true)));
    assert!(login(&["a"], TokenKind::Batch).await.unwrap().token.expose().starts_with("hvb."));
}

#[tokio::test]
async fn capabilities_are_those_that_count() {
    let world = World::new().await;
    let root = &world.root;
    world.call(Some(root), Update, "sys/policy/App", json!({"rules": r#"path "secret/*" { policy = "read" }"#})).await.unwrap();
    let token = world.token(root, "auth/token/create", json!({"policies": ["app"]})).await;
    let shown = world.data(&token, Update, "sys/capabilities-self", json!({"paths": ["secret/a", "sys/mounts"]})).await;
    assert_eq!(shown, json!({"secret/a": ["list", "read"], "sys/mounts": ["deny"]}));
    let shown = world.data(root, Update, "sys/capabilities", json!({"token": token.expose(), "path": "secret/a"})).await;
    assert_eq!(shown["capabilities"], json!(["list", "read"]));
    let root_shown = world.data(root, Update, "sys/capabilities-self", json!({"paths": "x"})).await;
    assert_eq!(root_shown["capabilities"], json!(["root"]));
    world.call(Some(root), Update, "sys/policies/acl/app", json!({"policy": r#"path "secret/*" { policy = "deny" }"#})).await.unwrap();
    let shown = world.data(&token, Update, "sys/capabilities-self", json!({"path": "secret/a"})).await;
    assert_eq!(shown["capabilities"], json!(["deny"]), "a changed policy counts at once");
    world.call(Some(root), Delete, "sys/policies/acl/APP", json!({})).await.unwrap();
    let list = world.data(root, List, "sys/policies/acl/", json!({})).await;
    assert_eq!(list["keys"], json!(["default", "root"]));
    for (path, text) in [
        ("sys/policies/acl/root", "cannot update \"root\" policy"),
        ("sys/policies/acl/response-wrapping", "cannot update \"response-wrapping\" policy"),
    ] {
        assert_eq!(world.refused(root, path, json!({"policy": "path \"a\" {}"})).await, text);
    }
    assert!(world.refused(root, "sys/policies/acl/x", json!({"policy": "nonsense {"})).await.starts_with("failed to parse policy: "));
    let text = world.call(Some(root), Delete, "sys/policies/acl/default", json!({})).await.unwrap_err().to_string();
    assert_eq!(text, "cannot delete default policy");
}

#[tokio::test]
async fn a_use_is_counted_for_every_node() {
    let world = World::new().await;
    let token = world.token(&world.root, "auth/token/create", json!({"policies": ["a"], "num_uses": 3})).await;
    world.call(Some(&token), Read, "auth/token/lookup-self", json!({})).await.unwrap();
    // What another node would find that becomes active now.
    assert_eq!(world.find(&token).unwrap().entry.num_uses, 2);
}

//! Wrapping tokens as JWTs: signed with ES512, so that a reader learns the cluster's address from the token itself.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::barrier::Txn;
use crate::core::keys;
use crate::engine::EngineError;
use crate::types::Secret;

/// Length of a coordinate of P-521, in bytes.
const COORDINATE_BYTES: usize = 66;

fn cannot(what: &'static str) -> EngineError {
    EngineError::Internal(format!("{what} the key of wrapping tokens"))
}

/// The key, if there is one.
fn key(txn: &mut Txn) -> Result<Option<EcdsaKeyPair>, EngineError> {
    let Some(stored) = txn.get(&keys::wrapping_jwt_key())? else { return Ok(None) };
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_FIXED_SIGNING, stored.expose()).map_err(|_| cannot("read"))?;
    Ok(Some(pair))
}

/// The key; made in `txn` if there is none yet.
pub(super) fn key_or_new(txn: &mut Txn) -> Result<EcdsaKeyPair, EngineError> {
    if let Some(pair) = key(txn)? {
        return Ok(pair);
    }
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P521_SHA512_FIXED_SIGNING, &SystemRandom::new()).map_err(|_| cannot("make"))?;
    txn.put(keys::wrapping_jwt_key(), Secret::new(made.as_ref().to_vec()));
    EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_FIXED_SIGNING, made.as_ref()).map_err(|_| cannot("read"))
}

/// A JWT that says `claims`.
pub(super) fn sign(txn: &mut Txn, claims: &Value) -> Result<Secret<String>, EngineError> {
    let pair = key_or_new(txn)?;
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES512","typ":"JWT"}"#);
    let said = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = pair.sign(&SystemRandom::new(), said.as_bytes()).map_err(|_| cannot("sign with"))?;
    Ok(Secret::new(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))))
}

/// The bare token inside `text`, which is one itself if it is no JWT. `None` if it is a JWT that we did not sign.
pub(super) fn inner(txn: &mut Txn, text: &Secret<String>) -> Result<Option<Secret<String>>, EngineError> {
    let whole = text.expose();
    if !whole.starts_with("eyJ") || whole.matches('.').count() != 2 {
        return Ok(Some(text.clone()));
    }
    let Some(pair) = key(txn)? else { return Ok(None) };
    Ok(verified(&pair, whole).and_then(|claims| {
        let is_ours = claims.get("type").and_then(Value::as_str) == Some("wrapping");
        claims.get("jti").and_then(Value::as_str).filter(|_| is_ours).map(|inner| Secret::new(inner.to_owned()))
    }))
}

fn verified(pair: &EcdsaKeyPair, text: &str) -> Option<Value> {
    let (said, signature) = text.rsplit_once('.')?;
    let (head, claims) = said.split_once('.')?;
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    if head.get("alg").and_then(Value::as_str) != Some("ES512") {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, pair.public_key().as_ref()).verify(said.as_bytes(), &signature).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// The public key, with coordinates in URL-safe base64 as in a JWK; `None` while no JWT was ever signed.
pub(super) fn public_key(txn: &mut Txn) -> Result<Option<Map<String, Value>>, EngineError> {
    let Some(pair) = key(txn)? else { return Ok(None) };
    // Uncompressed: 0x04 ‖ x ‖ y.
    let point = pair.public_key().as_ref();
    let (Some(x), Some(y)) = (point.get(1..=COORDINATE_BYTES), point.get(1 + COORDINATE_BYTES..)) else { return Err(cannot("read")) };
    let mut shown = Map::new();
    shown.insert("jwt_x".to_owned(), json!(URL_SAFE_NO_PAD.encode(x)));
    shown.insert("jwt_y".to_owned(), json!(URL_SAFE_NO_PAD.encode(y)));
    shown.insert("jwt_curve".to_owned(), json!("P-521"));
    Ok(Some(shown))
}

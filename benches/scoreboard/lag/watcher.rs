//! Reads the marker on the secondary in a bounded loop, and notes when each number, or a later one, was first seen.

use super::clock::{now_ns, sleep_until};
use super::{LAST, Moments, Post, SECRET};
use crate::cluster::vault::MOUNT;
use crate::load::http_client::HttpClient;

/// How long the last marker may take to be seen.
const PATIENCE_S: f64 = 60.0;

/// Reads until the last marker was seen, or patience ends; then prints the moments.
///
/// # Errors
/// If the secondary cannot be reached.
pub fn run() -> anyhow::Result<()> {
    let post = super::post()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let moments = runtime.block_on(watch(&post))?;
    println!("{}", serde_json::to_string(&moments)?);
    Ok(())
}

async fn watch(post: &Post) -> anyhow::Result<Moments> {
    let mut client = HttpClient::connect(&post.address).await?;
    let request = format!("GET /v1/{MOUNT}/data/{SECRET} HTTP/1.1\r\nHost: {}\r\nX-Vault-Token: {}\r\n\r\n", post.address, post.token);
    let mut moments = Moments::new();
    let end = now_ns() + ((post.seconds + PATIENCE_S) * 1e9) as u64;
    let pause = (1e9 / post.rate) as u64;
    // What an earlier watch left there is none of ours: its last.
    let mut is_ours = false;
    let mut last = 0;
    loop {
        let begun = now_ns();
        if last == LAST || begun >= end {
            return Ok(moments);
        }
        if let Some(found) = number(&mut client, request.as_bytes()).await {
            let now = now_ns();
            is_ours |= found != LAST;
            if is_ours && found > last {
                moments.push((found, now));
                last = found;
            }
        }
        sleep_until(begun + pause);
    }
}

/// The number that the secondary shows; `None` if there is none now.
async fn number(client: &mut HttpClient, request: &[u8]) -> Option<u64> {
    match client.exchange(request).await {
        Ok(answer) if answer.status == 200 => parse(std::str::from_utf8(answer.body).ok()?),
        Ok(_) => None,
        Err(_) => {
            let _ = client.reconnect().await;
            None
        }
    }
}

fn parse(body: &str) -> Option<u64> {
    let rest = body.split_once("\"n\":")?.1;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

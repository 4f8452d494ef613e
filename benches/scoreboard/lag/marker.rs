//! Writes growing numbers on the primary, evenly spaced, and notes when each was acknowledged.

use super::clock::{now_ns, sleep_until};
use super::{LAST, Moments, Post, SECRET};
use crate::cluster::vault::MOUNT;
use crate::load::http_client::HttpClient;

/// Broken connections in a row before it gives up.
const BROKEN_MAX: u32 = 200;

/// Writes all markers, then prints the moments.
///
/// # Errors
/// If the primary is away for long.
pub fn run() -> anyhow::Result<()> {
    let post = super::post()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let moments = runtime.block_on(mark(&post))?;
    println!("{}", serde_json::to_string(&moments)?);
    Ok(())
}

async fn mark(post: &Post) -> anyhow::Result<Moments> {
    let mut client = HttpClient::connect(&post.address).await?;
    let mut moments = Moments::new();
    let began = now_ns();
    let mut broken = 0;
    let end = began + (post.seconds * 1e9) as u64;
    for number in 1.. {
        // One at a time, on a thread of its own: it may sleep.
        sleep_until(began + (number as f64 * 1e9 / post.rate) as u64);
        // The last says that it is the last, and must arrive.
        let is_last = now_ns() >= end;
        let number = if is_last { LAST } else { number };
        match client.exchange(&request(post, number)).await {
            Ok(answer) if answer.status < 300 => {
                moments.push((number, now_ns()));
                broken = 0;
                if is_last {
                    return Ok(moments);
                }
            }
            // Not acknowledged: it has no lag, whether it was written or not.
            Ok(_) => {}
            Err(_) => {
                broken += 1;
                anyhow::ensure!(broken < BROKEN_MAX, "the primary does not answer");
                let _ = client.reconnect().await;
            }
        }
    }
    anyhow::bail!("more markers than there are numbers")
}

fn request(post: &Post, number: u64) -> Vec<u8> {
    let body = format!("{{\"data\":{{\"n\":{number}}}}}");
    format!(
        "PUT /v1/{MOUNT}/data/{SECRET} HTTP/1.1\r\nHost: {}\r\nX-Vault-Token: {}\r\nContent-Length: {}\r\n\r\n{body}",
        post.address,
        post.token,
        body.len(),
    )
    .into_bytes()
}

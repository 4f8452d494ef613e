//! What HTTP alone costs: a server of the kind that Coffer uses, which parses a JSON body and answers with one.

use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;

use super::thread_cpu_us;
use crate::load::http_client::HttpClient;

const CLIENTS: usize = 16;

/// Processor time of the server for one request, in microseconds.
pub fn probe(time: Duration) -> anyhow::Result<f64> {
    let (address_in, address_out) = std::sync::mpsc::channel();
    let (stop_in, stop_out) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || -> anyhow::Result<f64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            address_in.send(listener.local_addr()?.to_string())?;
            let app = Router::new().route("/v1/echo", post(|Json(body): Json<Value>| async move { Json(body) }));
            let before = thread_cpu_us();
            tokio::select! {
                served = axum::serve(listener, app) => served?,
                _ = stop_out => {}
            }
            Ok(thread_cpu_us() - before)
        })
    });
    let address = address_out.recv()?;
    let requests = send(&address, time)?;
    let _ = stop_in.send(());
    let cpu = server.join().map_err(|_| anyhow::anyhow!("the echo server failed"))??;
    Ok(cpu / requests as f64)
}

/// Sends requests for `time`; returns how many were answered.
fn send(address: &str, time: Duration) -> anyhow::Result<u64> {
    let body = format!("{{\"data\":{{\"value\":\"{}\"}}}}", "x".repeat(256));
    let length = body.len();
    let request =
        format!("POST /v1/echo HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let end = Instant::now() + time;
    local.block_on(&runtime, async {
        let mut tasks = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = HttpClient::connect(address).await?;
            let request = request.clone();
            tasks.push(tokio::task::spawn_local(async move {
                let mut count = 0;
                while Instant::now() < end {
                    let answered = client.exchange(request.as_bytes()).await.is_ok_and(|answer| answer.status == 200);
                    anyhow::ensure!(answered, "the echo server did not answer");
                    count += 1;
                }
                Ok(count)
            }));
        }
        let mut sum = 0;
        for task in tasks {
            sum += task.await??;
        }
        Ok(sum)
    })
}

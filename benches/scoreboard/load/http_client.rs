//! The least that HTTP/1.1 asks of a client: prepared bytes out, status and body in, one connection kept open.

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clients::Failure;
use super::framing::{Framing, find, head, joined};

/// One connection.
pub struct HttpClient {
    address: String,
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Where the last answer lies in the buffer.
pub struct Answer<'c> {
    pub status: u16,
    pub body: &'c [u8],
}

impl HttpClient {
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { address: address.into(), stream, buffer: Vec::with_capacity(8192) })
    }

    pub async fn reconnect(&mut self) -> anyhow::Result<()> {
        *self = Self::connect(&self.address.clone()).await?;
        Ok(())
    }

    /// Sends `request` and reads the whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        let broken = |error: std::io::Error| Failure::Broken(error.kind().to_string());
        self.stream.write_all(request).await.map_err(broken)?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await.map_err(broken)? == 0 {
                return Err(Failure::Broken("connection closed".into()));
            }
            let Some(head_end) = find(&self.buffer, b"\r\n\r\n") else { continue };
            let (status, framing) = head(&self.buffer[..head_end]).ok_or_else(|| Failure::Broken("no HTTP answer".into()))?;
            let body = &self.buffer[head_end + 4..];
            match framing {
                Framing::Bytes(length) if body.len() >= length => {
                    return Ok(Answer { status, body: &self.buffer[head_end + 4..head_end + 4 + length] });
                }
                Framing::Chunks if body.ends_with(b"0\r\n\r\n") => {
                    let joined = joined(body).ok_or_else(|| Failure::Broken("broken chunks".into()))?;
                    self.buffer.truncate(head_end + 4);
                    self.buffer.extend_from_slice(&joined);
                    return Ok(Answer { status, body: &self.buffer[head_end + 4..] });
                }
                _ => {}
            }
        }
    }
}

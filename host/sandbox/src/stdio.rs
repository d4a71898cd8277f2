//! What a guest writes to its standard output and error: the last 8 KiB of it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

const RING_BYTES: usize = 8 * 1024;

/// Takes any amount and keeps the end of it.
#[derive(Clone, Default)]
pub(crate) struct Ring(Arc<Mutex<VecDeque<u8>>>);

impl Ring {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tail = bytes.get(bytes.len().saturating_sub(RING_BYTES)..).unwrap_or(bytes);
        let over = (kept.len() + tail.len()).saturating_sub(RING_BYTES);
        kept.drain(..over);
        kept.extend(tail);
    }

    /// The end of what was written; broken letters become U+FFFD.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (front, back) = kept.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

impl IsTerminal for Ring {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Ring {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Ring {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(RING_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for Ring {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Ring {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::{RING_BYTES, Ring};

    #[test]
    fn the_ring_keeps_the_end() {
        let ring = Ring::default();
        for number in 0..10_000 {
            ring.push(format!("سطر {number}\n").as_bytes());
        }
        ring.push(b"xxx");
        let text = ring.text();
        assert!(text.ends_with("سطر 9999\nxxx"), "{text}");
        assert!(text.len() <= RING_BYTES + 4);
        ring.push(&vec![b'y'; RING_BYTES * 3]);
        assert_eq!(ring.text(), "y".repeat(RING_BYTES));
    }
}

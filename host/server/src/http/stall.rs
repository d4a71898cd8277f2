//! Streams whose other end must keep reading.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes a second that a reader has to take at least.
const RATE_MIN: u128 = 1 << 10;

/// A stream that fails once writing to it waited for `stall_max` while less was written than [`RATE_MIN`] makes of that time:
/// a reader that stops, or takes a letter now and then, would otherwise hold the connection, and what waits to be written,
/// for ever. Only time in which a write waits counts.
#[derive(Debug)]
pub(crate) struct StallLimited<S> {
    stream: S,
    stall_max: Duration,
    stretch: Stretch,
    /// Runs while a write waits.
    stalled: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

/// What was written since the reader last had taken enough, and how long writing waited meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stretch {
    waited: Duration,
    bytes: u128,
}

impl Stretch {
    /// So many bytes more were written, after a wait.
    fn add(&mut self, bytes: usize, waited: Duration, stall_max: Duration) {
        self.waited += waited;
        self.bytes += bytes as u128;
        if self.bytes >= RATE_MIN * stall_max.as_millis() / 1000 {
            *self = Self::default();
        }
    }
}

impl<S> StallLimited<S> {
    /// Limits `stream`.
    pub(crate) const fn new(stream: S, stall_max: Duration) -> Self {
        Self {
            stream,
            stall_max,
            stretch: Stretch {
                waited: Duration::ZERO,
                bytes: 0,
            },
            stalled: None,
        }
    }

    /// What becomes of a write that the stream answered with `written`.
    fn judge(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(ended) = written {
            let waited = self.stalled.take().map(|wait| wait.since.elapsed());
            if let Ok(bytes) = ended {
                self.stretch.add(bytes, waited.unwrap_or_default(), self.stall_max);
            }
            return Poll::Ready(ended);
        }
        let (stall_max, waited) = (self.stall_max, self.stretch.waited);
        let wait = self.stalled.get_or_insert_with(|| Wait {
            since: Instant::now(),
            end: Box::pin(tokio::time::sleep(stall_max.saturating_sub(waited))),
        });
        ready!(wait.end.as_mut().poll(context));
        let message = format!(
            "the other end read less than {RATE_MIN} bytes a second for {} s",
            stall_max.as_secs_f64()
        );
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallLimited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallLimited<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{StallLimited, Stretch};
    use std::io::ErrorKind;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reader_that_stops_is_given_up() {
        let (here, _there) = tokio::io::duplex(16);
        let mut limited = StallLimited::new(here, Duration::from_millis(50));
        let error = limited.write_all(&[1; 64]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_reader_that_takes_a_letter_now_and_then_is_given_up() {
        let (here, mut there) = tokio::io::duplex(1);
        let mut limited = StallLimited::new(here, Duration::from_millis(200));
        tokio::spawn(async move {
            while there.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let words = "ابجده".repeat(100);
        let error = limited.write_all(words.as_bytes()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_reader_that_goes_on_is_waited_for() {
        const PIECE: usize = 4096;
        let (here, mut there) = tokio::io::duplex(PIECE);
        let mut limited = StallLimited::new(here, Duration::from_millis(400));
        let reader = tokio::spawn(async move {
            let (mut read, mut piece) = (Vec::new(), [0; PIECE]);
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(60)).await;
                there.read_exact(&mut piece).await.unwrap();
                read.extend_from_slice(&piece);
            }
            read
        });
        // Altogether longer than the limit, though never so long without progress.
        let words = "ابجد".repeat(10 * PIECE / 8);
        limited.write_all(words.as_bytes()).await.unwrap();
        assert_eq!(reader.await.unwrap(), words.as_bytes());
    }

    #[test]
    fn what_counts_is_how_much_was_taken_in_the_time_that_was_waited() {
        let (stall_max, second) = (Duration::from_secs(30), Duration::from_secs(1));
        let mut stretch = Stretch::default();
        for _ in 0..29 {
            stretch.add(1000, second, stall_max);
        }
        assert_eq!((stretch.waited, stretch.bytes), (second * 29, 29_000));
        // 30 KiB in 30 seconds are enough, and the time starts again.
        stretch.add(1720, second, stall_max);
        assert_eq!(stretch, Stretch::default());
        // What is taken at once costs no time, however little it is.
        stretch.add(200, Duration::ZERO, stall_max);
        assert_eq!(stretch.waited, Duration::ZERO);
    }
}

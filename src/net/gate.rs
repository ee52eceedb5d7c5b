//! The socket as the HTTP library sees it: bytes that passed the screen, within their times.
//!
//! A refusal is answered by standing in a small request for the refused one: the library hands it
//! to the service in its turn, behind the answers still owed, and the service finds the status that
//! was noted for it. What the client still sends is then read and thrown away for a while, or the
//! reset that follows unread bytes would reach it before the answer does.
//!
//! Knows the socket, the screen and the marks of the sweep. Does not know headers.
//!
//! Invariants
//! G1. At most [`HELD_BYTES_MAX`] (a head, a read) are held; everything else stays in the socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::{Connection, Expired};
use super::screen::{HeadLimits, Screen, Verdict};

/// One read into our own buffer, while a head is incomplete.
const READ_BYTES: usize = 4 * 1024;
/// What may be held behind an upgrade, before its answer.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// What lingering throws away before it gives up on a client.
const LINGER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Stands in for a refused request.
const STAND_IN: &[u8] = b"OPTIONS * HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

#[derive(Debug)]
pub(super) struct Gate {
    socket: TcpStream,
    connection: Arc<Connection>,
    screen: Screen,
    /// Not judged yet: the start of a head, or what follows an upgrade.
    held: Vec<u8>,
    /// Whether `held` was judged to its end and needs more bytes.
    starved: bool,
    /// Judged, for the library.
    passed: Vec<u8>,
    passed_at: usize,
    /// Nothing follows what has passed.
    ended: bool,
    /// The stand-in for a refused request has passed.
    refused: bool,
    /// What the client still sends is to be thrown away before the socket closes.
    linger: bool,
    lingered: u64,
    closed: bool,
}

impl Gate {
    pub(super) fn new(socket: TcpStream, connection: Arc<Connection>, limits: HeadLimits) -> Self {
        Self {
            socket,
            connection,
            screen: Screen::new(limits),
            held: Vec::new(),
            starved: false,
            passed: Vec::new(),
            passed_at: 0,
            ended: false,
            refused: false,
            linger: false,
            lingered: 0,
            closed: false,
        }
    }

    /// The socket of a WebSocket, and what it has sent already.
    pub(super) fn into_socket(self) -> (TcpStream, Vec<u8>) {
        self.connection.handed_over();
        (self.socket, self.held)
    }

    /// Answers the request that is next in turn with `status`, and ends.
    fn refuse(&mut self, status: u16) {
        self.screen.end();
        self.held = Vec::new();
        self.refused = true;
        self.linger = true;
        self.connection.refusal.store(status, Ordering::Relaxed);
        self.connection.heads.fetch_add(1, Ordering::Relaxed);
        self.connection.head_ended();
        self.passed.extend_from_slice(STAND_IN);
    }

    /// Notes what the screen said about the bytes that are held.
    fn judge(&mut self, passed: usize, verdict: Verdict) -> io::Result<()> {
        if passed > 0 {
            self.connection.head_ended();
        }
        match verdict {
            Verdict::More => {
                self.starved = true;
                if !self.held.is_empty() {
                    self.connection.head_began();
                }
            }
            Verdict::Enough => self.starved = false,
            Verdict::Hold => self.starved = true,
            Verdict::Refuse(status) => self.refuse(status),
            Verdict::Broken => {
                self.held = Vec::new();
                self.ended = true;
                self.linger = true;
                if passed == 0 {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(())
    }

    fn count_heads(&self, before: u64) {
        let now = self.screen.heads();
        if now != before {
            self.connection.heads.fetch_add(now - before, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.passed_at < this.passed.len() {
                let rest = &this.passed[this.passed_at..];
                let step = rest.len().min(out.remaining());
                out.put_slice(&rest[..step]);
                this.passed_at += step;
                if this.passed_at == this.passed.len() {
                    (this.passed, this.passed_at) = (Vec::new(), 0);
                }
                return Poll::Ready(Ok(()));
            }
            if this.refused {
                // The answer closes the connection; an end seen before it would suppress it.
                return Poll::Pending;
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            match this.connection.expired() {
                Expired::No => {}
                Expired::Head if !this.held.is_empty() => {
                    this.refuse(408);
                    continue;
                }
                Expired::Idle | Expired::Head => {
                    this.ended = true;
                    continue;
                }
                Expired::Dead => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            }
            let before = this.screen.heads();
            if !this.held.is_empty() && !this.starved {
                let (passed, verdict) = this.screen.push(&this.held);
                this.count_heads(before);
                let rest = this.held.split_off(passed);
                this.passed = std::mem::replace(&mut this.held, rest);
                this.judge(passed, verdict)?;
                continue;
            }
            if this.held.is_empty() {
                let start = out.filled().len();
                ready!(Pin::new(&mut this.socket).poll_read(cx, out))?;
                let fresh = &out.filled()[start..];
                if fresh.is_empty() {
                    this.ended = true;
                    return Poll::Ready(Ok(()));
                }
                let (passed, verdict) = this.screen.push(fresh);
                this.held.extend_from_slice(&fresh[passed..]);
                out.set_filled(start + passed);
                this.count_heads(before);
                this.judge(passed, verdict)?;
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if this.held.len() >= HELD_BYTES_MAX && this.screen.holds() {
                // The answer to the upgrade wakes the task.
                return Poll::Pending;
            }
            let mut bytes = [0; READ_BYTES];
            let mut piece = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                this.ended = true;
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(piece.filled());
            this.starved = this.screen.holds();
        }
    }
}

impl Gate {
    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending if self.connection.expired() == Expired::Dead => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => {
                self.connection.write_blocked();
                Poll::Pending
            }
            ready => {
                self.connection.write_flows();
                ready
            }
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Says that we are done, then reads on until the client is.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closed {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.closed = true;
            this.linger |= this.screen.mid_body() || !this.held.is_empty();
            if this.linger {
                this.connection.linger_began();
            }
        }
        while this.linger
            && !this.connection.is_stopping()
            && this.connection.expired() != Expired::Dead
        {
            let mut bytes = [0; READ_BYTES];
            let mut piece = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut this.socket).poll_read(cx, &mut piece));
            this.lingered += piece.filled().len() as u64;
            this.linger =
                read.is_ok() && !piece.filled().is_empty() && this.lingered < LINGER_BYTES_MAX;
        }
        Poll::Ready(Ok(()))
    }
}

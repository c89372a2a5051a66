//! A fake of the proxy in front of Neon's pooler. It forwards connections unchanged, and fails them at the points where
//! the real one does: always with SQLSTATE XX000, after which it closes the connection.

use std::{
    fs, io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::StreamExt;
use postgres_protocol::message::backend::Message;
use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_native_tls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::{
    bytes::Bytes,
    codec::{FramedRead, LengthDelimitedCodec},
};

use crate::{database::ca_file, origins::tls_acceptor};

#[derive(Debug)]
pub struct Proxy {
    port: u16,
    inner: Arc<Inner>,
}

/// Where in a connection's life the proxy refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Right after the start-up message.
    Startup,
    /// In place of the message that completes SASL: the client has proven that it knows the password.
    Password,
    /// After `AuthenticationOk`, where the compute is needed for the first time.
    Compute,
    /// In place of the response to a statement, which has been executed by then.
    Statement,
}

#[derive(Debug)]
struct Inner {
    host: String,
    target: u16,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    refusals: Mutex<Refusals>,
    /// Whether the compute is suspended; connections then wait for it.
    asleep: watch::Sender<bool>,
    /// Incremented to close all connections.
    cuts: watch::Sender<u32>,
    /// The messages of clients since the last look, if they are recorded.
    record: Mutex<Option<Vec<Bytes>>>,
}

#[derive(Debug, Default)]
struct Refusals {
    next: Option<Refusal>,
    /// How many connections have been refused.
    count: u32,
}

#[derive(Debug)]
struct Refusal {
    phase: Phase,
    message: String,
    /// How many more connections to refuse.
    left: u32,
}

impl Proxy {
    /// Starts one in front of the pooler or PostgreSQL of the stack; its URL.
    ///
    /// It has the certificate of the stack's servers, so that SCRAM with channel binding, which is bound to the
    /// certificate, passes through it.
    pub async fn in_front_of(url: &str) -> (Self, String) {
        let parsed: Url = url.parse().expect("a URL");
        let ca = native_tls::Certificate::from_pem(&fs::read(ca_file()).expect("an authority")).expect("an authority");
        let connector = native_tls::TlsConnector::builder().add_root_certificate(ca).build().expect("TLS");

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let inner = Arc::new(Inner {
            host: parsed.host_str().expect("a host").to_owned(),
            target: parsed.port().expect("a port"),
            acceptor: tls_acceptor(&[]),
            connector: connector.into(),
            refusals: Mutex::default(),
            asleep: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            record: Mutex::default(),
        });
        let proxy = Self { port: listener.local_addr().expect("an address").port(), inner: Arc::clone(&inner) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let inner = Arc::clone(&inner);
                tokio::spawn(async move {
                    let mut cuts = inner.cuts.subscribe();
                    tokio::select! {
                        _ = cuts.changed() => {}
                        // An error closes both ends, which is all that they need to know.
                        _ = inner.forward(client) => {}
                    }
                });
            }
        });
        let url = proxy.url(url);
        (proxy, url)
    }

    /// The URL with the proxy's port.
    pub fn url(&self, url: &str) -> String {
        let mut url: Url = url.parse().expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }

    /// From now on, refuses every connection in this phase.
    pub fn refuse(&self, phase: Phase, message: &str) {
        self.refuse_next(u32::MAX, phase, message);
    }

    /// Refuses so many connections in this phase, and none after them.
    pub fn refuse_next(&self, times: u32, phase: Phase, message: &str) {
        self.inner.refusals().next = Some(Refusal { phase, message: message.to_owned(), left: times });
    }

    pub fn stop_refusing(&self) {
        self.inner.refusals().next = None;
    }

    /// How many connections have been refused.
    pub fn refusals(&self) -> u32 {
        self.inner.refusals().count
    }

    /// Closes every open connection.
    pub fn cut(&self) {
        self.inner.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Suspends the compute: open connections close, and new ones hang once they are authenticated.
    pub fn suspend(&self) {
        self.inner.asleep.send_replace(true);
        self.cut();
    }

    /// The messages, with their headers, that clients have sent since the last call, after their start-up. Without a call
    /// none are recorded.
    pub fn take_record(&self) -> Vec<Bytes> {
        self.inner.record.lock().expect("a lock").replace(Vec::new()).unwrap_or_default()
    }

    /// Wakes the compute, for all connections that still wait for it.
    pub fn wake(&self) {
        self.inner.asleep.send_replace(false);
    }
}

impl Inner {
    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().expect("a lock")
    }

    /// The message of the refusal that is due in this phase.
    fn refusal(&self, phase: Phase) -> Option<String> {
        let mut refusals = self.refusals();
        let refusal = refusals.next.as_mut().filter(|refusal| refusal.phase == phase && refusal.left > 0)?;
        refusal.left -= 1;
        let message = refusal.message.clone();
        refusals.count += 1;
        Some(message)
    }

    async fn forward(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut ssl_request = [0; 8];
        client.read_exact(&mut ssl_request).await?;
        client.write_all(b"S").await?;
        let (from_client, mut client) = split(self.acceptor.accept(client).await.map_err(io::Error::other)?);
        let mut from_client = FramedRead::new(from_client, message_codec(0));
        let Some(start_up) = from_client.next().await.transpose()? else { return Ok(()) };
        let mut from_client = from_client.map_decoder(|_| message_codec(1));
        if let Some(message) = self.refusal(Phase::Startup) {
            return refuse(client, &message).await;
        }

        let (from_server, mut server) = split(self.connect(&ssl_request).await?);
        let mut from_server = FramedRead::new(from_server, message_codec(1));
        server.write_all(&start_up).await?;
        let (mut is_authenticated, mut is_ready) = (false, false);
        loop {
            let message = tokio::select! {
                message = from_client.next() => {
                    let Some(message) = message.transpose()? else { return Ok(()) };
                    server.write_all(&message).await?;
                    if let Some(record) = &mut *self.record.lock().expect("a lock") {
                        record.push(message.freeze());
                    }
                    continue;
                }
                message = from_server.next() => message.transpose()?,
            };
            let Some(message) = message else { return Ok(()) };
            let phase = match Message::parse(&mut message.clone())? {
                Some(Message::ErrorResponse(_)) if !is_authenticated => {
                    // The real one checks the password itself, with the same message for a role that does not exist.
                    let refusal = format!("password authentication failed for user '{}'", user(&start_up));
                    return refuse(client, &refusal).await;
                }
                Some(Message::AuthenticationSaslFinal(_)) => Some(Phase::Password),
                _ if is_ready => Some(Phase::Statement),
                Some(Message::AuthenticationOk) => {
                    is_authenticated = true;
                    client.write_all(&message).await?;
                    let mut asleep = self.asleep.subscribe();
                    tokio::select! {
                        _ = asleep.wait_for(|asleep| !asleep) => {}
                        // It has given up: a client that still waits sends nothing.
                        _ = from_client.next() => return Ok(()),
                    }
                    if let Some(message) = self.refusal(Phase::Compute) {
                        return refuse(client, &message).await;
                    }
                    continue;
                }
                Some(Message::ReadyForQuery(_)) => {
                    is_ready = true;
                    None
                }
                _ => None,
            };
            if let Some(message) = phase.and_then(|phase| self.refusal(phase)) {
                return refuse(client, &message).await;
            }
            client.write_all(&message).await?;
        }
    }

    async fn connect(&self, ssl_request: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)).await?;
        server.set_nodelay(true)?;
        server.write_all(ssl_request).await?;
        if server.read_u8().await? != b'S' {
            return Err(io::Error::other("the server has no TLS"));
        }
        self.connector.connect(&self.host, server).await.map_err(io::Error::other)
    }
}

/// Splits a stream into messages with their headers: some bytes of type, and a length that includes itself.
fn message_codec(type_bytes: u8) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(type_bytes.into())
        .length_field_type::<u32>()
        .length_adjustment(type_bytes.into())
        .num_skip(0)
        .new_codec()
}

/// The user in a start-up message, which holds names and values alternately after its length and version.
fn user(start_up: &[u8]) -> String {
    let fields: Vec<_> = start_up[8..].split(|byte| *byte == 0).collect();
    let pair = fields.chunks_exact(2).find(|pair| pair[0] == b"user").expect("a user");
    String::from_utf8_lossy(pair[1]).into_owned()
}

/// Sends an error and closes the connection. Neon's proxy always uses this severity and SQLSTATE.
async fn refuse(mut client: impl AsyncWrite + Unpin, message: &str) -> io::Result<()> {
    let fields = format!("SERROR\0VERROR\0CXX000\0M{message}\0\0");
    let length = u32::try_from(4 + fields.len()).expect("a message");
    client.write_all(&[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()).await?;
    client.shutdown().await
}

//! A stand-in for the proxy that Neon has before its pooler. It passes a conversation on as it is, and speaks up where
//! the real one does: everything it says itself has one SQLSTATE, and the connection ends with it.

use std::{
    fs, io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::StreamExt;
use native_tls::Identity;
use postgres_protocol::message::backend::Message;
use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_native_tls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use crate::database::ca_file;

/// The proxy, between the functions and the pooler or PostgreSQL.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    inner: Arc<Inner>,
}

/// Where in a conversation the proxy speaks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Right after the start-up message: it knows what is asked for, and no more.
    Startup,
    /// In place of the message that ends SASL: the client has shown that it has the password.
    Password,
    /// After `AuthenticationOk`: from here on the compute is needed.
    Compute,
    /// In place of the answer to a statement, which has been carried out by then.
    Statement,
}

#[derive(Debug)]
struct Inner {
    host: String,
    target: u16,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    conduct: Mutex<Conduct>,
    /// Whether the compute is asleep: everybody waits for it.
    asleep: watch::Sender<bool>,
    /// Counts the cuts: a connection ends when the number is another than it began with.
    cuts: watch::Sender<u32>,
}

/// What the proxy says itself.
#[derive(Debug, Default)]
struct Conduct {
    refusal: Option<Refusal>,
    /// How many conversations it has ended.
    refusals: u32,
}

#[derive(Debug)]
struct Refusal {
    moment: Moment,
    message: String,
    /// How many conversations it still ends.
    left: u32,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, before the port of a URL of the stack's; the URL by which it is reached.
    ///
    /// Its certificate is the one of the stack's servers, which the tests, that started them, can read. So SCRAM goes
    /// through with channel binding as well, which binds it to the certificate.
    pub async fn before(url: &str) -> (Self, String) {
        let parsed: Url = url.parse().expect("a URL");
        let ca = ca_file().expect("an authority");
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| fs::read(ca.with_file_name(name)));
        let identity = Identity::from_pkcs8(&certificate.expect("a certificate"), &key.expect("a key"));
        let acceptor = native_tls::TlsAcceptor::new(identity.expect("an identity")).expect("TLS");
        let ca = native_tls::Certificate::from_pem(&fs::read(ca).expect("an authority")).expect("an authority");
        let connector = native_tls::TlsConnector::builder().add_root_certificate(ca).build().expect("TLS");

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let inner = Arc::new(Inner {
            host: parsed.host_str().expect("a host").to_owned(),
            target: parsed.port().expect("a port"),
            acceptor: acceptor.into(),
            connector: connector.into(),
            conduct: Mutex::default(),
            asleep: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
        });
        let proxy = Self { port: listener.local_addr().expect("an address").port(), inner: Arc::clone(&inner) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let inner = Arc::clone(&inner);
                tokio::spawn(async move {
                    let mut cuts = inner.cuts.subscribe();
                    tokio::select! {
                        _ = cuts.changed() => {}
                        // What breaks a connection is told to its two ends, which see it break.
                        _ = inner.converse(client) => {}
                    }
                });
            }
        });
        let url = proxy.url(url);
        (proxy, url)
    }

    /// The URL with the proxy in the place of the port it names.
    pub fn url(&self, url: &str) -> String {
        let mut url: Url = url.parse().expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }

    /// From now on, ends every conversation at this moment.
    pub fn refuse(&self, moment: Moment, message: &str) {
        self.refuse_next(u32::MAX, moment, message);
    }

    /// Ends so many conversations at this moment, and none after them.
    pub fn refuse_next(&self, times: u32, moment: Moment, message: &str) {
        self.inner.conduct().refusal = Some(Refusal { moment, message: message.to_owned(), left: times });
    }

    /// From now on, ends none.
    pub fn serve(&self) {
        self.inner.conduct().refusal = None;
    }

    /// How many conversations it has ended with words of its own.
    pub fn refusals(&self) -> u32 {
        self.inner.conduct().refusals
    }

    /// Ends every connection there is.
    pub fn cut(&self) {
        self.inner.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Puts the compute to sleep: its connections end, and who comes then is let in and hears nothing more.
    pub fn suspend(&self) {
        self.inner.asleep.send_replace(true);
        self.cut();
    }

    /// The compute is awake, for all who still wait for it.
    pub fn wake(&self) {
        self.inner.asleep.send_replace(false);
    }
}

impl Inner {
    fn conduct(&self) -> MutexGuard<'_, Conduct> {
        self.conduct.lock().expect("no test has failed in here")
    }

    /// What is said at this moment instead of going on.
    fn refusal(&self, moment: Moment) -> Option<String> {
        let mut conduct = self.conduct();
        let refusal = conduct.refusal.as_mut().filter(|refusal| refusal.moment == moment && refusal.left > 0)?;
        refusal.left -= 1;
        let message = refusal.message.clone();
        conduct.refusals += 1;
        Some(message)
    }

    async fn converse(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut ssl_request = [0; 8];
        client.read_exact(&mut ssl_request).await?;
        client.write_all(b"S").await?;
        let (from_client, mut client) = split(self.acceptor.accept(client).await.map_err(io::Error::other)?);
        let mut from_client = FramedRead::new(from_client, whole_messages(0));
        let Some(start_up) = from_client.next().await.transpose()? else { return Ok(()) };
        let mut from_client = from_client.map_decoder(|_| whole_messages(1));
        if let Some(message) = self.refusal(Moment::Startup) {
            return end(client, &message).await;
        }

        let (from_server, mut server) = split(self.connect(&ssl_request).await?);
        let mut from_server = FramedRead::new(from_server, whole_messages(1));
        server.write_all(&start_up).await?;
        let (mut let_in, mut ready) = (false, false);
        loop {
            let message = tokio::select! {
                message = from_client.next() => {
                    let Some(message) = message.transpose()? else { return Ok(()) };
                    server.write_all(&message).await?;
                    continue;
                }
                message = from_server.next() => message.transpose()?,
            };
            let Some(message) = message else { return Ok(()) };
            let moment = match Message::parse(&mut message.clone())? {
                Some(Message::ErrorResponse(_)) if !let_in => {
                    // The real one checks the password itself, and says the same of every role it does not know.
                    let refusal = format!("password authentication failed for user '{}'", user(&start_up));
                    return end(client, &refusal).await;
                }
                Some(Message::AuthenticationSaslFinal(_)) => Some(Moment::Password),
                _ if ready => Some(Moment::Statement),
                Some(Message::AuthenticationOk) => {
                    let_in = true;
                    client.write_all(&message).await?;
                    let mut asleep = self.asleep.subscribe();
                    tokio::select! {
                        _ = asleep.wait_for(|asleep| !asleep) => {}
                        // It has nothing to say before it is answered: it has given up.
                        _ = from_client.next() => return Ok(()),
                    }
                    if let Some(message) = self.refusal(Moment::Compute) {
                        return end(client, &message).await;
                    }
                    continue;
                }
                Some(Message::ReadyForQuery(_)) => {
                    ready = true;
                    None
                }
                _ => None,
            };
            if let Some(message) = moment.and_then(|moment| self.refusal(moment)) {
                return end(client, &message).await;
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

/// Cuts what is read into messages with their heads: so many bytes of a type, and a length that counts itself.
fn whole_messages(type_bytes: u8) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(type_bytes.into())
        .length_field_type::<u32>()
        .length_adjustment(type_bytes.into())
        .num_skip(0)
        .new_codec()
}

/// The user whom a start-up message names: after its length and version, names and values take turns.
fn user(start_up: &[u8]) -> String {
    let words: Vec<_> = start_up[8..].split(|byte| *byte == 0).collect();
    let pair = words.chunks_exact(2).find(|pair| pair[0] == b"user").expect("a user");
    String::from_utf8_lossy(pair[1]).into_owned()
}

/// Says why, and ends the connection. All that the proxy says has this severity and this SQLSTATE.
async fn end(mut client: impl AsyncWrite + Unpin, message: &str) -> io::Result<()> {
    let fields = format!("SERROR\0VERROR\0CXX000\0M{message}\0\0");
    let length = u32::try_from(4 + fields.len()).expect("a message");
    client.write_all(&[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()).await?;
    client.shutdown().await
}

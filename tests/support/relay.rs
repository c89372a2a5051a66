//! A wire to the database that can be listened to and cut.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A TCP relay in front of a port of 127.0.0.1.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    /// Where the bytes go.
    target: u16,
    round_trips: AtomicU32,
    connections: AtomicU32,
    open: AtomicU32,
    answers_lost: AtomicU32,
    refuses: AtomicBool,
    swallows: AtomicBool,
    loses_next_answer: AtomicBool,
    /// The number of round trips after which a connection loses an answer; 0 for never.
    loses_answers_after: AtomicU32,
    /// Counts the cuts: a connection ends when the number is another than it began with.
    cuts: watch::Sender<u32>,
}

impl Relay {
    /// Listens on a free port of 127.0.0.1, before the port of a URL; the URL by which it is reached.
    pub async fn before(url: &str) -> (Self, String) {
        let parsed: reqwest::Url = url.parse().expect("a URL");
        let relay = Self::listening_on(Ipv4Addr::LOCALHOST, parsed.port().expect("a port")).await;
        let url = relay.url(url);
        (relay, url)
    }

    /// Listens on a free port of another address of this machine's.
    pub async fn listening_on(address: Ipv4Addr, target: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let wire = Arc::new(Wire {
            target,
            round_trips: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            open: AtomicU32::new(0),
            answers_lost: AtomicU32::new(0),
            refuses: AtomicBool::new(false),
            swallows: AtomicBool::new(false),
            loses_next_answer: AtomicBool::new(false),
            loses_answers_after: AtomicU32::new(0),
            cuts: watch::Sender::new(0),
        });
        let relay = Self { address: listener.local_addr().expect("an address"), wire: Arc::clone(&wire) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if wire.refuses.load(Ordering::SeqCst) {
                    continue;
                }
                wire.connections.fetch_add(1, Ordering::SeqCst);
                wire.open.fetch_add(1, Ordering::SeqCst);
                let wire = Arc::clone(&wire);
                tokio::spawn(async move {
                    let mut cuts = wire.cuts.subscribe();
                    tokio::select! {
                        _ = cuts.changed() => {}
                        () = wire.connect(client) => {}
                    }
                    wire.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        relay
    }

    /// The URL with the relay in the place of the host and port it names.
    pub fn url(&self, url: &str) -> String {
        let mut url: reqwest::Url = url.parse().expect("a URL");
        if !self.address.ip().eq(&Ipv4Addr::LOCALHOST) {
            url.set_host(Some(&self.address.ip().to_string())).expect("a host");
        }
        url.set_port(Some(self.address.port())).expect("a port");
        url.into()
    }

    /// How many times a client has spoken since the server last did: each is one round trip.
    pub fn round_trips(&self) -> u32 {
        self.wire.round_trips.load(Ordering::SeqCst)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u32 {
        self.wire.connections.load(Ordering::SeqCst)
    }

    /// How many connections there are.
    pub fn open(&self) -> u32 {
        self.wire.open.load(Ordering::SeqCst)
    }

    /// How many answers have been taken away.
    pub fn answers_lost(&self) -> u32 {
        self.wire.answers_lost.load(Ordering::SeqCst)
    }

    /// Ends every connection there is.
    pub fn cut(&self) {
        self.wire.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From now on, new connections are closed at once, or no longer.
    pub fn refuse(&self, refuse: bool) {
        self.wire.refuses.store(refuse, Ordering::SeqCst);
    }

    /// From now on, connections stay open and nothing comes through, or connections made later work again.
    pub fn swallow(&self, swallow: bool) {
        self.wire.swallows.store(swallow, Ordering::SeqCst);
    }

    /// Takes away the next answer of the server's, and the connection with it: the server has done its work by then.
    pub fn lose_next_answer(&self) {
        self.wire.loses_next_answer.store(true, Ordering::SeqCst);
    }

    /// From now on, a connection that has had so many round trips loses the next answer as above, or no longer.
    pub fn lose_answers_after(&self, round_trips: Option<u32>) {
        self.wire.loses_answers_after.store(round_trips.unwrap_or(0), Ordering::SeqCst);
    }
}

impl Wire {
    async fn connect(&self, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)).await else { return };
        let (mut from_client, mut from_server) = ([0; 65536], [0; 65536]);
        let mut clients_turn = true;
        let mut round_trips = 0;
        // A connection that has swallowed something is of no use ever after, as on a network that lost its state.
        let mut lost = false;
        loop {
            let (count, is_clients) = tokio::select! {
                count = client.read(&mut from_client) => (count, true),
                count = server.read(&mut from_server) => (count, false),
            };
            let Ok(count @ 1..) = count else { return };
            lost |= self.swallows.load(Ordering::SeqCst);
            if is_clients && clients_turn {
                self.round_trips.fetch_add(1, Ordering::SeqCst);
                round_trips += 1;
            }
            if !is_clients && self.loses_answer(round_trips) {
                self.answers_lost.fetch_add(1, Ordering::SeqCst);
                return;
            }
            clients_turn = !is_clients;
            if lost {
                continue;
            }
            let passed = if is_clients {
                server.write_all(&from_client[..count]).await
            } else {
                client.write_all(&from_server[..count]).await
            };
            if passed.is_err() {
                return;
            }
        }
    }

    fn loses_answer(&self, round_trips: u32) -> bool {
        let after = self.loses_answers_after.load(Ordering::SeqCst);
        self.loses_next_answer.swap(false, Ordering::SeqCst) || (after > 0 && round_trips > after)
    }
}

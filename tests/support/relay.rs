//! A wire to the database that can be listened to and cut, and that can deliver late.

use std::{
    future::pending,
    io, mem,
    net::{self, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// How long a client may take to say what is to be held, and a server to answer what is delivered late.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// What is held from now on. Whoever counts something as held, or delivers, does so under this lock.
    holds: Mutex<Option<Hold>>,
    /// How many connections have bytes that are held, or that the server has not answered yet.
    held: watch::Sender<usize>,
    /// Counts the deliveries.
    deliveries: watch::Sender<u32>,
}

/// What of the clients' bytes does not reach the server until [`Relay::deliver`], whatever becomes of the client. On a
/// connection with held bytes all later ones are held, too; what the server says still comes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    what: What,
    cuts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Next { skipped: u32, bytes: usize },
    All { round_trips: u32 },
}

impl Hold {
    /// What a client says next, on one connection.
    pub fn next() -> Self {
        Self { what: What::Next { skipped: 0, bytes: 0 }, cuts: false }
    }

    /// What a client says after it has had this many more round trips.
    pub fn next_after(round_trips: u32) -> Self {
        Self { what: What::Next { skipped: round_trips, bytes: 0 }, cuts: false }
    }

    /// What a client says next, but for its first bytes: the server gets a part of a statement.
    pub fn next_but(bytes: usize) -> Self {
        Self { what: What::Next { skipped: 0, bytes }, cuts: false }
    }

    /// What every client says whose connection has had this many round trips.
    pub fn all_after(round_trips: u32) -> Self {
        Self { what: What::All { round_trips }, cuts: false }
    }

    /// The client's side ends at once, as if something on the way had cut it.
    #[must_use]
    pub fn cutting(self) -> Self {
        Self { cuts: true, ..self }
    }
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
        Self::with(net::TcpListener::bind((address, 0)).expect("a free port"), target)
    }

    /// Takes its connections from a listener.
    pub fn with(listener: net::TcpListener, target: u16) -> Self {
        listener.set_nonblocking(true).expect("a listener");
        let listener = TcpListener::from_std(listener).expect("a listener");
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
            holds: Mutex::new(None),
            held: watch::Sender::new(0),
            deliveries: watch::Sender::new(0),
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
                        _ = wire.connect(client) => {}
                    }
                    wire.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        relay
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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

    /// From now on, holds this, or nothing more.
    pub fn hold(&self, hold: Option<Hold>) {
        *self.wire.holds.lock().expect("a lock") = hold;
    }

    /// Waits until something is held.
    pub async fn until_held(&self) {
        self.until(|held| held > 0, "nothing was there to be held").await;
    }

    /// Delivers all that is held, in order, to servers that take it for what it is. Waits until each has answered or
    /// closed its connection, so that what the bytes say is done or never will be. On how many connections that was.
    pub async fn deliver(&self) -> usize {
        let held = {
            let mut holds = self.wire.holds.lock().expect("a lock");
            *holds = None;
            self.wire.deliveries.send_modify(|deliveries| *deliveries += 1);
            *self.wire.held.borrow()
        };
        self.until(|held| held == 0, "a server does not answer").await;
        held
    }

    async fn until(&self, reached: impl Fn(usize) -> bool, otherwise: &str) {
        let mut held = self.wire.held.subscribe();
        let reached = timeout(PATIENCE, held.wait_for(|held| reached(*held))).await;
        assert!(reached.is_ok(), "{otherwise}");
    }
}

impl Wire {
    /// Passes on what both sides say, until one of them ends; with held bytes, until the server has answered them.
    async fn connect(&self, client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)).await?;
        let mut client = Some(client);
        let mut way = Way { wire: self, deliveries: self.deliveries.subscribe(), state: State::Open };
        let (mut from_client, mut from_server) = ([0; 65536], [0; 65536]);
        let mut clients_turn = true;
        let mut round_trips = 0;
        // A connection that has swallowed something carries nothing ever after, as on a network that lost its state.
        let mut lost = false;
        while client.is_some() || way.is_late() {
            tokio::select! {
                count = read(client.as_mut(), &mut from_client) => {
                    let Ok(count @ 1..) = count else {
                        client = None;
                        continue;
                    };
                    lost |= self.swallows.load(Ordering::SeqCst);
                    if clients_turn {
                        self.round_trips.fetch_add(1, Ordering::SeqCst);
                        round_trips += 1;
                        client.take_if(|_| way.close_behind(round_trips));
                    }
                    clients_turn = false;
                    let passed = way.pass(&from_client[..count]);
                    if !lost {
                        server.write_all(passed).await?;
                    }
                }
                count = server.read(&mut from_server) => {
                    let Ok(count @ 1..) = count else { break };
                    lost |= self.swallows.load(Ordering::SeqCst);
                    if self.loses_answer(round_trips) {
                        self.answers_lost.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    clients_turn = true;
                    way.answered();
                    if let Some(stream) = client.as_mut().filter(|_| !lost)
                        && stream.write_all(&from_server[..count]).await.is_err()
                    {
                        client = None;
                    }
                }
                bytes = way.delivery() => server.write_all(&bytes).await?,
            }
        }
        Ok(())
    }

    fn loses_answer(&self, round_trips: u32) -> bool {
        let after = self.loses_answers_after.load(Ordering::SeqCst);
        self.loses_next_answer.swap(false, Ordering::SeqCst) || (after > 0 && round_trips > after)
    }
}

/// Reads from a client that is still there.
async fn read(client: Option<&mut TcpStream>, into: &mut [u8]) -> io::Result<usize> {
    match client {
        Some(client) => client.read(into).await,
        None => pending().await,
    }
}

/// The way of one connection to the server.
struct Way<'a> {
    wire: &'a Wire,
    deliveries: watch::Receiver<u32>,
    state: State,
}

/// How far a connection's bytes get.
enum State {
    /// To the server.
    Open,
    /// So many more to the server, those after them no further than here.
    Closed { pass: usize, held: Vec<u8> },
    /// To the server, which has not answered what was held.
    Delivered,
}

impl Way<'_> {
    /// Closes the way if the client's next words, the first of a round trip, are to be held; whether to cut it off.
    fn close_behind(&mut self, round_trips: u32) -> bool {
        let mut holds = self.wire.holds.lock().expect("a lock");
        let (State::Open, Some(Hold { what, cuts })) = (&self.state, *holds) else { return false };
        let pass = match what {
            What::Next { skipped: 0, bytes } => {
                *holds = None;
                bytes
            }
            What::Next { skipped, bytes } => {
                *holds = Some(Hold { what: What::Next { skipped: skipped - 1, bytes }, cuts });
                return false;
            }
            What::All { round_trips: before } if round_trips > before => 0,
            What::All { .. } => return false,
        };
        self.state = State::Closed { pass, held: Vec::new() };
        self.deliveries.mark_unchanged();
        self.wire.held.send_modify(|held| *held += 1);
        cuts
    }

    /// What of this goes to the server now; the rest is held.
    fn pass<'a>(&mut self, said: &'a [u8]) -> &'a [u8] {
        let State::Closed { pass, held } = &mut self.state else { return said };
        let (passed, rest) = said.split_at(said.len().min(*pass));
        *pass -= passed.len();
        held.extend_from_slice(rest);
        passed
    }

    /// Waits until what is held is to be delivered, if anything is.
    async fn delivery(&mut self) -> Vec<u8> {
        let State::Closed { held, .. } = &mut self.state else { pending().await };
        let _ = self.deliveries.changed().await;
        let held = mem::take(held);
        self.state = State::Delivered;
        held
    }

    fn is_late(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// The server has spoken.
    fn answered(&mut self) {
        if matches!(self.state, State::Delivered) {
            self.state = State::Open;
            self.wire.held.send_modify(|held| *held -= 1);
        }
    }
}

impl Drop for Way<'_> {
    fn drop(&mut self) {
        if self.is_late() {
            self.wire.held.send_modify(|held| *held -= 1);
        }
    }
}

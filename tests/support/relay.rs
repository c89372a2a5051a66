//! A TCP relay that counts round trips and injects faults: lost connections, lost answers, late delivery.

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

/// How long a client may take to send what is to be held, and a server to answer what is delivered late.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A TCP relay in front of a port of 127.0.0.1.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    round_trips: AtomicU32,
    connections: AtomicU32,
    open: AtomicU32,
    answers_lost: AtomicU32,
    refuses: AtomicBool,
    black_hole: AtomicBool,
    loses_next_answer: AtomicBool,
    /// After how many round trips a connection loses an answer; 0 for never.
    loses_answers_after: AtomicU32,
    /// Incremented to close all connections.
    cuts: watch::Sender<u32>,
    /// What to hold next. `held` and `deliveries` change under this lock.
    holds: Mutex<Option<Hold>>,
    /// How many connections have held bytes, or delivered ones that the server has not answered yet.
    held: watch::Sender<usize>,
    /// Incremented to deliver what is held.
    deliveries: watch::Sender<u32>,
}

/// Which bytes of the clients do not reach the server until [`Relay::deliver`], even if the client is gone by then. On
/// a connection with held bytes all later ones are held, too; those of the server still pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    scope: Scope,
    disconnects: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Next { skipped: u32, bytes: usize },
    All { round_trips: u32 },
}

impl Hold {
    /// The next request of one client.
    pub fn next() -> Self {
        Self { scope: Scope::Next { skipped: 0, bytes: 0 }, disconnects: false }
    }

    /// The same, after this many more round trips.
    pub fn next_after(round_trips: u32) -> Self {
        Self { scope: Scope::Next { skipped: round_trips, bytes: 0 }, disconnects: false }
    }

    /// The next request of one client without its first bytes: the server gets a part of a statement.
    pub fn next_but(bytes: usize) -> Self {
        Self { scope: Scope::Next { skipped: 0, bytes }, disconnects: false }
    }

    /// All requests on connections that have had this many round trips.
    pub fn all_after(round_trips: u32) -> Self {
        Self { scope: Scope::All { round_trips }, disconnects: false }
    }

    /// Closes the client's side at once, as if the network had failed.
    #[must_use]
    pub fn disconnecting(self) -> Self {
        Self { disconnects: true, ..self }
    }
}

impl Relay {
    /// Starts one on 127.0.0.1 in front of the port of a URL; its URL.
    pub async fn in_front_of(url: &str) -> (Self, String) {
        let parsed: reqwest::Url = url.parse().expect("a URL");
        let relay = Self::listening_on(Ipv4Addr::LOCALHOST, parsed.port().expect("a port")).await;
        let url = relay.url(url);
        (relay, url)
    }

    /// Starts one on another address of this machine.
    pub async fn listening_on(address: Ipv4Addr, target: u16) -> Self {
        Self::on(net::TcpListener::bind((address, 0)).expect("a free port"), target)
    }

    pub fn on(listener: net::TcpListener, target: u16) -> Self {
        listener.set_nonblocking(true).expect("a listener");
        let listener = TcpListener::from_std(listener).expect("a listener");
        let shared = Arc::new(Shared {
            target,
            round_trips: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            open: AtomicU32::new(0),
            answers_lost: AtomicU32::new(0),
            refuses: AtomicBool::new(false),
            black_hole: AtomicBool::new(false),
            loses_next_answer: AtomicBool::new(false),
            loses_answers_after: AtomicU32::new(0),
            cuts: watch::Sender::new(0),
            holds: Mutex::new(None),
            held: watch::Sender::new(0),
            deliveries: watch::Sender::new(0),
        });
        let relay = Self { address: listener.local_addr().expect("an address"), shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.refuses.load(Ordering::SeqCst) {
                    continue;
                }
                shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let mut cuts = shared.cuts.subscribe();
                    tokio::select! {
                        _ = cuts.changed() => {}
                        _ = shared.forward(client) => {}
                    }
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        relay
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL with the relay's host and port.
    pub fn url(&self, url: &str) -> String {
        let mut url: reqwest::Url = url.parse().expect("a URL");
        if !self.address.ip().eq(&Ipv4Addr::LOCALHOST) {
            url.set_host(Some(&self.address.ip().to_string())).expect("a host");
        }
        url.set_port(Some(self.address.port())).expect("a port");
        url.into()
    }

    /// How many times clients have sent something after the server had last answered.
    pub fn round_trips(&self) -> u32 {
        self.shared.round_trips.load(Ordering::SeqCst)
    }

    /// How many connections there have been so far.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> u32 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many answers have been dropped.
    pub fn answers_lost(&self) -> u32 {
        self.shared.answers_lost.load(Ordering::SeqCst)
    }

    /// Closes every open connection.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Starts or stops closing new connections at once.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuses.store(refuse, Ordering::SeqCst);
    }

    /// Starts or stops dropping all bytes while connections stay open. A connection that has lost bytes carries none
    /// from then on.
    pub fn black_hole(&self, drop_bytes: bool) {
        self.shared.black_hole.store(drop_bytes, Ordering::SeqCst);
    }

    /// Closes the next connection that the server answers on, and drops the answer: the work is done by then.
    pub fn lose_next_answer(&self) {
        self.shared.loses_next_answer.store(true, Ordering::SeqCst);
    }

    /// The same on every connection that has had this many round trips, or no longer.
    pub fn lose_answers_after(&self, round_trips: Option<u32>) {
        self.shared.loses_answers_after.store(round_trips.unwrap_or(0), Ordering::SeqCst);
    }

    pub fn hold(&self, hold: Option<Hold>) {
        *self.shared.holds.lock().expect("a lock") = hold;
    }

    /// Waits until something is held.
    pub async fn wait_until_held(&self) {
        self.wait_until(|held| held > 0, "nothing was sent that could be held").await;
    }

    /// Delivers all that is held, and waits until the server has answered or closed each of these connections, so that
    /// their requests are done or never will be. Returns how many there were.
    pub async fn deliver(&self) -> usize {
        let held = {
            let mut holds = self.shared.holds.lock().expect("a lock");
            *holds = None;
            self.shared.deliveries.send_modify(|deliveries| *deliveries += 1);
            *self.shared.held.borrow()
        };
        self.wait_until(|held| held == 0, "the server does not answer").await;
        held
    }

    async fn wait_until(&self, condition: impl Fn(usize) -> bool, message: &str) {
        let mut held = self.shared.held.subscribe();
        let reached = timeout(TIMEOUT, held.wait_for(|held| condition(*held))).await;
        assert!(reached.is_ok(), "{message}");
    }
}

impl Shared {
    /// Forwards both ways until a side closes; with held bytes, until the server has answered them.
    async fn forward(&self, client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target)).await?;
        let mut client = Some(client);
        let mut upstream = Upstream { shared: self, deliveries: self.deliveries.subscribe(), state: State::Open };
        let (mut from_client, mut from_server) = ([0; 65536], [0; 65536]);
        let mut clients_turn = true;
        let mut round_trips = 0;
        // Once bytes are lost, TCP cannot deliver the later ones either.
        let mut lost = false;
        while client.is_some() || upstream.is_late() {
            tokio::select! {
                count = read(client.as_mut(), &mut from_client) => {
                    let Ok(count @ 1..) = count else {
                        client = None;
                        continue;
                    };
                    lost |= self.black_hole.load(Ordering::SeqCst);
                    if clients_turn {
                        self.round_trips.fetch_add(1, Ordering::SeqCst);
                        round_trips += 1;
                        client.take_if(|_| upstream.hold_after(round_trips));
                    }
                    clients_turn = false;
                    let passed = upstream.pass(&from_client[..count]);
                    if !lost {
                        server.write_all(passed).await?;
                    }
                }
                count = server.read(&mut from_server) => {
                    let Ok(count @ 1..) = count else { break };
                    lost |= self.black_hole.load(Ordering::SeqCst);
                    if self.loses_answer(round_trips) {
                        self.answers_lost.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    clients_turn = true;
                    upstream.answered();
                    if let Some(stream) = client.as_mut().filter(|_| !lost)
                        && stream.write_all(&from_server[..count]).await.is_err()
                    {
                        client = None;
                    }
                }
                bytes = upstream.delivery() => server.write_all(&bytes).await?,
            }
        }
        Ok(())
    }

    fn loses_answer(&self, round_trips: u32) -> bool {
        let after = self.loses_answers_after.load(Ordering::SeqCst);
        self.loses_next_answer.swap(false, Ordering::SeqCst) || (after > 0 && round_trips > after)
    }
}

/// Reads from a client that is still connected.
async fn read(client: Option<&mut TcpStream>, into: &mut [u8]) -> io::Result<usize> {
    match client {
        Some(client) => client.read(into).await,
        None => pending().await,
    }
}

/// One connection's direction to the server.
struct Upstream<'a> {
    shared: &'a Shared,
    deliveries: watch::Receiver<u32>,
    state: State,
}

enum State {
    Open,
    /// So many more bytes pass, those after them are held.
    Holding {
        pass: usize,
        held: Vec<u8>,
    },
    /// The server has not answered yet what was held.
    Delivered,
}

impl Upstream<'_> {
    /// Starts to hold if the request that begins this round trip is to be held; whether to disconnect the client.
    fn hold_after(&mut self, round_trips: u32) -> bool {
        let mut holds = self.shared.holds.lock().expect("a lock");
        let (State::Open, Some(Hold { scope, disconnects })) = (&self.state, *holds) else { return false };
        let pass = match scope {
            Scope::Next { skipped: 0, bytes } => {
                *holds = None;
                bytes
            }
            Scope::Next { skipped, bytes } => {
                *holds = Some(Hold { scope: Scope::Next { skipped: skipped - 1, bytes }, disconnects });
                return false;
            }
            Scope::All { round_trips: before } if round_trips > before => 0,
            Scope::All { .. } => return false,
        };
        self.state = State::Holding { pass, held: Vec::new() };
        self.deliveries.mark_unchanged();
        self.shared.held.send_modify(|held| *held += 1);
        disconnects
    }

    /// Which of these bytes to send now; the rest is held.
    fn pass<'a>(&mut self, sent: &'a [u8]) -> &'a [u8] {
        let State::Holding { pass, held } = &mut self.state else { return sent };
        let (passed, rest) = sent.split_at(sent.len().min(*pass));
        *pass -= passed.len();
        held.extend_from_slice(rest);
        passed
    }

    /// Waits for a delivery of what is held; for ever if nothing is.
    async fn delivery(&mut self) -> Vec<u8> {
        let State::Holding { held, .. } = &mut self.state else { pending().await };
        let _ = self.deliveries.changed().await;
        let held = mem::take(held);
        self.state = State::Delivered;
        held
    }

    fn is_late(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    fn answered(&mut self) {
        if matches!(self.state, State::Delivered) {
            self.state = State::Open;
            self.shared.held.send_modify(|held| *held -= 1);
        }
    }
}

impl Drop for Upstream<'_> {
    fn drop(&mut self) {
        if self.is_late() {
            self.shared.held.send_modify(|held| *held -= 1);
        }
    }
}

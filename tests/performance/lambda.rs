//! The Lambda service of one process: the runtime API from which it takes events
//! ([Lambda's manual](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html)). Threads and plain sockets, so that
//! it takes little time itself.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow};

/// How long a process may take to start, or to answer.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Lambda {
    address: SocketAddr,
    polls: Receiver<Instant>,
    events: Sender<Vec<u8>>,
    answers: Receiver<Result<Answer, String>>,
    /// Whether the next connection is the last.
    over: Arc<AtomicBool>,
}

/// What a process has sent for an event.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// From the event being handed over until the answer was complete.
    pub(crate) took: Duration,
    /// When it was complete.
    pub(crate) at: Instant,
}

/// What the connections of the process share.
struct Shared {
    polls: Sender<Instant>,
    events: Mutex<Receiver<Vec<u8>>>,
    handed_over: Mutex<Instant>,
    answers: Sender<Result<Answer, String>>,
}

struct Request {
    path: String,
    body: Vec<u8>,
}

impl Lambda {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (polls_sender, polls) = channel();
        let (events, events_receiver) = channel();
        let (answers_sender, answers) = channel();
        let shared = Arc::new(Shared {
            polls: polls_sender,
            events: Mutex::new(events_receiver),
            handed_over: Mutex::new(Instant::now()),
            answers: answers_sender,
        });
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(&connection));
            }
        });
        Ok(Self { address, polls, events, answers, over })
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// When the process has first asked for an event.
    pub(crate) fn first_poll(&self) -> Result<Instant> {
        self.polls.recv_timeout(TIMEOUT).context("it does not ask for an event")
    }

    pub(crate) fn invoke(&self, event: &[u8]) -> Result<Answer> {
        self.events.send(event.to_vec()).context("the service has ended")?;
        self.answers.recv_timeout(TIMEOUT).context("no answer")?.map_err(|error| anyhow!(error))
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Serves a connection until the process closes it, or the service ends.
    fn serve(&self, connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut reader = BufReader::new(connection);
        while let Some(Request { path, body }) = read(&mut reader)? {
            let is_sent = if path.ends_with("/next") {
                let _ = self.polls.send(Instant::now());
                let Ok(event) = self.events.lock().map_err(|_| ErrorKind::Other)?.recv() else { break };
                let response = handover(&event);
                *self.handed_over.lock().map_err(|_| ErrorKind::Other)? = Instant::now();
                (&*connection).write_all(&response)?;
                continue;
            } else if path.ends_with("/response") {
                let at = Instant::now();
                let took = at - *self.handed_over.lock().map_err(|_| ErrorKind::Other)?;
                self.answers.send(Ok(Answer { body, took, at }))
            } else {
                self.answers.send(Err(format!("{path}: {}", String::from_utf8_lossy(&body))))
            };
            if is_sent.is_err() {
                break;
            }
            (&*connection).write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    }
}

/// The response with an event, which has 30 s.
fn handover(event: &[u8]) -> Vec<u8> {
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_secs(30);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
         Lambda-Runtime-Deadline-Ms: {}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n\r\n",
        event.len(),
        deadline.as_millis()
    );
    [head.as_bytes(), event].concat()
}

/// The next request of a connection; `None` at its end.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(|_| ErrorKind::InvalidData)?,
            "transfer-encoding" => return Err(io::Error::other("a request in chunks")),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { path, body }))
}

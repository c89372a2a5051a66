use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    task::AbortHandle,
    time::{sleep_until, timeout, timeout_at},
};
use tokio_postgres::{
    Client, Row,
    error::SqlState,
    types::{ToSql, Type},
};

use crate::{
    Config, ConnectError, Error,
    clock::Clock,
    error::{Verdict, cause_after, cause_before, judge},
    retry::{Attempts, CONNECT, STATEMENT_TIMEOUT},
};

/// How often the configuration is looked up again while the database refuses it.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// How long that may keep a request that cannot tell whether it was refused: a Parameter Store that is slow must not
/// add to an outage of the database.
const RENEW_ON_SUSPICION: Duration = Duration::from_secs(1);

/// How long a refusal is remembered that has outlasted a request: a used-up quota, a disabled endpoint.
const REMEMBER_REFUSAL: Duration = Duration::from_secs(5);

/// A statement's parameters, each with the type it is sent as: naming them saves the round trip of asking.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Looks up again where the database is and how to get in; `None` when that cannot be done.
pub type Renew = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<Config>> + Send>> + Send + Sync>;

/// The one connection of an execution environment: opened while it starts, reopened when it is gone.
///
/// Requests share it; their statements are independent, so they may be in flight together.
pub struct Database {
    link: tokio::sync::Mutex<Link>,
    renew: Option<Renew>,
    refusal: Mutex<Option<Refusal>>,
}

struct Link {
    config: Config,
    /// When the configuration was last looked up again, and whether it had changed.
    renewed: Option<(Instant, bool)>,
    connection: Option<Arc<Connection>>,
}

/// What has kept a whole request out at Neon's proxy. While it is remembered, requests are answered at once; the one
/// after that makes a single attempt.
struct Refusal {
    cause: String,
    until: Instant,
}

/// An open connection. Its driver, which owns the socket, ends with the last use of it: by itself it would wait for
/// answers that never come, and hold the socket open for good.
struct Connection {
    client: Client,
    driver: AbortHandle,
    clock: Mutex<Clock>,
}

impl Connection {
    async fn open(config: &Config) -> Result<Self, ConnectError> {
        let (client, driver) = config.connect().await?;
        let driver = tokio::spawn(async move {
            // What ends the connection is told to the statement that waits for it.
            let _ = driver.await;
        });
        // From here on the driver ends with this value, also when the next line fails or is given up.
        let connection =
            Self { client, driver: driver.abort_handle(), clock: Mutex::new(Clock::read(SystemTime::UNIX_EPOCH)) };
        let sql = "SELECT statement_timestamp() AS clock, current_setting('statement_timeout') = '0' AS is_unlimited";
        for row in connection.client.query_typed(sql, &[]).await? {
            *lock(&connection.clock) = Clock::read(row.try_get("clock")?);
            if row.try_get("is_unlimited")? {
                tracing::warn!(
                    "the role in DATABASE_URL has no statement_timeout: a write that was given up may be made later"
                );
            }
        }
        Ok(connection)
    }

    /// Resets the socket, whoever else uses it: what is on its way shall not arrive.
    fn close(&self) {
        self.driver.abort();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// A lock that is never held while something is waited for; a panic under it breaks nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is sent, again and again until it is answered.
struct Statement<'a> {
    sql: &'a str,
    params: Params<'a>,
    writes: bool,
}

/// How one attempt at a statement ended.
enum Attempt {
    Answered(Vec<Row>),
    /// There is not enough time left for one.
    OutOfTime,
    Failed(Failure),
}

struct Failure {
    verdict: Verdict,
    /// For the log.
    cause: String,
    /// Whether there was a connection, so that the statement may have been sent.
    sent: bool,
    /// Whether Neon's proxy would not let us in.
    is_refusal: bool,
    /// When the statement is sure to be over, if the server has not said so itself.
    over: Option<Instant>,
}

impl Failure {
    /// There was no connection.
    fn before(error: &ConnectError) -> Self {
        let cause = cause_before(error);
        tracing::warn!(cause, "the database was not reached");
        let is_refusal = error.refusal().is_some_and(|refusal| *refusal.code() == SqlState::INTERNAL_ERROR);
        Self { verdict: judge(error.refusal()), cause, sent: false, is_refusal, over: None }
    }

    /// There was none in time.
    fn silence(since: Instant) -> Self {
        let cause = silence("while connecting", since);
        tracing::warn!(cause, "the database was not reached");
        Self { verdict: Verdict::Lost, cause, sent: false, is_refusal: false, over: None }
    }

    /// There was one, and it may have carried the statement to the server.
    fn after(verdict: Verdict, cause: String, over: Option<Instant>) -> Self {
        if !matches!(verdict, Verdict::Fail(_)) {
            tracing::warn!(cause, "the statement failed");
        }
        Self { verdict, cause, sent: true, is_refusal: false, over }
    }

    /// Whether the statement may have been carried out.
    fn is_unsure(&self) -> bool {
        self.sent && !matches!(self.verdict, Verdict::Undone)
    }
}

impl Database {
    /// Opens the connection. A database that cannot be reached is no error here: each request tries again.
    ///
    /// When the database refuses the password, `renew` is asked whether there is a new one.
    pub async fn open(config: Config, renew: Option<Renew>) -> Self {
        let link = Link { config, renewed: None, connection: None };
        let database = Self { link: tokio::sync::Mutex::new(link), renew, refusal: Mutex::default() };
        let begun = Instant::now();
        let cause = match timeout(CONNECT, database.connection()).await {
            Ok(Ok(_)) => return database,
            Ok(Err(error)) => cause_before(&error),
            Err(_elapsed) => silence("while connecting", begun),
        };
        tracing::warn!(cause, "the database cannot be reached yet");
        database
    }

    /// Asks the database for an answer, any answer.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<(), Error> {
        self.read("SELECT 1", &[]).await.map(drop)
    }

    /// Runs a statement that changes nothing, until it has an answer or the budget is spent.
    pub(crate) async fn read(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        self.run(&Statement { sql, params, writes: false }).await.map(|(rows, _)| rows)
    }

    /// Runs a statement that may change something; says also whether an earlier attempt may have been carried out.
    ///
    /// The statement's first parameter is its *expiry*, and not among `params`: it changes nothing unless
    /// `statement_timestamp() < $1`. It returns one row, with `statement_timestamp()` as `clock`. So an attempt that was
    /// given up is over: the server has begun it before its expiry, and ended it within [`STATEMENT_TIMEOUT`], or does
    /// nothing when it arrives.
    ///
    /// By `statement_timestamp()`, which does not move while a statement waits for a lock, as `clock_timestamp()` does,
    /// and which is that of the execution, where `now()` may be that of a part of it that came before the rest.
    pub(crate) async fn write(&self, sql: &str, params: Params<'_>) -> Result<(Row, bool), Error> {
        let (rows, unsure) = self.run(&Statement { sql, params, writes: true }).await?;
        Ok((rows.into_iter().next().ok_or_else(|| Error::Defect("none: no row".to_owned()))?, unsure))
    }

    async fn run(&self, statement: &Statement<'_>) -> Result<(Vec<Row>, bool), Error> {
        let probes = match &*lock(&self.refusal) {
            Some(refusal) if Instant::now() < refusal.until => return Err(Error::Unavailable(refusal.cause.clone())),
            refusal => refusal.is_some(),
        };
        let mut attempts = Attempts::start();
        let (mut unsure, mut refused, mut cause) = (false, false, "there was no time for an attempt".to_owned());
        while let Some(until) = attempts.next() {
            let begun = Instant::now();
            let failure = match self.attempt(&attempts, until, statement).await {
                Attempt::Answered(rows) => return Ok((rows, unsure)),
                Attempt::OutOfTime => break,
                Attempt::Failed(failure) => failure,
            };
            unsure |= failure.is_unsure();
            refused = failure.is_refusal;
            cause = failure.cause;
            match failure.verdict {
                Verdict::Fail(error) => return Err(error),
                Verdict::Refused => {
                    let renewed = timeout_at(attempts.deadline().into(), self.renewed_since(begun)).await;
                    if !renewed.unwrap_or(false) {
                        return Err(Error::Unavailable(cause));
                    }
                }
                Verdict::PerhapsRefused => {
                    let until = attempts.deadline().min(Instant::now() + RENEW_ON_SUSPICION);
                    let renewed = timeout_at(until.into(), self.renewed_since(begun)).await;
                    if probes && refused && !renewed.unwrap_or(false) {
                        break;
                    }
                }
                Verdict::Undone | Verdict::Ended | Verdict::Lost => {}
            }
            match failure.over {
                Some(over) => sleep_until(over.min(attempts.deadline()).into()).await,
                None => attempts.pause().await,
            }
        }
        if refused {
            let until = Instant::now() + REMEMBER_REFUSAL;
            *lock(&self.refusal) = Some(Refusal { cause: cause.clone(), until });
        }
        Err(Error::Unavailable(cause))
    }

    /// Sends the statement once. A connection that fails it is given up, unless the server says that it is fine.
    async fn attempt(&self, attempts: &Attempts, until: Instant, statement: &Statement<'_>) -> Attempt {
        let begun = Instant::now();
        let connection = match timeout_at(until.into(), self.connection()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Attempt::Failed(Failure::before(&error)),
            Err(_elapsed) => return Attempt::Failed(Failure::silence(begun)),
        };
        let needs = if statement.writes { STATEMENT_TIMEOUT } else { Duration::ZERO };
        let Some(until) = attempts.sending(needs) else { return Attempt::OutOfTime };
        let sent = Instant::now();
        let expiry = lock(&connection.clock).at(until - STATEMENT_TIMEOUT);
        let answer = async {
            if statement.writes {
                let params = [&[(&expiry as &(dyn ToSql + Sync), Type::TIMESTAMPTZ)], statement.params].concat();
                connection.client.query_typed(statement.sql, &params).await
            } else {
                connection.client.query_typed(statement.sql, statement.params).await
            }
        };
        let (verdict, cause) = match timeout_at(until.into(), answer).await {
            Ok(Ok(rows)) if !statement.writes => return Attempt::Answered(rows),
            Ok(Ok(rows)) => match rows.first().map(|row| row.try_get::<_, SystemTime>("clock")) {
                Some(Ok(clock)) => {
                    lock(&connection.clock).correct(clock, sent);
                    if clock < expiry {
                        return Attempt::Answered(rows);
                    }
                    (Verdict::Undone, "the statement arrived too late, and did nothing".to_owned())
                }
                Some(Err(error)) => (Verdict::Fail(error.into()), String::new()),
                None => (Verdict::Fail(Error::Defect("none: no row".to_owned())), String::new()),
            },
            Ok(Err(error)) => (judge(error.as_db_error()), cause_after(&error)),
            Err(_elapsed) => (Verdict::Lost, silence("while waiting for the answer", sent)),
        };
        // What the server has not ended itself may be under way still, or on its way.
        let open = matches!(verdict, Verdict::Lost | Verdict::PerhapsRefused);
        if open || matches!(verdict, Verdict::Ended | Verdict::Refused) {
            self.give_up(&connection).await;
        }
        Attempt::Failed(Failure::after(verdict, cause, Some(until).filter(|_| open && statement.writes)))
    }

    /// The open connection, or a new one.
    async fn connection(&self) -> Result<Arc<Connection>, ConnectError> {
        let mut link = self.link.lock().await;
        if let Some(connection) = link.connection.as_ref() {
            // After a thaw the task that owns the socket has not seen yet that it is closed: let it look.
            tokio::task::yield_now().await;
            if !connection.client.is_closed() {
                return Ok(Arc::clone(connection));
            }
        }
        let connection = Arc::new(Connection::open(&link.config).await?);
        link.connection = Some(Arc::clone(&connection));
        *lock(&self.refusal) = None;
        Ok(connection)
    }

    /// Lets go of a connection, unless another request has done so and opened a new one.
    async fn give_up(&self, failed: &Arc<Connection>) {
        failed.close();
        self.link.lock().await.connection.take_if(|current| Arc::ptr_eq(current, failed));
    }

    /// Whether there is another configuration than the one an attempt was refused with that began at this time.
    async fn renewed_since(&self, begun: Instant) -> bool {
        let Some(renew) = &self.renew else { return false };
        let mut link = self.link.lock().await;
        match link.renewed {
            Some((at, changed)) if at > begun => return changed,
            Some((at, _)) if at.elapsed() < RENEW_EVERY => return false,
            _ => {}
        }
        // Also when there is no waiting for the answer, there was a question.
        link.renewed = Some((Instant::now(), false));
        let config = renew().await.filter(|config| !config.is_same(&link.config));
        link.renewed = Some((Instant::now(), config.is_some()));
        match config {
            Some(config) => {
                link.config = config;
                true
            }
            None => false,
        }
    }
}

/// For the log, when nothing was heard.
fn silence(what: &str, since: Instant) -> String {
    format!("no answer in {} s, {what}", since.elapsed().as_secs_f32().round())
}

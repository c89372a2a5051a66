use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::Mutex,
    time::{sleep_until, timeout_at},
};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use crate::{
    Config, ConnectError, Error,
    circuit_breaker::{CircuitBreaker, State},
    connection::Connection,
    failure::{Failure, Retry, cause_after_sending, cause_of_no_connection, classify, timeout_message},
    retry::{Attempts, CONNECT_TIMEOUT, STATEMENT_TIMEOUT},
};

/// The minimum time between two renewals of the configuration.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// The timeout for a renewal when it is unclear whether the database refused us: a slow Parameter Store must not prolong
/// an outage of the database.
const UNCLEAR_RENEWAL_TIMEOUT: Duration = Duration::from_secs(1);

/// A statement's parameters, each with its type: without the types, asking for them costs a round trip.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Reads the configuration again; `None` when that fails.
pub type Renew = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<Config>> + Send>> + Send + Sync>;

/// The one connection of an execution environment, opened at start-up and reopened when it is closed.
///
/// Requests share it: their statements are independent, and may be in flight at the same time.
pub struct Database {
    state: Mutex<ConnectionState>,
    renew: Option<Renew>,
    breaker: CircuitBreaker,
}

struct ConnectionState {
    config: Config,
    /// The last renewal: when, and whether the configuration changed.
    renewed: Option<(Instant, bool)>,
    connection: Option<Arc<Connection>>,
}

/// A statement, to be retried until it is answered.
struct Statement<'a> {
    sql: &'a str,
    params: Params<'a>,
    is_write: bool,
}

/// The outcome of one attempt.
enum Outcome {
    Answered(Vec<Row>),
    /// Too little time was left to send the statement.
    OutOfTime,
    Failed(Failure),
}

impl Database {
    /// Opens the connection, before the deadline. A failure to connect is only logged: each request tries again.
    ///
    /// `renew` is called when the database refuses the password.
    pub async fn open(config: Config, renew: Option<Renew>) -> Self {
        let state = ConnectionState { config, renewed: None, connection: None };
        let database = Self { state: Mutex::new(state), renew, breaker: CircuitBreaker::default() };
        let started = Instant::now();
        let deadline = Attempts::start().deadline().min(started + CONNECT_TIMEOUT);
        let cause = match timeout_at(deadline.into(), database.connection()).await {
            Ok(Ok(_)) => return database,
            Ok(Err(error)) => cause_of_no_connection(&error),
            Err(_elapsed) => timeout_message("while connecting", started),
        };
        tracing::warn!(cause, "the database cannot be reached yet");
        database
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<(), Error> {
        self.read("SELECT 1", &[]).await.map(drop)
    }

    /// Runs a statement that changes nothing, with retries until the deadline.
    pub(crate) async fn read(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        self.run(&Statement { sql, params, is_write: false }).await.map(|(rows, _)| rows)
    }

    /// Runs a statement that may change something, with retries until the deadline. Also returns whether an earlier
    /// attempt may have been executed.
    ///
    /// The statement's first parameter, which is not in `params`, is its *expiry*: it must change nothing unless
    /// `statement_timestamp() < $1`. It must return one row, with `statement_timestamp()` as `clock`. So an abandoned
    /// attempt cannot take effect later: it has started before the expiry and ended within [`STATEMENT_TIMEOUT`], or
    /// does nothing.
    ///
    /// `statement_timestamp()` is fixed while a statement waits for a lock, unlike `clock_timestamp()`. `now()` is the
    /// start of the transaction, which may be earlier.
    pub(crate) async fn write(&self, sql: &str, params: Params<'_>) -> Result<(Row, bool), Error> {
        let (rows, may_have_run) = self.run(&Statement { sql, params, is_write: true }).await?;
        Ok((rows.into_iter().next().ok_or_else(Error::no_row)?, may_have_run))
    }

    async fn run(&self, statement: &Statement<'_>) -> Result<(Vec<Row>, bool), Error> {
        let is_half_open = matches!(self.breaker.check()?, State::HalfOpen);
        let mut attempts = Attempts::start();
        let (mut may_have_run, mut refused) = (false, false);
        let mut cause = "there was no time for an attempt".to_owned();
        while let Some(connect_deadline) = attempts.next() {
            let started = Instant::now();
            let failure = match self.attempt(&attempts, connect_deadline, statement).await {
                Outcome::Answered(rows) => return Ok((rows, may_have_run)),
                Outcome::OutOfTime => break,
                Outcome::Failed(failure) => failure,
            };
            may_have_run |= failure.is_ambiguous();
            refused = failure.is_refusal;
            cause = failure.cause;
            match failure.retry {
                Retry::Never(error) => return Err(error),
                Retry::WithNewConfig => {
                    if !self.renewed_since(started, attempts.deadline()).await {
                        return Err(Error::Unavailable(cause));
                    }
                }
                Retry::Unclear => {
                    let deadline = attempts.deadline().min(Instant::now() + UNCLEAR_RENEWAL_TIMEOUT);
                    let renewed = self.renewed_since(started, deadline).await;
                    if is_half_open && refused && !renewed {
                        break;
                    }
                }
                Retry::OnSameConnection | Retry::OnNewConnection | Retry::AfterTimeout => {}
            }
            match failure.ends_by {
                Some(ends_by) => sleep_until(ends_by.min(attempts.deadline()).into()).await,
                None => attempts.backoff().await,
            }
        }
        if refused {
            self.breaker.trip(&cause);
        }
        Err(Error::Unavailable(cause))
    }

    /// Sends the statement once. A connection on which it fails is closed, unless the server says that it is fine.
    async fn attempt(&self, attempts: &Attempts, connect_deadline: Instant, statement: &Statement<'_>) -> Outcome {
        let started = Instant::now();
        let connection = match timeout_at(connect_deadline.into(), self.connection()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Outcome::Failed(Failure::no_connection(&error)),
            Err(_elapsed) => return Outcome::Failed(Failure::connect_timeout(started)),
        };
        let minimum = if statement.is_write { STATEMENT_TIMEOUT } else { Duration::ZERO };
        let Some(deadline) = attempts.statement_deadline(minimum) else { return Outcome::OutOfTime };
        let sent = Instant::now();
        let expiry = connection.clock().at(deadline - STATEMENT_TIMEOUT);
        let answer = async {
            if statement.is_write {
                let params = [&[(&expiry as &(dyn ToSql + Sync), Type::TIMESTAMPTZ)], statement.params].concat();
                connection.client.query_typed(statement.sql, &params).await
            } else {
                connection.client.query_typed(statement.sql, statement.params).await
            }
        };
        let (retry, cause) = match timeout_at(deadline.into(), answer).await {
            Ok(Ok(rows)) if !statement.is_write => return Outcome::Answered(rows),
            Ok(Ok(rows)) => match rows.first().map(|row| row.try_get::<_, SystemTime>("clock")) {
                Some(Ok(clock)) => {
                    connection.clock().correct(clock, sent);
                    if clock < expiry {
                        return Outcome::Answered(rows);
                    }
                    (Retry::OnSameConnection, "the statement arrived after its expiry, and did nothing".to_owned())
                }
                Some(Err(error)) => (Retry::Never(error.into()), String::new()),
                None => (Retry::Never(Error::no_row()), String::new()),
            },
            Ok(Err(error)) => (classify(error.as_db_error()), cause_after_sending(&error)),
            Err(_elapsed) => (Retry::AfterTimeout, timeout_message("while waiting for the answer", sent)),
        };
        // The server has not ended the statement: it may still be running, or in flight.
        let may_be_running = matches!(retry, Retry::AfterTimeout | Retry::Unclear);
        if may_be_running || matches!(retry, Retry::OnNewConnection | Retry::WithNewConfig) {
            self.discard(&connection).await;
        }
        let ends_by = Some(deadline).filter(|_| may_be_running && statement.is_write);
        Outcome::Failed(Failure::after_sending(retry, cause, ends_by))
    }

    /// The open connection, or a new one.
    async fn connection(&self) -> Result<Arc<Connection>, ConnectError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = state.connection.as_ref() {
            // After a thaw nobody has noticed yet that the socket is closed: let the runtime look at it, and then the
            // connection's task.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            if !connection.client.is_closed() {
                return Ok(Arc::clone(connection));
            }
        }
        let connection = Arc::new(Connection::open(&state.config).await?);
        state.connection = Some(Arc::clone(&connection));
        self.breaker.reset();
        Ok(connection)
    }

    /// Closes a connection, and forgets it unless another request has replaced it already.
    async fn discard(&self, failed: &Arc<Connection>) {
        failed.close();
        self.state.lock().await.connection.take_if(|current| Arc::ptr_eq(current, failed));
    }

    /// Whether the configuration has changed since an attempt that started at `started`; renews it if need be.
    async fn renewed_since(&self, started: Instant, deadline: Instant) -> bool {
        timeout_at(deadline.into(), self.renew(started)).await.unwrap_or(false)
    }

    async fn renew(&self, started: Instant) -> bool {
        let Some(renew) = &self.renew else { return false };
        let mut state = self.state.lock().await;
        match state.renewed {
            Some((at, changed)) if at > started => return changed,
            Some((at, _)) if at.elapsed() < RENEWAL_INTERVAL => return false,
            _ => {}
        }
        // Counts even when the caller times out before the answer.
        state.renewed = Some((Instant::now(), false));
        let config = renew().await.filter(|config| !config.is_same(&state.config));
        state.renewed = Some((Instant::now(), config.is_some()));
        match config {
            Some(config) => {
                state.config = config;
                true
            }
            None => false,
        }
    }
}

/// Whether a write's row has an `id`: that of what it has changed.
pub(crate) fn has_id(row: &Row) -> Result<bool, Error> {
    Ok(row.try_get::<_, Option<Uuid>>("id")?.is_some())
}

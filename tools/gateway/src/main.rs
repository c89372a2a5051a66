use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use axum::Router;
use clap::Parser;
use gateway::{
    api,
    lambda::{self, Lambda},
    template::Template,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

/// Runs `cargo lambda watch` behind a local API Gateway and Lambda service, until it exits.
#[derive(Parser)]
struct Arguments {
    /// The port of the API.
    #[arg(long)]
    port: u16,
    /// The port of the Lambda service, where functions can be invoked with an event.
    #[arg(long)]
    lambda_port: u16,
    /// The port of `cargo lambda watch` itself.
    #[arg(long)]
    emulator_port: u16,
    /// The file with the routes and the CORS settings.
    #[arg(long, default_value = "template.yaml")]
    template: PathBuf,
    /// The origins whose pages may call the API; `*` or an empty list allows all.
    #[arg(long, env, value_delimiter = ',', default_value = "*")]
    allowed_origins: Vec<String>,
    /// The command that runs `cargo lambda watch`, without address and port.
    #[arg(last = true, required = true)]
    watch: Vec<OsString>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let template = Template::read(&arguments.template)?;
    let lambda = Arc::new(Lambda::new(arguments.emulator_port));
    let api = api::router(&template, &arguments.allowed_origins, Arc::clone(&lambda))?;
    let api = async {
        // Until the emulator listens, requests would fail.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, arguments.emulator_port)).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        serve(api, arguments.port).await
    };
    tokio::select! {
        result = serve(lambda.router(), arguments.lambda_port) => result,
        result = api => result,
        result = watch(&arguments) => result,
    }
}

async fn serve(router: Router, port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
    Ok(axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

/// Runs the emulator until this process gets SIGINT or SIGTERM; then stops it, and the functions with it.
async fn watch(arguments: &Arguments) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (program, options) = arguments.watch.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(options).args(["-A", "127.0.0.1", "-P", &arguments.emulator_port.to_string()]);
    command.args(lambda::runner(arguments.lambda_port)).kill_on_drop(true);
    let mut emulator = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    tokio::select! {
        status = emulator.wait() => bail!("cargo lambda watch has exited ({})", status?),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    if let Some(pid) = emulator.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM)?;
    }
    emulator.wait().await?;
    Ok(())
}

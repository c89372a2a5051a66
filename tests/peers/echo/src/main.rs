//! The least that a function in Rust does: the runtime of the API's functions, an event in, an answer out. It has as many
//! bytes as the header `x-bytes` asks for. `make bench` measures the API's functions beside it.

use std::convert::Infallible;

use lambda_http::{Error, Request, run_concurrent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run_concurrent(service_fn(async |request: Request| {
        let bytes = request.headers().get("x-bytes").and_then(|bytes| bytes.to_str().ok()?.parse().ok());
        Ok::<_, Infallible>("x".repeat(bytes.unwrap_or(0)))
    }))
    .await
}

//! A Parameter Store on this machine: moto's, which speaks AWS's protocol.

use std::{
    env,
    fs::File,
    io::Read,
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::watch::{Settings, free_port};

/// How long Python may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The service, empty at first; it ends with this value.
#[derive(Debug)]
pub struct ParameterStore {
    child: Child,
    folder: TempDir,
    endpoint: String,
    http: reqwest::Client,
}

impl ParameterStore {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let port = free_port();
        let child = Command::new(env::var_os("MOTO_SERVER").expect("MOTO_SERVER is not set: `make test` sets it"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("moto_server");
        let http = reqwest::Client::new();
        let store = Self { child, folder, endpoint: format!("http://127.0.0.1:{port}"), http };
        let deadline = Instant::now() + PATIENCE;
        while store.http.get(&store.endpoint).send().await.is_err() {
            assert!(Instant::now() < deadline, "moto does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        store
    }

    /// Stores a parameter, encrypted, in the place of an earlier one.
    pub async fn put(&self, name: &str, value: &str) {
        let parameter = json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
        self.call("PutParameter", &parameter).await;
    }

    /// A parameter's value, decrypted, and its type; none when it is not stored.
    pub async fn get(&self, name: &str) -> Option<(String, String)> {
        let answer = self.call("GetParameters", &json!({"Names": [name], "WithDecryption": true})).await;
        let parameter = answer["Parameters"].get(0)?;
        let text = |member: &str| parameter[member].as_str().expect("a text").to_owned();
        Some((text("Value"), text("Type")))
    }

    /// The variables with which AWS's clients find the store, and others of AWS's services beside it.
    pub fn access(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    /// Settings whose functions find the store, and `names` in it instead of in their environment.
    pub async fn holding(&self, settings: &Settings, names: &[&'static str]) -> Settings {
        let mut settings = settings.clone();
        for (name, value) in self.access() {
            settings = settings.with(name, value);
        }
        for name in names {
            let parameter = format!("/task-api/{name}");
            self.put(&parameter, settings.get(name)).await;
            settings = settings.without(name).with(&format!("{name}_PARAMETER"), &parameter);
        }
        settings
    }

    /// How often it has been called, by anyone.
    pub fn calls(&self) -> usize {
        let mut log = String::new();
        let file = File::open(self.folder.path().join("log"));
        file.and_then(|mut file| file.read_to_string(&mut log)).expect("a log");
        log.matches("\"POST / HTTP/1.1\"").count()
    }

    /// The address of a gate before the store that turns the first calls away, as AWS does with those who call too
    /// often.
    pub async fn behind_a_gate(&self, mut refusals: u32) -> String {
        let gate = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = format!("http://{}", gate.local_addr().expect("an address"));
        let store = self.endpoint.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = gate.accept().await {
                if refusals > 0 {
                    refusals -= 1;
                    refuse(&mut client).await;
                } else if let Ok(mut store) = TcpStream::connect(&store).await {
                    let _ = copy_bidirectional(&mut client, &mut store).await;
                }
            }
        });
        address
    }

    async fn call(&self, action: &str, body: &Value) -> Value {
        let response = self
            .http
            .post(&self.endpoint)
            .header("x-amz-target", format!("AmazonSSM.{action}"))
            .header("content-type", "application/x-amz-json-1.1")
            // Not verified, but it says which service is meant.
            .header("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/ssm/aws4_request, SignedHeaders=host, Signature=x")
            .body(body.to_string())
            .send()
            .await
            .expect("an answer");
        assert!(response.status().is_success(), "{action}: {}", response.status());
        response.json().await.expect("JSON")
    }
}

/// Reads a call to the end of its body, a JSON object, and answers as AWS does.
async fn refuse(client: &mut TcpStream) {
    let mut call = Vec::new();
    while call.last() != Some(&b'}') && client.read_buf(&mut call).await.is_ok_and(|count| count > 0) {}
    let body = r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#;
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close";
    let _ = client.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
}

impl Drop for ParameterStore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

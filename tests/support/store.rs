//! AWS's Parameter Store, SES, S3, CloudFormation and Lambda, emulated by moto.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    mail::Mail,
    origins::tls_acceptor,
    server::Settings,
    service::{Service, free_port},
    workspace::{root, variable},
};

/// A store, empty at first; it ends when this is dropped.
#[derive(Debug)]
pub struct ParameterStore {
    service: Service,
    endpoint: String,
    http: reqwest::Client,
}

impl ParameterStore {
    pub async fn start() -> Self {
        Self::run(Command::new(variable("MOTO")))
    }

    /// With a CloudFormation that can make and update the project's stack.
    pub async fn with_cloudformation() -> Self {
        let mut server = Command::new(python_beside("MOTO"));
        server.arg(root().join("tests/support/aws/server.py"));
        Self::run(server)
    }

    fn run(mut moto: Command) -> Self {
        let port = free_port();
        // A certificate is valid at once.
        moto.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("MOTO_ACM_VALIDATION_WAIT", "-1");
        let service = Service::start(TempDir::new().expect("a folder"), port, &mut moto);
        Self { service, endpoint: format!("http://127.0.0.1:{port}"), http: reqwest::Client::new() }
    }

    /// Stores an encrypted parameter, replacing an earlier one.
    pub async fn put(&self, name: &str, value: &str) {
        let parameter = json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
        self.call("PutParameter", &parameter).await;
    }

    /// Removes a parameter.
    pub async fn remove(&self, name: &str) {
        self.call("DeleteParameter", &json!({"Name": name})).await;
    }

    /// A parameter's decrypted value and its type.
    pub async fn get(&self, name: &str) -> Option<(String, String)> {
        let answer = self.call("GetParameters", &json!({"Names": [name], "WithDecryption": true})).await;
        let parameter = answer["Parameters"].get(0)?;
        let text = |member: &str| parameter[member].as_str().expect("a string").to_owned();
        Some((text("Value"), text("Type")))
    }

    /// The variables that point AWS's clients to moto.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    /// Stores the settings with these `names`; functions with the returned settings read them from here.
    pub async fn move_settings(&self, settings: &Settings, names: &[&'static str]) -> Settings {
        let mut settings = settings.clone();
        for (name, value) in self.environment() {
            settings = settings.with(name, value);
        }
        for name in names {
            let parameter = format!("/task-api/{name}");
            self.put(&parameter, settings.get(name)).await;
            settings = settings.without(name).with(&format!("{name}_PARAMETER"), &parameter);
        }
        settings
    }

    /// Creates a bucket in S3.
    pub async fn create_bucket(&self, name: &str) {
        let configuration = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint>\
                             </CreateBucketConfiguration>";
        let call = self.http.put(format!("{}/{name}", self.endpoint)).header("authorization", authorization("s3"));
        let response = call.body(configuration).send().await.expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
    }

    /// Verifies an identity, an address or a domain, for SES.
    pub async fn verify_identity(&self, identity: &str) {
        let call = self.http.post(format!("{}/v2/email/identities", self.endpoint));
        let call = call.header("authorization", authorization("ses")).json(&json!({"EmailIdentity": identity}));
        let response = call.send().await.expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
    }

    /// The mails that SES has taken, the oldest first.
    pub async fn mails(&self) -> Vec<Mail> {
        let response = self.http.get(format!("{}/moto-api/data.json", self.endpoint)).send().await.expect("an answer");
        let data: Value = response.json().await.expect("JSON");
        let mails = data["ses"]["RawMessage"].as_array().into_iter().flatten();
        mails.map(|mail| Mail::parse(mail["raw_data"].as_str().expect("a mail").as_bytes())).collect()
    }

    /// An answer of CloudFormation, in XML.
    pub async fn cloudformation(&self, action: &str, stack: &str) -> String {
        let call = self.http.post(&self.endpoint).header("authorization", authorization("cloudformation"));
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        let response = call.body(format!("Action={action}&StackName={stack}")).send().await.expect("an answer");
        response.text().await.expect("XML")
    }

    /// The functions, and the version of each that its alias `live` has.
    pub async fn live_versions(&self) -> BTreeMap<String, String> {
        let get = async |path: &str| -> Value {
            let call = self.http.get(format!("{}/2015-03-31/functions/{path}", self.endpoint));
            let response = call.header("authorization", authorization("lambda")).send().await.expect("an answer");
            response.json().await.expect("JSON")
        };
        let mut versions = BTreeMap::new();
        for function in get("").await["Functions"].as_array().expect("functions") {
            let name = function["FunctionName"].as_str().expect("a name");
            let alias = get(&format!("{name}/aliases/live")).await;
            versions.insert(name.to_owned(), alias["FunctionVersion"].as_str().expect("a version").to_owned());
        }
        versions
    }

    /// Has a function reserve so many executions at once.
    pub async fn reserve(&self, function: &str, executions: u32) {
        let call = self.http.put(format!("{}/2017-10-31/functions/{function}/concurrency", self.endpoint));
        let call = call.header("authorization", authorization("lambda"));
        let response = call.json(&json!({"ReservedConcurrentExecutions": executions})).send().await.expect("an answer");
        assert!(response.status().is_success(), "{response:?}");
    }

    /// How many calls there have been, by anyone.
    pub fn calls(&self) -> usize {
        self.service.output().matches("\"POST / HTTP/1.1\"").count()
    }

    /// The address of a proxy before the store that throttles the first calls, as AWS does with too many.
    pub async fn throttled(&self, mut refusals: u32) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let store = self.endpoint.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if refusals > 0 {
                    refusals -= 1;
                    throttle(&mut client).await;
                } else if let Ok(mut store) = TcpStream::connect(&store).await {
                    let _ = copy_bidirectional(&mut client, &mut store).await;
                }
            }
        });
        address
    }

    /// The address of a proxy before the store that speaks TLS, with the certificate of the stack's servers.
    pub async fn over_tls(&self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        let (acceptor, store) = (tls_acceptor(&[]), self.endpoint.trim_start_matches("http://").to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client that does not trust the certificate ends the handshake.
                let Ok(mut client) = acceptor.accept(client).await else { continue };
                if let Ok(mut store) = TcpStream::connect(&store).await {
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
            .header("authorization", authorization("ssm"))
            .body(body.to_string())
            .send()
            .await
            .expect("an answer");
        assert!(response.status().is_success(), "{action}: {}", response.status());
        response.json().await.expect("JSON")
    }
}

/// The Python that runs the program in this variable.
pub(crate) fn python_beside(variable_name: &str) -> PathBuf {
    Path::new(&variable(variable_name)).with_file_name("python")
}

/// Not verified; moto takes the service's name from it.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
    )
}

/// Reads a call to the end of its body, a JSON object, and answers as AWS does when it throttles.
async fn throttle(client: &mut TcpStream) {
    let mut call = Vec::new();
    while call.last() != Some(&b'}') && client.read_buf(&mut call).await.is_ok_and(|count| count > 0) {}
    let body = r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#;
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close";
    let _ = client.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
}

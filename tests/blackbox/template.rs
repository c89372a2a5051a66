//! What `template.yaml` says of the functions, against what is true of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use api::{Authenticated, BUDGET, COMMON_SETTINGS, Keys, MAIL_SETTINGS, Public, State, Static, TokenIssuer};
use serde_json::{Value, json};
use tests::{
    database::program,
    template::{Function, routes_of, template},
    workspace::{Route, functions_that_link, openapi, routes},
};

/// What API Gateway waits for a function at most, in seconds.
const GATEWAY_TIMEOUT: u64 = 30;
/// With this much memory (MB) Lambda gives a function one whole processor.
const WHOLE_PROCESSOR: u64 = 1769;
/// Routes that go with the next release, and have lost their limit for that ("Renaming a route" in docs/deploy.md).
const LEAVING: [&str; 0] = [];

/// The settings that a function requires: started without any, it names them all.
fn required_settings(function: &Function) -> BTreeSet<String> {
    let output = Command::new(program(&function.name).unwrap()).env_clear().output().unwrap();
    assert!(!output.status.success(), "{} starts without the runtime's variables", function.name);
    let error = String::from_utf8(output.stderr).unwrap();
    let missing = error.split("neither ").skip(1).map(|rest| rest.split_once(' ').unwrap().0.to_owned());
    missing.collect()
}

/// Whether a route takes a password, by the OpenAPI document, and so has to hash it.
fn takes_a_password(route: &Route, openapi: &Value) -> bool {
    let body = &openapi["paths"][&route.path][route.method.to_lowercase()]["requestBody"];
    let schema = body["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
    let fields = openapi.pointer(&format!("{}/properties", schema.trim_start_matches('#')));
    fields.and_then(Value::as_object).is_some_and(|fields| fields.keys().any(|name| name.contains("password")))
}

/// The setting that a policy lets read: the one parameter it names, decrypted by nobody but the Parameter Store.
fn parameter_of(policy: &Value) -> String {
    let statements = &policy["PolicyDocument"]["Statement"];
    let [read, decrypt] = &statements.as_array().unwrap()[..] else { panic!("two statements: {policy}") };
    let resource = read["Resource"]["Fn::Sub"].as_str().unwrap();
    assert_eq!((&read["Action"], &decrypt["Action"]), (&json!("ssm:GetParameters"), &json!("kms:Decrypt")));
    let condition = json!({"StringEquals": {
        "kms:ViaService": {"Fn::Sub": "ssm.${AWS::Region}.amazonaws.com"},
        "kms:EncryptionContext:PARAMETER_ARN": {"Fn::Sub": resource},
    }});
    assert_eq!(decrypt["Condition"], condition);
    assert!(!resource.contains('*'), "{resource}");
    resource.split_once(":parameter").unwrap().1.to_owned()
}

#[test]
fn a_function_can_read_the_settings_that_its_state_reads_and_no_others() {
    let template = template();
    let policies: BTreeMap<&String, String> = template
        .resources("AWS::IAM::ManagedPolicy")
        .filter(|(name, _)| *name != "SendMail")
        .map(|(name, properties)| (name, parameter_of(properties)))
        .collect();
    for function in template.functions() {
        let parameters = required_settings(function).into_iter().map(|setting| {
            let name = &function.variable(&format!("{setting}_PARAMETER"))["Fn::Sub"];
            name.as_str().unwrap_or_else(|| panic!("{setting} of {function:?}")).to_owned()
        });
        let readable: BTreeSet<_> = function.policies().iter().map(|policy| policies[policy].clone()).collect();
        assert_eq!(readable, parameters.collect(), "{}", function.name);
    }
}

#[test]
fn every_variable_is_a_setting_that_is_read() {
    let states = [
        Public::SETTINGS,
        TokenIssuer::SETTINGS,
        Authenticated::SETTINGS,
        Keys::SETTINGS,
        Static::SETTINGS,
        &MAIL_SETTINGS,
    ];
    let settings = states.into_iter().flatten().chain(&COMMON_SETTINGS).map(|setting| setting.name);
    // The TLS libraries read two of them.
    let settings: BTreeSet<&str> = settings.chain(["SSL_CERT_FILE", "SSL_CERT_DIR"]).collect();
    for function in template().functions() {
        for name in function.properties["Environment"]["Variables"].as_object().unwrap().keys() {
            assert!(settings.contains(name.trim_end_matches("_PARAMETER")), "{name} of {}", function.name);
        }
    }
}

#[test]
fn the_authorities_are_those_of_the_system() {
    for function in template().functions() {
        let [file, folder, all] =
            ["SSL_CERT_FILE", "SSL_CERT_DIR", "CA_FILE"].map(|name| function.variable(name).as_str().unwrap());
        assert_eq!((file, Path::new(all).parent()), ("/dev/null", Some(Path::new(folder))), "{}", function.name);
    }
}

#[test]
fn only_signin_and_token_refresh_can_read_the_signing_key() {
    let template = template();
    let functions = template.functions();
    let with_key = functions.iter().filter(|function| function.policies().contains("ReadSigningKey"));
    assert_eq!(with_key.map(|function| function.name.as_str()).collect::<Vec<_>>(), ["signin", "token-refresh"]);
    let named = functions.iter().filter(|function| !function.variable("JWT_SIGNING_KEY_PARAMETER").is_null());
    assert_eq!(named.map(|function| function.name.as_str()).collect::<Vec<_>>(), ["signin", "token-refresh"]);
}

#[test]
fn only_the_functions_that_link_ses_may_send_mail_and_only_from_the_sender() {
    let template = template();
    let functions = template.functions().iter();
    // Without a sender there is no policy.
    let send = json!({"Fn::If": ["MailIsSent", {"Ref": "SendMail"}, {"Ref": "AWS::NoValue"}]});
    let may_send = functions
        .clone()
        .filter(|function| function.properties["Policies"].as_array().is_some_and(|policies| policies.contains(&send)));
    let may_send: BTreeSet<_> = may_send.map(|function| function.name.clone()).collect();
    let is_told = functions.clone().filter(|function| !function.variable("MAIL_FROM").is_null());
    assert_eq!(is_told.map(|function| function.name.clone()).collect::<BTreeSet<_>>(), may_send);
    assert_eq!(functions_that_link("aws-sdk-sesv2"), may_send);
    assert_eq!(may_send, ["password-reset-request", "user-update"].map(str::to_owned).into());

    let statements = &template.properties("SendMail")["PolicyDocument"]["Statement"];
    let [statement] = &statements.as_array().unwrap()[..] else { panic!("one statement: {statements}") };
    assert_eq!(statement["Action"], json!(["ses:SendEmail", "ses:SendRawEmail"]));
    assert_eq!(statement["Condition"], json!({"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}));
    let resources = statement["Resource"].to_string();
    assert!(resources.contains("identity/${MailFrom}") && !resources.contains('*'), "{resources}");
}

/// API Gateway refuses a template with two, which the local gateway would take.
#[test]
fn variables_at_one_level_of_the_routes_have_one_name() {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for route in routes() {
        for (position, _) in route.path.match_indices('{') {
            let (level, rest) = route.path.split_at(position);
            let name = rest.split('/').next().unwrap();
            let known = names.entry(level.to_owned()).or_insert_with(|| name.to_owned());
            assert_eq!(known, name, "{route:?}");
        }
    }
}

#[test]
fn a_request_ends_before_its_function_and_a_function_before_the_gateway() {
    for function in template().functions() {
        let timeout = function.properties["Timeout"].as_u64().unwrap();
        assert!(BUDGET.as_secs() < timeout && timeout < GATEWAY_TIMEOUT, "{}: {timeout}", function.name);
    }
}

#[test]
fn functions_that_take_a_password_have_a_whole_processor() {
    let (template, openapi) = (template(), openapi());
    let mut count = 0;
    for function in template.functions() {
        let memory = function.properties["MemorySize"].as_u64().unwrap();
        let takes_a_password = routes_of(function).any(|route| takes_a_password(&route, &openapi));
        assert_eq!(memory >= WHOLE_PROCESSOR, takes_a_password, "{} has {memory} MB", function.name);
        count += usize::from(takes_a_password);
    }
    assert_eq!(count, 4, "signup, signin, password-reset and user-update");
}

#[test]
fn a_function_is_called_what_its_binary_is_called() {
    for function in template().functions() {
        assert_eq!(function.logical_id.to_lowercase(), function.name.replace('-', ""));
    }
}

#[test]
fn the_gateway_lets_pages_use_every_method_there_is() {
    let template = template();
    let gateway = template.properties("Api");
    let methods: BTreeSet<String> = routes().into_iter().map(|route| route.method).collect();
    let allowed = gateway["CorsConfiguration"]["AllowMethods"].as_array().unwrap();
    assert_eq!(allowed.iter().map(|method| method.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), methods);
}

#[test]
fn the_routes_that_hash_or_send_mail_have_a_limit_of_their_own() {
    let (template, openapi) = (template(), openapi());
    let mailers = functions_that_link("aws-sdk-sesv2");
    let costly = routes().into_iter();
    let costly = costly.filter(|route| mailers.contains(&route.function) || takes_a_password(route, &openapi));
    let costly: BTreeSet<_> = costly.map(|route| format!("{} {}", route.method, route.path)).collect();
    let limits = template.properties("Api")["RouteSettings"].as_object().unwrap();
    let limited: BTreeSet<_> = limits.keys().cloned().chain(LEAVING.map(str::to_owned)).collect();
    assert_eq!(limited, costly);
    for (route, limit) in limits {
        assert_eq!(limit["ThrottlingRateLimit"]["Fn::FindInMap"][2], "HashingRate", "{route}");
    }
}

#[test]
fn the_logs_and_their_key_outlive_the_stack_and_do_not_hinder_the_next() {
    let template = template();
    let logs: Vec<_> = template.resources("AWS::Logs::LogGroup").collect();
    assert_eq!(logs.len(), 3);
    for (name, properties) in &logs {
        let [pattern, values] = &properties["LogGroupName"]["Fn::Sub"].as_array().unwrap()[..] else {
            panic!("{name}")
        };
        assert!(pattern.as_str().unwrap().ends_with("/${Id}"), "{pattern}");
        // An id of CloudFormation's, `arn:…:stack/NAME/UUID`.
        assert_eq!(values["Id"], json!({"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}));
        assert_eq!(properties["KmsKeyId"], json!({"Fn::GetAtt": "Key.Arn"}), "{name}");
    }
    for name in logs.iter().map(|(name, _)| name.as_str()).chain(["Key"]) {
        let resource = &template.json()["Resources"][name];
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

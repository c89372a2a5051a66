"""`sam`, as far as a test can go: it compiles nothing, and transforms the template, which CloudFormation does and moto
does not. Everything else, and all that speaks to AWS, is the real program.

    build   writes the packages, each with a text in place of a program
    deploy  packages, transforms, and then deploys what came of it
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

SAM = Path(sys.executable).with_name("sam")
BUCKET = "task-api-packages"


def option(arguments, name):
    return arguments[arguments.index(name) + 1]


def parameters(arguments):
    """The template's parameters, as on the command line: Name="value"."""
    words = arguments[arguments.index("--parameter-overrides") + 1 :]
    return {name: value.strip('"') for name, value in (word.split("=", 1) for word in words)}


def is_function(resource):
    return resource["Type"] == "AWS::Serverless::Function"


def build(arguments):
    from samcli.yamlhelper import yaml_dump, yaml_parse

    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    folder = Path(option(arguments, "--build-dir"))
    shutil.rmtree(folder, ignore_errors=True)
    template = yaml_parse(Path("template.yaml").read_text())
    for name, resource in template["Resources"].items():
        if is_function(resource):
            (folder / name).mkdir(parents=True)
            # A commit changes the code of one function.
            code = f"{name} of commit {commit}" if name == "Health" else name
            (folder / name / "bootstrap").write_text(code)
            resource["Properties"]["CodeUri"] = name
    (folder / "template.yaml").write_text(yaml_dump(template))


def transform(packaged, values):
    from samcli.yamlhelper import yaml_parse
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    template = yaml_parse(packaged.read_text())
    declared = template["Parameters"].items()
    defaults = {name: parameter["Default"] for name, parameter in declared if "Default" in parameter}
    return Translator({}, Parser()).translate(template, {**defaults, **values})


def deploy(arguments):
    import boto3

    region = os.environ["AWS_DEFAULT_REGION"]
    s3 = boto3.client("s3")
    if not s3.list_buckets()["Buckets"]:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": region})
    built = Path(option(arguments, "--template-file"))
    packaged, transformed = built.with_name("packaged.yaml"), built.with_name("transformed.json")
    package = ["package", "--template-file", built, "--s3-bucket", BUCKET, "--output-template-file", packaged]
    subprocess.run([SAM, *package], check=True, capture_output=True)
    template = transform(packaged, parameters(arguments))
    # moto has no gateway.
    template["Outputs"]["Url"]["Value"] = os.environ["API_URL"]
    transformed.write_text(json.dumps(template))
    return [str(transformed) if word == str(built) else word for word in arguments]


def main(arguments):
    command = arguments[0]
    with open(os.environ["SAM_LOG"], "a") as log:
        print(*arguments, file=log)
    if command == os.environ["SAM_FAILS"]:
        sys.exit(1)
    # moto finds a template at this name only.
    os.environ["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost")
    os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"]
    os.environ |= {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.2"}
    if command == "build":
        return build(arguments)
    if command == "deploy":
        arguments = deploy(arguments)
    os.execv(SAM, [str(SAM), *arguments])


main(sys.argv[1:])

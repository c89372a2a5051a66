"""moto's server, with what its CloudFormation lacks for this project's stack: aliases, which its Lambda has, updates in an
order in which a new version is of the new code, change sets that are only looked at, protection from being deleted, and
resources that stay. Its Lambda lacks the limits of an account.
"""

import json
import sys

from moto.awslambda.models import LambdaVersion, lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.awslambda.urls import url_paths
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import ChangeSet, CloudFormationBackend
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult
from moto.server import main


class Alias(CloudFormationModel):
    """`AWS::Lambda::Alias`. An update moves it at once, as CodeDeploy's AllAtOnce does."""

    __module__ = "moto.awslambda.models"

    def __init__(self, alias):
        self.alias = alias

    @property
    def physical_resource_id(self):
        return self.alias.arn

    @staticmethod
    def cloudformation_name_type():
        return None

    @staticmethod
    def cloudformation_type():
        return "AWS::Lambda::Alias"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        alias = lambda_backends[account_id][region_name].create_alias(
            name=properties["Name"],
            function_name=properties["FunctionName"],
            function_version=properties["FunctionVersion"],
            description="",
            routing_config=None,
        )
        return cls(alias)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        properties = cloudformation_json["Properties"]
        original_resource.alias.update(None, properties["FunctionVersion"], None)
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        pass


# A version's only attribute.
LambdaVersion.physical_resource_id = property(lambda self: str(self.version))
LambdaVersion.has_cfn_attr = classmethod(lambda cls, name: name == "Version")
LambdaVersion.get_cfn_attribute = lambda self, name: str(self.version)

update_resource = parsing.parse_and_update_resource
update_all = parsing.ResourceMap.update


def update_if_there(logical_id, resource_json, resources_map, **context):
    """Leaves out resources whose condition is false, which moto does only when it creates them."""
    condition = resource_json.get("Condition")
    if condition and not resources_map.lazy_condition_map[condition]:
        return None
    return update_resource(logical_id, resource_json, resources_map, **context)


def update_in_order(self, template, parameters=None):
    """Updates what there is before it adds: a new version is to be of the new code, and aliases are to follow."""
    before, after = self._resource_json_map, template["Resources"]
    kept = {name: after[name] for name in before.keys() & after.keys() if after[name]["Type"] != "AWS::Lambda::Alias"}
    update_all(self, {**template, "Resources": {**before, **kept}}, parameters)
    update_all(self, template, parameters)


def apply_with_outputs(change_set):
    stack = change_set.stack
    stack.template, stack.parameters = change_set.template, change_set.parameters
    stack._parse_template()
    stack.resource_map.update(stack.template_dict, stack.parameters)
    stack.output_map = stack._create_output_map()


create_change_set = CloudFormationBackend.create_change_set


def create_only_one_stack(self, stack_name, **change_set):
    """A stack that has only been looked at becomes the one that is created."""
    for stack in list(self.stacks.values()):
        if stack.name == stack_name and stack.status == "REVIEW_IN_PROGRESS":
            del self.stacks[stack.stack_id]
    return create_change_set(self, stack_name=stack_name, **change_set)


delete_stack = CloudFormationBackend.delete_stack


def delete_unless_protected(self, name):
    if self.get_stack(name).enable_termination_protection:
        raise ValidationError(message=f"Stack [{name}] cannot be deleted while TerminationProtection is enabled")
    return delete_stack(self, name)


delete_all = parsing.ResourceMap.delete


def delete_all_but_retained(self):
    """moto knows `Retain` alone."""
    for resource in self._resource_json_map.values():
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
            resource["DeletionPolicy"] = "Retain"
    delete_all(self)


def update_termination_protection(self):
    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    stack.enable_termination_protection = self._get_bool_param("EnableTerminationProtection")
    return ActionResult({"StackId": stack.stack_id})


def get_account_settings(self):
    """A new account's 1,000 executions at once, but for those that are reserved."""
    reserved = sum(int(function.reserved_concurrency or 0) for function in self.backend.list_functions())
    return json.dumps({"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000 - reserved}})


url_paths["{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch
LambdaResponse.get_account_settings = get_account_settings
parsing.parse_and_update_resource = update_if_there
parsing.ResourceMap.update = update_in_order
parsing.ResourceMap.delete = delete_all_but_retained
CloudFormationBackend.create_change_set = create_only_one_stack
ChangeSet.apply = apply_with_outputs
CloudFormationBackend.delete_stack = delete_unless_protected
CloudFormationResponse.update_termination_protection = update_termination_protection

main(sys.argv[1:])

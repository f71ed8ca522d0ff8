"""Prints the hosts that botocore's endpoint rules give, one JSON object a line.

usage: endpoints.py REGION...

Each line: {"service", "operations", "region", "variant", "host"}. Operations of one service may go to
several hosts: they are told apart by the prefix and the fixed parameters that their model gives.
Left out are names that need a bucket, an account or another value of the caller.
"""

import json
import sys
from urllib.parse import urlparse

from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError, ParamValidationError, UnknownServiceError
from botocore.session import Session

VARIANTS = {
    "regional": {},
    "dual_stack": {"UseDualStack": True},
    "fips": {"UseFIPS": True},
    "fips_dual_stack": {"UseFIPS": True, "UseDualStack": True},
}


def shapes(model):
    """How operations differ: the prefix of the host, and parameters fixed by the operation."""
    found = set()
    for operation in model["operations"].values():
        prefix = operation.get("endpoint", {}).get("hostPrefix", "")
        fixed = operation.get("staticContextParams", {})
        if "{" not in prefix:
            found.add((prefix, tuple(sorted((name, param["value"]) for name, param in fixed.items()
                                            if not isinstance(param["value"], list)))))
    return found


def host(provider, known, region, variant, operations):
    if not set(variant) <= known:
        return None
    # The global names of S3 and STS are for old clients.
    legacy = {"UseGlobalEndpoint": False} if "UseGlobalEndpoint" in known else {}
    prefix, fixed = operations
    try:
        url = provider.resolve_endpoint(Region=region, **variant, **legacy, **dict(fixed)).url
    except (EndpointProviderError, ParamValidationError):
        return None
    return prefix + urlparse(url).hostname


def main(regions):
    loader = Session().get_component("data_loader")
    partitions = loader.load_data("partitions")
    for service in loader.list_available_services("service-2"):
        try:
            rules = loader.load_service_model(service, "endpoint-rule-set-1")
        except UnknownServiceError:
            continue
        provider = EndpointProvider(rules, partitions)
        known = set(rules["parameters"])
        for operations in shapes(loader.load_service_model(service, "service-2")):
            name = " ".join([operations[0], *(f"{key}={value}" for key, value in operations[1])])
            for region in regions:
                for variant, parameters in VARIANTS.items():
                    found = host(provider, known, region, parameters, operations)
                    if found:
                        line = {"service": service, "operations": name, "region": region, "variant": variant, "host": found}
                        print(json.dumps(line))


main(sys.argv[1:])

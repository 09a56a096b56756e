"""What schemathesis needs to know of Postern: ids that exist, and which 5xx is an answer and not a fault.

Loaded through SCHEMATHESIS_HOOKS by test/fuzz/http.ts. Everything is a function of the generated case, so that a seed repeats a run.
"""

import json
import os
import zlib

import schemathesis

# Things that exist, so that requests get past "not found": {"id": [...], "name": [...], ...}, by the name of the path parameter.
KNOWN = json.loads(os.environ.get("POSTERN_FUZZ_KNOWN", "{}"))

# A 5xx with one of these codes is the documented answer to a good request at a bad moment. Any other 5xx is a fault.
EXPECTED = {(503, "no_worker"), (503, "overloaded"), (504, "deadline_exceeded")}


@schemathesis.hook
def before_call(ctx, case, kwargs):
    for name, value in list((case.path_parameters or {}).items()):
        choices = KNOWN.get(f"{case.operation.path}#{name}") or KNOWN.get(name)
        dice = zlib.crc32(repr((name, value, case.query, case.method)).encode())
        # One in three stays as generated: addresses are attacked too.
        if choices and dice % 3:
            case.path_parameters[name] = choices[dice % len(choices)]


@schemathesis.check
def faults(ctx, response, case):
    """No 5xx but the expected ones, each a problem with its code."""
    if response.status_code < 500:
        return
    try:
        code = response.json()["code"]
    except (ValueError, KeyError, TypeError):
        code = None
    assert (response.status_code, code) in EXPECTED, f"{response.status_code} {code}: {response.content[:500]!r}"


@schemathesis.check
def problems(ctx, response, case):
    """Every refusal is a problem (RFC 9457) that names its request, whatever refused it."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind.startswith(("application/problem+json", "application/json")), f"{response.status_code} as {kind}"
    body = response.json()
    assert body["status"] == response.status_code and body["code"] and body["request_id"], body

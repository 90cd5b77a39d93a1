"""How the validator API says what is wrong: as beacon nodes do, `{"code": 400, "message": "..."}`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from aiohttp import web

from ...chain.beacon.client import BeaconError
from ...process import logs
from ...process.offload import UnavailableError
from ...web.http import BODY_LIMIT_BYTES, INTERNAL_ERROR, SCHEMES, Handler

NOT_ALL: Final = "some of it was refused"

log = logs.get("validator_api")


class RequestError(Exception):
    """What is answered instead.

    Attributes:
        failures: of a list that was sent, why what of it was refused, by its place; the rest was taken.
    """

    def __init__(self, status: int, message: str, failures: Mapping[int, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status = status
        self.failures = failures


class _Failure(msgspec.Struct):
    index: int
    message: str


class _Error(msgspec.Struct, omit_defaults=True):
    code: int
    message: str
    failures: list[_Failure] = []


@web.middleware
async def api_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what goes wrong as a beacon node would."""
    try:
        return await handler(request)
    except RequestError as error:
        answer = _answer(error.status, str(error), error.failures)
        if error.failures:
            whys = "; ".join(dict.fromkeys(error.failures.values()))
            log.warning("refused", path=request.path, count=len(error.failures), why=whys[:500])
    except BeaconError as error:
        status = error.status if error.refused and error.status is not None else 503
        answer = _answer(status, str(error), error.refusals)
    except web.HTTPRequestEntityTooLarge:
        answer = _answer(413, f"body: expected at most {BODY_LIMIT_BYTES} bytes")
    except web.HTTPException as error:
        answer = _answer(error.status, error.reason)
        if allowed := error.headers.get("Allow"):
            answer.headers["Allow"] = allowed
    except TimeoutError:
        answer = _answer(408, "the cluster, or a beacon node, did not answer in time")
    except UnavailableError as error:
        answer = _answer(503, str(error) or "not possible now, try again")
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        answer = _answer(500, INTERNAL_ERROR)
    if answer.status == 401:
        for scheme in SCHEMES:
            answer.headers.add("WWW-Authenticate", scheme)
    return answer


def _answer(status: int, message: str, failures: Mapping[int, str] = MappingProxyType({})) -> web.Response:
    found = [_Failure(place, why) for place, why in sorted(failures.items())]
    body = msgspec.json.encode(_Error(status, message, found))
    return web.Response(body=body, status=status, content_type="application/json")

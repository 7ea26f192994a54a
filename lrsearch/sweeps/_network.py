"""Storages behind a server: databases, and Optuna's gRPC proxy. They come patient."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, GrpcStorageProxy
from sqlalchemy.engine import make_url

from lrsearch.exceptions import MissingExtraError

GRPC = "grpc://"
GRPC_PORT = 13000  # Optuna's
GRPC_WAIT = 10.0  # seconds in which a proxy must answer for the first time

# Dialect -> its drivers as (name in a URL, module), the ones to choose first, and how to get one.
DRIVERS = {
    "postgresql": (
        [("psycopg", "psycopg"), ("psycopg2", "psycopg2"), ("pg8000", "pg8000")],
        "pip install 'lrsearch[postgresql]'",
    ),
    "mysql": ([("mysqldb", "MySQLdb"), ("pymysql", "pymysql")], "pip install pymysql"),
    "mariadb": ([("mysqldb", "MySQLdb"), ("pymysql", "pymysql")], "pip install pymysql"),
}
# A server that vanishes without a word is noticed within a minute or so, not within hours.
LIBPQ = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
CONNECTING: dict[str, dict[str, Any]] = {
    "postgresql+psycopg": LIBPQ,
    "postgresql+psycopg2": LIBPQ,
    "mysql+mysqldb": {"connect_timeout": 10},
    "mysql+pymysql": {"connect_timeout": 10},
}


def with_driver(url: str) -> str:
    """The URL with a driver that is installed, where it names none.

    Raises:
        MissingExtraError: If there is none; the message says how to get one.
    """
    scheme, separator, rest = url.partition("://")
    dialect = "postgresql" if scheme == "postgres" else scheme  # what cloud providers hand out
    if dialect not in DRIVERS:
        return url
    drivers, remedy = DRIVERS[dialect]
    for driver, module in drivers:
        if find_spec(module) is not None:
            return f"{dialect}+{driver}{separator}{rest}"
    names = ", ".join(module for _, module in drivers)
    raise MissingExtraError(
        f"a {scheme}:// storage needs a driver, and none of {names} is installed: {remedy}"
    )


def engine_options(url: str) -> dict[str, Any]:
    """How SQLAlchemy is to connect to a database server; what the URL says goes first."""
    parsed = make_url(url)
    defaults = CONNECTING.get(parsed.drivername, {})
    return {
        "pool_pre_ping": True,  # a connection that died while a trial trained is made anew
        "connect_args": {name: v for name, v in defaults.items() if name not in parsed.query},
    }


def open_proxy(url: str) -> BaseStorage:
    """Connect to the Optuna gRPC proxy at ``grpc://host:port``.

    Raises:
        ConnectionError: If nobody answers there.
        MissingExtraError: If gRPC is not installed.
        ValueError: If the URL names no host, or a port that is none.
    """
    if find_spec("grpc") is None or find_spec("google") is None:
        raise MissingExtraError("a grpc:// storage needs gRPC: pip install 'lrsearch[grpc]'")
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the host is missing; it must read grpc://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        proxy = GrpcStorageProxy(host=host, port=parts.port or GRPC_PORT)
    try:
        proxy.wait_server_ready(timeout=GRPC_WAIT)
    except ConnectionError:
        proxy.close()
        raise ConnectionError(
            f"no gRPC server answered within {GRPC_WAIT:g} s; start one with "
            "optuna.storages.run_grpc_proxy_server"
        ) from None
    return proxy

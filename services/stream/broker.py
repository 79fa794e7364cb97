"""The Kafka cluster as everybody here meets it: where it is, how to be let in, which topics it must have."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas import wire

#: Bytes; an item with a long history, before and after.
LARGEST_MESSAGE = 8 * 1024 * 1024
_DAY_MS = 86_400_000
_DEAD_LETTER_DAYS = 30
_DEAD_LETTER_PARTITIONS = 3
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SECURITY_KEYS = frozenset({"protocol", "mechanism", "username", "password", "ca_file", "certificate_file", "key_file"})


class InvalidSecurity(ValueError):
    """The ``security`` settings do not fit together; the message says what is expected, never a value."""


class BrokerAway(ConnectionError):
    """The cluster does not answer, or not as it should; the message says where and why."""


@dataclass(frozen=True)
class KafkaSettings:
    """Where the cluster is and how to be let in. One prefix belongs to one database.

    ``security`` may have: ``protocol`` (PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL; what the other keys ask for by
    default), ``mechanism`` (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), ``username``, ``password``, ``ca_file``,
    ``certificate_file`` and ``key_file``.
    """

    bootstrap_servers: tuple[str, ...]
    topic_prefix: str = "courseline."
    security: Mapping[str, str] = field(default_factory=dict, repr=False)

    def topic(self, name: str) -> str:
        """The name on the broker of a topic."""
        return self.topic_prefix + name


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """The arguments that every aiokafka client takes. Raises InvalidSecurity."""
    given = settings.security
    if unknown := sorted(set(given) - _SECURITY_KEYS):
        raise InvalidSecurity(f"kafka.security has unknown keys: {', '.join(unknown)}")
    sasl, tls = "username" in given, bool({"ca_file", "certificate_file"} & set(given))
    protocol = (
        given.get("protocol")
        or {
            (False, False): "PLAINTEXT",
            (False, True): "SSL",
            (True, False): "SASL_PLAINTEXT",
            (True, True): "SASL_SSL",
        }[sasl, tls]
    )
    if protocol not in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        raise InvalidSecurity("kafka.security.protocol must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    arguments: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "security_protocol": protocol,
    }
    if protocol.startswith("SASL"):
        mechanism = given.get("mechanism", "PLAIN")
        if mechanism not in _MECHANISMS:
            raise InvalidSecurity(f"kafka.security.mechanism must be one of {', '.join(_MECHANISMS)}")
        if not given.get("username") or not given.get("password"):
            raise InvalidSecurity(f"kafka.security with {protocol} needs username and password")
        arguments |= {
            "sasl_mechanism": mechanism,
            "sasl_plain_username": given["username"],
            "sasl_plain_password": given["password"],
        }
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = _tls(given)
    return arguments


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=given.get("ca_file"))
        if certificate := given.get("certificate_file"):
            context.load_cert_chain(certificate, given.get("key_file"))
    except (OSError, ssl.SSLError) as error:
        raise InvalidSecurity(f"kafka.security: a certificate or key file cannot be used: {error}") from error
    return context


@contextlib.asynccontextmanager
async def _administration(settings: KafkaSettings) -> AsyncIterator[Any]:
    where = ", ".join(settings.bootstrap_servers)
    admin = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=15_000)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise BrokerAway(f"Kafka at {where} does not answer: {type(error).__name__}: {error}") from error
    finally:
        await admin.close()


def topics(settings: KafkaSettings) -> dict[str, tuple[int, dict[str, str]]]:
    """Every topic by its name on the broker: how many partitions, and its configuration.

    What a consumer of ours reads is kept for ever: a group that was away for long must still find it.
    """
    wanted: dict[str, tuple[int, dict[str, str]]] = {}
    for topic in wire.TOPICS:
        kept = {"cleanup.policy": "compact"} if topic.compacted else {"retention.ms": "-1", "retention.bytes": "-1"}
        size = {"max.message.bytes": str(LARGEST_MESSAGE)}
        wanted[settings.topic(topic.name)] = (topic.partitions, kept | size)
        wanted[settings.topic(topic.name) + wire.DEAD_LETTER_SUFFIX] = (
            _DEAD_LETTER_PARTITIONS,
            {"retention.ms": str(_DEAD_LETTER_DAYS * _DAY_MS)} | size,
        )
    return wanted


async def provision(settings: KafkaSettings) -> list[str]:
    """Create the topics that are not there yet; the names of those created. Raises BrokerAway.

    Three copies of each where the cluster has three nodes, else as many as it has.
    """
    async with _administration(settings) as admin:
        nodes = len((await admin.describe_cluster())["brokers"])
        present = set(await admin.list_topics())
        absent = {name: what for name, what in topics(settings).items() if name not in present}
        if not absent:
            return []
        answer = await admin.create_topics(
            [
                NewTopic(name, partitions, min(3, nodes), topic_configs=config)
                for name, (partitions, config) in absent.items()
            ]
        )
        for name, code, *message in answer.topic_errors:
            # Another process may have been quicker.
            if code not in (0, TopicAlreadyExistsError.errno):
                raise BrokerAway(f"Kafka refused to create topic {name}: {for_code(code).__name__}: {message}")
        return sorted(absent)


async def absent_topics(settings: KafkaSettings) -> list[str]:
    """The topics that the cluster lacks. Raises BrokerAway."""
    async with _administration(settings) as admin:
        return sorted(set(topics(settings)) - set(await admin.list_topics()))

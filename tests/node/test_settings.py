"""Settings: which place wins, what is refused and how it is said, and the verb that shows them."""

import json
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.errors import SettingError
from priomon_core.identity import Address
from priomon_core.metrics import BUILT_IN, Metric, Priority
from priomon_node.cli.config import config
from priomon_node.custom_metrics import MetricSource
from priomon_node.metric_settings import DECLARED
from priomon_node.settings import AgentSettings, flags, is_loopback, load, parse_address, show
from priomon_node.settings_file import SettingsError


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.yaml"
    path.write_text(text)
    return path


def settings(file: Path | None = None, environment: Mapping[str, str] | None = None, **given: object) -> AgentSettings:
    return load(given, environment or {}, file)[0]


def problems(file: Path | None = None, environment: Mapping[str, str] | None = None, **given: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(given, environment or {}, file)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_nothing_is_needed_and_nothing_listens_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "edge7")
    agent, origins = load({}, {})
    assert set(origins.values()) == {"default"}
    assert set(origins) == {field.name for field in fields(AgentSettings)}
    assert agent.http
    assert is_loopback(agent.bind.host)
    assert is_loopback(agent.http.host)
    assert agent.declared == BUILT_IN
    assert agent.custom == ()
    assert (agent.gossip.period, agent.gossip.fanout, agent.sample_interval) == (SECOND, 1, SECOND)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "# ours\nfanout: 2\nperiod: 2\ncluster: edge\n")
    agent, origins = load({"fanout": "4", "name": None, "seeds": ()}, {"PRIOMON_FANOUT": "3", "PRIOMON_PERIOD": "0.5"}, file)
    assert (agent.fanout, agent.period, agent.cluster, agent.seeds) == (4, 0.5, "edge", ())
    told = {name: origin for name, origin in origins.items() if origin != "default"}
    assert told == {"fanout": "flag --fanout", "period": "environment PRIOMON_PERIOD", "cluster": f"{file}:4"}


@pytest.mark.parametrize("text", ["a, b:1,[::1]", "[a, 'b:1', '[::1]:7946']", "['a,b:1', '[::1]']"])
def test_a_list_may_be_written_with_commas_or_as_a_list(tmp_path: Path, text: str) -> None:
    expected = (Address("a", 7946), Address("b", 1), Address("::1", 7946))
    assert settings(written(tmp_path, f"seeds: {text if text[0] == '[' else json.dumps(text)}")).seeds == expected
    assert settings(seeds=("a,b:1", "[::1]")).seeds == expected


def test_a_word_means_the_same_in_every_place(tmp_path: Path) -> None:
    """YAML would make a truth of `off` and a number of `010`."""
    file = written(tmp_path, "http: off\ncluster: 010\nadvertise: bound\nstate_dir:\n")
    for agent in (settings(file), settings(http="off", cluster="010"), settings(None, {"PRIOMON_HTTP": "off", "PRIOMON_CLUSTER": "010"})):
        assert (agent.http, agent.cluster, agent.advertise, agent.state_dir) == (None, "010", None, None)


def test_detection_is_as_the_core_has_it_unless_told_otherwise(tmp_path: Path) -> None:
    assert settings().detection == DetectionSettings()
    told = settings(written(tmp_path, "detector: phi\nprobe_timeout: 0.25"), {"PRIOMON_SUSPICION": "5"}, tombstone="60").detection
    assert told == DetectionSettings(detector="phi", probe_timeout=SECOND // 4, suspicion=5, tombstone=60 * SECOND)
    assert problems(detector="pulse", suspicion="0", probe_timeout="0") == (
        "flag --detector: detector: expected swim, phi, count or none, found 'pulse'",
        "flag --suspicion: suspicion: expected 1 to 99 periods, found '0'",
        "flag --probe-timeout: probe_timeout: expected 0.001 to 3600 s, found 0",
    )


def test_how_it_gossips_is_the_core_s_unless_told(tmp_path: Path) -> None:
    assert settings().gossip == GossipSettings()
    told = settings(written(tmp_path, "strategy: tree\nflushes: 3"), {"PRIOMON_REPAIR": "20"}, hot="3", degree="4").gossip
    assert told == GossipSettings(strategy="tree", flushes=3, repair=20, hot=3, degree=4)
    assert problems(strategy="demon", degree="1") == (
        "flag --strategy: strategy: expected scuttlebutt, rumor or tree, found 'demon'",
        "flag --degree: degree: expected 2 to 99 links, found '1'",
    )


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    agent = settings(written(tmp_path, "key_file: keys\nstate_dir: /var/lib/priomon"), http_token_file="token")
    assert (agent.key_file, agent.state_dir, agent.http_token_file) == (tmp_path / "keys", Path("/var/lib/priomon"), Path("token"))


def test_every_mistake_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    file = written(tmp_path, "fanuot: 2\nperiod: 250 ms\nseeds:\n  - '::1'\n")
    told = problems(file, {"PRIOMON_LOG_LEVEL": "loud", "PRIOMON_BINDD": "x"}, fanout="0", advertise="here", disable="cpus")
    assert told == (
        f"{file}:1: there is no setting fanuot; did you mean fanout?",
        f"{file}:2: period: expected a number, found '250 ms'",
        f"{file}:3: seeds: expected host:port, such as 10.0.0.1:7946 or [fd00::1]:7946, found '::1'",
        "environment PRIOMON_LOG_LEVEL: log_level: expected debug, info, warning or error, found 'loud'",
        "environment PRIOMON_BINDD: there is no setting bindd; did you mean bind?",
        "flag --fanout: fanout: expected 1 to 99 peers, found '0'",
        "flag --advertise: advertise: expected host:port, found 'here' without a port",
        "flag --disable: disable: there is no metric cpus; did you mean cpu?",
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("bind: [", 1, "not YAML"),
        ("a: &x 1\nb: *x", 2, "no aliases"),
        ("fanout: 1\nfanout: 2", 2, "twice"),
        ("metrics:\n  {[a]: 1}", 2, "text as a key"),
        ("- 1", 1, "at the top"),
        (b"name: x\ncluster: \xff", 2, "UTF-8"),
        ("fanout: 1\x07", None, "not YAML"),
        ("x: " + "[" * 5000, None, "not YAML"),
        ("#" * 1_000_001, None, "more than 1000000 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, text: str | bytes, line: int | None, what: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (told,) = problems(path)
    assert told.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert what in told


def test_a_missing_file_and_an_empty_one(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in problems(tmp_path / "none.yaml")[0]
    assert settings(written(tmp_path, "# nothing\n")) == settings()


@pytest.mark.parametrize(
    ("given", "environment", "wrong"),
    [
        ({"bind": "0.0.0.0:7946"}, {}, ["bind"]),
        ({"bind": "[::]:7946", "http": "[::]:80"}, {}, ["bind", "http"]),
        ({"bind": "node7"}, {}, ["bind"]),
        ({"bind": "0.0.0.0:7946"}, {"PRIOMON_KEY": "x"}, []),
        ({"bind": "0.0.0.0:7946"}, {"PRIOMON_KEYS": ""}, ["bind"]),
        ({"bind": "0.0.0.0:7946", "key_file": "keys", "http": "0.0.0.0:80"}, {}, ["http"]),
        ({"http": "0.0.0.0:80", "http_token_file": "token"}, {}, []),
        ({"bind": "0.0.0.0:7946", "insecure": True}, {}, []),
        ({"http": "0.0.0.0:80", "insecure": True}, {}, ["http"]),
        ({"bind": "127.8.0.1:0", "http": "localhost:0"}, {}, []),
    ],
)
def test_without_secrets_only_this_machine_is_served(given: dict[str, object], environment: dict[str, str], wrong: list[str]) -> None:
    told = () if not wrong else problems(None, environment, **given)
    assert [line.split(": ")[1] for line in told] == wrong
    if not wrong:
        assert show(settings(None, environment, **given).bind) == given.get("bind", "127.0.0.1:7946")


@pytest.mark.parametrize(
    "name",
    ["PRIOMON_PORT", "PRIOMON_SERVICE_HOST", "PRIOMON_SERVICE_PORT_GOSSIP", "PRIOMON_PORT_7946_UDP_ADDR", "PRIOMON_AGENTS_SERVICE_PORT"],
)
def test_variables_that_kubernetes_makes_of_a_service_are_no_mistakes(name: str) -> None:
    assert load({}, {name: "tcp://10.0.0.1:7946"})[0] == settings()


def test_an_empty_variable_is_not_set() -> None:
    assert load({}, {"PRIOMON_KEY_FILE": "", "PRIOMON_NAME": ""})[1] == load({}, {})[1]


@given(st.sampled_from(["10.0.0.1", "edge-7.example.org", "::1", "fe80::1:2"]), st.integers(1, 65535))
def test_an_address_is_read_as_it_is_shown(host: str, port: int) -> None:
    address = Address(host, port)
    text = show(address)
    assert isinstance(text, str)
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":1", "a:", "a:b", "a:0", "a:65536", "[a]:1", "::1", "[::1", "a b:1", "http://a:1", "a:1:2"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        parse_address(text, 1)


METRICS = """\
metrics:
  temperature:
    unit: degC
    bound: 1.5
    priority: critical
    signed: true
    alarm: 85
    file: temperature
    factor: 0.001
  cpu: {bound: 10, filter: none}
  jobs: {unit: jobs, bound: 2, scale: log, shell: "ls | wc -l", timeout: 5}
  queue: {unit: items, bound: 2, http: "http://[::1]:9000/status", field: queue.length}
  users: {unit: users, bound: 1, command: "who -q 'a b'"}
disable: users
"""


def test_metrics_are_changed_and_added(tmp_path: Path) -> None:
    agent = settings(written(tmp_path, METRICS))
    assert [metric.name for metric in agent.declared] == ["cpu", "memory", "network", "storage", "jobs", "queue", "temperature", "users"]
    assert agent.declared[0] == Metric("cpu", "%", 10.0, Priority.HIGH, filter="none")
    assert agent.declared[1:4] == BUILT_IN[1:]
    assert agent.declared[6] == Metric("temperature", "degC", 1.5, Priority.CRITICAL, signed=True, alarm=85.0)
    jobs, queue, temperature = agent.custom
    assert (jobs.kind, jobs.target, jobs.timeout) == ("command", ("/bin/sh", "-c", "ls | wc -l"), 5.0)
    assert (queue.kind, queue.target, queue.field) == ("http", ("http://[::1]:9000/status",), "queue.length")
    assert (temperature.kind, temperature.target, temperature.factor) == ("file", (str(tmp_path / "temperature"),), 0.001)
    users = agent.metrics[-1]
    assert isinstance(users, MetricSource)
    assert (users.kind, users.target) == ("command", ("who", "-q", "a b"))


def test_every_field_of_a_metric_can_be_written() -> None:
    assert {each.name for each in fields(Metric) if each.init} - {"name"} == set(DECLARED)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a: {unit: x, bound: 1}", "metrics.a: expected one of command, shell, file, http, found none"),
        ("a: {unit: x, bound: 1, file: f, shell: s}", "metrics.a: expected one of command, shell, file, http, found file and shell"),
        ("a: {file: f}", "metrics.a: expected unit and bound"),
        ("a: {unit: x, bound: -1, file: f}", "metrics.a: the bound must be above 0"),
        ("a: {unit: x, bound: nan, file: f}", "metrics.a.bound: expected a number, found 'nan'"),
        ("a: {unit: x, bund: 1, file: f}", "metrics.a.bund: there is no such key; did you mean bound?"),
        ("a: {unit: x, bound: 1, http: 'http://h/'}", "metrics.a: field names the value"),
        ("a: {unit: x, bound: 1, file: f, field: g}", "metrics.a: field names the value"),
        ("a: {unit: x, bound: 1, http: 'file:///etc/passwd', field: g}", "metrics.a.http: expected an address"),
        ("a: {unit: x, bound: 1, command: 'who \"'}", "metrics.a.command: cannot be split"),
        ("a: {unit: x, bound: 1, command: []}", "metrics.a.command: expected a program"),
        ("a: {unit: x, bound: 1, file: f, priority: urgent}", "metrics.a.priority: expected critical, high, medium or low"),
        ("a: {unit: x, bound: 1, file: f, timeout: 0}", "metrics.a.timeout: expected 0.01 to 60 s"),
        ("a b: {unit: x, bound: 1, file: f}", "metrics.a b: the name must be letters"),
        ("a: 5", "metrics.a: expected keys such as"),
        ("cpu: {file: f}", "metrics.cpu: file: this metric is built in"),
    ],
)
def test_a_wrong_metric_is_told_once(tmp_path: Path, line: str, what: str) -> None:
    path = written(tmp_path, f"metrics:\n  {line}\n")
    (told,) = problems(path)
    assert told.startswith(f"{path}:2: {what}")


def test_more_metrics_than_a_datagram_names_are_refused(tmp_path: Path) -> None:
    lines = "".join(f"  m{k}: {{unit: x, bound: 1, file: f}}\n" for k in range(53))
    assert problems(written(tmp_path, f"metrics:\n{lines}")) == (f"{tmp_path}/agent.yaml:1: metrics: expected at most 56 in all, found 57",)


def test_metrics_are_no_variable() -> None:
    assert problems(None, {"PRIOMON_METRICS": "cpu"}) == (
        "environment PRIOMON_METRICS: metrics: expected names with their keys, in a settings file",
    )


def test_every_setting_but_the_metrics_has_a_flag_that_says_its_default() -> None:
    told = {option.name: option for option in flags()}
    assert set(told) == {field.name for field in fields(AgentSettings)} - {"metrics"} | {"file"}
    for field in fields(AgentSettings):
        if field.name != "metrics":
            assert f"[default: {field.metadata['default']}]" in str(told[field.name].help)


@pytest.mark.parametrize("field", [field for field in fields(AgentSettings) if field.name not in ("name", "metrics")])
def test_a_documented_default_is_what_it_says(field: Field[object]) -> None:
    """Writing the default, as it is documented, changes nothing."""
    assert getattr(settings(**{field.name: field.metadata["default"]}), field.name) == getattr(settings(), field.name)


def test_the_verb_shows_values_and_origins(tmp_path: Path) -> None:
    file = written(tmp_path, METRICS)
    result = CliRunner().invoke(config, ["-c", str(file), "--seeds", "a", "--seeds", "b:2", "--no-insecure"], env={"PRIOMON_FANOUT": "3"})
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in result.stdout.splitlines()}
    assert set(lines) == {field.name for field in fields(AgentSettings)}
    assert lines["seeds"] == "a:7946, b:2  (flag --seeds)"
    assert lines["insecure"] == "false  (flag --insecure)"
    assert lines["fanout"] == "3  (environment PRIOMON_FANOUT)"
    assert lines["disable"] == f"users  ({file}:14)"
    assert lines["key_file"] == "none  (default)"
    assert lines["metrics"].startswith("cpu (%, bound 10), memory (%, bound 2)")


def test_the_verb_speaks_json_and_takes_its_file_from_the_environment(tmp_path: Path) -> None:
    environment = {"PRIOMON_CONFIG": str(written(tmp_path, "period: 0.25"))}
    told = json.loads(CliRunner().invoke(config, ["--json"], env=environment).stdout)
    assert told["period"]["value"] == 0.25
    assert told["period"]["origin"].endswith("agent.yaml:1")
    assert told["bind"] == told["bind"] | {"value": "127.0.0.1:7946", "origin": "default", "unit": "host:port"}
    assert told["advertise"]["value"] is None
    assert told["seeds"]["value"] == []


def test_the_verb_refuses_with_all_reasons() -> None:
    result = CliRunner().invoke(config, ["--fanout", "x", "--period", "-1"])
    assert result.exit_code == click.UsageError.exit_code
    assert "--fanout" in result.stderr
    assert "expected 0.02 to 3600 s, found -1" in result.stderr

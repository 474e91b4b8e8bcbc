"""The files to deploy fit the product: they parse, and name only settings, verbs, options, ports and series that there are."""

import asyncio
import configparser
import json
import re
import shlex
from pathlib import Path
from random import Random
from typing import Any

import click
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_node import prometheus
from priomon_node.agent import Agent
from priomon_node.cli.main import main as cli
from priomon_node.peers import Peers
from priomon_node.settings import GOSSIP_PORT, HTTP_PORT, OTHER_VARIABLES, PREFIX, READERS, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in [*ROOT.glob("docker-compose*.yml"), ROOT / "Dockerfile", *DEPLOY.rglob("*")] if path.is_file())
COMPOSE = ["docker-compose.yml", "docker-compose.loss.yml", "deploy/swarm/stack.yml"]
MODULE = "priomon_node"


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(name)["services"]
    return found


def unit() -> list[tuple[str, str]]:
    """The directives of the systemd unit."""
    text = (DEPLOY / "systemd/priomon-agent.service").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def daemon_set() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml("deploy/kubernetes/daemonset.yaml")["spec"]["template"]["spec"]
    return found


def environments() -> dict[str, dict[str, str]]:
    """The environment of each way to run an agent."""
    from_unit = dict(word.split("=", 1) for key, value in unit() if key == "Environment" for word in shlex.split(value))
    (container,) = daemon_set()["containers"]
    return {
        "compose": services("docker-compose.yml")["node"]["environment"],
        "swarm": services("deploy/swarm/stack.yml")["node"]["environment"],
        "systemd": from_unit,
        "kubernetes": {each["name"]: each.get("value", "placeholder").replace("$(HOST_ADDRESS)", "10.0.0.1") for each in container["env"]},
    }


def command_lines() -> list[tuple[str, list[str]]]:
    """Where each command line of `priomon_node` stands, and its words: the verb and what follows."""
    found = []
    for name in COMPOSE:
        for title, service in services(name).items():
            if service.get("command", ["cd"])[0] in cli.commands or title == "orchestrator":
                found.append((f"{name}: {title}", service["command"]))
            if "test" in service.get("healthcheck", {}):
                found.append((f"{name}: {title}", service["healthcheck"]["test"][service["healthcheck"]["test"].index(MODULE) + 1 :]))
    start = shlex.split(dict(unit())["ExecStart"])
    found.append(("systemd", start[start.index(MODULE) + 1 :]))
    for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines():
        if "HEALTHCHECK" in line:
            words = json.loads(line.partition(" CMD ")[2])
            found.append(("Dockerfile", words[words.index(MODULE) + 1 :]))
    script = services("docker-compose.yml")["key"]["command"][0]
    found += [("docker-compose.yml: key", words.split()) for words in re.findall(rf"{MODULE} ([\w. -]+)", script)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_parse_and_name_only_variables_that_there_are(path: Path) -> None:
    text = path.read_text("utf-8")
    if path.suffix in (".yml", ".yaml"):
        assert yaml.safe_load(text)
    if path.suffix == ".json":
        assert json.loads(text)
    variables = set(re.findall(rf"\b{PREFIX}[A-Z_]+", text))
    assert {name for name in variables - set(OTHER_VARIABLES) if name.removeprefix(PREFIX).lower() not in READERS} == set()


@pytest.mark.parametrize("way", environments())
def test_the_settings_of_agents_are_accepted(way: str) -> None:
    environment = environments()[way]
    settings, origins = load({}, environment)
    assert {place for place in origins.values() if place != "default"} == {
        f"environment {name}" for name in environment if name.startswith(PREFIX)
    }
    if way != "systemd":
        assert settings.bind == Address("0.0.0.0", GOSSIP_PORT)
        assert settings.http == Address("0.0.0.0", HTTP_PORT)
    if way in ("systemd", "kubernetes", "swarm"):  # these limit the agent's memory, which would be measured instead
        assert settings.scope == "machine"


@pytest.mark.parametrize(("where", "words"), command_lines())
def test_verbs_and_options_exist(where: str, words: list[str]) -> None:
    verb, *rest = words
    assert verb in cli.commands, f"{where}: there is no verb {verb}"
    command = cli.commands[verb]
    given, left, _ = command.make_parser(click.Context(command)).parse_args(list(rest))  # refuses options that there are not
    assert set(given) >= {param.name for param in command.params if isinstance(param, click.Argument)}
    assert left == []


def test_command_lines_are_found() -> None:
    assert {words[0] for _, words in command_lines()} == {"run", "orchestrate", "healthcheck", "keygen"}


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_keep_to_what_both_composes_know(name: str) -> None:
    assert set(read_yaml(name)) <= {"services", "networks", "volumes", "secrets", "version"}
    for service in services(name).values():
        assert "start_interval" not in service.get("healthcheck", {})
        assert "develop" not in service


def test_there_are_as_many_nodes_as_the_scenario_wants() -> None:
    compose = services("docker-compose.yml")
    (scenario,) = (word for word in compose["orchestrator"]["command"] if word.startswith("scenarios/"))
    assert compose["node"]["deploy"]["replicas"] == read_yaml(scenario)["nodes"]


def test_gossip_has_a_network_of_its_own() -> None:
    compose = read_yaml("docker-compose.yml")
    node = compose["services"]["node"]
    assert compose["networks"]["gossip"] == {"internal": True}
    assert node["networks"]["gossip"]["aliases"] == [node["environment"]["PRIOMON_SEEDS"]]
    assert "gossip" not in compose["services"]["orchestrator"]["networks"]


def test_ports_users_and_images_agree() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert f"\nEXPOSE {GOSSIP_PORT}/udp {HTTP_PORT}\n" in dockerfile
    (user,) = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert f"useradd --uid {user} " in dockerfile

    pod = daemon_set()
    (container,) = pod["containers"]
    assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [("gossip", GOSSIP_PORT), ("http", HTTP_PORT)]
    service = read_yaml("deploy/kubernetes/service.yaml")
    assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("gossip", GOSSIP_PORT), ("http", HTTP_PORT)]
    assert {each["name"]: each.get("value") for each in container["env"]}["PRIOMON_SEEDS"] == service["metadata"]["name"]
    assert {str(pod["securityContext"][name]) for name in ("runAsUser", "runAsGroup", "fsGroup")} == {user}

    swarm = services("deploy/swarm/stack.yml")["node"]
    assert {secret["uid"] for secret in swarm["secrets"]} == {user}
    lossy = services("docker-compose.loss.yml")["node"]["entrypoint"][2]
    assert f"--reuid {user} --regid {user}" in lossy
    assert f"--dport {GOSSIP_PORT} " in lossy

    images = {service["image"] for service in services("docker-compose.yml").values()}
    assert images == {"priomon"} == {swarm["image"], container["image"]}
    assert "\nFROM priomon\n" in (DEPLOY / "loss/Dockerfile").read_text("utf-8")
    (scrape,) = read_yaml("deploy/prometheus/prometheus.yml")["scrape_configs"]
    assert {target.partition(":")[2] for each in scrape["static_configs"] for target in each["targets"]} == {str(HTTP_PORT)}


def libraries(extras: str) -> set[str]:
    """What the extras `a,b` of setup.cfg install, without versions; `priomon[...]` stands for other extras."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    found = set()
    for line in "\n".join(setup["options.extras_require"][extra] for extra in extras.split(",")).split():
        inner = re.fullmatch(r"priomon\[(.+)\]", line)
        found |= libraries(inner[1]) if inner else {line.partition(">=")[0]}
    return found


def test_the_image_has_all_that_agents_and_simulations_need_but_numba() -> None:
    (extras,) = re.findall(r"'\.\[(.+)\]'", (ROOT / "Dockerfile").read_text("utf-8"))
    assert libraries(extras) == libraries("node,sim") - {"numba"} < libraries("node,sim")


def test_the_engine_is_sent_what_the_image_copies() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert {"constraints.txt", "pyproject.toml", "setup.cfg", "priomon_*", "scenarios"} <= sent
    assert all(list(ROOT.glob(pattern)) for pattern in sent)


class AtOnce(Random):
    """Lets an agent's first round come with its start."""

    def random(self) -> float:
        return 0.0


class Wire(asyncio.DatagramTransport):
    """Takes whatever is sent."""

    def sendto(self, data: Any, addr: Any = None) -> None:
        assert data


async def scraped() -> str:
    """/metrics of an agent that has sampled, sent a datagram and refused another."""
    own = Address("127.0.0.1", GOSSIP_PORT)
    book = Peers([own], [], None)
    book.know([Address("127.0.0.1", HTTP_PORT)])
    agent = Agent(
        Identity("a", 1, own),
        BUILT_IN,
        GossipSettings(),
        DetectionSettings(),
        "test",
        book,
        lambda now: [50.0] * len(BUILT_IN),
        SECOND,
        None,
        lambda kind, **fields: None,
        AtOnce(1),
        Random(2),
    )
    agent.connection_made(Wire())
    agent.datagram_received(b"garbage", tuple(own))
    agent.connection_lost(None)
    return prometheus.exposition(agent, prometheus.families(agent.metrics), agent.counters)


def expressions() -> list[str]:
    rules = [rule["expr"] for group in read_yaml("deploy/prometheus/priomon.rules.yml")["groups"] for rule in group["rules"]]
    dashboard = json.loads((DEPLOY / "grafana/priomon.json").read_text("utf-8"))
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [entry["query"]["query"] for entry in dashboard["templating"]["list"] if entry["type"] == "query"]
    return [*rules, *panels, *variables]


def test_alerts_and_dashboard_ask_for_series_that_an_agent_has() -> None:
    samples = [sample for family in text_string_to_metric_families(asyncio.run(scraped())) for sample in family.samples]
    labels = {sample.name: set(sample.labels) | {"instance", "job"} for sample in samples}
    seen = set()
    for expression in expressions():
        for name, selector in re.findall(r"\b(priomon_\w+)(?:\{([^}]*)\})?", expression):
            assert name in labels, expression
            assert set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", selector)) <= labels[name], expression
            seen.add(name)
        grouped = re.findall(r"by \(([\w, ]+)\)", expression)
        known = set().union(*(labels[name] for name in re.findall(r"\bpriomon_\w+", expression)))
        assert {label for names in grouped for label in names.split(", ")} <= known, expression
    assert {f"priomon_node_{name}" for name in ("cpu_percent", "memory_percent", "network_bytes_per_second", "storage_percent")} <= seen

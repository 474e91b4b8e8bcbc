"""Why a node is held for what it is: the same answer from an agent and from a simulated node.

`why` gives plain values for programs, `told` turns them into lines for people.
"""

from __future__ import annotations

from typing import Any

from priomon_core.config import SECOND
from priomon_core.membership import Membership
from priomon_core.replica import Replica
from priomon_core.rumours import State
from priomon_core.watch import Watch

Reasons = dict[str, Any]


def why(watch: Watch, name: str, now: int) -> Reasons:
    """All that a node knows about the life of another, at `now` (ns).

    `state` is one of self, alive, suspect, dead, left, forgotten and unknown, with `incarnation` and `generation`. Where there is
    something to tell: `rule` and `for_seconds` (why and how long), `accusers` [{name, seconds_ago}], `confirmations` {found, needed},
    `dead_in_seconds`, `forgotten_in_seconds`, `contacts` [{path, seconds_ago}] with the path "direct" or the name of who reported it,
    `returns` from the dead lately.
    """
    membership = watch.membership
    key = _newest(membership.replica, name)
    if key is None:
        until = membership.refused_until(name)
        if until is None:
            return {"name": name, "state": "unknown"}
        return {"name": name, "state": "forgotten", "refused_for_seconds": (until - now) / SECOND}
    slot = membership.replica.values.find(key)
    assert slot is not None
    reasons: Reasons = {"name": name, "generation": membership.replica.values.identity(slot).generation}
    if key == membership.replica.key:
        return reasons | {"state": "self", "incarnation": membership.incarnation}
    reasons |= {"state": membership.state(key).name.lower(), "incarnation": 0, "contacts": _contacts(watch, key, now)}
    return reasons | _held(membership, key, now)


def _newest(replica: Replica, name: str) -> int | None:
    """The key of the highest generation of a name of which something is known; the node's own counts always."""
    found = [(replica.values.identity(slot), slot) for slot, version in enumerate(replica.versions) if version or slot == replica.own]
    named = [identity for identity, _ in found if identity.name == name]
    return max(named, key=lambda identity: identity.generation).key if named else None


def _contacts(watch: Watch, key: int, now: int) -> list[Reasons]:
    contacts = []
    if key in watch.direct:
        contacts.append({"path": "direct", "seconds_ago": (now - watch.direct[key]) / SECOND})
    if key in watch.indirect:
        helper, at = watch.indirect[key]
        contacts.append({"path": watch.membership.name(helper), "seconds_ago": (now - at) / SECOND})
    return contacts


def _held(membership: Membership, key: int, now: int) -> Reasons:
    """What is held against a node, or was before it refuted."""
    belief = membership.belief(key)
    if belief is None:
        return {}
    held: Reasons = {"incarnation": belief.incarnation, "rule": belief.rule, "for_seconds": (now - belief.since) / SECOND}
    if (returns := belief.relapses(now)) > 0:
        held["returns"] = returns
    if (suspicion := belief.suspicion) is not None:
        held["accusers"] = [{"name": membership.name(by), "seconds_ago": (now - at) / SECOND} for by, at in suspicion.accusers.items()]
        held["confirmations"] = {"found": suspicion.confirmations, "needed": suspicion.needed}
        if belief.state == State.SUSPECT:
            held["dead_in_seconds"] = (suspicion.deadline - now) / SECOND
    if key in membership.departed:
        held["forgotten_in_seconds"] = (membership.departed[key] - now) / SECOND
    return held


def told(reasons: Reasons) -> list[str]:
    """`why` as lines for people."""
    name, state = reasons["name"], reasons["state"]
    match state:
        case "unknown":
            return [f"{name}: nothing is known of a node with this name"]
        case "forgotten":
            return [f"{name} departed and is forgotten; old news of it are refused for {reasons['refused_for_seconds']:.1f} s more"]
        case "self":
            return [f"{name} (generation {reasons['generation']}) is this node itself; it has refuted {reasons['incarnation']} times"]
    lines = [f"{name} (generation {reasons['generation']}, incarnation {reasons['incarnation']}) is {state}"]
    if "rule" in reasons:
        lines[0] += f" since {reasons['for_seconds']:.1f} s"
        lines.append(f"why: {reasons['rule']}")
    else:
        lines.append("why: nothing was ever held against it")
    if "accusers" in reasons:
        lines += [f"accused by {one['name']} {one['seconds_ago']:.1f} s ago" for one in reasons["accusers"]]
        lines.append(f"{reasons['confirmations']['found']} of {reasons['confirmations']['needed']} confirmations")
    if "dead_in_seconds" in reasons:
        lines.append(f"held dead in {max(0.0, reasons['dead_in_seconds']):.1f} s unless it refutes or more confirm")
    if "forgotten_in_seconds" in reasons:
        lines.append(f"forgotten in {reasons['forgotten_in_seconds']:.1f} s")
    lines += [f"last contact, {one['path']}: {one['seconds_ago']:.1f} s ago" for one in reasons["contacts"]]
    if not reasons["contacts"]:
        lines.append("no contact among the latest that are remembered")
    if "returns" in reasons:
        lines.append(f"came back from the dead {reasons['returns']} times lately, so it is suspected for longer")
    return lines

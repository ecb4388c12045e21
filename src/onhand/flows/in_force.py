"""The versions of the policy that decide and watch in a process, as the database has them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.network.compiled import Network
from onhand.sourcing.policies import store
from onhand.sourcing.policies.asking import Asking, Version, facts_of_nodes
from onhand.sourcing.policies.facts import NodeFacts, node_facts
from onhand.sourcing.policies.lifecycle import State
from onhand.sourcing.policies.model import STANDARD_NAME, PolicyIn
from onhand.sourcing.policies.select import Compiled, compile_policy

SQL = queries(__file__)

NodeRows = list[tuple[int, NodeFacts]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A version beside the active one. state_id: of the row that says since when; number: the version's."""

    state_id: int
    number: int


@dataclass(frozen=True, eq=False, kw_only=True)
class InForce:
    """asking: the active version, and the canary if there is one. watching: the shadow alone, which decides without
    effect."""

    active: int
    asking: Asking
    watching: Asking | None = None
    canary: Trial | None = None
    shadow: Trial | None = None

    def on(self, network: Network) -> "InForce":
        """The same about another network with the same nodes."""
        return replace(
            self,
            asking=self.asking.on(network),
            watching=None if self.watching is None else self.watching.on(network),
        )


def read_versions(conn: Connection[TupleRow]) -> dict[State, store.Version]:
    """The versions of the policy that decides: at most one each of `active`, `canary` and `shadow`."""
    return store.in_force(conn, STANDARD_NAME)


def read_node_facts(conn: Connection[TupleRow]) -> NodeRows:
    """What conditions can ask of every node."""
    return [
        (
            node_id,
            node_facts(
                code=code, type=kind, country=country, region=region, postal_code=postal_code,
                groups=groups, attributes=attributes,
            ),
        )
        for node_id, code, kind, country, region, postal_code, groups, attributes in conn.execute(SQL["node_facts"])
    ]  # fmt: skip


def assemble(versions: dict[State, store.Version], nodes: Sequence[tuple[int, NodeFacts]], network: Network) -> InForce:
    """What decides, about one network."""
    facts = facts_of_nodes(nodes, network.count)
    active, canary, shadow = (versions.get(state) for state in ("active", "canary", "shadow"))
    assert active is not None, "the policy that decides always has an active version"
    deciding = [active] if canary is None else [active, canary]
    return InForce(
        active=active.version,
        asking=Asking(
            versions=tuple(_version(v) for v in deciding),
            network=network,
            nodes=facts,
            share=0.0 if canary is None else canary.share or 0.0,
        ),
        watching=None if shadow is None else Asking((_version(shadow),), network, facts),
        canary=None if canary is None else Trial(state_id=canary.state_id, number=canary.version),
        shadow=None if shadow is None else Trial(state_id=shadow.state_id, number=shadow.version),
    )


def version_of(conn: Connection[TupleRow], label: str) -> Version:
    """A version by its label, whatever its state; versions never change. Raises LookupError."""
    name, _, number = label.rpartition("@")
    found = store.get_version(conn, name, int(number))
    if found is None:
        raise LookupError(label)
    return _version(found)


def _version(version: store.Version) -> Version:
    return Version(label=version.label, policy=_compiled(msgspec.json.encode(version.document)))


@lru_cache(maxsize=64)
def _compiled(document: bytes) -> Compiled:
    """Conditions are compiled once, and remember their answers."""
    return compile_policy(PolicyIn.model_validate(msgspec.json.decode(document)))

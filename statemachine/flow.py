"""The way through a machine: a definition in; its edges, unreachable states and surely assigned variables out."""

from collections.abc import Iterator
from dataclasses import dataclass

from statemachine.definition import State


@dataclass(frozen=True, slots=True)
class Edge:
    """A transition: its target and the variables that are assigned on it."""

    target: str
    assigned: frozenset[str]


def edges_of(state: State) -> Iterator[Edge]:
    """Every transition out of a state."""
    own = frozenset(state.get("Assign", ()))
    for key in ("Next", "Default"):
        if key in state:
            yield Edge(state[key], own)
    for key in ("Choices", "Catch"):
        for rule in state.get(key, ()):
            if "Next" in rule:
                yield Edge(rule["Next"], frozenset(rule.get("Assign", ())))


def dangling(machine: State) -> Iterator[tuple[str, str]]:
    """`(state, target)` for every transition to a state that is not there; the machine itself is the state ``."""
    states = machine.get("States", {})
    starts = [("", Edge(machine.get("StartAt", ""), frozenset()))]
    for name, edge in [*starts, *((name, edge) for name, state in states.items() for edge in edges_of(state))]:
        if edge.target not in states:
            yield name, edge.target


def assigned_before(machine: State, inherited: frozenset[str]) -> dict[str, frozenset[str]]:
    """For every state that can be reached: the variables that have a value on every way to it."""
    states = machine.get("States", {})
    before: dict[str, frozenset[str]] = {}
    todo = [Edge(machine.get("StartAt", ""), inherited)]
    while todo:
        edge = todo.pop()
        if edge.target not in states:
            continue
        known = before.get(edge.target)
        held = edge.assigned if known is None else known & edge.assigned
        if held != known:
            before[edge.target] = held
            todo += [Edge(out.target, held | out.assigned) for out in edges_of(states[edge.target])]
    return before

"""A definition (JSON text) in, moto's program out, with each state knowing the JSON it was declared by.

Repairs to moto's parser: it cannot run in two threads at once, nor after it failed; strings keep their escapes; its
grammar refuses whole numbers as percentages and knows only some fields of a Distributed Map in JSONata. Those fields
are kept from the grammar and read from the declaration instead (distributed_map.py).
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from moto.stepfunctions.parser.asl.component.common.assign.assign_template_value_terminal import (
    AssignTemplateValueTerminalLit,
)
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.component import Component
from moto.stepfunctions.parser.asl.component.program.states import States
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.iteration_component import (
    IterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.state_parallel import StateParallel
from moto.stepfunctions.parser.asl.parse import preprocessor
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

from local.stepfunctions.jsonata import expressions

if TYPE_CHECKING:
    from local.server import EmbeddedAws

# What local/stepfunctions/distributed_map.py reads from the declaration; the grammar need not know them.
READ_FROM_DECLARATION = frozenset(
    {
        "ItemReader",
        "Items",
        "ItemSelector",
        "ItemBatcher",
        "ResultWriter",
        "Label",
        "MaxConcurrency",
        "ToleratedFailurePercentage",
        "ToleratedFailureCount",
    }
)
_parse = AmazonStateLanguageParser.parse
_lock = threading.Lock()


def install(aws: EmbeddedAws) -> None:
    aws.replace(AmazonStateLanguageParser, "parse", staticmethod(parse))
    aws.replace(preprocessor, "from_string_literal", _string_of)
    aws.replace(Preprocessor, "visitAssign_template_value_terminal_string_literal", _assigned_string)


def parse(definition: str) -> tuple[Any, Any]:
    """As AmazonStateLanguageParser.parse: (program, syntax tree); each state of the program carries `declaration`."""
    declared = json.loads(definition)
    with _lock:
        Preprocessor._query_language_per_scope = []
        program, tree = _parse(json.dumps(_within_grammar(declared), ensure_ascii=False))
    _declare(program.states, declared)
    return program, tree


def is_distributed(state: dict[str, Any]) -> bool:
    return state.get("Type") == "Map" and config_of(state).get("Mode") == "DISTRIBUTED"


def config_of(state: dict[str, Any]) -> dict[str, Any]:
    config = state.get("ItemProcessor", {}).get("ProcessorConfig", {})
    return config if isinstance(config, dict) else {}


def _string_of(parser_rule_context: Any) -> Any:
    return json.loads(parser_rule_context.getText())


def _assigned_string(self: Any, ctx: Any) -> Any:
    return AssignTemplateValueTerminalLit(value=_string_of(ctx.string_literal()))


def _within_grammar(value: Any) -> Any:
    if isinstance(value, list):
        return [_within_grammar(member) for member in value]
    if not isinstance(value, dict):
        return value
    left_out = READ_FROM_DECLARATION if is_distributed(value) else frozenset()
    return {key: _within_grammar(member) for key, member in value.items() if key not in left_out}


def _declare(states: Any, declared: dict[str, Any]) -> None:
    for name, declaration in declared["States"].items():
        state = states.states[name]
        state.declaration = declaration
        _name_fields(state, {expression: field for field, expression in reversed([*expressions(declaration)])})
        if isinstance(state, StateMap):
            _declare(state.iteration_component._states, declaration.get("ItemProcessor") or declaration["Iterator"])
        elif isinstance(state, StateParallel):
            for program, branch in zip(state.branches.programs, declaration["Branches"], strict=True):
                _declare(program.states, branch)


def _name_fields(component: Any, field_of: dict[str, str]) -> None:
    """Tells each expression of a state the field that declares it, as AWS names it in a failure's cause."""
    if isinstance(component, StringJSONata):
        component.field = field_of.get(component.expression, "")
    elif isinstance(component, list):
        for member in component:
            _name_fields(member, field_of)
    elif isinstance(component, Component) and not isinstance(component, States | IterationComponent):
        for member in vars(component).values():
            _name_fields(member, field_of)

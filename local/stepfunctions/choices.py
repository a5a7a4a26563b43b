"""Choice: a state's input and variables in, the one way it goes out.

Repairs to moto: a rule that leads where `Default` leads is not the default; a Condition that is no boolean is a query
error; no rule and no default is States.NoChoiceMatched.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.stepfunctions.parser.asl.component.state.choice.comparison.comparison import ConditionStringJSONata
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice

from local.stepfunctions.evaluation import query_error
from local.stepfunctions.failures import failure

if TYPE_CHECKING:
    from local.server import EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    aws.replace(StateChoice, "_eval_state", _choose)
    aws.replace(StateChoice, "_eval_state_output", _leave)
    aws.replace(ConditionStringJSONata, "_eval_body", _evaluate_condition)


def _choose(self: Any, env: Any) -> None:
    for rule in self.choices_decl.rules:
        rule.eval(env)
        if env.stack.pop() is True:
            env.stack.append((rule.next_stmt.name, False))
            return
    if self.default_state is None:
        raise failure(env, "States.NoChoiceMatched", f"No choice rule of the state '{self.name}' matched.")
    env.stack.append((self.default_state.state_name, True))


def _leave(self: Any, env: Any) -> None:
    env.next_state_name, by_default = env.stack.pop()
    for field in (self.assign_decl, self.output) if by_default else ():
        if field:
            field.eval(env=env)
    if self._is_language_query_jsonpath():
        self.output_path.eval(env=env)


def _evaluate_condition(self: Any, env: Any) -> None:
    self.string_jsonata.eval(env=env)
    value = env.stack[-1]
    if not isinstance(value, bool):
        expression, field = self.string_jsonata.expression, self.string_jsonata.field
        wrong = f"The JSONata expression '{expression}' specified for the field '{field}' returned an unexpected type."
        raise query_error(env, f"{wrong} Expected 'boolean', but was: {json.dumps(value)}")

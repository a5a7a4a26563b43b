"""A state's fields: expressions in the environment of a running state in, their values or the state's failure out.

- An expression that fails or has no value fails the state with States.QueryEvaluationError; the cause names the field.
- `Assign` and `Output` of one state both see the variables as they were on entry; they change on leaving the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.assign.assign_decl import AssignDecl
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.path.result_path import ResultPath
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local.stepfunctions import jsonata

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_exited_details = CommonStateField._get_state_exited_event_details
_result_path_body = ResultPath._eval_body


def install(aws: EmbeddedAws) -> None:
    aws.replace(StringJSONata, "_eval_body", _evaluate_expression)
    aws.replace(AssignDecl, "_eval_body", _collect_assignments)
    aws.replace(CommonStateField, "_get_state_exited_event_details", _leave_state)
    aws.replace(ResultPath, "_eval_body", _place_result)


def evaluate(env: Any, expression: str, field: str, context: dict[str, Any] | None = None) -> Any:
    """The expression's value in the environment of a running state, with another context object if given.

    Raises the failure of that state where there is no value.
    """
    where = f"The JSONata expression '{expression}' specified for the field '{field}'"
    try:
        return jsonata.evaluate(expression, _bindings(env, context))
    except jsonata.NoValueError as nothing:
        raise query_error(env, f"{where} {nothing}") from nothing
    except jsonata.JsonataError as error:
        raise query_error(env, f"{where} threw an error during evaluation. {error}") from error


def query_error(env: Any, cause: str) -> Exception:
    """States.QueryEvaluationError as the exception moto's states end with."""
    name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = {"error": name.error_name, "cause": cause, "state": env.next_state_name}
    return FailureEventException(  # type: ignore[no-any-return]
        FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.EvaluationFailed,
            event_details=EventDetails(evaluationFailedEventDetails=details),
        )
    )


def _bindings(env: Any, context: dict[str, Any] | None) -> dict[str, Any]:
    states = {name: value for name, value in env.states._states_data.items() if name == "input" or value is not None}
    states["context"] = _as_json(states["context"] if context is None else context)
    variables = env.variable_store
    return {**variables._outer_scope, **variables._inner_scope, "states": states}


def _as_json(context: dict[str, Any]) -> dict[str, Any]:
    """The context object as AWS writes it: `StartTime` and `EnteredTime` as text in UTC that ends in Z."""
    execution, state = context["Execution"], context.get("State") or {}
    times = {"StartTime": iso_8601_datetime_with_milliseconds(execution["StartTime"])}
    entered = {"EnteredTime": state["EnteredTime"].replace("+00:00", "Z")} if state else {}
    return {**context, "Execution": {**execution, **times}, "State": {**state, **entered}}


def _evaluate_expression(self: Any, env: Any) -> None:
    env.stack.append(evaluate(env, self.expression, self.field))


def _collect_assignments(self: Any, env: Any) -> None:
    assigned = vars(env).setdefault("assigned", {})
    for binding in self.declaration_bindings:
        binding.eval(env=env)
        assigned.update(env.stack.pop())


def _leave_state(self: Any, env: Any) -> Any:
    for name, value in vars(env).pop("assigned", {}).items():
        env.variable_store.set(variable_identifier=name, variable_value=value)
    return _exited_details(self, env=env)


def _place_result(self: Any, env: Any) -> None:
    if (
        self.result_path_src != ResultPath.DEFAULT_PATH
    ):  # `$` leaves the result as it stands; moto parses a JSONPath to find out
        _result_path_body(self, env)

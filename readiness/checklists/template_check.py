"""What speaks against publishing a template; pure."""

from collections.abc import Mapping

from readiness.checklists.template import load_template
from readiness.checklists.template_reader import check_is_finished
from readiness.checklists.template_values import Item, Template
from readiness.checklists.toml_rows import RowError
from readiness.checklists.verification import RULES


def list_known_rules() -> Mapping[str, Item | None]:
    """Every rule there is, each with the shipped item that it verifies, if there is one."""
    shipped = {item.rule: item for item in load_template().items if item.rule}
    return {**shipped, **{rule: shipped.get(rule) for rule in sorted(RULES)}}


def find_problems(template: Template) -> list[str]:
    """One sentence for each thing that has to be put right first."""
    problems = []
    try:
        check_is_finished(template)
    except RowError as error:
        sentence = str(error)
        problems.append(f"{sentence[0].upper()}{sentence[1:]}.")
    known = list_known_rules()
    wrong = (item for item in template.items if item.rule and item.rule not in known)
    problems += [f'Item "{item.key}" names the rule "{item.rule}", which nothing verifies.' for item in wrong]
    return problems

"""What changed files would change for the proxies, in meaning. No IO, no clock.

new_mesh, _ = old_mesh.updated(change)
planned = plan(fleet(old_mesh, new_mesh), new_refusals(old_mesh, new_mesh))
print(plan_text(planned))
"""

from mizzen.plan.change import Change
from mizzen.plan.fleet import Pair, fleet
from mizzen.plan.plan import Group, Plan, plan
from mizzen.plan.plan_markdown import plan_markdown
from mizzen.plan.plan_text import plan_text
from mizzen.plan.refusals import new_refusals
from mizzen.plan.served_mesh import ServedMesh, change_to
from mizzen.plan.side import Side

__all__ = [
    "Change",
    "Group",
    "Pair",
    "Plan",
    "ServedMesh",
    "Side",
    "change_to",
    "fleet",
    "new_refusals",
    "plan",
    "plan_markdown",
    "plan_text",
]
